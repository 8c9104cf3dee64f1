// Changes of documents that the asker waits for.

#include <stdatomic.h>
#include <stdlib.h>

#include "base/queue.h"
#include "collector/append/append_documents.h"

// A change between the thread that waits for it and the writer. Whoever is last frees it.
struct wait {
    struct queue *done;   // of the wait itself, once
    atomic_bool is_left;  // one of the two has gone
    bool is_current;
    bool has_fault;
    struct fault fault;
};

static void discard(struct wait *wait) {
    if (wait == NULL) return;
    queue_destroy(wait->done);
    free(wait);
}

static void on_done(void *context, bool is_current, const struct fault *fault) {
    struct wait *wait = context;
    wait->is_current = is_current;
    wait->has_fault = fault != NULL;
    if (fault != NULL) wait->fault = *fault;
    // If the other is gone it frees nothing any more; if not, it finds this in the queue.
    if (atomic_exchange(&wait->is_left, true)) {
        discard(wait);
    } else {
        (void)queue_push(wait->done, wait, 1);
    }
}

static bool take_result(struct wait *wait, bool *is_current, struct fault *fault) {
    bool is_good = !wait->has_fault;
    if (is_good) *is_current = wait->is_current;
    if (!is_good) *fault = wait->fault;
    discard(wait);
    return is_good;
}

bool append_documents_change(struct append *append, const struct append_documents_options *options,
                             int64_t wait_ms, bool *is_current, struct fault *fault) {
    struct append_documents_options own = *options;
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait != NULL) wait->done = queue_create(1, 1);
    if (wait == NULL || wait->done == NULL) {
        discard(wait);
        return fault_set(fault, FAULT_FULL, "no memory for a change");
    }
    own.done = on_done;
    own.context = wait;
    if (!append_documents_submit(append, &own, fault)) {
        discard(wait);
        return false;
    }
    void *item;
    if (queue_pop(wait->done, &item, 1, wait_ms) == 1) return take_result(wait, is_current, fault);
    if (atomic_exchange(&wait->is_left, true)) {
        // It has come just now.
        while (queue_pop(wait->done, &item, 1, 1000) == 0) continue;
        return take_result(wait, is_current, fault);
    }
    return fault_set(fault, FAULT_RETRY, "the disk takes too long: the change may happen yet");
}
