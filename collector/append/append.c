#include "collector/append/append.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>

#include "base/log.h"
#include "collector/append/append_commit.h"
#include "collector/append/append_disk.h"
#include "collector/append/append_upkeep.h"
#include "collector/metrics.h"
#include "collector/notes/notes.h"

enum {
    HELD_MAX = 8192,        // batches taken from the queue and not yet decided
    POP_MAX = 64,           // batches taken at once
    UNTHROTTLE_MS = 1000,   // between looks at full quarantines
    SAVE_COMMITS_MAX = 260  // of the last own events: in the queue, taken, waiting their minute
};

struct append {
    struct append_options options;
    struct sessions *sessions;
    struct append_commit *commit;
    struct coverage *coverage;  // NULL: none is kept
    struct silence *silence;    // the same
    struct append_upkeep *upkeep;
    struct append_disk *disk;  // NULL: it is not watched
    uint64_t mismatches;       // that were told
    uint64_t asked_blocks;     // that were counted

    struct batch **held;  // in the order they came
    uint32_t held_count;
    uint64_t held_rows;
    uint64_t held_size;     // bytes
    uint32_t events_count;  // of the held ones
    int64_t seen_ms;        // when the first held BATCH_SEEN came; 0: none is held
    bool is_urgent;         // something other than BATCH_SEEN is held

    bool is_full;     // the last attempt found no room
    int64_t full_ms;  // since then
    char full_text[FAULT_TEXT_SIZE];
    int64_t retry_ms;        // when to try again
    int64_t committed_ms;    // when the last commit began
    struct queue *jobs;      // from any thread
    struct append_job *job;  // under way
    int64_t job_retry_ms;    // not before this
    int64_t unthrottle_ms;   // when to look next
    uint32_t throttled;      // sessions told so
};

static int64_t monotonic_ms(const struct append *append) {
    return append->options.clock->monotonic_ms(append->options.clock->context);
}

// Coverage and silence, where they are wanted.
static bool make_watch(struct append *append) {
    const struct append_options *options = &append->options;
    if (options->roster == NULL) return true;
    append->coverage = coverage_create();
    if (append->coverage == NULL) return false;
    const struct silence_options silence_options = {
        .trail = options->trail,
        .sessions = append->sessions,
        .coverage = append->coverage,
        .notes = options->notes,
        .roster = options->roster,
        .clock = options->clock,
        .heartbeat_ms = options->heartbeat_ms,
        .region_ms = options->region_silent_ms,
    };
    append->silence = silence_create(&silence_options);
    return append->silence != NULL;
}

bool append_create(const struct append_options *options, struct append **append,
                   struct fault *fault) {
    struct append *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the writer");
    made->options = *options;
    made->held = calloc(HELD_MAX, sizeof *made->held);
    made->jobs = queue_create(APPEND_JOBS_MAX, APPEND_JOBS_MAX);
    made->sessions = sessions_create(options->streams_max);
    if (made->sessions != NULL && make_watch(made)) {
        const struct append_commit_options commit_options = {
            .trail = options->trail,
            .sessions = made->sessions,
            .clock = options->clock,
            .random = options->random,
            .place = {options->management_account, options->home_region},
            .notes = options->notes,
            .coverage = made->coverage,
            .silence = made->silence,
        };
        made->commit = append_commit_create(&commit_options);
    }
    const struct append_upkeep_options upkeep_options = {
        .trail = options->trail,
        .commit = made->commit,
        .clock = options->clock,
        .retention_days = options->retention_days,
    };
    made->upkeep = append_upkeep_create(&upkeep_options);
    if (options->directory != NULL && options->notes != NULL)
        made->disk = append_disk_create(options->directory, options->notes, options->clock);
    if (made->held == NULL || made->jobs == NULL || made->commit == NULL || made->upkeep == NULL) {
        append_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory for the writer");
    }
    made->committed_ms = monotonic_ms(made) - APPEND_COMMIT_MS;
    *append = made;
    return true;
}

bool append_submit(struct append *append, struct append_job *job) {
    return queue_push(append->jobs, job, 1);
}

static bool take_job(struct append *append) {
    void *item;
    if (append->job == NULL && queue_pop(append->jobs, &item, 1, 0) == 1) append->job = item;
    return append->job != NULL;
}

static void end_jobs(struct append *append) {
    struct fault fault;
    fault_set(&fault, FAULT_RETRY, "the collector is stopping");
    if (append->jobs == NULL) return;
    queue_close(append->jobs);
    while (take_job(append)) {
        struct append_job *job = append->job;
        append->job = NULL;
        job->failed(job, &fault);
    }
}

void append_destroy(struct append *append) {
    if (append == NULL) return;
    for (uint32_t index = 0; index < append->held_count; index++) {
        struct batch *batch = append->held[index];
        fault_set(&batch->fault, FAULT_RETRY, "the collector is stopping");
        append->options.callbacks->report(append->options.context, batch);
    }
    end_jobs(append);
    append_upkeep_destroy(append->upkeep);
    append_disk_destroy(append->disk);
    append_commit_destroy(append->commit);
    silence_destroy(append->silence);
    coverage_destroy(append->coverage);
    sessions_destroy(append->sessions);
    queue_destroy(append->jobs);
    free(append->held);
    free(append);
}

void append_epoch(const struct append *append, uint8_t epoch[TRAIL_EPOCH_SIZE]) {
    trail_epoch(append->options.trail, epoch);
}

bool append_is_idle(const struct append *append) {
    return append->held_count == 0;
}

bool append_is_full(const struct append *append) {
    return append->is_full;
}

bool append_load(struct append *append, struct trail_reader *reader, struct fault *fault) {
    if (append->coverage == NULL) return true;
    return coverage_load(append->coverage, reader, fault) &&
           silence_load(append->silence, reader, fault);
}

bool append_save(struct append *append, struct fault *fault) {
    struct append_commit_counts counts;
    struct notes *notes = append->options.notes;
    append_commit_set_last(append->commit);
    if (notes != NULL) notes_hurry(notes);
    // As many commits as the own events that wait need; others that come now are few.
    for (uint32_t round = 0; round < SAVE_COMMITS_MAX; round++) {
        if (!append_commit_begin(append->commit, true, fault) ||
            !append_commit_finish(append->commit, &counts, fault)) {
            return false;
        }
        if (notes == NULL || !notes_are_due(notes, monotonic_ms(append))) return true;
    }
    return true;
}

static void part(struct append *append, const void *owner, int64_t heard_ms, bool is_final) {
    for (uint32_t slot = 0; slot < sessions_count(append->sessions); slot++) {
        const struct session *session = sessions_get(append->sessions, slot);
        if (!session->is_used || session->owner != owner) continue;
        silence_part(append->silence, session->stream.agent, heard_ms, is_final);
    }
}

void append_forget(struct append *append, const void *owner, int64_t heard_ms, bool is_final) {
    if (append->silence != NULL) part(append, owner, heard_ms, is_final);
    sessions_forget(append->sessions, owner);
}

// Counts what is held anew, after some of it has gone.
static void measure_held(struct append *append) {
    append->held_rows = 0;
    append->held_size = 0;
    append->events_count = 0;
    append->seen_ms = 0;
    append->is_urgent = false;
    for (uint32_t index = 0; index < append->held_count; index++) {
        const struct batch *batch = append->held[index];
        append->held_rows += append_commit_rows(batch);
        append->held_size += batch->size;
        append->events_count += batch->kind == BATCH_EVENTS ? batch->events_count : 0;
        if (batch->kind != BATCH_SEEN) append->is_urgent = true;
        if (batch->kind == BATCH_SEEN && append->seen_ms == 0)
            append->seen_ms = monotonic_ms(append);
    }
}

static void refuse_for_full(struct append *append, struct batch *batch) {
    fault_set(&batch->fault, FAULT_FULL, "the collector's disk is full: free space there");
    append->options.callbacks->report(append->options.context, batch);
}

static void hold(struct append *append, struct batch *batch) {
    // Nobody is let in while nothing can be promised; who is in, waits.
    if (append->is_full && batch->kind == BATCH_HELLO) {
        refuse_for_full(append, batch);
        return;
    }
    append->held[append->held_count++] = batch;
    append->held_rows += append_commit_rows(batch);
    append->held_size += batch->size;
    append->events_count += batch->kind == BATCH_EVENTS ? batch->events_count : 0;
    if (batch->kind != BATCH_SEEN) append->is_urgent = true;
    if (batch->kind == BATCH_SEEN && append->seen_ms == 0) append->seen_ms = monotonic_ms(append);
}

static bool has_room(const struct append *append) {
    return append->held_rows < APPEND_COMMIT_ROWS_MAX &&
           append->held_size < TRAIL_COMMIT_SIZE_MAX && append->held_count + POP_MAX <= HELD_MAX;
}

// Takes what waits in the queue, up to what one commit can hold; waits for the first. What is in
// the queue beyond that stays there: a full queue is what holds agents back.
static void take_waiting(struct append *append, int64_t wait_ms) {
    void *items[POP_MAX];
    if (!has_room(append) && wait_ms > 0) (void)poll(NULL, 0, (int)wait_ms);
    while (has_room(append)) {
        uint32_t count = queue_pop(append->options.queue, items, POP_MAX, wait_ms);
        for (uint32_t index = 0; index < count; index++) hold(append, items[index]);
        if (count < POP_MAX) break;
        wait_ms = 0;
    }
}

// Milliseconds until a commit is due by what is held and known now, at most limit_ms.
static int64_t measure_wait(const struct append *append, int64_t limit_ms) {
    int64_t now = monotonic_ms(append);
    int64_t due = now + limit_ms;
    if (append->job != NULL) {
        due = append->job_retry_ms > now ? append->job_retry_ms : now;
        if (due > now + limit_ms) due = now + limit_ms;
    } else if (append->is_full) {
        if (append->retry_ms < due) due = append->retry_ms;
    } else if (append->events_count >= APPEND_COMMIT_EVENTS) {
        due = now;
    } else if (append->is_urgent) {
        int64_t free = append->committed_ms + APPEND_COMMIT_MS;
        if (free < due) due = free;
    } else if (append->seen_ms != 0) {
        int64_t patience = append->seen_ms + APPEND_SEEN_MS;
        if (patience < due) due = patience;
    }
    return due > now ? due - now : 0;
}

static bool is_due(const struct append *append) {
    int64_t now = monotonic_ms(append);
    if (append->is_full) return append->retry_ms <= now;
    if (append->events_count >= APPEND_COMMIT_EVENTS) return true;
    bool may_commit = now - append->committed_ms >= APPEND_COMMIT_MS;
    if (append->is_urgent) return may_commit;
    if (append->seen_ms != 0 && now - append->seen_ms >= APPEND_SEEN_MS) return true;
    if (!may_commit) return false;
    if (append->coverage != NULL && coverage_is_due(append->coverage, now)) return true;
    if (append->silence != NULL && silence_is_due(append->silence)) return true;
    if (append->options.notes != NULL && notes_are_due(append->options.notes, now)) return true;
    return append_commit_has_violations(append->commit);
}

// Texts that did not come back from their block: the memory fails, or the program.
static void note_mismatches(struct append *append) {
    uint64_t count = trail_mismatches(append->options.trail);
    metric_set(&metrics_table[METRICS_MISMATCHED_TEXTS], 0, (int64_t)count);
    if (count == append->mismatches || append->options.notes == NULL) return;
    append->mismatches = count;
    const struct own_event_detail details[] = {{"sinceStart", {NULL, 0}, count}};
    notes_add(append->options.notes, "TextsMismatched", SPAN_LITERAL("store"), details, 1);
}

static void count_commit(struct append *append, const struct append_commit_counts *counts,
                         int64_t took_ms) {
    struct metric *table = metrics_table;
    metric_add(&table[METRICS_RECEIVED], 0, (int64_t)counts->received);
    metric_add(&table[METRICS_EVENTS], METRICS_STORED, (int64_t)counts->stored);
    metric_add(&table[METRICS_EVENTS], METRICS_DUPLICATE, (int64_t)counts->duplicates);
    metric_add(&table[METRICS_EVENTS], METRICS_VARIANT, (int64_t)counts->variants);
    metric_add(&table[METRICS_EVENTS], METRICS_OUTCOME_QUARANTINED, (int64_t)counts->quarantined);
    metric_add(&table[METRICS_EVENTS], METRICS_EXPIRED, (int64_t)counts->expired);
    for (uint32_t reason = ADMIT_GOOD + 1; reason < ADMIT_REASONS; reason++) {
        if (counts->reasons[reason] == 0) continue;
        metric_add(&table[METRICS_QUARANTINED], metrics_reason((enum admit_reason)reason),
                   (int64_t)counts->reasons[reason]);
    }
    metric_add(&table[METRICS_GLOBAL], 0, (int64_t)counts->globals);
    metric_add(&table[METRICS_NOTICES], 0, (int64_t)counts->notices);
    metric_add(&table[METRICS_GAPS], 0, (int64_t)counts->gaps);
    metric_add(&table[METRICS_GAP_NUMBERS], 0, (int64_t)counts->gap_numbers);
    metric_add(&table[METRICS_OWN_EVENTS], 0, (int64_t)counts->own_events);
    metric_add(&table[METRICS_UNLISTED], 0, (int64_t)counts->unlisted);
    metric_add(&table[METRICS_COMMITS], 0, 1);
    metric_observe(&table[METRICS_COMMIT_SECONDS], took_ms);
    metric_observe(&table[METRICS_COMMIT_ROWS], (int64_t)counts->received);
    uint64_t asked = trail_asked_blocks(append->options.trail);
    metric_add(&table[METRICS_ASKED_BLOCKS], 0, (int64_t)(asked - append->asked_blocks));
    append->asked_blocks = asked;
    note_mismatches(append);
    if (append->disk != NULL) append_disk_commit(append->disk, took_ms);
}

// In the trail it can be told only when it is over.
static void note_full(struct append *append) {
    char since[TIME_TEXT_SIZE];
    if (append->options.notes == NULL) return;
    time_print_ms(append->full_ms, since);
    const struct own_event_detail details[] = {
        {"since", span_text(since), 0},
        {"detail", span_text(append->full_text), 0},
    };
    notes_add(append->options.notes, "StoreWasFull", SPAN_LITERAL("store"), details, 2);
}

// Tells about the disk once when it becomes full and once when it has room again.
static void set_full(struct append *append, bool is_full, const struct fault *fault) {
    if (is_full) {
        metric_add(&metrics_table[METRICS_FULL_ATTEMPTS], 0, 1);
        append->retry_ms = monotonic_ms(append) + APPEND_FULL_RETRY_MS;
    }
    if (append->is_full == is_full) return;
    append->is_full = is_full;
    metric_set(&metrics_table[METRICS_IS_FULL], 0, is_full);
    if (is_full) {
        append->full_ms = append->options.clock->now_ms(append->options.clock->context);
        snprintf(append->full_text, sizeof append->full_text, "%s", fault->text);
        LOG(LOG_ERROR,
            "the store has no room: nothing is acknowledged until there is, agents keep what they "
            "have",
            log_fault(fault));
    } else {
        LOG(LOG_INFO, "the store has room again");
        note_full(append);
    }
}

// While the disk is full, streams that want to begin are told so instead of waiting.
static void refuse_hellos(struct append *append) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < append->held_count; index++) {
        struct batch *batch = append->held[index];
        if (batch->kind == BATCH_HELLO) {
            refuse_for_full(append, batch);
        } else {
            append->held[kept++] = batch;
        }
    }
    append->held_count = kept;
    measure_held(append);
}

// How many of the held batches, from the first on, fit into one commit.
static uint32_t choose_group(const struct append *append) {
    uint64_t rows = 0;
    uint64_t size = 0;
    uint32_t count = 0;
    while (count < append->held_count) {
        rows += append_commit_rows(append->held[count]);
        size += append->held[count]->size;
        if (rows > APPEND_COMMIT_ROWS_MAX) break;
        if (count > 0 && size > TRAIL_COMMIT_SIZE_MAX) break;
        count++;
    }
    assert(count > 0 || append->held_count == 0);
    return count;
}

// Tells in the trail that an agent is held back, or no more.
static void note_throttle(struct append *append, const struct session *session, bool is_throttled) {
    struct span uri = span_text(session->uri);
    const struct own_event_detail details[] = {
        {"agent", uri, 0},
        {"limit", {NULL, 0}, append->options.quarantine_max},
    };
    if (append->options.notes == NULL) return;
    notes_add(append->options.notes, is_throttled ? "AgentThrottled" : "AgentUnthrottled", uri,
              details, 2);
}

static void answer(struct append *append, struct batch *batch) {
    const struct append_callbacks *callbacks = append->options.callbacks;
    if (batch->fault.kind == FAULT_NONE) {
        const struct session *session = sessions_get(append->sessions, batch->slot);
        // What is durable belongs to the stream, whoever has it now.
        batch->durable_seq = session->stream.durable_seq;
        memcpy(batch->durable_chain, session->stream.chain, TRAIL_CHAIN_SIZE);
        batch->session_duplicates = session->duplicates;
        batch->session_quarantined = session->quarantined;
        batch->is_throttled = trail_quarantine_size(append->options.trail, session->stream.agent) >=
                              append->options.quarantine_max;
        if (batch->is_throttled && !session->is_throttled && session->number == batch->session) {
            sessions_set_throttled(append->sessions, batch->slot, true);
            append->throttled++;
            LOG(LOG_WARNING, "agent throttled: its quarantine is full",
                log_text("peer", session->uri),
                log_number("quarantine_max", (int64_t)append->options.quarantine_max));
            note_throttle(append, session, true);
        }
    }
    void *superseded = batch->superseded;
    callbacks->report(append->options.context, batch);
    if (superseded != NULL) callbacks->superseded(append->options.context, superseded);
}

// Answers the first count held batches, in order.
static void answer_group(struct append *append, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) answer(append, append->held[index]);
    append->held_count -= count;
    memmove(append->held, append->held + count, append->held_count * sizeof(struct batch *));
    measure_held(append);
}

// One attempt at one commit. True: it is durable and answered.
static bool try_commit(struct append *append, uint32_t count, struct fault *fault) {
    int64_t begun_ms = monotonic_ms(append);
    if (!append_commit_begin(append->commit, false, fault)) return false;
    for (uint32_t index = 0; index < count; index++)
        append_commit_expect(append->commit, append->held[index]);
    for (uint32_t index = 0; index < count; index++) {
        if (!append_commit_apply(append->commit, append->held[index], fault)) return false;
    }
    struct append_commit_counts counts;
    if (!append_commit_finish(append->commit, &counts, fault)) return false;
    append->committed_ms = begun_ms;
    count_commit(append, &counts, monotonic_ms(append) - begun_ms);
    return true;
}

static bool commit_group(struct append *append, struct fault *fault) {
    struct fault reason;
    uint32_t count = choose_group(append);
    if (!try_commit(append, count, &reason)) {
        if (reason.kind != FAULT_FULL) return fault_set(fault, reason.kind, "%s", reason.text);
        set_full(append, true, &reason);
        refuse_hellos(append);
        return true;
    }
    set_full(append, false, NULL);
    answer_group(append, count);
    return true;
}

// One step of a job, in a commit of its own.
static bool try_job(struct append *append, struct fault *fault) {
    int64_t begun_ms = monotonic_ms(append);
    struct append_job *job = append->job;
    if (!append_commit_begin(append->commit, true, fault)) return false;
    if (!job->apply(job, append->commit, fault)) return append_commit_abort(append->commit);
    struct append_commit_counts counts;
    if (!append_commit_finish(append->commit, &counts, fault)) return false;
    append->committed_ms = begun_ms;
    count_commit(append, &counts, monotonic_ms(append) - begun_ms);
    return true;
}

static bool step_job(struct append *append, struct fault *fault) {
    if (append->job_retry_ms > monotonic_ms(append) || !take_job(append)) return true;
    struct fault reason;
    struct append_job *job = append->job;
    if (try_job(append, &reason)) {
        // It may have used the reserve: whether there is room for events is not known from it.
        if (!job->committed(job)) append->job = NULL;
        return true;
    }
    if (reason.kind == FAULT_FULL) {
        append->job_retry_ms = monotonic_ms(append) + APPEND_FULL_RETRY_MS;
        set_full(append, true, &reason);
        refuse_hellos(append);
        return true;
    }
    if (reason.kind == FAULT_IO) return fault_set(fault, reason.kind, "%s", reason.text);
    append->job = NULL;
    job->failed(job, &reason);
    return true;
}

// Looks whether quarantines that were full have room again.
static void unthrottle(struct append *append) {
    int64_t now = monotonic_ms(append);
    if (append->throttled == 0 || now < append->unthrottle_ms) return;
    append->unthrottle_ms = now + UNTHROTTLE_MS;
    append->throttled = 0;
    for (uint32_t slot = 0; slot < sessions_count(append->sessions); slot++) {
        const struct session *session = sessions_get(append->sessions, slot);
        if (!session->is_used || !session->is_throttled) continue;
        uint64_t size = trail_quarantine_size(append->options.trail, session->stream.agent);
        if (size < append->options.quarantine_max) {
            sessions_set_throttled(append->sessions, slot, false);
            note_throttle(append, session, false);
            append->options.callbacks->unthrottled(append->options.context, session->owner);
        } else {
            append->throttled++;
        }
    }
    metric_set(&metrics_table[METRICS_AGENTS_THROTTLED], 0, append->throttled);
}

bool append_step(struct append *append, int64_t wait_ms, struct fault *fault) {
    take_waiting(append, measure_wait(append, wait_ms));
    if (!step_job(append, fault)) return fault_add(fault, "append");
    if (is_due(append) && !commit_group(append, fault)) return fault_add(fault, "append");
    unthrottle(append);
    if (append->silence != NULL) silence_check(append->silence);
    if (append->disk != NULL) append_disk_step(append->disk);
    if (!append_upkeep_step(append->upkeep, append->held_count > 0, fault))
        return fault_add(fault, "upkeep");
    return true;
}
