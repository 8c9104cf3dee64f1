// s3_pool.h: clients of S3 that several threads share, and calls tried again.
//
// Threads: any number at a time; a client belongs to who took it until it is given back.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/aws/s3.h"

enum {
    S3_POOL_CLIENTS_MAX = 1024,
    S3_POOL_ATTEMPTS = 8,     // of a call of s3_pool_list
    S3_POOL_PAUSE_MS = 100,   // before the second attempt; doubled before each further one
    S3_POOL_QUICK_MS = 5000,  // a call that took longer is not repeated
    S3_POOL_PAUSE_MAX_MS = 3200,
};

struct s3_pool;

// A pool of at most so many clients, one at first and more when all are busy, as those are that
// wait for a store that hangs. Opens no connection. The options' texts are borrowed for its life.
// Faults as s3_create.
MUST_CHECK bool s3_pool_create(const struct s3_options *options, uint32_t count_max,
                               struct s3_pool **pool, struct fault *fault);

// Frees it. NULL is allowed. All clients were given back.
void s3_pool_destroy(struct s3_pool *pool);

// Ends what is under way within a second, with FAULT_RETRY, and all that comes later.
void s3_pool_stop(struct s3_pool *pool);

// Takes a client; waits for one if there are as many as there may be. NULL with FAULT_RETRY once
// the pool was stopped, and with s3_create's faults.
struct s3 *s3_pool_take(struct s3_pool *pool, struct fault *fault);

// Gives it back. What it lent ends.
void s3_pool_give(struct s3_pool *pool, struct s3 *client);

// The attempts of one call.
struct s3_attempts {
    struct s3_pool *pool;
    uint32_t most;
    uint32_t count;
    int64_t begin_ms;  // of the last one
};

// Begins the first of at most so many.
struct s3_attempts s3_attempts_begin(struct s3_pool *pool, uint32_t most);

// Whether a call that failed is to be repeated: what may pass (FAULT_RETRY), and failed quickly.
// Waits a while first.
bool s3_attempts_again(struct s3_attempts *attempts, const struct fault *fault);

// As s3_list, or s3_list_folder if is_folder: goes on behind what it had when a page fails that may
// be had later. on_entry may use other clients of the pool.
MUST_CHECK bool s3_pool_list(struct s3_pool *pool, bool is_folder, const char *bucket,
                             const char *prefix, const char *after,
                             bool (*on_entry)(void *user, const struct s3_entry *entry), void *user,
                             struct fault *fault);
