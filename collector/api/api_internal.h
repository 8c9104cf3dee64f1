// api_internal.h: what the files of a call share: api.c, api_input.c and api_documents.c.

#pragma once

#include "collector/api/api.h"
#include "collector/api/operations.h"

// What went wrong; code of no bytes: nothing.
struct api_failure {
    uint32_t status;
    char code[API_CODE_SIZE];
    char message[API_MESSAGE_SIZE];
};

struct api_worker {
    struct api_world world;
    struct api_store store;
    struct arena *arena;
    struct json_reader *json;  // of events: it knows their members' places from the calls before
    struct answers *answers;
    struct buffer body;
    struct buffer event;
    struct api_failure failure;
    struct append_document documents[APPEND_DOCUMENTS_MAX];  // read or put by the call
    uint32_t documents_count;
};
