#include "collector/api/gateway_rate.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hash.h"

// In thousandths of a call, so that each millisecond adds a whole number.
struct bucket {
    int64_t filled_ms;
    int64_t level;
};

struct gateway_rate {
    pthread_mutex_t mutex;
    uint32_t per_second;
    struct bucket buckets[GATEWAY_RATE_BUCKETS];
};

struct gateway_rate *gateway_rate_create(uint32_t per_second) {
    assert(per_second > 0);
    struct gateway_rate *rate = calloc(1, sizeof *rate);
    if (rate == NULL) return NULL;
    if (pthread_mutex_init(&rate->mutex, NULL) != 0) {
        free(rate);
        return NULL;
    }
    rate->per_second = per_second;
    for (uint32_t index = 0; index < GATEWAY_RATE_BUCKETS; index++) {
        rate->buckets[index].level = (int64_t)per_second * 1000;
    }
    return rate;
}

void gateway_rate_destroy(struct gateway_rate *rate) {
    if (rate == NULL) return;
    pthread_mutex_destroy(&rate->mutex);
    free(rate);
}

uint32_t gateway_rate_take(struct gateway_rate *rate, struct span account, int64_t now_ms) {
    uint64_t hash = hash_plain(account);
    int64_t full = (int64_t)rate->per_second * 1000;
    int64_t missing = 0;
    int status = pthread_mutex_lock(&rate->mutex);
    assert(status == 0);
    struct bucket *bucket = &rate->buckets[hash % GATEWAY_RATE_BUCKETS];
    int64_t passed_ms = now_ms - bucket->filled_ms;
    if (passed_ms > 1000) passed_ms = 1000;
    bucket->filled_ms = now_ms;
    bucket->level += passed_ms * rate->per_second;
    if (bucket->level > full) bucket->level = full;
    if (bucket->level >= 1000) {
        bucket->level -= 1000;
    } else {
        missing = 1000 - bucket->level;
    }
    status = pthread_mutex_unlock(&rate->mutex);
    assert(status == 0);
    return (uint32_t)((missing + rate->per_second - 1) / rate->per_second);
}
