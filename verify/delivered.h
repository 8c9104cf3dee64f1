// delivered.h: what trails delivered, for reading: objects in buckets, behind a small interface.
//
// The one there is keeps each bucket in a folder (delivered_directory.h); a bucket of S3 is the
// same four questions. Names in digests are foreign bytes: an implementation answers one that
// cannot be an object's with DELIVERED_MISSING and never leaves its buckets.
//
// Threads: any number at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    DELIVERED_KEY_SIZE_MAX = 1024,                 // bytes, as S3 has it
    DELIVERED_OBJECT_SIZE_MAX = 64 * 1024 * 1024,  // bytes of one that is read
    DELIVERED_SIGNATURE_SIZE = 1025,               // with the final zero
    DELIVERED_TIME_SIZE = 40,
};

enum delivered_presence {
    DELIVERED_FOUND,
    DELIVERED_MISSING,
    DELIVERED_NO_BUCKET,  // the bucket is not at hand: nothing can be said of the object
};

// What stands beside a digest: S3's x-amz-meta-NAME. Empty: absent.
struct delivered_metadata {
    char signature[DELIVERED_SIGNATURE_SIZE];
    char algorithm[DELIVERED_TIME_SIZE];
    char backfill_time[DELIVERED_TIME_SIZE];  // backfill-generation-timestamp
};

// Told a name; false ends the telling.
typedef bool delivered_on_name(void *user, struct span name);

struct delivered_operations {
    bool (*buckets)(void *context, delivered_on_name *on_bucket, void *user, struct fault *fault);
    bool (*folders)(void *context, struct span bucket, struct span prefix,
                    delivered_on_name *on_folder, void *user, struct fault *fault);
    bool (*list)(void *context, struct span bucket, struct span prefix, struct span after,
                 delivered_on_name *on_object, void *user, struct fault *fault);
    bool (*get)(void *context, struct span bucket, struct span key, struct buffer *bytes,
                struct delivered_metadata *metadata, enum delivered_presence *presence,
                struct fault *fault);
};

struct delivered {
    const struct delivered_operations *operations;
    void *context;
};

// Calls on_bucket with the name of each bucket that is to be verified, until it returns false.
MUST_CHECK bool delivered_buckets(const struct delivered *delivered, delivered_on_name *on_bucket,
                                  void *user, struct fault *fault);

// Calls on_folder with the name, without slashes, of each folder directly below the prefix, which
// is empty or ends in a slash. None there: none.
MUST_CHECK bool delivered_folders(const struct delivered *delivered, struct span bucket,
                                  struct span prefix, delivered_on_name *on_folder, void *user,
                                  struct fault *fault);

// Calls on_object with the key of each object whose key begins with the prefix, which ends in a
// slash, and stands behind `after` in order of bytes. In no order. None there: none.
MUST_CHECK bool delivered_list(const struct delivered *delivered, struct span bucket,
                               struct span prefix, struct span after, delivered_on_name *on_object,
                               void *user, struct fault *fault);

// Appends an object's bytes. metadata: NULL if they are not wanted. FAULT_INPUT if it is larger
// than DELIVERED_OBJECT_SIZE_MAX; otherwise that of the disk or the wire.
MUST_CHECK bool delivered_get(const struct delivered *delivered, struct span bucket,
                              struct span key, struct buffer *bytes,
                              struct delivered_metadata *metadata,
                              enum delivered_presence *presence, struct fault *fault);
