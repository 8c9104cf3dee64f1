// buckets_internal.h: what the files of S3's answers share. Internal: buckets.c, buckets_list.c.

#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "collector/api/buckets.h"

// A request that is let in.
struct bucket_call {
    const struct buckets *buckets;
    struct api_worker *worker;
    struct arena *arena;
    const struct gateway_request *request;
    const char *request_id;
    struct http_response *response;
    struct keys_facts key;
    struct span session_id;  // of temporary credentials
    const char *operation;   // S3's name; NULL until somebody is let in
    const char *code;        // of an error
    bool has_bucket;         // it is there
    bool sees_all;           // the whole organization
    bool is_privileged;      // any account that the key is not narrowed from
    struct span bucket;
    struct span object;  // key; empty: the bucket itself
    enum gateway_outcome outcome;
};

// Ends the call with an error of S3's name. Returns false.
bool bucket_refuse(struct bucket_call *call, uint32_t status, const char *code,
                   const char *message);

// Whether the caller may see the object of a key.
bool bucket_sees(const struct bucket_call *call, struct span key);

// Whether a folder, with its slash, may hold such an object: it is none of an account that the
// caller may not see, whose regions and days are nothing for the caller either.
bool bucket_sees_folder(const struct bucket_call *call, struct span folder);

// The decoded value of a parameter. *found false: it is not there. False: the call is refused.
MUST_CHECK bool bucket_parameter(struct bucket_call *call, const char *name, bool *found,
                                 struct span *value);

// Appends the account that buckets and objects belong to, as an element.
void bucket_append_owner(const struct bucket_call *call);

// Appends a moment as S3 has it in lists.
void bucket_append_time(struct buffer *output, int64_t ns);

// Prints an entity tag, which changes when the file does.
enum { BUCKET_TAG_SIZE = 40 };
void bucket_print_tag(const struct files_entry *entry, char tag[BUCKET_TAG_SIZE]);

// Answers ListBuckets and ListObjects. False: the call is refused.
bool bucket_list_all(struct bucket_call *call);
bool bucket_list_objects(struct bucket_call *call);
