#include "agent/frame.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

// Layout of a frame, little endian:
//   0 magic u32, 4 size u32, 8 check u64, 16 number u64, 24 synced u64, 32 chain 16 bytes,
//   48 source u16, 50 kind u8, 51 zero u8, 52 position size u16, 54 object size u16,
//   56 appended ms i64, 64 record size u32, 68 zero u32, 72 position, object, record.
static const uint8_t frame_magic[4] = {0xF7, 'o', 't', 0xF1};  // no UTF-8 text holds 0xF7

enum { CHECKED_FROM = 16 };

// The size stands outside of what the hash covers byte by byte, so it goes in with the salt.
static uint64_t compute_check(const uint8_t *bytes, size_t size, uint64_t salt) {
    uint64_t mixed = (salt ^ size) * UINT64_C(0x9E3779B97F4A7C15);
    return hash_plain(span_of(bytes + CHECKED_FROM, size - CHECKED_FROM)) ^ mixed;
}

size_t frame_size(const struct frame *frame) {
    return FRAME_HEADER_SIZE + frame->position.size + frame->object.size + frame->record.size;
}

static uint8_t *put_span(uint8_t *bytes, struct span span) {
    if (span.size > 0) memcpy(bytes, span.bytes, span.size);
    return bytes + span.size;
}

void frame_encode(const struct frame *frame, uint64_t salt, struct buffer *buffer) {
    assert(frame->position.size <= SPOOL_POSITION_SIZE_MAX);
    assert(frame->object.size <= SPOOL_OBJECT_SIZE_MAX);
    assert(frame->record.size <= SPOOL_RECORD_SIZE_MAX);

    size_t size = frame_size(frame);
    uint8_t *bytes = buffer_reserve(buffer, size);
    if (bytes == NULL) return;
    memset(bytes, 0, FRAME_HEADER_SIZE);
    memcpy(bytes, frame_magic, sizeof frame_magic);
    bytes_put_32(bytes + 4, (uint32_t)size);
    bytes_put_64(bytes + 16, frame->number);
    bytes_put_64(bytes + 24, frame->synced);
    memcpy(bytes + 32, frame->chain, SPOOL_CHAIN_SIZE);
    bytes_put_16(bytes + 48, (uint16_t)frame->source);
    bytes[50] = (uint8_t)frame->kind;
    bytes_put_16(bytes + 52, (uint16_t)frame->position.size);
    bytes_put_16(bytes + 54, (uint16_t)frame->object.size);
    bytes_put_64(bytes + 56, (uint64_t)frame->appended_ms);
    bytes_put_32(bytes + 64, (uint32_t)frame->record.size);
    uint8_t *end = put_span(bytes + FRAME_HEADER_SIZE, frame->position);
    end = put_span(end, frame->object);
    end = put_span(end, frame->record);
    assert((size_t)(end - bytes) == size);
    bytes_put_64(bytes + 8, compute_check(bytes, size, salt));
    buffer->size += size;
}

enum frame_result frame_decode(struct span bytes, uint64_t salt, struct frame *frame,
                               size_t *size) {
    size_t compared = bytes.size < sizeof frame_magic ? bytes.size : sizeof frame_magic;
    if (compared > 0 && memcmp(bytes.bytes, frame_magic, compared) != 0) return FRAME_BAD;
    if (bytes.size < FRAME_HEADER_SIZE) {
        *size = FRAME_HEADER_SIZE;
        return FRAME_SHORT;
    }
    const uint8_t *header = bytes.bytes;
    size_t frame_end = bytes_get_32(header + 4);
    size_t position_size = bytes_get_16(header + 52), object_size = bytes_get_16(header + 54);
    size_t record_size = bytes_get_32(header + 64);
    if (position_size > SPOOL_POSITION_SIZE_MAX || object_size > SPOOL_OBJECT_SIZE_MAX ||
        record_size == 0 || record_size > SPOOL_RECORD_SIZE_MAX ||
        frame_end != FRAME_HEADER_SIZE + position_size + object_size + record_size) {
        return FRAME_BAD;
    }
    if (header[50] > SPOOL_NOTICE || bytes_get_16(header + 48) >= SPOOL_SOURCES_MAX ||
        header[51] != 0 || bytes_get_32(header + 68) != 0) {
        return FRAME_BAD;
    }
    if (bytes.size < frame_end) {
        *size = frame_end;
        return FRAME_SHORT;
    }
    if (compute_check(header, frame_end, salt) != bytes_get_64(header + 8)) return FRAME_BAD;

    struct span body = span_of(header + FRAME_HEADER_SIZE, frame_end - FRAME_HEADER_SIZE);
    *frame = (struct frame){
        .number = bytes_get_64(header + 16),
        .synced = bytes_get_64(header + 24),
        .appended_ms = (int64_t)bytes_get_64(header + 56),
        .source = bytes_get_16(header + 48),
        .kind = (enum spool_kind)header[50],
        .position = span_of(body.bytes, position_size),
        .object = span_of(body.bytes + position_size, object_size),
        .record = span_from(body, position_size + object_size),
    };
    memcpy(frame->chain, header + 32, SPOOL_CHAIN_SIZE);
    *size = frame_end;
    return FRAME_OK;
}

size_t frame_scan(struct span bytes) {
    size_t at = 1;
    while (at + sizeof frame_magic <= bytes.size) {
        at += span_find(span_from(bytes, at), frame_magic[0]);
        if (at + sizeof frame_magic > bytes.size) break;
        if (memcmp(bytes.bytes + at, frame_magic, sizeof frame_magic) == 0) return at;
        at++;
    }
    return at < bytes.size ? at : bytes.size;
}

// Layout of a segment's header, little endian:
//   0 magic 8 bytes, 8 version u32, 12 size u32, 16 check u64, 24 salt u64, 32 spool id 16 bytes,
//   48 first u64, 56 chain 16 bytes, 72 sources u32, 76 zero 20 bytes, 96 sources.
// A source: name size u8, kind size u8, position size u16, then the three.
static const uint8_t segment_magic[8] = {'O', 'T', 'S', 'P', 'O', 'O', 'L', '\n'};

enum { SEGMENT_VERSION = 1, SOURCE_FIXED_SIZE = 4 };

uint64_t spool_check(struct span checked, uint32_t version) {
    return hash_plain(checked) ^ (uint64_t)(version - 1) << 32;
}

void segment_header_encode(const struct segment_header *header,
                           const struct segment_source *sources, struct buffer *buffer) {
    assert(header->sources_count <= SPOOL_SOURCES_MAX);
    size_t begin = buffer->size;
    uint8_t fixed[SEGMENT_HEADER_SIZE] = {0};
    memcpy(fixed, segment_magic, sizeof segment_magic);
    bytes_put_32(fixed + 8, SEGMENT_VERSION);
    bytes_put_64(fixed + 24, header->salt);
    memcpy(fixed + 32, header->spool_id, SPOOL_ID_SIZE);
    bytes_put_64(fixed + 48, header->first);
    memcpy(fixed + 56, header->chain, SPOOL_CHAIN_SIZE);
    bytes_put_32(fixed + 72, header->sources_count);
    buffer_append(buffer, span_of(fixed, sizeof fixed));
    for (uint32_t index = 0; index < header->sources_count; index++) {
        const struct segment_source *source = &sources[index];
        struct span name = span_text(source->source.name), kind = span_text(source->source.kind);
        assert(source->position.size <= SPOOL_POSITION_SIZE_MAX);
        uint8_t sizes[SOURCE_FIXED_SIZE] = {(uint8_t)name.size, (uint8_t)kind.size};
        bytes_put_16(sizes + 2, (uint16_t)source->position.size);
        buffer_append(buffer, span_of(sizes, sizeof sizes));
        buffer_append(buffer, name);
        buffer_append(buffer, kind);
        buffer_append(buffer, source->position);
    }
    if (buffer_overflowed(buffer)) return;
    size_t size = buffer->size - begin;
    bytes_put_32(buffer->bytes + begin + 12, (uint32_t)size);
    struct span checked = span_of(buffer->bytes + begin + 24, size - 24);
    bytes_put_64(buffer->bytes + begin + 16, spool_check(checked, SEGMENT_VERSION) ^ size);
}

// Takes the next `size` bytes off the front. False if there are not so many.
static bool take(struct span *bytes, size_t size, struct span *taken) {
    if (bytes->size < size) return false;
    *taken = span_of(bytes->bytes, size);
    *bytes = span_from(*bytes, size);
    return true;
}

static bool take_source(struct span *bytes, struct segment_source *source) {
    struct span sizes, name, kind;
    if (!take(bytes, SOURCE_FIXED_SIZE, &sizes)) return false;
    size_t position_size = bytes_get_16(sizes.bytes + 2);
    if (sizes.bytes[0] == 0 || sizes.bytes[0] >= SPOOL_NAME_SIZE ||
        sizes.bytes[1] >= SPOOL_NAME_SIZE || position_size > SPOOL_POSITION_SIZE_MAX) {
        return false;
    }
    if (!take(bytes, sizes.bytes[0], &name) || !take(bytes, sizes.bytes[1], &kind) ||
        !take(bytes, position_size, &source->position)) {
        return false;
    }
    source->source = (struct spool_source){0};
    memcpy(source->source.name, name.bytes, name.size);
    memcpy(source->source.kind, kind.bytes, kind.size);
    return true;
}

bool segment_header_decode(struct span bytes, struct segment_header *header,
                           struct segment_source *sources, size_t *size, struct fault *fault) {
    const uint8_t *fixed = bytes.bytes;
    if (bytes.size < SEGMENT_HEADER_SIZE ||
        memcmp(fixed, segment_magic, sizeof segment_magic) != 0) {
        return fault_set(fault, FAULT_CORRUPT, "no spool segment");
    }
    uint32_t version = bytes_get_32(fixed + 8);
    size_t header_size = bytes_get_32(fixed + 12);
    if (header_size < SEGMENT_HEADER_SIZE || header_size > bytes.size ||
        (spool_check(span_of(fixed + 24, header_size - 24), version) ^ header_size) !=
            bytes_get_64(fixed + 16)) {
        return fault_set(fault, FAULT_CORRUPT, "damaged segment header");
    }
    if (version != SEGMENT_VERSION) {
        return fault_set(fault, FAULT_INPUT, "spool format %u is not known to this version",
                         version);
    }
    if (bytes_get_32(fixed + 72) > SPOOL_SOURCES_MAX) {
        return fault_set(fault, FAULT_CORRUPT, "damaged segment header");
    }
    struct segment_header decoded = {
        .salt = bytes_get_64(fixed + 24),
        .first = bytes_get_64(fixed + 48),
        .sources_count = bytes_get_32(fixed + 72),
    };
    memcpy(decoded.spool_id, fixed + 32, SPOOL_ID_SIZE);
    memcpy(decoded.chain, fixed + 56, SPOOL_CHAIN_SIZE);
    struct span rest = span_of(fixed + SEGMENT_HEADER_SIZE, header_size - SEGMENT_HEADER_SIZE);
    for (uint32_t index = 0; index < decoded.sources_count; index++) {
        if (!take_source(&rest, &sources[index])) {
            return fault_set(fault, FAULT_CORRUPT, "damaged segment header: source %u", index);
        }
    }
    *header = decoded;
    *size = header_size;
    return true;
}
