#include "agent/uplink.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/uplink_internal.h"

enum {
    USEFUL_MS = 10000,                  // a session that lasted so long was a good one
    OTHER_SIZE_MAX = 64 * 1024 * 1024,  // of a Hello or heartbeat: never reached
};

int64_t uplink_now(const struct uplink *uplink) {
    return uplink->clock->monotonic_ms(uplink->clock->context);
}

static char *copy_text(const char *text) {
    return strdup(text == NULL ? "" : text);
}

struct uplink *uplink_create(const struct uplink_options *options) {
    struct uplink *uplink = calloc(1, sizeof *uplink);
    if (uplink == NULL) return NULL;
    uplink->spool = options->spool;
    uplink->clock = options->clock;
    uplink->random = options->random;
    uplink->link = options->link;
    uplink->organization = copy_text(options->organization);
    uplink->agent_version = copy_text(options->agent_version);
    uplink->host_name = copy_text(options->host_name);
    uplink->started_at_ms = options->started_at_ms;
    uplink->with_objects = options->with_objects;
    uplink->context = options->context;
    uplink->report = options->report;
    uplink->rewind = options->rewind;
    uplink->backoff_ms = UPLINK_BACKOFF_MIN_MS;
    uplink->retries_now = true;
    uplink->heartbeat_ms = UPLINK_HEARTBEAT_MS;
    batch_init(&uplink->batch);
    buffer_init(&uplink->message, OTHER_SIZE_MAX);
    uplink->reader = spool_reader_create(options->spool);
    if (uplink->organization == NULL || uplink->agent_version == NULL ||
        uplink->host_name == NULL || uplink->reader == NULL) {
        uplink_destroy(uplink);
        return NULL;
    }
    return uplink;
}

void uplink_destroy(struct uplink *uplink) {
    if (uplink == NULL) return;
    spool_reader_destroy(uplink->reader);
    batch_done(&uplink->batch);
    buffer_done(&uplink->message);
    free(uplink->organization);
    free(uplink->agent_version);
    free(uplink->host_name);
    free(uplink);
}

void uplink_end_session(struct uplink *uplink, enum fault_kind kind, const char *format, ...) {
    assert(uplink->state != UPLINK_WAITING);
    if (uplink->state == UPLINK_CLOSING) return;
    struct fault *fault = &uplink->status.last_fault;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    fault->kind = kind;
    uplink->has_own_fault = true;
    uplink->state = UPLINK_CLOSING;
    uplink->link.close(uplink->link.context, kind, fault->text);
}

// Sends what is in the message buffer (or a batch). False: the link is closed, on_closed comes.
static bool send_message(struct uplink *uplink, struct span message) {
    assert(!uplink->is_sending);
    uplink->is_sending = uplink->link.send(uplink->link.context, message);
    return uplink->is_sending;
}

static bool send_encoded(struct uplink *uplink, bool encoded) {
    if (!encoded) {
        uplink_end_session(uplink, FAULT_RETRY, "out of memory for a message");
        return false;
    }
    return send_message(uplink, buffer_span(&uplink->message));
}

void uplink_on_connected(struct uplink *uplink) {
    if (uplink->state != UPLINK_CONNECTING) return;
    uplink->state = UPLINK_GREETING;
    uplink->is_sending = false;
    (void)send_encoded(uplink, uplink_encode_hello(uplink));
}

void uplink_on_sent(struct uplink *uplink) {
    uplink->is_sending = false;
}

// Forgets what the session had under way.
static void reset_session(struct uplink *uplink) {
    uplink->is_sending = false;
    uplink->is_draining = false;
    uplink->was_useful = false;
    uplink->has_own_fault = false;
    uplink->welcome.is_waiting = false;
    uplink->has_held = false;
    uplink->gap.is_waiting = false;
    uplink->flights_begin = 0;
    uplink->flights_count = 0;
    uplink->session_duplicates = 0;
    uplink->session_quarantined = 0;
    uplink->paused_until_ms = 0;
    uplink->status.connected_at_ms = 0;
    uplink->status.unacknowledged_size = 0;
    batch_reset(&uplink->batch);
}

void uplink_on_closed(struct uplink *uplink, const struct fault *reason) {
    assert(uplink->state != UPLINK_WAITING);
    int64_t now_ms = uplink_now(uplink);
    uplink->status.endings++;
    if (!uplink->has_own_fault) {
        uplink->status.last_fault = *reason;
        if (reason->kind == FAULT_NONE) {
            fault_set(&uplink->status.last_fault, FAULT_RETRY, "the collector ended the stream");
        }
    }
    bool was_streaming = uplink->status.connected_at_ms != 0;
    if (was_streaming && (uplink->was_useful || now_ms - uplink->streaming_since_ms >= USEFUL_MS)) {
        uplink->backoff_ms = UPLINK_BACKOFF_MIN_MS;
    }
    int64_t half = uplink->backoff_ms / 2;
    int64_t pause_ms = half + (int64_t)random_below(uplink->random, (uint64_t)half + 1);
    if (uplink->is_draining) pause_ms = uplink->drain_retry_ms;
    if (uplink->retries_now) {
        pause_ms = 0;
    } else if (!uplink->is_draining) {
        uplink->backoff_ms = uplink->backoff_ms * 2;
        if (uplink->backoff_ms > UPLINK_BACKOFF_MAX_MS) uplink->backoff_ms = UPLINK_BACKOFF_MAX_MS;
    }
    uplink->retries_now = false;
    uplink->retry_at_ms = now_ms + pause_ms;
    uplink->state = UPLINK_WAITING;
    if (uplink->is_stopping) uplink->is_stopped = true;
    reset_session(uplink);
}

// Reads the next frame into the batch, or finds a gap. *progress: something was taken.
static bool take_next(struct uplink *uplink, bool *progress, struct fault *fault) {
    *progress = false;
    struct spool_gap gap;
    uint64_t expected = uplink->taken + 1;
    if (!uplink->has_held) {
        switch (spool_reader_next(uplink->reader, &uplink->held, &gap, fault)) {
            case SPOOL_NEXT_FAULT:
                return false;
            case SPOOL_NEXT_END:
                return true;
            case SPOOL_NEXT_GAP:
                uplink->gap = (struct uplink_gap){.is_waiting = true,
                                                  .first = expected,
                                                  .last = gap.last,
                                                  .reason = "spool_corrupt"};
                memcpy(uplink->gap.chain, gap.chain, SPOOL_CHAIN_SIZE);
                uplink->taken = gap.last;
                *progress = true;
                return true;
            case SPOOL_NEXT_FRAME:
                uplink->has_held = true;
                break;
        }
    }
    const struct spool_frame *frame = &uplink->held;
    assert(frame->number >= expected);
    if (frame->number > expected) {
        uplink->gap = (struct uplink_gap){.is_waiting = true,
                                          .first = expected,
                                          .last = frame->number - 1,
                                          .reason = "spool_overwritten"};
        memcpy(uplink->gap.chain, frame->chain, SPOOL_CHAIN_SIZE);
        uplink->taken = frame->number - 1;
        *progress = true;
        return true;
    }
    bool is_full = uplink->batch.count >= uplink->batch_events_max ||
                   batch_size(&uplink->batch) + batch_measure(frame, uplink->with_objects) >
                       uplink->batch_size_max;
    if (is_full && uplink->batch.count > 0) return true;
    if (!batch_add(&uplink->batch, frame, uplink->with_objects)) {
        return fault_set(fault, FAULT_FULL, "out of memory for a batch");
    }
    uplink->taken = frame->number;
    uplink->has_held = false;
    *progress = true;
    return true;
}

// Fills the batch from the spool, up to its limits or the next gap.
static bool fill_batch(struct uplink *uplink, struct fault *fault) {
    bool progress = true;
    while (progress && !uplink->gap.is_waiting) {
        if (!take_next(uplink, &progress, fault)) return false;
    }
    if (uplink->gap.is_waiting || uplink->has_held || uplink->batch.count > 0) return true;
    // Everything was removed behind the numbers that a restored collector asks for.
    struct spool_facts facts;
    spool_describe(uplink->spool, &facts);
    if (uplink->taken >= facts.synced) return true;
    bool known;
    if (!spool_chain_after(uplink->spool, facts.synced, &known, uplink->gap.chain, fault)) {
        return false;
    }
    assert(known);
    uplink->gap.is_waiting = true;
    uplink->gap.first = uplink->taken + 1;
    uplink->gap.last = facts.synced;
    uplink->gap.reason = "spool_overwritten";
    uplink->taken = facts.synced;
    return true;
}

static void add_flight(struct uplink *uplink, uint64_t last, uint64_t size, int64_t oldest_ms) {
    assert(uplink->flights_count < UPLINK_BATCHES_MAX);
    assert(last > uplink->sent);
    uint32_t index = (uplink->flights_begin + uplink->flights_count) % UPLINK_BATCHES_MAX;
    uplink->flights[index] = (struct uplink_flight){last, size, oldest_ms};
    uplink->flights_count++;
    uplink->sent = last;
    uplink->status.unacknowledged_size += size;
}

// A batch waits for more as long as something is under way and it is not full.
static bool may_send_batch(const struct uplink *uplink) {
    if (uplink->batch.count == 0 || uplink->flights_count == UPLINK_BATCHES_MAX) return false;
    if (uplink->flights_count == 0) return true;
    uint64_t size = batch_size(&uplink->batch);
    if (uplink->status.unacknowledged_size + size > uplink->unacknowledged_max) return false;
    bool is_full = uplink->has_held || uplink->batch.count >= uplink->batch_events_max;
    return is_full || uplink->gap.is_waiting;
}

static void send_batch(struct uplink *uplink) {
    struct batch *batch = &uplink->batch;
    int64_t now_ms = uplink->clock->now_ms(uplink->clock->context);
    if (!send_message(uplink, batch_finish(batch, uplink->base, now_ms))) return;
    add_flight(uplink, batch->last, batch_size(batch), batch->oldest_ms);
    uplink->status.batches_sent++;
    uplink->status.events_sent += batch->count;
    batch_reset(batch);
}

static void send_gap(struct uplink *uplink) {
    if (!send_encoded(uplink, uplink_encode_gap(uplink))) return;
    add_flight(uplink, uplink->gap.last, 0, uplink->clock->now_ms(uplink->clock->context));
    uplink->gap.is_waiting = false;
    uplink->status.gaps_sent++;
}

static void say_goodbye(struct uplink *uplink) {
    if (send_encoded(uplink, uplink_encode_goodbye(uplink))) {
        uplink_end_session(uplink, FAULT_NONE, "%s", uplink->stop_reason);
    }
}

static bool step_streaming(struct uplink *uplink, int64_t now_ms, struct fault *fault) {
    int64_t silent_ms = now_ms - uplink->heard_at_ms;
    if (silent_ms > 3 * uplink->heartbeat_ms) {
        uplink_end_session(uplink, FAULT_RETRY, "the collector has been silent for %" PRId64 " ms",
                           silent_ms);
        return true;
    }
    if (uplink->is_draining && (uplink->flights_count == 0 || now_ms >= uplink->drain_until_ms)) {
        uplink_end_session(uplink, FAULT_RETRY, "the collector drains");
        return true;
    }
    if (uplink->is_sending) return true;
    if (uplink->is_stopping) {
        say_goodbye(uplink);
        return true;
    }
    if (now_ms >= uplink->heartbeat_at_ms) {
        uplink->heartbeat_at_ms = now_ms + uplink->heartbeat_ms;
        (void)send_encoded(uplink, uplink_encode_heartbeat(uplink));
        return true;
    }
    if (uplink->is_draining || now_ms < uplink->paused_until_ms) return true;
    if (!fill_batch(uplink, fault)) return false;
    if (may_send_batch(uplink)) {
        send_batch(uplink);
    } else if (uplink->gap.is_waiting && uplink->batch.count == 0 &&
               uplink->flights_count < UPLINK_BATCHES_MAX) {
        send_gap(uplink);
    }
    return true;
}

static int64_t least(int64_t left, int64_t right) {
    return left < right ? left : right;
}

// How long nothing is due by the clock alone.
static int64_t measure_wait(const struct uplink *uplink, int64_t now_ms) {
    int64_t at_ms = now_ms + UPLINK_BACKOFF_MAX_MS;
    switch (uplink->state) {
        case UPLINK_WAITING:
            at_ms = uplink->retry_at_ms;
            break;
        case UPLINK_CONNECTING:
        case UPLINK_GREETING:
            at_ms = uplink->deadline_ms;
            break;
        case UPLINK_STREAMING:
            at_ms = least(uplink->heard_at_ms + 3 * uplink->heartbeat_ms + 1,
                          uplink->is_sending ? INT64_MAX : uplink->heartbeat_at_ms);
            if (uplink->paused_until_ms > now_ms) at_ms = least(at_ms, uplink->paused_until_ms);
            if (uplink->is_draining) at_ms = least(at_ms, uplink->drain_until_ms);
            break;
        case UPLINK_CLOSING:
            break;
    }
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

bool uplink_step(struct uplink *uplink, int64_t *wait_ms, struct fault *fault) {
    int64_t now_ms = uplink_now(uplink);
    bool is_greeting = uplink->state == UPLINK_CONNECTING || uplink->state == UPLINK_GREETING;
    if (uplink->state == UPLINK_WAITING && uplink->is_stopping) {
        uplink->is_stopped = true;
    } else if (uplink->state == UPLINK_WAITING && now_ms >= uplink->retry_at_ms) {
        uplink->state = UPLINK_CONNECTING;
        uplink->retries_now = false;
        uplink->deadline_ms = now_ms + UPLINK_GREETING_MS;
        uplink->link.connect(uplink->link.context);
    } else if (uplink->state == UPLINK_GREETING && uplink->welcome.is_waiting) {
        if (!uplink_take_welcome(uplink, fault)) return false;
    } else if (is_greeting && uplink->is_stopping) {
        uplink_end_session(uplink, FAULT_NONE, "%s", uplink->stop_reason);
    } else if (is_greeting && now_ms >= uplink->deadline_ms) {
        uplink_end_session(uplink, FAULT_RETRY, "no answer from the collector within %d s",
                           UPLINK_GREETING_MS / 1000);
    } else if (uplink->state == UPLINK_STREAMING) {
        if (!step_streaming(uplink, now_ms, fault)) return false;
    }
    *wait_ms = measure_wait(uplink, uplink_now(uplink));
    return true;
}

void uplink_stop(struct uplink *uplink, const char *reason, bool final) {
    snprintf(uplink->stop_reason, sizeof uplink->stop_reason, "%s", reason);
    uplink->stop_is_final = final;
    uplink->is_stopping = true;
}

bool uplink_is_stopped(const struct uplink *uplink) {
    return uplink->is_stopped;
}

void uplink_reconnect(struct uplink *uplink) {
    uplink->retries_now = true;
    if (uplink->state == UPLINK_WAITING) {
        uplink->retry_at_ms = uplink_now(uplink);
    } else {
        uplink_end_session(uplink, FAULT_RETRY, "connecting anew");
    }
}

void uplink_describe(const struct uplink *uplink, struct uplink_status *status) {
    *status = uplink->status;
    status->state = uplink->state;
}
