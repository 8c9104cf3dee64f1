#include "agent/batch.h"

#include <assert.h>
#include <string.h>

// Field numbers of proto/orgtrail.proto with their wire types: number << 3 | type.
enum {
    TAG_MESSAGE_BATCH = 2 << 3 | 2,
    TAG_BATCH_FIRST_SEQ = 1 << 3,
    TAG_BATCH_EVENTS = 2 << 3 | 2,
    TAG_BATCH_SENT_AT_MS = 3 << 3,
    TAG_BATCH_CHAIN = 6 << 3 | 2,
    TAG_EVENT_RECORD = 1 << 3 | 2,
    TAG_EVENT_SOURCE = 2 << 3,
    TAG_EVENT_KIND = 3 << 3,
    TAG_EVENT_OBJECT = 4 << 3 | 2,
};

static uint8_t *put_number(uint8_t *to, uint64_t value) {
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static size_t measure_number(uint64_t value) {
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

static uint8_t *put_bytes(uint8_t *to, uint8_t tag, struct span bytes) {
    *to++ = tag;
    to = put_number(to, bytes.size);
    memcpy(to, bytes.bytes, bytes.size);
    return to + bytes.size;
}

void batch_init(struct batch *batch) {
    *batch = (struct batch){0};
    buffer_init(&batch->buffer, BATCH_MESSAGE_SIZE_MAX);
}

void batch_done(struct batch *batch) {
    buffer_done(&batch->buffer);
}

void batch_reset(struct batch *batch) {
    buffer_reset(&batch->buffer);
    batch->count = 0;
}

size_t batch_size(const struct batch *batch) {
    return batch->count == 0 ? 0 : batch->buffer.size - BATCH_HEAD_SIZE;
}

size_t batch_measure(const struct spool_frame *frame, bool with_object) {
    return frame->record.size + (with_object ? frame->object.size : 0) + BATCH_EVENT_EXTRA_SIZE;
}

bool batch_add(struct batch *batch, const struct spool_frame *frame, bool with_object) {
    assert(batch->count == 0 || frame->number == batch->last + 1);
    assert(frame->record.size > 0);
    struct span object = with_object ? frame->object : (struct span){NULL, 0};
    if (batch->count == 0) {
        buffer_reset(&batch->buffer);
        if (buffer_reserve(&batch->buffer, BATCH_HEAD_SIZE) == NULL) return false;
        batch->buffer.size = BATCH_HEAD_SIZE;
    }
    uint8_t *begin = buffer_reserve(&batch->buffer, batch_measure(frame, with_object));
    if (begin == NULL) {
        batch->buffer.overflowed = false;
        return false;
    }
    size_t size = 1 + measure_number(frame->record.size) + frame->record.size;
    if (frame->source != 0) size += 1 + measure_number(frame->source);
    if (frame->kind != SPOOL_RECORD) size += 2;
    if (object.size > 0) size += 1 + measure_number(object.size) + object.size;

    uint8_t *to = begin;
    *to++ = TAG_BATCH_EVENTS;
    to = put_number(to, size);
    const uint8_t *event = to;
    to = put_bytes(to, TAG_EVENT_RECORD, frame->record);
    if (frame->source != 0) {
        *to++ = TAG_EVENT_SOURCE;
        to = put_number(to, frame->source);
    }
    if (frame->kind != SPOOL_RECORD) {
        *to++ = TAG_EVENT_KIND;
        to = put_number(to, (uint64_t)frame->kind);
    }
    if (object.size > 0) to = put_bytes(to, TAG_EVENT_OBJECT, object);
    assert((size_t)(to - event) == size);
    batch->buffer.size += (size_t)(to - begin);

    if (batch->count == 0) {
        batch->first = frame->number;
        batch->oldest_ms = frame->appended_ms;
        memcpy(batch->chain, frame->chain, SPOOL_CHAIN_SIZE);
    }
    batch->last = frame->number;
    batch->count++;
    return true;
}

struct span batch_finish(struct batch *batch, uint64_t base, int64_t sent_at_ms) {
    assert(batch->count > 0);
    assert(batch->first > base);
    uint8_t fields[BATCH_HEAD_SIZE], head[BATCH_HEAD_SIZE];
    uint8_t *to = fields;
    *to++ = TAG_BATCH_FIRST_SEQ;
    to = put_number(to, batch->first - base);
    *to++ = TAG_BATCH_SENT_AT_MS;
    to = put_number(to, (uint64_t)sent_at_ms);
    to = put_bytes(to, TAG_BATCH_CHAIN, span_of(batch->chain, SPOOL_CHAIN_SIZE));
    size_t fields_size = (size_t)(to - fields);

    to = head;
    *to++ = TAG_MESSAGE_BATCH;
    to = put_number(to, fields_size + batch_size(batch));
    size_t head_size = (size_t)(to - head);
    assert(head_size + fields_size <= BATCH_HEAD_SIZE);
    uint8_t *begin = batch->buffer.bytes + BATCH_HEAD_SIZE - head_size - fields_size;
    memcpy(begin, head, head_size);
    memcpy(begin + head_size, fields, fields_size);
    return span_of(begin, (size_t)(batch->buffer.bytes + batch->buffer.size - begin));
}
