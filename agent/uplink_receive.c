#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "agent/uplink_internal.h"
#include "proto/orgtrail.pb-c.h"

enum {
    HEARTBEAT_MS_MIN = 100,
    HEARTBEAT_MS_MAX = 10 * 60 * 1000,
    PAUSE_MS_MAX = 60 * 1000,            // a collector cannot silence us for longer at once
    DRAIN_RETRY_MS_MAX = 5 * 60 * 1000,  // nor send us away for longer
    DRAIN_MS = 5000,                     // what is under way may take so long once it drains
};

typedef Orgtrail__V1__CollectorMessage collector_message;

// The smaller of our limit and the collector's; 0 is no limit of its.
static uint64_t limit(uint64_t ours, uint64_t theirs) {
    return theirs == 0 || theirs > ours ? ours : theirs;
}

static void on_welcome(struct uplink *uplink, const Orgtrail__V1__Welcome *message) {
    if (uplink->state != UPLINK_GREETING || uplink->welcome.is_waiting) {
        uplink_end_session(uplink, FAULT_INPUT, "protocol error: a second Welcome");
        return;
    }
    if ((message->chain.len != 0 && message->chain.len != SPOOL_CHAIN_SIZE) ||
        message->collector_epoch.len > SPOOL_EPOCH_SIZE_MAX || message->resume_seq == 0 ||
        strlen(message->organization_id) > UPLINK_ORGANIZATION_SIZE_MAX) {
        uplink_end_session(uplink, FAULT_INPUT, "protocol error: malformed Welcome");
        return;
    }
    struct uplink_welcome *welcome = &uplink->welcome;
    *welcome = (struct uplink_welcome){
        .is_waiting = true,
        .protocol = message->protocol,
        .resume = message->resume_seq,
        .chain_size = message->chain.len,
        .epoch_size = message->collector_epoch.len,
        .batch_events_max = message->max_batch_events,
        .batch_size_max = message->max_batch_bytes,
        .unacknowledged_max = message->max_unacked_bytes,
        .heartbeat_ms = message->heartbeat_ms,
        .backup_time_ms = message->backup_time_ms,
    };
    if (welcome->chain_size > 0) memcpy(welcome->chain, message->chain.data, SPOOL_CHAIN_SIZE);
    if (welcome->epoch_size > 0) {
        memcpy(welcome->epoch, message->collector_epoch.data, welcome->epoch_size);
    }
    strncpy(welcome->organization, message->organization_id, sizeof welcome->organization - 1);
}

static void on_ack(struct uplink *uplink, const Orgtrail__V1__Ack *ack) {
    if (ack->durable_seq > uplink->sent - uplink->base) {
        uplink_end_session(uplink, FAULT_INPUT,
                           "protocol error: acknowledged %" PRIu64 ", sent only up to %" PRIu64,
                           ack->durable_seq, uplink->sent - uplink->base);
        return;
    }
    uint64_t number = uplink->base + ack->durable_seq;
    while (uplink->flights_count > 0 && uplink->flights[uplink->flights_begin].last <= number) {
        uplink->status.unacknowledged_size -= uplink->flights[uplink->flights_begin].size;
        uplink->flights_begin = (uplink->flights_begin + 1) % UPLINK_BATCHES_MAX;
        uplink->flights_count--;
        uplink->was_useful = true;
    }
    spool_acknowledge(uplink->spool, number);
    uplink->status.duplicates += ack->duplicates - uplink->session_duplicates;
    uplink->session_duplicates = ack->duplicates;
    uplink->status.quarantined += ack->quarantined - uplink->session_quarantined;
    uplink->session_quarantined = ack->quarantined;
    if (ack->pause_ms > 0) {
        int64_t pause_ms = (int64_t)limit(PAUSE_MS_MAX, ack->pause_ms);
        uplink->paused_until_ms = uplink_now(uplink) + pause_ms;
    }
}

static void on_drain(struct uplink *uplink, const Orgtrail__V1__Drain *drain) {
    uint64_t jitter_ms = limit(DRAIN_RETRY_MS_MAX, (uint64_t)drain->jitter_ms + 1);
    uint64_t retry_ms = drain->reconnect_after_ms;
    if (retry_ms > DRAIN_RETRY_MS_MAX) retry_ms = DRAIN_RETRY_MS_MAX;
    retry_ms += random_below(uplink->random, jitter_ms);
    uplink->is_draining = true;
    uplink->drain_retry_ms = (int64_t)retry_ms;
    uplink->drain_until_ms = uplink_now(uplink) + DRAIN_MS;
}

static void on_streaming(struct uplink *uplink, const collector_message *message) {
    switch (message->body_case) {
        case ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK:
            on_ack(uplink, message->ack);
            break;
        case ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_THROTTLE:
            uplink->paused_until_ms =
                uplink_now(uplink) + (message->throttle->pause_ms > PAUSE_MS_MAX
                                          ? PAUSE_MS_MAX
                                          : (int64_t)message->throttle->pause_ms);
            break;
        case ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN:
            on_drain(uplink, message->drain);
            break;
        default:
            // Of a later version: not for us.
            break;
    }
}

void uplink_on_message(struct uplink *uplink, struct span message) {
    if (uplink->state != UPLINK_GREETING && uplink->state != UPLINK_STREAMING) return;
    collector_message *decoded =
        orgtrail__v1__collector_message__unpack(NULL, message.size, message.bytes);
    if (decoded == NULL) {
        uplink_end_session(uplink, FAULT_INPUT, "protocol error: undecodable message of %zu bytes",
                           message.size);
        return;
    }
    uplink->heard_at_ms = uplink_now(uplink);
    if (decoded->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME) {
        on_welcome(uplink, decoded->welcome);
    } else if (uplink->state == UPLINK_STREAMING) {
        on_streaming(uplink, decoded);
    } else if (decoded->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN) {
        on_drain(uplink, decoded->drain);
        uplink_end_session(uplink, FAULT_RETRY, "the collector drains");
    } else if (!uplink->welcome.is_waiting) {
        // Behind a Welcome that was not yet acted upon only an Ack of old numbers can come.
        uplink_end_session(uplink, FAULT_INPUT, "protocol error: no Welcome at first");
    }
    orgtrail__v1__collector_message__free_unpacked(decoded, NULL);
}

// Whether the collector knows another history under this stream id than the spool does: it is
// ahead (*reason says so), its chain differs, or damage keeps the spool from telling.
static bool compare_history(struct uplink *uplink, const struct spool_facts *facts,
                            const char **reason, struct fault *fault) {
    const struct uplink_welcome *welcome = &uplink->welcome;
    *reason = NULL;
    if (welcome->resume - 1 > facts->synced - facts->base) {
        *reason = "the collector is ahead of the spool";
        return true;
    }
    uint64_t durable = facts->base + welcome->resume - 1;
    if (welcome->chain_size == 0 || durable == facts->base) return true;
    bool known;
    uint8_t chain[SPOOL_CHAIN_SIZE];
    if (!spool_chain_after(uplink->spool, durable, &known, chain, fault)) return false;
    if (known && memcmp(chain, welcome->chain, SPOOL_CHAIN_SIZE) != 0) {
        *reason = "the collector holds other events under our numbers";
    } else if (!known && durable + 1 >= facts->first) {
        *reason =
            "the spool is damaged where the collector's numbers end, so that they cannot be "
            "compared";
    }
    return true;
}

static bool begin_stream(struct uplink *uplink, const char *reason, struct fault *fault) {
    if (!spool_restream(uplink->spool, fault)) return false;
    uplink->status.restreams++;
    // Once at once; a collector that never agrees is met again at the usual pace.
    uplink->retries_now = uplink->restreams_in_row == 0;
    uplink->restreams_in_row++;
    uplink_end_session(uplink, FAULT_RETRY,
                       "%s: sending the whole spool again under a new stream id", reason);
    return true;
}

// Whether the collector lost something that it had acknowledged: it resumes below it, or it was
// restored to a time before it knew this stream, whose base says that other frames went before.
static bool has_lost(const struct uplink *uplink, const struct spool_facts *facts,
                     uint64_t durable) {
    if (durable < facts->acknowledged) return true;
    const struct uplink_welcome *welcome = &uplink->welcome;
    struct span epoch = spool_epoch(uplink->spool);
    bool is_other_epoch =
        epoch.size > 0 && !span_equal(epoch, span_of(welcome->epoch, welcome->epoch_size));
    return is_other_epoch && welcome->chain_size == 0 && facts->base > 0;
}

static bool refill(struct uplink *uplink, const struct spool_facts *facts, uint64_t durable,
                   struct fault *fault) {
    // A stream the collector does not know any more says nothing of what was sent before it began.
    bool is_unknown = uplink->welcome.chain_size == 0 && facts->base > 0;
    bool is_complete = durable + 1 >= facts->first && !is_unknown;
    // At once and durably: nothing that the collector lacks may be given up for what rewinding
    // writes, nor after a crash. On a full disk the refill itself makes room.
    spool_unacknowledge(uplink->spool, durable);
    if (!spool_save(uplink->spool, fault) && fault->kind != FAULT_FULL) return false;
    if (!is_complete && uplink->rewind != NULL &&
        !uplink->rewind(uplink->context, uplink->welcome.backup_time_ms, fault)) {
        return fault_add(fault, "rewind the sources for a restored collector");
    }
    uplink->status.refills++;
    return true;
}

static void begin_streaming(struct uplink *uplink, uint64_t base, uint64_t durable) {
    const struct uplink_welcome *welcome = &uplink->welcome;
    uplink->base = base;
    uplink->sent = durable;
    uplink->taken = durable;
    spool_reader_seek(uplink->reader, durable + 1);
    spool_set_epoch(uplink->spool, span_of(welcome->epoch, welcome->epoch_size));
    uplink->batch_events_max = (uint32_t)limit(UPLINK_BATCH_EVENTS_MAX, welcome->batch_events_max);
    uplink->batch_size_max = limit(UPLINK_BATCH_SIZE_MAX, welcome->batch_size_max);
    uplink->unacknowledged_max = limit(UPLINK_UNACKNOWLEDGED_MAX, welcome->unacknowledged_max);
    int64_t heartbeat_ms =
        welcome->heartbeat_ms == 0 ? UPLINK_HEARTBEAT_MS : (int64_t)welcome->heartbeat_ms;
    if (heartbeat_ms < HEARTBEAT_MS_MIN) heartbeat_ms = HEARTBEAT_MS_MIN;
    if (heartbeat_ms > HEARTBEAT_MS_MAX) heartbeat_ms = HEARTBEAT_MS_MAX;
    uplink->heartbeat_ms = heartbeat_ms;
    uplink->streaming_since_ms = uplink_now(uplink);
    // The first one at once: it shows the sources' state.
    uplink->heartbeat_at_ms = uplink->streaming_since_ms;
    uplink->restreams_in_row = 0;
    uplink->status.sessions++;
    uplink->status.connected_at_ms = uplink->clock->now_ms(uplink->clock->context);
    uplink->state = UPLINK_STREAMING;
}

bool uplink_take_welcome(struct uplink *uplink, struct fault *fault) {
    struct uplink_welcome *welcome = &uplink->welcome;
    assert(uplink->state == UPLINK_GREETING);
    assert(welcome->is_waiting);
    if (welcome->protocol != 1) {
        uplink_end_session(uplink, FAULT_INPUT,
                           "the collector speaks protocol %u, this agent 1: upgrade the older one",
                           welcome->protocol);
        return true;
    }
    if (uplink->organization[0] != 0 && strcmp(welcome->organization, uplink->organization) != 0) {
        uplink_end_session(uplink, FAULT_DENIED,
                           "this is the collector of another organization: it says \"%s\", the "
                           "settings say \"%s\"; check collector.address and organization",
                           welcome->organization, uplink->organization);
        return true;
    }
    struct spool_facts facts;
    spool_describe(uplink->spool, &facts);
    const char *reason;
    if (!compare_history(uplink, &facts, &reason, fault)) return false;
    if (reason != NULL) return begin_stream(uplink, reason, fault);
    if (welcome->chain_size == 0 && welcome->resume > 1) {
        uplink_end_session(uplink, FAULT_INPUT,
                           "protocol error: Welcome resumes at %" PRIu64 " without a chain",
                           welcome->resume);
        return true;
    }
    uint64_t durable = facts.base + welcome->resume - 1;
    if (has_lost(uplink, &facts, durable)) {
        if (!refill(uplink, &facts, durable, fault)) return false;
    } else {
        spool_acknowledge(uplink->spool, durable);
    }
    welcome->is_waiting = false;
    begin_streaming(uplink, facts.base, durable);
    return true;
}
