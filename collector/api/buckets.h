// buckets.h: the files that trails deliver to a folder, read as S3 reads them.
//
// ListBuckets, HeadBucket, GetBucketLocation, ListObjects (both versions), HeadObject and GetObject
// with ranges, in path style, signed with the same access keys. Nothing is written this way.
// Whoever sees the whole organization sees every object; others those under the folders of accounts
// that they may see (AWSLogs/[o-ORG/]ACCOUNT/), the rest is not there for them.
//
// Threads: any number at a time, each with an arena and a worker of its own.

#pragma once

#include "base/http_server.h"
#include "collector/api/gateway.h"
#include "collector/deliver/objects_directory.h"

enum {
    BUCKETS_PAGE_MAX = 1000,                   // objects of one ListObjects
    BUCKETS_BODY_SIZE_MAX = 60 * 1024 * 1024,  // bytes of one answer: more is read with ranges
    BUCKETS_FOLDER_MAX = 200000,               // files of one folder
    BUCKETS_ARENA_SIZE = 64 * 1024 * 1024,     // bytes of one request
};

// A read as it is told in the trail.
struct bucket_read {
    const char *operation;         // S3's name, "GetObject"
    const struct keys_facts *key;  // whose it is
    struct span session_id;        // "ASIA…", or none
    struct span bucket;            // one that is there, or none
    struct span object;            // its key, or none
    const char *code;              // S3's name of the error; NULL: it is answered
    struct span source;            // the client's address
    struct span user_agent;        // as sent; may be empty
};

struct buckets {
    const struct objects_directory *directory;  // NULL: none, which is what is answered
    const char *region;                         // where the buckets are said to be
    const char *owner;  // account that they belong to: the management account, whose trails deliver
    struct keys *keys;
    const struct clock *clock;
    // Somebody was not let in. key_id may be empty.
    void (*on_refused)(void *context, const char *code, struct span key_id, struct span source);
    // Takes a read of somebody who was let in, to be told in the trail. False: too much waits to be
    // told; the read is refused.
    bool (*on_read)(void *context, const struct bucket_read *read);
    void *context;
};

// Answers. Never fails: whatever goes wrong is an answer.
enum gateway_outcome buckets_run(const struct buckets *buckets, struct api_worker *worker,
                                 struct arena *arena, const struct gateway_request *request,
                                 const char *request_id, struct http_response *response);
