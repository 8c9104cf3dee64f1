#include "collector/intake/intake.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "collector/intake/intake_internal.h"
#include "collector/intake/receive.h"
#include "collector/intake/vitals.h"
#include "collector/intake/wire.h"
#include "collector/notes/notes.h"
#include "event/chain.h"

enum {
    HEARTBEATS_OF_SILENCE = 3,
    GAP_REASON_SIZE_MAX = TRAIL_REASON_SIZE - 1,
};

int64_t intake_monotonic_ms(const struct intake *intake) {
    const struct clock *clock = intake->settings->clock;
    return clock->monotonic_ms(clock->context);
}

int64_t intake_now_ms(const struct intake *intake) {
    const struct clock *clock = intake->settings->clock;
    return clock->now_ms(clock->context);
}

bool intake_create(const struct intake_settings *settings, const struct intake_link *link,
                   struct span uri, struct intake **intake, struct fault *fault) {
    struct grant grant;
    if (!grant_parse(uri, settings->organization_id, &grant, fault)) return false;
    if (uri.size >= TRAIL_URI_SIZE) {
        return fault_set(fault, FAULT_DENIED, "the certificate's URI is longer than %d bytes",
                         TRAIL_URI_SIZE - 1);
    }
    struct intake *made = calloc(1, sizeof *made);
    if (made != NULL) made->vitals = vitals_create();
    if (made == NULL || made->vitals == NULL) {
        free(made);
        return fault_set(fault, FAULT_FULL, "no memory for another stream");
    }
    made->settings = settings;
    made->link = *link;
    made->grant = grant;
    memcpy(made->uri, uri.bytes, uri.size);
    buffer_init(&made->output, MESSAGE_OUT_SIZE_MAX);
    buffer_init(&made->waiting, BATCH_MESSAGE_SIZE_MAX);
    made->begun_ms = intake_monotonic_ms(made);
    made->heard_ms = made->begun_ms;
    made->sent_ms = made->begun_ms;
    made->submitted_ms = made->begun_ms;
    *intake = made;
    return true;
}

void intake_destroy(struct intake *intake) {
    assert(intake->is_closed);
    assert(intake_is_idle(intake));
    buffer_done(&intake->output);
    buffer_done(&intake->waiting);
    vitals_destroy(intake->vitals);
    free(intake);
}

struct span intake_uri(const struct intake *intake) {
    return span_text(intake->uri);
}

struct vitals *intake_vitals(const struct intake *intake) {
    return intake->vitals;
}

int64_t intake_heard_ms(const struct intake *intake, bool *is_final) {
    *is_final = intake->is_final;
    return intake->heard_ms;
}

void *intake_context(const struct intake *intake) {
    return intake->link.context;
}

bool intake_is_idle(const struct intake *intake) {
    return intake->outstanding == 0;
}

void intake_end(struct intake *intake, enum fault_kind kind, const char *text) {
    if (intake->is_closing || intake->is_closed) return;
    intake->is_closing = true;
    intake->link.close(intake->link.context, kind, text);
}

static void end_with(struct intake *intake, const struct fault *fault) {
    intake_end(intake, fault->kind, fault->text);
}

// A stream that begins needs little, and is told soon if there is no room for it.
static bool has_room(const struct intake *intake) {
    return intake->state != OPEN || intake->link.has_room(intake->link.context);
}

// A stream may have more than its share of what the others leave free. One that is held back has
// batches under way, and looks again when one of them comes back.
static bool has_share(const struct intake *intake) {
    const struct intake_settings *settings = intake->settings;
    return intake->queued_weight < settings->share_size ||
           batch_pool_weight(settings->pool) < settings->spare_size;
}

static bool may_read(const struct intake *intake) {
    return !intake->is_closing && !intake->is_closed && !intake->is_throttled &&
           !intake->is_draining && intake->waiting.size == 0 && has_share(intake) &&
           has_room(intake);
}

static void resume_if_possible(struct intake *intake) {
    if (!intake->is_paused || !may_read(intake)) return;
    intake->is_paused = false;
    // Its silence was ours.
    intake->heard_ms = intake_monotonic_ms(intake);
    intake->link.resume(intake->link.context);
}

// Hands a batch to append, or ends the stream. False: the batch stays the caller's.
static bool submit(struct intake *intake, struct batch *batch) {
    batch->owner = intake;
    batch->slot = intake->slot;
    batch_weigh(intake->settings->pool, batch);
    uint64_t weight = batch->weight;
    intake->outstanding++;
    intake->queued_weight += weight;
    intake->submitted_ms = intake_monotonic_ms(intake);
    if (intake->link.submit(intake->link.context, batch)) return true;
    intake->outstanding--;
    intake->queued_weight -= weight;
    // Append has not seen it, so nobody was told anything about it.
    intake_end(intake, FAULT_RETRY, "the collector is stopping");
    return false;
}

// Tells in the trail that the agent's clock is wrong, or right again.
static void tell_clock(struct intake *intake) {
    int64_t off_ms = intake->skew_ms < 0 ? -intake->skew_ms : intake->skew_ms;
    int64_t most_ms = intake->is_clock_off ? INTAKE_SKEW_MAX_MS / 2 : INTAKE_SKEW_MAX_MS;
    bool is_off = off_ms > most_ms;
    if (is_off == intake->is_clock_off) return;
    intake->is_clock_off = is_off;
    const struct own_event_detail details[] = {
        {"agent", span_text(intake->uri), 0},
        {intake->skew_ms < 0 ? "secondsAhead" : "secondsBehind",
         {NULL, 0},
         (uint64_t)off_ms / 1000},
    };
    notes_add(intake->settings->notes, is_off ? "AgentClockWrong" : "AgentClockRight",
              span_text(intake->uri), details, 2);
}

// Shows how far the agent's clock is from ours. What waited behind batches says nothing of it.
static void measure_skew(struct intake *intake, int64_t sent_at_ms) {
    struct metric *metric = intake->settings->skew;
    bool has_waited = intake->outstanding > 0 || intake->is_paused;
    if (metric == NULL || sent_at_ms == 0 || has_waited) return;
    intake->skew_ms = intake_now_ms(intake) - sent_at_ms;
    metric_set(metric, metric_label(metric, span_text(intake->uri)), intake->skew_ms);
    if (intake->settings->notes != NULL) tell_clock(intake);
}

// The handlers of single messages return true if the batch went to append.

static bool on_hello(struct intake *intake, struct batch *batch, const Orgtrail__V1__Hello *hello) {
    struct fault fault = {0};
    if (intake->state != AWAITS_HELLO) {
        fault_set(&fault, FAULT_INPUT, "a second Hello");
    } else if (hello->protocol != INTAKE_PROTOCOL) {
        fault_set(&fault, FAULT_INPUT,
                  "the agent speaks protocol %" PRIu32 ", this collector %d: upgrade the older one",
                  hello->protocol, INTAKE_PROTOCOL);
    } else if (hello->stream_id.len != TRAIL_STREAM_ID_SIZE) {
        fault_set(&fault, FAULT_INPUT, "a stream_id of %zu bytes, %d are expected",
                  hello->stream_id.len, TRAIL_STREAM_ID_SIZE);
    }
    if (fault.kind != FAULT_NONE) {
        end_with(intake, &fault);
        return false;
    }
    measure_skew(intake, hello->sent_at_ms);
    intake->state = AWAITS_WELCOME;
    vitals_note_hello(intake->vitals, hello);
    memcpy(intake->stream_id, hello->stream_id.data, TRAIL_STREAM_ID_SIZE);
    memcpy(batch->stream_id, intake->stream_id, TRAIL_STREAM_ID_SIZE);
    batch->kind = BATCH_HELLO;
    batch->uri = span_text(intake->uri);
    return submit(intake, batch);
}

// Walks the chain over all events of the message and compares it where the new ones begin. What
// was received before is only walked over, so a wrong chain is found there too.
static bool walk_chain(const struct intake *intake, const Orgtrail__V1__EventBatch *message,
                       uint8_t chain[TRAIL_CHAIN_SIZE], struct fault *fault) {
    memcpy(chain, message->chain.data, TRAIL_CHAIN_SIZE);
    for (size_t index = 0; index <= message->n_events; index++) {
        uint64_t number = message->first_seq + index;
        if (number == intake->expected && intake->chain_is_known &&
            memcmp(chain, intake->chain, TRAIL_CHAIN_SIZE) != 0) {
            return fault_set(fault, FAULT_CORRUPT,
                             "the chain before number %" PRIu64
                             " differs: this spool is not the one whose events came before",
                             number);
        }
        if (index == message->n_events) break;
        const Orgtrail__V1__Event *event = message->events[index];
        chain_advance(chain, event->kind == ORGTRAIL__V1__EVENT__KIND__NOTICE,
                      wire_span(event->record));
    }
    return true;
}

// Reads and judges the events, by the roster that holds now.
static bool judge(const struct intake *intake, const Orgtrail__V1__EventBatch *message,
                  uint32_t skip, struct batch *batch, struct fault *fault) {
    const struct intake_settings *settings = intake->settings;
    struct json_reader *reader = batch_take_reader(settings->pool);
    if (reader == NULL) return fault_set(fault, FAULT_FULL, "no memory to read events");
    uint32_t place;
    const struct admit_rules rules = {&intake->grant, roster_live_enter(settings->roster, &place),
                                      settings->future_max_s};
    bool is_good = receive_events(&rules, message, skip, reader, batch, fault);
    roster_live_leave(settings->roster, place);
    batch_give_reader(settings->pool, reader);
    return is_good;
}

static bool on_events(struct intake *intake, struct batch *batch,
                      const Orgtrail__V1__EventBatch *message) {
    struct fault fault = {0};
    uint8_t chain[TRAIL_CHAIN_SIZE];
    bool is_good = receive_check(message, &fault);
    if (is_good && message->first_seq > intake->expected) {
        is_good =
            fault_set(&fault, FAULT_INPUT,
                      "a hole in the numbers: the batch begins with %" PRIu64 ", expected %" PRIu64,
                      message->first_seq, intake->expected);
    }
    is_good = is_good && walk_chain(intake, message, chain, &fault);
    uint64_t end_seq = message->first_seq + message->n_events;
    if (is_good && end_seq <= intake->expected) {
        // All of it was received before; the agent wants to hear how far we are.
        intake->due.ack = true;
        return false;
    }
    if (is_good) {
        batch->kind = BATCH_EVENTS;
        batch->first_seq = intake->expected;
        batch->last_seq = end_seq - 1;
        memcpy(batch->chain, chain, TRAIL_CHAIN_SIZE);
        uint32_t skip = (uint32_t)(intake->expected - message->first_seq);
        is_good = judge(intake, message, skip, batch, &fault);
    }
    if (!is_good) {
        end_with(intake, &fault);
        return false;
    }
    intake->expected = end_seq;
    intake->chain_is_known = true;
    memcpy(intake->chain, chain, TRAIL_CHAIN_SIZE);
    return submit(intake, batch);
}

// Reasons are names, never free text: they become metrics and log fields.
static struct span clean_reason(struct span reason) {
    bool is_name = reason.size > 0 && reason.size <= GAP_REASON_SIZE_MAX;
    for (size_t index = 0; is_name && index < reason.size; index++) {
        uint8_t byte = reason.bytes[index];
        is_name = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
    }
    return is_name ? reason : SPAN_LITERAL("other");
}

static bool on_gap(struct intake *intake, struct batch *batch, const Orgtrail__V1__Gap *gap) {
    struct fault fault = {0};
    if (gap->first_seq == 0 || gap->last_seq < gap->first_seq || gap->last_seq > BATCH_NUMBER_MAX) {
        fault_set(&fault, FAULT_INPUT, "a gap from number %" PRIu64 " to %" PRIu64, gap->first_seq,
                  gap->last_seq);
    } else if (gap->chain.len != TRAIL_CHAIN_SIZE) {
        fault_set(&fault, FAULT_INPUT, "a gap with a chain of %zu bytes, %d are expected",
                  gap->chain.len, TRAIL_CHAIN_SIZE);
    } else if (gap->first_seq > intake->expected) {
        fault_set(&fault, FAULT_INPUT,
                  "a hole in the numbers: the gap begins with %" PRIu64 ", expected %" PRIu64,
                  gap->first_seq, intake->expected);
    }
    if (fault.kind != FAULT_NONE) {
        end_with(intake, &fault);
        return false;
    }
    if (gap->last_seq < intake->expected) {
        intake->due.ack = true;
        return false;
    }
    batch->kind = BATCH_GAP;
    batch->first_seq = intake->expected;
    batch->last_seq = gap->last_seq;
    batch->gap_reason = clean_reason(span_text(gap->reason));
    memcpy(batch->chain, gap->chain.data, TRAIL_CHAIN_SIZE);
    intake->expected = gap->last_seq + 1;
    intake->chain_is_known = true;
    memcpy(intake->chain, batch->chain, TRAIL_CHAIN_SIZE);
    return submit(intake, batch);
}

static bool on_heartbeat(struct intake *intake, struct batch *batch,
                         const Orgtrail__V1__Heartbeat *heartbeat) {
    measure_skew(intake, heartbeat->sent_at_ms);
    vitals_note_heartbeat(intake->vitals, span_text(intake->uri), heartbeat, batch->received_ms,
                          intake->skew_ms);
    if (intake_monotonic_ms(intake) - intake->submitted_ms < INTAKE_SEEN_MS) return false;
    batch->kind = BATCH_SEEN;
    return submit(intake, batch);
}

static bool dispatch(struct intake *intake, struct batch *batch,
                     const Orgtrail__V1__AgentMessage *message) {
    bool is_hello = message->body_case == ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO;
    if (intake->state != OPEN && !is_hello) {
        intake_end(intake, FAULT_INPUT,
                   intake->state == AWAITS_HELLO ? "the first message is no Hello"
                                                 : "a message before Welcome");
        return false;
    }
    switch (message->body_case) {
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO:
            return on_hello(intake, batch, message->hello);
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY_BATCH:
            return on_events(intake, batch, message->batch);
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY_GAP:
            return on_gap(intake, batch, message->gap);
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT:
            return on_heartbeat(intake, batch, message->heartbeat);
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY_GOODBYE:
            intake->is_leaving = true;
            intake->is_final = message->goodbye->final;
            return false;
        case ORGTRAIL__V1__AGENT_MESSAGE__BODY__NOT_SET:
        case _ORGTRAIL__V1__AGENT_MESSAGE__BODY__CASE_IS_INT_SIZE:
            break;
    }
    // A message of a later version.
    return false;
}

static void take_message(struct intake *intake, struct span bytes) {
    struct batch *batch = batch_take(intake->settings->pool, bytes.size);
    if (batch == NULL) {
        intake_end(intake, FAULT_RETRY, "no memory for another message");
        return;
    }
    batch->size = bytes.size;
    batch->id = ++intake->batches;
    batch->session = intake->session;
    batch->received_ms = intake_now_ms(intake);

    bool is_taken = false;
    const Orgtrail__V1__AgentMessage *message = wire_unpack(batch->arena, bytes);
    if (message == NULL) {
        struct fault fault;
        fault_set(&fault, FAULT_INPUT, "a message of %zu bytes that cannot be decoded", bytes.size);
        end_with(intake, &fault);
    } else {
        is_taken = dispatch(intake, batch, message);
    }
    if (!is_taken) batch_give(intake->settings->pool, batch);
    intake_send_due(intake);
}

bool intake_message(struct intake *intake, struct span bytes) {
    if (intake->is_closing || intake->is_closed) return false;
    intake->heard_ms = intake_monotonic_ms(intake);
    if (bytes.size == 0 || has_room(intake)) {
        take_message(intake, bytes);
    } else {
        buffer_append(&intake->waiting, bytes);
        if (buffer_overflowed(&intake->waiting)) {
            intake_end(intake, FAULT_RETRY, "no memory for another message");
        }
    }
    intake->is_paused = !may_read(intake);
    return !intake->is_paused;
}

void intake_sent(struct intake *intake) {
    intake->is_sending = false;
    intake_send_due(intake);
}

// Append told where the stream stands.
static void open(struct intake *intake, const struct batch *batch) {
    assert(intake->state == AWAITS_WELCOME);
    intake->state = OPEN;
    intake->slot = batch->slot;
    intake->session = batch->session;
    intake->durable_seq = batch->durable_seq;
    memcpy(intake->durable_chain, batch->durable_chain, TRAIL_CHAIN_SIZE);
    intake->expected = batch->durable_seq + 1;
    intake->chain_is_known = batch->durable_seq > 0;
    memcpy(intake->chain, batch->durable_chain, TRAIL_CHAIN_SIZE);
    intake->heard_ms = intake_monotonic_ms(intake);
    intake->due.welcome = true;
}

static void take_answer(struct intake *intake, const struct batch *batch) {
    if (batch->fault.kind != FAULT_NONE) {
        end_with(intake, &batch->fault);
        return;
    }
    if (batch->kind == BATCH_HELLO) {
        open(intake, batch);
    } else {
        assert(batch->durable_seq >= intake->durable_seq);
        assert(batch->durable_seq < intake->expected);
        intake->durable_seq = batch->durable_seq;
        memcpy(intake->durable_chain, batch->durable_chain, TRAIL_CHAIN_SIZE);
        intake->duplicates = batch->session_duplicates;
        intake->quarantined = batch->session_quarantined;
        intake->due.ack = true;
    }
    if (batch->is_throttled && !intake->is_throttled) {
        intake->is_throttled = true;
        intake->due.throttle = true;
    }
}

void intake_report(struct intake *intake, struct batch *batch) {
    assert(batch->owner == intake);
    assert(intake->outstanding > 0);
    intake->outstanding--;
    intake->queued_weight -= batch->weight;
    take_answer(intake, batch);
    batch_give(intake->settings->pool, batch);
    intake_send_due(intake);
    resume_if_possible(intake);
}

void intake_retry(struct intake *intake) {
    if (intake->is_closing || intake->is_closed || !has_room(intake)) return;
    if (intake->waiting.size > 0) {
        take_message(intake, buffer_span(&intake->waiting));
        // Not only emptied: a thousand streams would keep one each.
        buffer_done(&intake->waiting);
        buffer_init(&intake->waiting, BATCH_MESSAGE_SIZE_MAX);
    }
    resume_if_possible(intake);
}

void intake_superseded(struct intake *intake) {
    intake_end(intake, FAULT_RETRY, "a newer stream of the same agent and spool has begun");
}

void intake_unthrottled(struct intake *intake) {
    if (!intake->is_throttled) return;
    intake->is_throttled = false;
    intake->due.throttle = true;
    intake_send_due(intake);
    resume_if_possible(intake);
}

void intake_tick(struct intake *intake) {
    int64_t now = intake_monotonic_ms(intake);
    int64_t heartbeat = intake->settings->heartbeat_ms;
    if (intake->state == AWAITS_HELLO && now - intake->begun_ms >= INTAKE_HELLO_MS) {
        intake_end(intake, FAULT_INPUT, "no Hello within 10 s");
    }
    if (intake->state != OPEN) return;
    bool is_lost = now - intake->heard_ms >= HEARTBEATS_OF_SILENCE * heartbeat;
    if (is_lost && !intake->is_paused)
        intake_end(intake, FAULT_RETRY, "no message for three heartbeats");
    // A third early, since ticks come a few times a heartbeat and the agent counts by its clock.
    if (now - intake->sent_ms >= heartbeat * 2 / 3) intake->due.ack = true;
    intake_send_due(intake);
}

void intake_drain(struct intake *intake) {
    if (intake->is_draining) return;
    intake->is_draining = true;
    intake->due.drain = true;
    if (intake->state == AWAITS_HELLO) intake_end(intake, FAULT_RETRY, "the collector is stopping");
    intake_send_due(intake);
}

void intake_closed(struct intake *intake) {
    intake->is_closed = true;
}
