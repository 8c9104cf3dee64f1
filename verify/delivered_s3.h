// delivered_s3.h: one bucket of S3, or what is below a prefix in it. Digests' signatures are their
// objects' own metadata.
//
// What may pass is tried again for some 12 s; what cannot be read then is told of as unreadable.

#pragma once

#include "base/aws/s3_pool.h"
#include "verify/delivered.h"

struct delivered_s3 {
    struct s3_pool *pool;  // more clients than threads that ask
    const char *bucket;
    const char *prefix;  // of the keys that are listed: "" or with a slash at its end
};

// The interface to it; it is borrowed for its life.
struct delivered delivered_in_s3(struct delivered_s3 *s3);
