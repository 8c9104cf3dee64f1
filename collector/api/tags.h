// tags.h: the tags of a trail: names and values that people give it.

#pragma once

#include "collector/api/api.h"

enum {
    TAGS_MAX = 50,               // of one trail
    TAGS_REQUEST_MAX = 200,      // of one request
    TAGS_LIST_MAX = 20,          // ARNs of one ListTags
    TAG_KEY_LENGTH_MAX = 128,    // characters
    TAG_VALUE_LENGTH_MAX = 256,  // characters
};

struct tag {
    struct span key;
    struct span value;  // NULL bytes: it has none
};

struct tags {
    struct tag items[TAGS_MAX];
    uint32_t count;
};

// Adds the tags of a list of {"Key","Value"}; a key that is there gets the new value. NULL: none.
// What is added borrows from the list. False: the call is refused (InvalidTagParameterException,
// TagsLimitExceededException), and the tags are undefined.
MUST_CHECK bool tags_add(struct api_call *call, const struct yyjson_val *list, struct tags *tags);

// Takes the tags of such keys away; values are not looked at.
MUST_CHECK bool tags_remove(struct api_call *call, const struct yyjson_val *list,
                            struct tags *tags);

// Writes the list.
void tags_write(const struct tags *tags, struct json_writer *writer, const char *name);

// The operations AddTags, RemoveTags and ListTags.
bool tags_run_add(struct api_call *call);
bool tags_run_remove(struct api_call *call);
bool tags_run_list(struct api_call *call);
