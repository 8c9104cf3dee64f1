// objects_s3.h: buckets of S3, or of a store that speaks like it.
//
// An object counts as there when the store tells its size and SHA-256, or, if it keeps no checksums
// or has put the object together from parts, when it was read back and hashed. Where the store
// knows conditional puts, an object that stands there already with the same bytes is not written
// again, so that a bucket with versions or locks gets one version of each.

#pragma once

#include "base/aws/s3.h"
#include "collector/deliver/objects.h"

enum {
    OBJECTS_S3_ATTEMPTS = 4,   // of one call, with a pause of 100 ms, 200 ms, 400 ms between them
    OBJECTS_S3_CLIENTS = 280,  // that call at a time: all followers, and the API
    OBJECTS_S3_READ_MAX = 64 * 1024 * 1024,  // bytes of an object that is read back
};

struct objects_s3;

struct objects_s3_options {
    struct s3_options s3;
    enum s3_encryption encryption;
    const char *kms_key;  // NULL: none
    const char *acl;      // NULL: none
};

// Clients of the store, one at first and more as calls hang; opens no connection. Texts are
// borrowed for its life. Faults as s3_create.
MUST_CHECK bool objects_s3_create(const struct objects_s3_options *options,
                                  struct objects_s3 **objects, struct fault *fault);

// Frees it. NULL is allowed. Nobody is in it any more.
void objects_s3_destroy(struct objects_s3 *objects);

// [any] Ends what is under way within a second, with FAULT_RETRY, and all that comes later.
void objects_s3_stop(struct objects_s3 *objects);

// The interface to it, which is borrowed for its life.
struct objects objects_in_s3(struct objects_s3 *objects);
