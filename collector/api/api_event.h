// api_event.h: the record of an API call: an event of orgtrail.local, as CloudTrail writes its own.
//
// It belongs to the management account and the home region, like all events of orgtrail.local;
// userIdentity names the caller and its account. Pure.

#pragma once

#include "collector/api/api.h"

enum {
    API_EVENT_SIZE_MAX = 512 * 1024,      // bytes of a record
    API_EVENT_PART_SIZE_MAX = 64 * 1024,  // of requestParameters and of responseElements; what is
                                          // larger is told by its size, as CloudTrail does
};

struct api_event {
    const struct api_request *request;
    const char *api_version;  // "2013-11-01"
    bool is_change;
    const struct yyjson_val *input;   // NULL: it could not be read
    const struct yyjson_val *output;  // NULL or without members: null
    const char *code;                 // of an error, or NULL
    const char *message;
};

// Prints the record into the buffer, which is emptied before.
void api_event_print(const struct api_world *world, const struct api_event *event,
                     struct buffer *buffer);
