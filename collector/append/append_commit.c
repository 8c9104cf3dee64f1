#include "collector/append/append_commit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "collector/append/append_commit_internal.h"

struct append_commit *append_commit_create(const struct append_commit_options *options) {
    struct append_commit *commit = calloc(1, sizeof *commit);
    if (commit == NULL) return NULL;
    commit->options = *options;
    commit->reader = json_reader_create();
    commit->arena = arena_create(APPEND_ARENA_SIZE_MAX);
    commit->unlisted = unlisted_create();
    commit->told = calloc(APPEND_AGENTS_MAX, sizeof *commit->told);
    commit->tellings = calloc(sessions_count_max(options->sessions) + APPEND_COMMIT_OWN_ROWS_MAX,
                              sizeof *commit->tellings);
    // Sessions of a later process have larger numbers.
    commit->session_last = (uint64_t)options->clock->now_ms(options->clock->context);
    if (commit->reader == NULL || commit->arena == NULL || commit->unlisted == NULL ||
        commit->told == NULL || commit->tellings == NULL) {
        append_commit_destroy(commit);
        return NULL;
    }
    return commit;
}

void append_commit_destroy(struct append_commit *commit) {
    if (commit == NULL) return;
    json_reader_destroy(commit->reader);
    arena_destroy(commit->arena);
    unlisted_destroy(commit->unlisted);
    free(commit->told);
    free(commit->tellings);
    free(commit);
}

uint32_t append_commit_rows(const struct batch *batch) {
    if (batch->kind == BATCH_GAP) return 1;
    if (batch->kind != BATCH_EVENTS) return 0;
    // Each conflict may cause an own event, up to a bound and one; violations cause one together.
    uint32_t conflicts = APPEND_COMMIT_CONFLICTS_MAX + 1;
    if (conflicts > batch->events_count) conflicts = batch->events_count;
    return batch->events_count + conflicts + 1;
}

static void undo(struct append_commit *commit) {
    sessions_undo(commit->options.sessions);
    unlisted_undo(commit->unlisted);
    if (commit->options.notes != NULL) notes_undo(commit->options.notes);
    if (commit->options.coverage != NULL) coverage_undo(commit->options.coverage);
    if (commit->options.silence != NULL) silence_undo(commit->options.silence);
    commit->counts = (struct append_commit_counts){0};
}

bool append_commit_abort(struct append_commit *commit) {
    trail_abort(commit->options.trail);
    undo(commit);
    return false;
}

void append_commit_set_last(struct append_commit *commit) {
    commit->is_last = true;
}

bool append_commit_begin(struct append_commit *commit, bool uses_reserve, struct fault *fault) {
    bool (*begin)(struct trail *, struct fault *) =
        uses_reserve ? trail_begin_reserved : trail_begin;
    if (!begin(commit->options.trail, fault)) return false;
    const struct clock *clock = commit->options.clock;
    commit->now_ms = clock->now_ms(clock->context);
    commit->monotonic_ms = clock->monotonic_ms(clock->context);
    commit->counts = (struct append_commit_counts){0};
    commit->tellings_count = 0;
    commit->asides_count = 0;
    arena_reset(commit->arena);
    return true;
}

// Adds a record of our own. False for the trail's faults only.
static bool add_own(struct append_commit *commit, struct span text, struct arena *arena,
                    struct fault *fault) {
    if (text.bytes == NULL) return fault_set(fault, FAULT_FULL, "no memory for an own event");
    struct record record;
    enum record_refusal refusal;
    if (!record_read(commit->reader, arena, text, &record, &refusal, fault)) {
        // We wrote it, so only memory can be what is missing.
        assert(refusal == RECORD_GOOD);
        return false;
    }
    struct trail_entry entry = {
        .record = &record,
        .account = span_text(commit->options.place.account),
        .agent = TRAIL_AGENT_OWN,
        .is_own = true,
        .received_ms = commit->now_ms,
    };
    enum trail_outcome outcome;
    if (!trail_add(commit->options.trail, &entry, &outcome, fault)) return false;
    if (outcome == TRAIL_STORED) commit->counts.own_events++;
    return true;
}

static bool quarantine(struct append_commit *commit, uint32_t agent, struct span bytes,
                       enum admit_reason reason, struct span detail, int64_t received_ms,
                       bool *is_new, struct fault *fault) {
    struct trail_refused refused = {
        .bytes = bytes,
        .reason = admit_reason_name(reason),
        .detail = detail,
        .agent = agent,
        .received_ms = received_ms,
    };
    commit->counts.reasons[reason]++;
    return trail_quarantine(commit->options.trail, &refused, is_new, fault);
}

bool append_commit_add_own_event(struct append_commit *commit, const char *name,
                                 const struct own_event_detail *details, uint32_t details_count,
                                 struct fault *fault) {
    uint8_t id[OWN_EVENT_ID_SIZE];
    own_event_make_id(commit->options.random, id);
    struct span text = own_event_print(&commit->options.place, name, id, commit->now_ms / 1000,
                                       details, details_count, commit->arena);
    return append_commit_add_own_record(commit, text, fault);
}

bool append_commit_add_own_record(struct append_commit *commit, struct span text,
                                  struct fault *fault) {
    if (add_own(commit, text, commit->arena, fault)) return true;
    if (fault->kind != FAULT_CORRUPT) return false;
    // Its second lies in a damaged block: kept apart, as the events of others are.
    struct fault reason = *fault;
    bool is_new;
    return quarantine(commit, TRAIL_AGENT_OWN, text, ADMIT_UNDECIDED, span_text(reason.text),
                      commit->now_ms, &is_new, fault);
}

// Another record is stored under the event's key: its bytes are kept, and the first time is told.
static bool keep_conflict(struct append_commit *commit, const struct session *session,
                          const struct batch *batch, const struct batch_event *event,
                          uint64_t *conflicts, struct fault *fault) {
    const struct record *record = &event->record;
    uint64_t number = batch->first_seq + (uint64_t)(event - batch->events);
    char id[RECORD_UUID_TEXT_SIZE];
    char time[TIME_TEXT_SIZE];
    record_print_uuid(record->id, id);
    time_print(record->event_time_s, time);
    char *detail =
        arena_print(commit->arena,
                    "another record is stored as event %s of account %.*s at %s "
                    "(number %" PRIu64 ", batch %" PRIu64 " of session %" PRIu64 ")",
                    id, SPAN_PRINT(event->account), time, number, batch->id, batch->session);
    if (detail == NULL) return fault_set(fault, FAULT_FULL, "no memory for a conflict");
    bool is_new;
    if (!quarantine(commit, session->stream.agent, event->text, ADMIT_CONFLICT, span_text(detail),
                    batch->received_ms, &is_new, fault)) {
        return false;
    }
    if (!is_new || ++*conflicts > APPEND_COMMIT_CONFLICTS_MAX) return true;
    const struct own_event_detail details[] = {
        {"agent", span_text(session->uri), 0},
        {"account", event->account, 0},
        {"conflictEventId", span_text(id), 0},
        {"conflictEventTime", span_text(time), 0},
        {"conflictEventSource", record->event_source, 0},
        {"conflictEventName", record->event_name, 0},
        {"detail", span_text(detail), 0},
    };
    return append_commit_add_own_event(commit, "EventConflict", details, 7, fault);
}

// What decides about an event cannot be read: it is kept apart, and all others go on.
static void put_aside(struct batch *batch, struct batch_event *event, const struct fault *fault) {
    char *detail = arena_print(batch->arena, "%s", fault->text);
    event->reason = ADMIT_UNDECIDED;
    event->detail = detail == NULL ? SPAN_LITERAL("a damaged block") : span_text(detail);
}

// A Notice: an event of our own, and what it refused into quarantine.
static bool apply_notice(struct append_commit *commit, struct session *session, struct batch *batch,
                         struct batch_event *event, struct fault *fault) {
    bool is_new;
    if (event->reason == ADMIT_NOTICE && event->notice_record.bytes == NULL) {
        // Into the batch's memory, once: the commit may have to be repeated for a long time.
        event->notice_record =
            own_event_print_notice(&commit->options.place, span_text(session->uri), event->text,
                                   &event->notice, batch->arena);
        if (event->notice_record.bytes == NULL) {
            event->reason = ADMIT_BAD_NOTICE;
            event->detail = SPAN_LITERAL("a Notice too large to be told");
        }
    }
    session->stream.notices++;
    commit->counts.notices++;
    if (event->reason == ADMIT_NOTICE &&
        !add_own(commit, event->notice_record, commit->arena, fault)) {
        if (fault->kind != FAULT_CORRUPT) return false;
        put_aside(batch, event, fault);
    }
    if (event->reason != ADMIT_NOTICE) {
        return quarantine(commit, session->stream.agent, event->text, event->reason, event->detail,
                          batch->received_ms, &is_new, fault);
    }
    if (event->notice.head.size == 0) return true;
    return quarantine(commit, session->stream.agent, event->notice.head, ADMIT_NOTICE,
                      event->detail, batch->received_ms, &is_new, fault);
}

// Violations of identity are told together, conflicts where they are found.
static void tell_refused(struct append_commit *commit, const struct session *session,
                         const struct batch_event *event) {
    struct aside aside = {"RecordsRefused", session->stream.agent,
                          "reason",         span_text(admit_reason_name(event->reason)),
                          event->detail,    true};
    if (event->reason == ADMIT_IDENTITY) return;
    if (event->reason == ADMIT_UNKNOWN_ACCOUNT) {
        aside.name = "AccountUnknown";
        aside.what = "account";
        aside.text = event->record.recipient_account;
        aside.is_apart = false;
    }
    append_tell_aside(commit, &aside);
}

static bool apply_refused(struct append_commit *commit, struct session *session,
                          struct batch *batch, struct batch_event *event,
                          struct append_commit_counts *counts, struct fault *fault) {
    counts->quarantined++;
    if (event->reason == ADMIT_IDENTITY) {
        if (session->violations == 0) session->violation_detail = event->detail;
        session->violations++;
    }
    append_cover_record(commit, session, event, TRAIL_CONFLICT, batch->received_ms);
    tell_refused(commit, session, event);
    bool is_new;
    return quarantine(commit, session->stream.agent, event->text, event->reason, event->detail,
                      batch->received_ms, &is_new, fault);
}

static bool apply_record(struct append_commit *commit, struct session *session, struct batch *batch,
                         struct batch_event *event, struct append_commit_counts *counts,
                         uint64_t *conflicts, struct fault *fault) {
    counts->received++;
    if (event->reason != ADMIT_GOOD) {
        return apply_refused(commit, session, batch, event, counts, fault);
    }
    struct trail_entry entry = {
        .record = &event->record,
        .account = event->account,
        .agent = session->stream.agent,
        .received_ms = batch->received_ms,
    };
    enum trail_outcome outcome;
    if (!trail_add(commit->options.trail, &entry, &outcome, fault)) {
        if (fault->kind != FAULT_CORRUPT) return false;
        put_aside(batch, event, fault);
        return apply_refused(commit, session, batch, event, counts, fault);
    }
    if (event->record.is_global) counts->globals++;
    if (event->is_unlisted) {
        counts->unlisted++;
        unlisted_note(commit->unlisted, event->account);
    }
    if (event->record.event_time_s > session->stream.last_event_time_s) {
        session->stream.last_event_time_s = event->record.event_time_s;
    }
    append_cover_record(commit, session, event, outcome, batch->received_ms);
    switch (outcome) {
        case TRAIL_STORED:
            counts->stored++;
            return true;
        case TRAIL_DUPLICATE:
            counts->duplicates++;
            return true;
        case TRAIL_VARIANT:
            counts->variants++;
            return true;
        case TRAIL_EXPIRED:
            counts->expired++;
            return true;
        case TRAIL_CONFLICT:
            counts->quarantined++;
            session->stream.conflicts++;
            return keep_conflict(commit, session, batch, event, conflicts, fault);
    }
    assert(false);
    return false;
}

// Adds what a batch did to its stream and to the commit. The law of conservation holds here.
static void add_counts(struct append_commit *commit, struct session *session,
                       const struct append_commit_counts *counts) {
    assert(counts->received == counts->stored + counts->duplicates + counts->variants +
                                   counts->quarantined + counts->expired);
    struct trail_stream *stream = &session->stream;
    stream->received += counts->received;
    stream->stored += counts->stored;
    stream->duplicates += counts->duplicates;
    stream->variants += counts->variants;
    stream->quarantined += counts->quarantined;
    stream->expired += counts->expired;
    stream->global_reported += counts->globals;
    session->duplicates += counts->duplicates + counts->variants;
    session->quarantined += counts->quarantined;

    struct append_commit_counts *all = &commit->counts;
    all->received += counts->received;
    all->stored += counts->stored;
    all->duplicates += counts->duplicates;
    all->variants += counts->variants;
    all->quarantined += counts->quarantined;
    all->expired += counts->expired;
    all->globals += counts->globals;
    all->unlisted += counts->unlisted;
}

static bool apply_events(struct append_commit *commit, struct session *session, struct batch *batch,
                         struct fault *fault) {
    struct append_commit_counts counts = {0};
    uint64_t conflicts = 0;
    uint32_t notices = 0;
    for (uint32_t index = 0; index < batch->events_count; index++) {
        struct batch_event *event = &batch->events[index];
        notices += event->is_notice;
        bool is_good = event->is_notice ? apply_notice(commit, session, batch, event, fault)
                                        : apply_record(commit, session, batch, event, &counts,
                                                       &conflicts, fault);
        if (!is_good) {
            return fault_add(fault, "number %" PRIu64 " of %s", batch->first_seq + index,
                             session->uri);
        }
    }
    assert(counts.received + notices == batch->events_count);
    add_counts(commit, session, &counts);
    if (conflicts <= APPEND_COMMIT_CONFLICTS_MAX) return true;
    const uint64_t rest = conflicts - APPEND_COMMIT_CONFLICTS_MAX;
    const struct own_event_detail details[] = {{"agent", span_text(session->uri), 0},
                                               {"count", {NULL, 0}, rest}};
    return append_commit_add_own_event(commit, "EventConflicts", details, 2, fault);
}

static bool apply_gap(struct append_commit *commit, struct session *session,
                      const struct batch *batch, struct fault *fault) {
    struct trail_stream *stream = &session->stream;
    struct trail_gap gap = {
        .agent = stream->agent,
        .first_seq = batch->first_seq,
        .last_seq = batch->last_seq,
        .reported_ms = batch->received_ms,
    };
    memcpy(gap.stream_id, stream->stream_id, TRAIL_STREAM_ID_SIZE);
    assert(batch->gap_reason.size < TRAIL_REASON_SIZE);
    memcpy(gap.reason, batch->gap_reason.bytes, batch->gap_reason.size);
    bool is_new;
    if (!trail_gap_put(commit->options.trail, &gap, &is_new, fault)) return false;
    if (!is_new) return true;

    uint64_t numbers = batch->last_seq - batch->first_seq + 1;
    stream->gaps++;
    stream->gap_numbers += numbers;
    commit->counts.gaps++;
    commit->counts.gap_numbers += numbers;
    append_cover_gap(commit, session, numbers);
    char id[2 * TRAIL_STREAM_ID_SIZE + 1];
    crypto_print_hex(span_of(stream->stream_id, TRAIL_STREAM_ID_SIZE), id);
    const struct own_event_detail details[] = {
        {"agent", span_text(session->uri), 0},
        {"streamId", span_text(id), 0},
        {"firstNumber", {NULL, 0}, batch->first_seq},
        {"lastNumber", {NULL, 0}, batch->last_seq},
        {"count", {NULL, 0}, numbers},
        {"reason", batch->gap_reason, 0},
    };
    return append_commit_add_own_event(commit, "EventsLost", details, 6, fault);
}

// Finds the agent's stream in the trail, or begins one. *is_full if it may not begin another.
static bool find_stream(struct append_commit *commit, const struct batch *batch,
                        struct session *session, bool *is_full, struct fault *fault) {
    struct trail *trail = commit->options.trail;
    struct trail_stream *stream = &session->stream;
    uint32_t agent;
    if (!trail_agent_number(trail, batch->uri, &agent, fault) ||
        !trail_stream_find(trail, agent, batch->stream_id, stream, &session->is_stored, fault)) {
        return false;
    }
    *is_full =
        !session->is_stored && trail_streams_count(trail, agent) >= APPEND_COMMIT_AGENT_STREAMS_MAX;
    stream->agent = agent;
    memcpy(stream->stream_id, batch->stream_id, TRAIL_STREAM_ID_SIZE);
    if (!session->is_stored) stream->first_seen_ms = batch->received_ms;
    assert(batch->uri.size < sizeof session->uri);
    memcpy(session->uri, batch->uri.bytes, batch->uri.size);
    return true;
}

// A stream that no session has begins: *slot is its session's, or batch->fault says why it may not.
static bool begin_session(struct append_commit *commit, struct batch *batch, uint32_t *slot,
                          struct fault *fault) {
    struct sessions *sessions = commit->options.sessions;
    *slot = sessions_find_free(sessions);
    if (sessions_count_of(sessions, batch->uri) >= APPEND_COMMIT_AGENT_SESSIONS_MAX) {
        return !fault_set(&batch->fault, FAULT_FULL,
                          "this agent has %d streams open, each of another spool: an agent needs "
                          "one",
                          APPEND_COMMIT_AGENT_SESSIONS_MAX);
    }
    if (*slot == sessions_count_max(sessions)) {
        return !fault_set(&batch->fault, FAULT_RETRY,
                          "the collector has no room for another stream");
    }
    struct session session = {.is_used = true};
    bool is_full = false;
    if (!find_stream(commit, batch, &session, &is_full, fault)) return false;
    if (is_full) {
        return !fault_set(&batch->fault, FAULT_FULL,
                          "this agent has used %d spools, which is the limit: keep its spool, or "
                          "enroll it under another name",
                          APPEND_COMMIT_AGENT_STREAMS_MAX);
    }
    *sessions_touch(sessions, *slot) = session;
    return true;
}

// A stream begins, or is taken over from an older session.
static bool apply_hello(struct append_commit *commit, struct batch *batch, struct fault *fault) {
    struct sessions *sessions = commit->options.sessions;
    uint32_t slot = sessions_find(sessions, batch->uri, batch->stream_id);
    batch->superseded = NULL;
    if (slot < sessions_count_max(sessions)) {
        batch->superseded = sessions_get(sessions, slot)->owner;
    } else {
        if (!begin_session(commit, batch, &slot, fault)) return false;
        if (batch->fault.kind != FAULT_NONE) return true;
    }
    struct session *session = sessions_touch(sessions, slot);
    session->duplicates = 0;
    session->quarantined = 0;
    session->owner = batch->owner;
    session->number = ++commit->session_last;
    session->is_throttled = false;
    session->stream.last_seen_ms = batch->received_ms;
    batch->slot = slot;
    batch->session = session->number;
    return true;
}

static bool apply(struct append_commit *commit, struct batch *batch, struct fault *fault) {
    if (batch->kind == BATCH_HELLO) return apply_hello(commit, batch, fault);
    struct sessions *sessions = commit->options.sessions;
    if (sessions_get(sessions, batch->slot)->number != batch->session) {
        fault_set(&batch->fault, FAULT_RETRY,
                  "a newer stream of the same agent and spool has begun");
        return true;
    }
    struct session *session = sessions_touch(sessions, batch->slot);
    session->stream.last_seen_ms = batch->received_ms;
    if (batch->kind == BATCH_SEEN) return true;

    assert(batch->first_seq == session->stream.durable_seq + 1);
    bool is_good = batch->kind == BATCH_GAP ? apply_gap(commit, session, batch, fault)
                                            : apply_events(commit, session, batch, fault);
    if (!is_good) return false;
    session->stream.durable_seq = batch->last_seq;
    memcpy(session->stream.chain, batch->chain, TRAIL_CHAIN_SIZE);
    return true;
}

void append_commit_expect(struct append_commit *commit, const struct batch *batch) {
    if (batch->kind != BATCH_EVENTS) return;
    for (uint32_t index = 0; index < batch->events_count; index++) {
        const struct batch_event *event = &batch->events[index];
        if (event->is_notice || event->reason != ADMIT_GOOD) continue;
        struct key key = key_of(&event->record, event->account);
        trail_expect(commit->options.trail, &key);
    }
}

bool append_commit_apply(struct append_commit *commit, struct batch *batch, struct fault *fault) {
    batch->fault.kind = FAULT_NONE;
    if (!apply(commit, batch, fault)) return append_commit_abort(commit);
    return true;
}

// An agent that brought events before goes on with another spool, or with its own from the start.
static void tell_other_spool(struct append_commit *commit, const struct trail_stream *stream) {
    char id[2 * TRAIL_STREAM_ID_SIZE + 1];
    crypto_print_hex(span_of(stream->stream_id, TRAIL_STREAM_ID_SIZE), id);
    const struct aside aside = {
        .name = "SpoolBegun", .agent = stream->agent, .what = "streamId", .text = span_text(id)};
    append_tell_aside(commit, &aside);
}

static bool put_streams(struct append_commit *commit, struct fault *fault) {
    uint32_t count;
    const uint32_t *touched = sessions_touched(commit->options.sessions, &count);
    for (uint32_t index = 0; index < count; index++) {
        struct session *session = sessions_touch(commit->options.sessions, touched[index]);
        // Of a stream that only said Hello there is nothing to remember beyond that its agent was
        // seen: who says Hello for ever fills no store.
        bool is_empty = !session->is_stored && session->stream.durable_seq == 0;
        uint32_t agent = session->stream.agent;
        bool is_other =
            !session->is_stored && trail_streams_count(commit->options.trail, agent) > 0;
        if (is_empty && is_other) continue;
        if (is_other) tell_other_spool(commit, &session->stream);
        session->is_stored = true;
        if (!trail_stream_put(commit->options.trail, &session->stream, fault)) return false;
    }
    return true;
}

// What other parts of the writer remember with the trail.
static bool save(struct append_commit *commit, struct fault *fault) {
    struct append_commit_options *options = &commit->options;
    if (options->coverage != NULL && !coverage_save(options->coverage, options->trail,
                                                    commit->monotonic_ms, commit->is_last, fault)) {
        return false;
    }
    return options->silence == NULL || silence_save(options->silence, fault);
}

bool append_commit_finish(struct append_commit *commit, struct append_commit_counts *counts,
                          struct fault *fault) {
    if (!append_tell(commit, fault) || !put_streams(commit, fault) || !save(commit, fault)) {
        return append_commit_abort(commit);
    }
    struct trail_receipt receipt;
    if (!trail_commit(commit->options.trail, &receipt, fault)) {
        undo(commit);
        return false;
    }
    assert(receipt.stored == commit->counts.stored + commit->counts.own_events);

    append_tell_keep(commit);
    if (commit->options.coverage != NULL) coverage_keep(commit->options.coverage);
    if (commit->options.silence != NULL) silence_keep(commit->options.silence);
    sessions_keep(commit->options.sessions);
    *counts = commit->counts;
    return true;
}
