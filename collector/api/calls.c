#include "collector/api/calls.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "collector/append/append_documents.h"
#include "collector/metrics.h"

enum {
    RETRY_MS = 200,       // after the writer took none
    NAP_MS = 20,          // between looks at what gathers
    IDLE_MS = 60 * 1000,  // for the first; closing the queue ends it at once
};

struct call_text {
    size_t size;
    uint8_t bytes[];
};

struct calls {
    struct append *append;
    struct queue *records;  // of struct call_text, by their bytes
    pthread_t thread;
};

static int64_t now_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static void nap(int64_t ms) {
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

// What goes into one commit.
struct group {
    struct call_text *records[CALLS_BATCH];
    struct span spans[CALLS_BATCH];
    uint32_t count;
    size_t size;
};

static void free_group(struct group *group) {
    for (uint32_t index = 0; index < group->count; index++) free(group->records[index]);
    group->count = 0;
    group->size = 0;
}

// Lets records gather behind the first, without waking up for each.
static void wait_for_more(struct calls *calls) {
    int64_t until_ms = now_ms() + CALLS_GATHER_MS;
    uint32_t count = 0;
    uint64_t size = 0;
    while (now_ms() < until_ms && count < CALLS_BATCH && size < CALLS_BATCH_SIZE &&
           !queue_is_closed(calls->records)) {
        nap(NAP_MS);
        queue_measure(calls->records, &count, &size);
    }
}

static void add(struct group *group, struct call_text *record) {
    group->records[group->count] = record;
    group->spans[group->count++] = span_of(record->bytes, record->size);
    group->size += record->size;
}

// Takes what goes into one commit; nothing if nothing came.
static void gather(struct calls *calls, struct group *group) {
    void *item;
    if (queue_pop(calls->records, &item, 1, IDLE_MS) == 0) return;
    add(group, item);
    wait_for_more(calls);
    while (group->count < CALLS_BATCH && group->size < CALLS_BATCH_SIZE &&
           queue_pop(calls->records, &item, 1, 0) == 1) {
        add(group, item);
    }
}

// Stores a group, and tries again while there is no room. False: it cannot be stored any more.
static bool store_group(struct calls *calls, const struct group *group) {
    const struct append_documents_options options = {.records = group->spans,
                                                     .records_count = group->count};
    int64_t ending_ms = 0;
    while (true) {
        struct fault fault;
        bool is_current;
        int64_t wait_ms = INT64_MAX;
        bool is_ending = queue_is_closed(calls->records);
        if (is_ending && ending_ms == 0) ending_ms = now_ms();
        if (is_ending) wait_ms = ending_ms + CALLS_STOP_MS - now_ms();
        if (wait_ms <= 0) return false;
        // In turns, so that an end is noticed while the disk is full.
        if (wait_ms > APPEND_DOCUMENTS_WAIT_MS) wait_ms = APPEND_DOCUMENTS_WAIT_MS;
        if (append_documents_change(calls->append, &options, wait_ms, &is_current, &fault))
            return true;
        // A change that may happen yet and is made again is the same events: duplicates.
        if (fault.kind != FAULT_RETRY && fault.kind != FAULT_FULL) {
            LOG(LOG_ERROR, "events of API calls cannot be stored", log_fault(&fault),
                log_kind(&fault));
            return false;
        }
        nap(RETRY_MS);
    }
}

static void measure(struct calls *calls, uint32_t more) {
    uint32_t count;
    uint64_t size;
    queue_measure(calls->records, &count, &size);
    metric_set(&metrics_table[METRICS_API_EVENTS_WAITING], 0, count + more);
}

static void *run(void *context) {
    struct calls *calls = context;
    struct group *group = calloc(1, sizeof *group);
    if (group == NULL) return NULL;
    while (true) {
        gather(calls, group);
        measure(calls, group->count);
        if (group->count > 0 && !store_group(calls, group)) {
            metric_add(&metrics_table[METRICS_API_EVENTS_LOST], 0, group->count);
        }
        bool is_over = group->count == 0 && queue_is_closed(calls->records);
        free_group(group);
        measure(calls, 0);
        if (is_over) break;
    }
    free(group);
    return NULL;
}

bool calls_start(struct append *append, struct calls **calls, struct fault *fault) {
    struct calls *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->append = append;
        made->records = queue_create(CALLS_MAX, CALLS_SIZE_MAX);
        if (made->records != NULL && pthread_create(&made->thread, NULL, run, made) == 0) {
            *calls = made;
            return true;
        }
        queue_destroy(made->records);
        free(made);
    }
    return fault_set(fault, FAULT_FULL, "no memory for events of API calls");
}

void calls_stop(struct calls *calls) {
    if (calls == NULL) return;
    void *item;
    queue_close(calls->records);
    pthread_join(calls->thread, NULL);
    // Only if the thread had no memory to begin with.
    while (queue_pop(calls->records, &item, 1, 0) == 1) free(item);
    queue_destroy(calls->records);
    free(calls);
}

bool calls_add(struct calls *calls, struct span record) {
    struct call_text *copy = malloc(sizeof *copy + record.size);
    if (copy == NULL) return false;
    copy->size = record.size;
    memcpy(copy->bytes, record.bytes, record.size);
    if (queue_push(calls->records, copy, record.size)) return true;
    free(copy);
    return false;
}

bool calls_have_room(struct calls *calls) {
    uint32_t count;
    uint64_t size;
    queue_measure(calls->records, &count, &size);
    return count + CALLS_RESERVE < CALLS_MAX &&
           size < CALLS_SIZE_MAX - CALLS_RESERVE * (uint64_t)64 * 1024;
}
