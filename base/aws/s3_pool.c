#include "base/aws/s3_pool.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/queue.h"

enum { WAIT_MS = 1000 };

struct s3_pool {
    struct queue *idle;  // clients that nobody has
    struct s3_options options;
    uint32_t count_max;
    atomic_uint count;
    atomic_bool is_stopped;
};

// ---- clients

// NULL: the fault says why not. Two who come at once may make one more than there should be.
static struct s3 *create_client(struct s3_pool *pool, struct fault *fault) {
    struct s3 *client = NULL;
    if (!s3_create(&pool->options, &client, fault)) return NULL;
    atomic_fetch_add(&pool->count, 1);
    return client;
}

bool s3_pool_create(const struct s3_options *options, uint32_t count_max, struct s3_pool **pool,
                    struct fault *fault) {
    assert(count_max > 0);
    assert(count_max <= S3_POOL_CLIENTS_MAX);
    struct s3_pool *made = calloc(1, sizeof *made);
    if (made != NULL) made->idle = queue_create(2 * count_max, 2 * count_max);
    if (made == NULL || made->idle == NULL) {
        s3_pool_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory for clients of S3");
    }
    made->options = *options;
    made->options.http.is_stopped = &made->is_stopped;
    if (made->options.pause_ms == 0) made->options.pause_ms = S3_POOL_PAUSE_MS;
    made->count_max = count_max;
    struct s3 *client = create_client(made, fault);
    if (client == NULL) {
        s3_pool_destroy(made);
        return false;
    }
    s3_pool_give(made, client);
    *pool = made;
    return true;
}

void s3_pool_destroy(struct s3_pool *pool) {
    if (pool == NULL) return;
    void *client;
    while (pool->idle != NULL && queue_pop(pool->idle, &client, 1, 0) == 1) s3_destroy(client);
    queue_destroy(pool->idle);
    free(pool);
}

void s3_pool_stop(struct s3_pool *pool) {
    atomic_store(&pool->is_stopped, true);
}

struct s3 *s3_pool_take(struct s3_pool *pool, struct fault *fault) {
    void *client = NULL;
    int64_t wait_ms = 0;
    while (!atomic_load(&pool->is_stopped)) {
        if (queue_pop(pool->idle, &client, 1, wait_ms) == 1) return client;
        if (atomic_load(&pool->count) < pool->count_max) return create_client(pool, fault);
        wait_ms = WAIT_MS;
    }
    fault_put(fault, FAULT_RETRY, "Stopping: this program ends");
    return NULL;
}

void s3_pool_give(struct s3_pool *pool, struct s3 *client) {
    bool is_pushed = queue_push(pool->idle, client, 1);
    assert(is_pushed);
}

// ---- attempts

struct s3_attempts s3_attempts_begin(struct s3_pool *pool, uint32_t most) {
    return (struct s3_attempts){pool, most, 0,
                                pool->options.clock->monotonic_ms(pool->options.clock->context)};
}

bool s3_attempts_again(struct s3_attempts *attempts, const struct fault *fault) {
    struct s3_pool *pool = attempts->pool;
    const struct clock *clock = pool->options.clock;
    bool is_quick = clock->monotonic_ms(clock->context) - attempts->begin_ms < S3_POOL_QUICK_MS;
    if (fault->kind != FAULT_RETRY || !is_quick || ++attempts->count >= attempts->most ||
        atomic_load(&pool->is_stopped)) {
        return false;
    }
    int64_t pause_ms = (int64_t)pool->options.pause_ms << (attempts->count - 1);
    if (pause_ms > S3_POOL_PAUSE_MAX_MS) pause_ms = S3_POOL_PAUSE_MAX_MS;
    const struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
    attempts->begin_ms = clock->monotonic_ms(clock->context);
    return true;
}

// ---- lists

struct listing {
    bool (*on_entry)(void *user, const struct s3_entry *entry);
    void *user;
    bool is_stopped;
    char after[S3_KEY_SIZE_MAX + 1];  // what came before the attempt ends with it
    char last[S3_KEY_SIZE_MAX + 1];   // the last in order that was given
};

// Folders come behind objects, page by page: only what an earlier attempt had is passed over.
static bool on_listed(void *user, const struct s3_entry *entry) {
    struct listing *listing = user;
    if (span_compare(entry->key, span_text(listing->after)) <= 0) return true;
    if (span_compare(entry->key, span_text(listing->last)) > 0 &&
        span_find(entry->key, 0) == entry->key.size) {
        memcpy(listing->last, entry->key.bytes, entry->key.size);
        listing->last[entry->key.size] = 0;
    }
    listing->is_stopped = !listing->on_entry(listing->user, entry);
    return !listing->is_stopped;
}

bool s3_pool_list(struct s3_pool *pool, bool is_folder, const char *bucket, const char *prefix,
                  const char *after, bool (*on_entry)(void *user, const struct s3_entry *entry),
                  void *user, struct fault *fault) {
    struct listing listing = {.on_entry = on_entry, .user = user};
    struct s3 *client = s3_pool_take(pool, fault);
    if (client == NULL) return false;
    struct s3_attempts attempts = s3_attempts_begin(pool, S3_POOL_ATTEMPTS);
    struct fault failure;  // a call that ends well leaves the caller's as it was
    bool is_good;
    do {
        memcpy(listing.after, listing.last, sizeof listing.after);
        const char *behind = listing.after[0] != 0 ? listing.after : after;
        is_good = (is_folder ? s3_list_folder : s3_list)(client, bucket, prefix, behind, on_listed,
                                                         &listing, &failure);
        // Pages that came are no failed attempts.
        if (strcmp(listing.after, listing.last) != 0)
            attempts = s3_attempts_begin(pool, S3_POOL_ATTEMPTS);
    } while (!is_good && s3_attempts_again(&attempts, &failure));
    s3_pool_give(pool, client);
    if (!is_good) *fault = failure;
    return is_good;
}
