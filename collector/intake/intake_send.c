#include <assert.h>

#include "collector/intake/intake_internal.h"
#include "collector/intake/wire.h"

// Bytes of a batch, so that one of each agent together are what may arrive at once.
static uint32_t batch_size_of(const struct intake_settings *settings) {
    if (settings->arrive_size == 0) return BATCH_BYTES_MAX;
    uint32_t count = settings->streams_count == NULL ? 0 : atomic_load(settings->streams_count);
    if (count < settings->agents_count) count = settings->agents_count;
    uint64_t share = settings->arrive_size / (count == 0 ? 1 : count);
    if (share < INTAKE_BATCH_SIZE_MIN) return INTAKE_BATCH_SIZE_MIN;
    return share > BATCH_BYTES_MAX ? BATCH_BYTES_MAX : (uint32_t)share;
}

static void pack_welcome(struct intake *intake) {
    const struct intake_settings *settings = intake->settings;
    Orgtrail__V1__Welcome welcome = ORGTRAIL__V1__WELCOME__INIT;
    welcome.protocol = INTAKE_PROTOCOL;
    welcome.resume_seq = intake->durable_seq + 1;
    welcome.collector_epoch.data = (uint8_t *)(uintptr_t)settings->epoch;
    welcome.collector_epoch.len = TRAIL_EPOCH_SIZE;
    welcome.backup_time_ms = settings->backup_time_ms;
    welcome.session = intake->session;
    welcome.max_batch_events = BATCH_EVENTS_MAX;
    welcome.max_batch_bytes = batch_size_of(settings);
    welcome.max_unacked_bytes = welcome.max_batch_bytes == BATCH_BYTES_MAX
                                    ? INTAKE_UNACKED_SIZE_MAX
                                    : INTAKE_UNACKED_BATCHES * welcome.max_batch_bytes;
    welcome.heartbeat_ms = settings->heartbeat_ms;
    welcome.sent_at_ms = intake_now_ms(intake);
    welcome.organization_id = (char *)(uintptr_t)settings->organization_id;
    if (intake->durable_seq > 0) {
        welcome.chain.data = intake->durable_chain;
        welcome.chain.len = TRAIL_CHAIN_SIZE;
    }
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME;
    message.welcome = &welcome;
    wire_pack(&message, &intake->output);
}

static void pack_ack(struct intake *intake) {
    Orgtrail__V1__Ack ack = ORGTRAIL__V1__ACK__INIT;
    ack.durable_seq = intake->durable_seq;
    ack.duplicates = intake->duplicates;
    ack.quarantined = intake->quarantined;
    ack.chain.data = intake->durable_chain;
    ack.chain.len = TRAIL_CHAIN_SIZE;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK;
    message.ack = &ack;
    wire_pack(&message, &intake->output);
}

static void pack_throttle(struct intake *intake) {
    static char full[] =
        "the agent's quarantine at the collector is full: an operator has to look "
        "at it there";
    static char free_again[] = "the agent's quarantine at the collector has room again";
    Orgtrail__V1__Throttle throttle = ORGTRAIL__V1__THROTTLE__INIT;
    throttle.pause_ms = intake->is_throttled ? INTAKE_THROTTLE_MS : 0;
    throttle.reason = intake->is_throttled ? full : free_again;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_THROTTLE;
    message.throttle = &throttle;
    wire_pack(&message, &intake->output);
}

static void pack_drain(struct intake *intake) {
    static char reason[] = "the collector is stopping";
    Orgtrail__V1__Drain drain = ORGTRAIL__V1__DRAIN__INIT;
    drain.reconnect_after_ms = 1000;
    drain.jitter_ms = 2000;
    drain.reason = reason;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN;
    message.drain = &drain;
    wire_pack(&message, &intake->output);
}

void intake_send_due(struct intake *intake) {
    if (intake->is_sending || intake->is_closing || intake->is_closed) return;
    struct due *due = &intake->due;
    buffer_reset(&intake->output);
    if (due->welcome) {
        due->welcome = false;
        pack_welcome(intake);
    } else if (intake->state != OPEN) {
        return;
    } else if (due->drain) {
        due->drain = false;
        pack_drain(intake);
    } else if (due->throttle) {
        due->throttle = false;
        pack_throttle(intake);
    } else if (due->ack) {
        due->ack = false;
        pack_ack(intake);
    } else {
        bool is_last = intake->is_draining || intake->is_leaving;
        if (is_last && intake_is_idle(intake)) intake_end(intake, FAULT_NONE, "");
        return;
    }
    assert(!buffer_overflowed(&intake->output));
    intake->sent_ms = intake_monotonic_ms(intake);
    intake->is_sending = true;
    if (!intake->link.send(intake->link.context, buffer_span(&intake->output))) {
        intake->is_sending = false;
    }
}
