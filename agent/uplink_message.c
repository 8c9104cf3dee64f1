#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/uplink_internal.h"
#include "proto/orgtrail.pb-c.h"

// The generated code takes pointers that it does not change.
static char *text_of(const char *text) {
    return (char *)(uintptr_t)text;
}

static ProtobufCBinaryData data_of(const void *bytes, size_t size) {
    return (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)bytes};
}

static bool pack(struct uplink *uplink, const Orgtrail__V1__AgentMessage *message) {
    buffer_reset(&uplink->message);
    size_t size = orgtrail__v1__agent_message__get_packed_size(message);
    uint8_t *bytes = buffer_reserve(&uplink->message, size);
    if (bytes == NULL) return false;
    orgtrail__v1__agent_message__pack(message, bytes);
    uplink->message.size = size;
    return true;
}

bool uplink_encode_hello(struct uplink *uplink) {
    struct spool_facts facts;
    spool_describe(uplink->spool, &facts);
    Orgtrail__V1__Hello hello = ORGTRAIL__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.stream_id = data_of(facts.stream_id, SPOOL_ID_SIZE);
    assert(facts.first > facts.base);
    hello.first_seq = facts.first - facts.base;
    hello.next_seq = facts.synced + 1 - facts.base;
    hello.agent_version = text_of(uplink->agent_version);
    hello.host_name = text_of(uplink->host_name);
    hello.started_at_ms = uplink->started_at_ms;
    hello.sent_at_ms = uplink->clock->now_ms(uplink->clock->context);
    hello.acked_seq = facts.acknowledged - facts.base;
    struct span epoch = spool_epoch(uplink->spool);
    hello.collector_epoch = data_of(epoch.bytes, epoch.size);

    uint32_t count;
    const struct spool_source *sources = spool_sources(uplink->spool, &count);
    Orgtrail__V1__SourceInfo infos[SPOOL_SOURCES_MAX], *pointers[SPOOL_SOURCES_MAX];
    for (uint32_t index = 0; index < count; index++) {
        orgtrail__v1__source_info__init(&infos[index]);
        infos[index].name = text_of(sources[index].name);
        infos[index].kind = text_of(sources[index].kind);
        pointers[index] = &infos[index];
    }
    hello.n_sources = count;
    hello.sources = pointers;

    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    return pack(uplink, &message);
}

bool uplink_encode_heartbeat(struct uplink *uplink) {
    struct spool_facts facts;
    spool_describe(uplink->spool, &facts);
    Orgtrail__V1__Heartbeat heartbeat = ORGTRAIL__V1__HEARTBEAT__INIT;
    int64_t now_ms = uplink->clock->now_ms(uplink->clock->context);
    heartbeat.sent_at_ms = now_ms;
    heartbeat.spool_events = facts.synced - facts.acknowledged;
    heartbeat.spool_bytes = facts.unacknowledged_size;
    heartbeat.next_seq = facts.synced + 1 - facts.base;
    if (uplink->flights_count > 0) {
        heartbeat.oldest_unacked_ms = uplink->flights[uplink->flights_begin].oldest_ms;
    } else if (uplink->batch.count > 0) {
        heartbeat.oldest_unacked_ms = uplink->batch.oldest_ms;
    }

    struct uplink_report report = {0};
    if (uplink->report != NULL) uplink->report(uplink->context, &report);
    heartbeat.rss_bytes = report.rss_size;
    heartbeat.cpu_ms = report.cpu_ms;
    heartbeat.left_out = report.left_out;
    enum { REPORTED_MAX = sizeof report.sources / sizeof report.sources[0] };
    assert(report.sources_count <= REPORTED_MAX);
    Orgtrail__V1__SourceStatus sources[REPORTED_MAX], *pointers[REPORTED_MAX];
    for (uint32_t index = 0; index < report.sources_count; index++) {
        const struct source_status *status = &report.sources[index].status;
        orgtrail__v1__source_status__init(&sources[index]);
        sources[index].source = report.sources[index].source;
        sources[index].state = (Orgtrail__V1__SourceStatus__State)status->state;
        sources[index].events_read = status->events_read;
        sources[index].errors = status->errors;
        sources[index].last_error = text_of(status->last_error);
        sources[index].bytes_behind = status->bytes_behind;
        pointers[index] = &sources[index];
    }
    heartbeat.n_sources = report.sources_count;
    heartbeat.sources = pointers;

    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    return pack(uplink, &message);
}

bool uplink_encode_gap(struct uplink *uplink) {
    Orgtrail__V1__Gap gap = ORGTRAIL__V1__GAP__INIT;
    gap.first_seq = uplink->gap.first - uplink->base;
    gap.last_seq = uplink->gap.last - uplink->base;
    gap.reason = text_of(uplink->gap.reason);
    gap.chain = data_of(uplink->gap.chain, SPOOL_CHAIN_SIZE);
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_GAP;
    message.gap = &gap;
    return pack(uplink, &message);
}

bool uplink_encode_goodbye(struct uplink *uplink) {
    Orgtrail__V1__Goodbye goodbye = ORGTRAIL__V1__GOODBYE__INIT;
    goodbye.reason = uplink->stop_reason;
    goodbye.final = uplink->stop_is_final;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_GOODBYE;
    message.goodbye = &goodbye;
    return pack(uplink, &message);
}
