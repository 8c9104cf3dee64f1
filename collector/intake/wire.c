#include "collector/intake/wire.h"

static void *allocate(void *context, size_t size) {
    return arena_allocate(context, size);
}

// The arena gives back everything at once.
static void release(void *context, void *memory) {
    (void)context;
    (void)memory;
}

Orgtrail__V1__AgentMessage *wire_unpack(struct arena *arena, struct span bytes) {
    ProtobufCAllocator allocator = {allocate, release, arena};
    return orgtrail__v1__agent_message__unpack(&allocator, bytes.size, bytes.bytes);
}

Orgtrail__V1__Notice *wire_unpack_notice(struct arena *arena, struct span bytes) {
    ProtobufCAllocator allocator = {allocate, release, arena};
    return orgtrail__v1__notice__unpack(&allocator, bytes.size, bytes.bytes);
}

void wire_pack(const Orgtrail__V1__CollectorMessage *message, struct buffer *buffer) {
    size_t size = orgtrail__v1__collector_message__get_packed_size(message);
    uint8_t *bytes = buffer_reserve(buffer, size);
    if (bytes == NULL) return;
    buffer->size += orgtrail__v1__collector_message__pack(message, bytes);
}

struct span wire_span(ProtobufCBinaryData data) {
    return span_of(data.data, data.len);
}
