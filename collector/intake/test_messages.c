#include "collector/intake/test_messages.h"

#include <assert.h>
#include <string.h>

#include "event/chain.h"

static struct span pack(struct arena *arena, const Orgtrail__V1__AgentMessage *message) {
    size_t size = orgtrail__v1__agent_message__get_packed_size(message);
    uint8_t *bytes = arena_allocate(arena, size);
    assert(bytes != NULL);
    size_t packed = orgtrail__v1__agent_message__pack(message, bytes);
    assert(packed == size);
    return span_of(bytes, size);
}

struct span test_hello(struct arena *arena, uint8_t stream) {
    uint8_t id[TRAIL_STREAM_ID_SIZE];
    memset(id, stream, sizeof id);
    Orgtrail__V1__Hello hello = ORGTRAIL__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.stream_id.data = id;
    hello.stream_id.len = sizeof id;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    return pack(arena, &message);
}

struct span test_batch(struct arena *arena, uint64_t first, const struct test_event *events,
                       uint32_t events_count, uint8_t chain[TRAIL_CHAIN_SIZE]) {
    uint8_t before[TRAIL_CHAIN_SIZE];
    memcpy(before, chain, sizeof before);
    Orgtrail__V1__Event *items = arena_allocate_array(arena, events_count + 1, sizeof *items);
    Orgtrail__V1__Event **pointers =
        arena_allocate_array(arena, events_count + 1, sizeof *pointers);
    assert(items != NULL);
    assert(pointers != NULL);
    for (uint32_t index = 0; index < events_count; index++) {
        const struct test_event *event = &events[index];
        orgtrail__v1__event__init(&items[index]);
        items[index].record.data = (uint8_t *)(uintptr_t)event->text.bytes;
        items[index].record.len = event->text.size;
        if (event->is_notice) items[index].kind = ORGTRAIL__V1__EVENT__KIND__NOTICE;
        if (event->object != NULL) items[index].object = (char *)(uintptr_t)event->object;
        pointers[index] = &items[index];
        chain_advance(chain, event->is_notice, event->text);
    }
    Orgtrail__V1__EventBatch batch = ORGTRAIL__V1__EVENT_BATCH__INIT;
    batch.first_seq = first;
    batch.n_events = events_count;
    batch.events = pointers;
    batch.chain.data = before;
    batch.chain.len = sizeof before;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_BATCH;
    message.batch = &batch;
    return pack(arena, &message);
}

struct span test_records(struct arena *arena, uint64_t first, const char *record, uint32_t count,
                         uint8_t chain[TRAIL_CHAIN_SIZE]) {
    struct test_event *events = arena_allocate_array(arena, count, sizeof *events);
    assert(events != NULL);
    for (uint32_t index = 0; index < count; index++) events[index].text = span_text(record);
    return test_batch(arena, first, events, count, chain);
}

struct span test_gap(struct arena *arena, uint64_t first, uint64_t last,
                     const uint8_t chain[TRAIL_CHAIN_SIZE]) {
    static char reason[] = "spool_corrupt";
    Orgtrail__V1__Gap gap = ORGTRAIL__V1__GAP__INIT;
    gap.first_seq = first;
    gap.last_seq = last;
    gap.reason = reason;
    gap.chain.data = (uint8_t *)(uintptr_t)chain;
    gap.chain.len = TRAIL_CHAIN_SIZE;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_GAP;
    message.gap = &gap;
    return pack(arena, &message);
}

struct span test_heartbeat(struct arena *arena) {
    Orgtrail__V1__Heartbeat heartbeat = ORGTRAIL__V1__HEARTBEAT__INIT;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT;
    message.heartbeat = &heartbeat;
    return pack(arena, &message);
}

struct span test_goodbye(struct arena *arena) {
    Orgtrail__V1__Goodbye goodbye = ORGTRAIL__V1__GOODBYE__INIT;
    Orgtrail__V1__AgentMessage message = ORGTRAIL__V1__AGENT_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__AGENT_MESSAGE__BODY_GOODBYE;
    message.goodbye = &goodbye;
    return pack(arena, &message);
}

struct span test_notice(struct arena *arena, const char *reason, int64_t time_ms,
                        struct span head) {
    static char source[] = "app";
    static char place[] = "/var/log/app.json at 17";
    static char detail[] = "the file was gone";
    Orgtrail__V1__Notice notice = ORGTRAIL__V1__NOTICE__INIT;
    notice.reason = (char *)(uintptr_t)reason;
    notice.source = source;
    notice.place = place;
    notice.detail = detail;
    notice.time_ms = time_ms;
    notice.head.data = (uint8_t *)(uintptr_t)head.bytes;
    notice.head.len = head.size;
    notice.size = head.size;
    size_t size = orgtrail__v1__notice__get_packed_size(&notice);
    uint8_t *bytes = arena_allocate(arena, size);
    assert(bytes != NULL);
    orgtrail__v1__notice__pack(&notice, bytes);
    return span_of(bytes, size);
}

static void *allocate(void *context, size_t size) {
    return arena_allocate(context, size);
}

static void release(void *context, void *memory) {
    (void)context;
    (void)memory;
}

Orgtrail__V1__CollectorMessage *test_unpack(struct arena *arena, struct span bytes) {
    ProtobufCAllocator allocator = {allocate, release, arena};
    Orgtrail__V1__CollectorMessage *message =
        orgtrail__v1__collector_message__unpack(&allocator, bytes.size, bytes.bytes);
    assert(message != NULL);
    return message;
}
