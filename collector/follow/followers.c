#include "collector/follow/followers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/queue.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "collector/notes/notes.h"

enum {
    LOOK_MS = 100,       // the dispatcher looks around at least this often
    WORK_WAIT_MS = 200,  // so do workers
    TAKE_MAX = 64,       // at a time
    FAILURES_MAX = 16,   // that make a difference to the wait
};

// A follower between the dispatcher, who has it while it waits, and a worker.
struct entry {
    struct follower *follower;
    int64_t due_ms;  // monotonic
    uint32_t failures;
    bool is_over;
    bool is_told;                 // that it fails
    char error[FAULT_TEXT_SIZE];  // that was logged last
};

// A place for a thread. The dispatcher starts it, and joins it when it has ended by itself.
struct worker {
    struct followers *followers;
    struct seat seat;
    pthread_t thread;
    bool is_started;
    atomic_bool has_ended;
};

struct followers {
    struct followers_options options;
    struct queue *due;   // entries, from the dispatcher to workers
    struct queue *done;  // entries, from workers and from followers_add
    struct entry *waiting[FOLLOWERS_MAX];
    uint32_t waiting_count;
    struct worker workers[FOLLOWERS_THREADS_MAX];
    uint32_t workers_count;  // that are started
    atomic_uint idle;        // workers that wait for something to do
    atomic_uint surplus;     // of them are to end
    int64_t short_ms;        // since when there are fewer than are due; 0: there are enough
    int64_t idle_since_ms;   // what idle_least is of
    uint32_t idle_least;
    pthread_t dispatcher;
    bool has_dispatcher;
    atomic_uint count;
    atomic_bool is_stopping;
};

static int64_t now_ms(const struct followers *followers) {
    const struct clock *clock = followers->options.clock;
    return clock->monotonic_ms(clock->context);
}

// ---- a step

// How long to wait after so many failures: half of it is chance, so that many do not come at once.
static int64_t back_off(const struct followers *followers, uint32_t failures) {
    int64_t wait_ms = FOLLOWERS_WAIT_MIN_MS;
    for (uint32_t count = 1; count < failures && wait_ms < FOLLOWERS_WAIT_MAX_MS; count++) {
        wait_ms *= 2;
    }
    if (wait_ms > FOLLOWERS_WAIT_MAX_MS) wait_ms = FOLLOWERS_WAIT_MAX_MS;
    uint64_t half = (uint64_t)wait_ms / 2;
    return (int64_t)(half + random_below(followers->options.random, half + 1));
}

static void count_failing(const struct follower *follower, int64_t change) {
    enum metrics_index index =
        follower->is_target ? METRICS_TARGETS_FAILING : METRICS_FOLLOWERS_FAILING;
    metric_add(&metrics_table[index], 0, change);
}

// Tells in the trail that a follower does not go on, or that it does again.
static void tell(struct followers *followers, struct entry *entry, bool is_failing,
                 const char *text) {
    static const char *const names[2][2] = {{"FollowerGoesOn", "FollowerFails"},
                                            {"TargetGoesOn", "TargetFails"}};
    const struct follower *follower = entry->follower;
    if (entry->is_told == is_failing) return;
    entry->is_told = is_failing;
    count_failing(follower, is_failing ? 1 : -1);
    if (followers->options.notes == NULL) return;
    struct span name = span_text(follower->name);
    const struct own_event_detail details[] = {
        {"follower", name, 0},
        {"detail", span_text(text), 0},
    };
    notes_add(followers->options.notes, names[follower->is_target][is_failing], name, details,
              is_failing ? 2 : 1);
}

static void on_failure(struct followers *followers, struct entry *entry,
                       const struct fault *fault) {
    struct metric *metric = &metrics_table[METRICS_FOLLOWER_FAILURES];
    metric_add(metric, metric_label(metric, span_text(entry->follower->name)), 1);
    if (entry->failures < FAILURES_MAX) entry->failures++;
    if (entry->failures == FOLLOWERS_FAILURES) tell(followers, entry, true, fault->text);
    entry->due_ms = now_ms(followers) + back_off(followers, entry->failures);
    if (strcmp(entry->error, fault->text) == 0) return;
    memcpy(entry->error, fault->text, sizeof entry->error);
    LOG(LOG_WARNING, "a follower cannot go on: it tries again",
        log_text("follower", entry->follower->name), log_fault(fault), log_kind(fault));
}

static bool open_seat(struct worker *worker, struct fault *fault) {
    if (worker->seat.reader != NULL) return true;
    return trail_reader_open(worker->followers->options.store_directory, &worker->seat.reader,
                             fault);
}

static void run(struct worker *worker, struct entry *entry) {
    struct followers *followers = worker->followers;
    struct follower *follower = entry->follower;
    struct fault fault = {0};
    int64_t wait_ms = 0;
    bool is_good =
        open_seat(worker, &fault) && follower->step(follower, &worker->seat, &wait_ms, &fault);
    if (!is_good) {
        on_failure(followers, entry, &fault);
        return;
    }
    if (entry->failures > 0) {
        LOG(LOG_INFO, "a follower goes on", log_text("follower", follower->name));
    }
    tell(followers, entry, false, "");
    entry->failures = 0;
    entry->error[0] = 0;
    entry->is_over = wait_ms < 0;
    entry->due_ms = now_ms(followers) + wait_ms;
}

// Whether this worker is one of those that are not needed any more.
static bool is_surplus(struct followers *followers) {
    uint32_t surplus = atomic_load(&followers->surplus);
    while (surplus > 0) {
        if (atomic_compare_exchange_weak(&followers->surplus, &surplus, surplus - 1)) return true;
    }
    return false;
}

static void *work(void *context) {
    struct worker *worker = context;
    struct followers *followers = worker->followers;
    void *item;
    while (true) {
        atomic_fetch_add(&followers->idle, 1);
        uint32_t count = queue_pop(followers->due, &item, 1, WORK_WAIT_MS);
        atomic_fetch_sub(&followers->idle, 1);
        if (count == 0) {
            if (queue_is_closed(followers->due) || is_surplus(followers)) break;
            continue;
        }
        if (!atomic_load(&followers->is_stopping)) run(worker, item);
        // There is room for all that there are.
        (void)queue_push(followers->done, item, 1);
    }
    trail_reader_close(worker->seat.reader);
    worker->seat.reader = NULL;
    atomic_store(&worker->has_ended, true);
    return NULL;
}

// ---- threads

static bool is_stopping(void *context) {
    return followers_are_stopping(context);
}

// A thread more. What cannot be started now is tried again at the next look.
static void start_worker(struct followers *followers) {
    struct worker *worker = followers->workers;
    pthread_attr_t attributes;
    while (worker->is_started) worker++;
    worker->followers = followers;
    worker->seat = (struct seat){.append = followers->options.append,
                                 .clock = followers->options.clock,
                                 .random = followers->options.random,
                                 .is_stopping = is_stopping,
                                 .context = followers};
    atomic_store(&worker->has_ended, false);
    if (pthread_attr_init(&attributes) != 0) return;
    if (pthread_attr_setstacksize(&attributes, FOLLOWERS_STACK_SIZE) == 0 &&
        pthread_create(&worker->thread, &attributes, work, worker) == 0) {
        worker->is_started = true;
        followers->workers_count++;
    }
    (void)pthread_attr_destroy(&attributes);
}

static void join_ended(struct followers *followers) {
    for (uint32_t index = 0; index < FOLLOWERS_THREADS_MAX; index++) {
        struct worker *worker = &followers->workers[index];
        if (!worker->is_started || !atomic_load(&worker->has_ended)) continue;
        (void)pthread_join(worker->thread, NULL);
        worker->is_started = false;
        followers->workers_count--;
    }
}

// Starts threads for those that wait for one, and lets go what has been idle for long.
static void fit_workers(struct followers *followers) {
    uint32_t waiting;
    uint64_t weight;
    int64_t now = now_ms(followers);
    queue_measure(followers->due, &waiting, &weight);
    uint32_t idle = atomic_load(&followers->idle);
    if (waiting <= idle) {
        followers->short_ms = 0;
    } else if (followers->short_ms == 0) {
        followers->short_ms = now;
    }
    bool is_short = waiting > idle && (followers->workers_count == 0 ||
                                       now - followers->short_ms >= FOLLOWERS_GROW_MS);
    for (uint32_t count = idle; is_short && count < waiting; count++) {
        if (followers->workers_count < FOLLOWERS_THREADS_MAX) start_worker(followers);
    }
    uint32_t spare = idle > waiting ? idle - waiting : 0;
    if (spare < followers->idle_least) followers->idle_least = spare;
    if (now - followers->idle_since_ms < FOLLOWERS_IDLE_MS) return;
    // One stays, for whoever is due next.
    if (followers->idle_least > 1) atomic_store(&followers->surplus, followers->idle_least - 1);
    followers->idle_since_ms = now;
    followers->idle_least = UINT32_MAX;
    join_ended(followers);
}

// ---- the dispatcher

static void end_entry(struct followers *followers, struct entry *entry) {
    seat_show_lag(entry->follower->name, 0);
    if (entry->is_told) count_failing(entry->follower, -1);
    entry->follower->end(entry->follower);
    free(entry);
    atomic_fetch_sub(&followers->count, 1);
}

static void take_done(struct followers *followers, int64_t wait_ms) {
    void *items[TAKE_MAX];
    uint32_t count = queue_pop(followers->done, items, TAKE_MAX, wait_ms);
    for (uint32_t index = 0; index < count; index++) {
        struct entry *entry = items[index];
        if (entry->is_over) {
            end_entry(followers, entry);
        } else {
            followers->waiting[followers->waiting_count++] = entry;
        }
    }
}

// Hands out those that are due; says how long until the next one is.
static int64_t hand_out(struct followers *followers) {
    int64_t now = now_ms(followers);
    int64_t wait_ms = LOOK_MS;
    uint32_t kept = 0;
    for (uint32_t index = 0; index < followers->waiting_count; index++) {
        struct entry *entry = followers->waiting[index];
        if (entry->due_ms <= now && queue_push(followers->due, entry, 1)) continue;
        followers->waiting[kept++] = entry;
        int64_t left_ms = entry->due_ms - now;
        if (left_ms < wait_ms) wait_ms = left_ms < 0 ? 0 : left_ms;
    }
    followers->waiting_count = kept;
    return wait_ms;
}

static void *dispatch(void *context) {
    struct followers *followers = context;
    while (!atomic_load(&followers->is_stopping)) {
        int64_t wait_ms = hand_out(followers);
        fit_workers(followers);
        take_done(followers, wait_ms);
    }
    return NULL;
}

// ---- start and stop

static bool start(struct followers *followers) {
    followers->due = queue_create(FOLLOWERS_MAX, FOLLOWERS_MAX);
    followers->done = queue_create(FOLLOWERS_MAX, FOLLOWERS_MAX);
    if (followers->due == NULL || followers->done == NULL) return false;
    followers->idle_since_ms = now_ms(followers);
    followers->idle_least = UINT32_MAX;
    followers->has_dispatcher =
        pthread_create(&followers->dispatcher, NULL, dispatch, followers) == 0;
    return followers->has_dispatcher;
}

bool followers_start(const struct followers_options *options, struct followers **followers,
                     struct fault *fault) {
    struct followers *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->options = *options;
        if (start(made)) {
            *followers = made;
            return true;
        }
        (void)followers_stop(made);
    }
    return fault_set(fault, FAULT_FULL, "no memory for followers");
}

bool followers_add(struct followers *followers, struct follower *follower) {
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) return false;
    entry->follower = follower;
    if (atomic_fetch_add(&followers->count, 1) < FOLLOWERS_MAX &&
        queue_push(followers->done, entry, 1)) {
        return true;
    }
    atomic_fetch_sub(&followers->count, 1);
    free(entry);
    return false;
}

uint32_t followers_count(struct followers *followers) {
    return followers == NULL ? 0 : atomic_load(&followers->count);
}

bool followers_are_stopping(struct followers *followers) {
    return atomic_load(&followers->is_stopping);
}

void followers_end_soon(struct followers *followers) {
    if (followers != NULL) atomic_store(&followers->is_stopping, true);
}

// Joins the workers that end in time; how many did not.
static uint32_t join_workers(struct followers *followers) {
    uint32_t stuck = 0;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += FOLLOWERS_STOP_S;
    for (uint32_t index = 0; index < FOLLOWERS_THREADS_MAX; index++) {
        struct worker *worker = &followers->workers[index];
        if (worker->is_started && pthread_timedjoin_np(worker->thread, NULL, &until) != 0) stuck++;
    }
    return stuck;
}

bool followers_stop(struct followers *followers) {
    if (followers == NULL) return true;
    followers_end_soon(followers);
    if (followers->has_dispatcher) (void)pthread_join(followers->dispatcher, NULL);
    if (followers->due != NULL) queue_close(followers->due);
    uint32_t stuck = join_workers(followers);
    if (stuck > 0) {
        // Whoever hangs in a system call may come back: nothing of it is freed, and the process
        // ends.
        LOG(LOG_ERROR, "a follower did not end in time: the collector ends without it",
            log_number("followers", stuck));
        return false;
    }
    void *item;
    while (followers->due != NULL && queue_pop(followers->due, &item, 1, 0) == 1) {
        end_entry(followers, item);
    }
    while (followers->done != NULL && queue_pop(followers->done, &item, 1, 0) == 1) {
        end_entry(followers, item);
    }
    for (uint32_t index = 0; index < followers->waiting_count; index++) {
        end_entry(followers, followers->waiting[index]);
    }
    queue_destroy(followers->due);
    queue_destroy(followers->done);
    free(followers);
    return true;
}
