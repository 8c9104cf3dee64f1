// Spool frames: a segment of any bytes: its header, frames, and the search behind damage.

#include "agent/frame.h"

#include <assert.h>

#include "base/buffer.h"
#include "tests/fuzz/fuzz.h"

static const uint64_t SALT = 0x5a17;

// What was read must encode to the bytes it was read from.
static void check_frame(struct span bytes, const struct frame *frame, size_t size) {
    assert(size <= bytes.size && size == frame_size(frame));
    assert(frame->record.size > 0 && frame->record.size <= SPOOL_RECORD_SIZE_MAX);
    struct buffer buffer;
    buffer_init(&buffer, FRAME_SIZE_MAX);
    frame_encode(frame, SALT, &buffer);
    assert(span_equal(buffer_span(&buffer), span_of(bytes.bytes, size)));
    buffer_done(&buffer);
}

static void read_frames(struct span bytes) {
    while (bytes.size > 0) {
        struct frame frame;
        size_t size = 0;
        enum frame_result result = frame_decode(bytes, SALT, &frame, &size);
        if (result == FRAME_OK) {
            check_frame(bytes, &frame, size);
            bytes = span_from(bytes, size);
            continue;
        }
        if (result == FRAME_SHORT) {
            assert(size > bytes.size);
            assert(size <= FRAME_SIZE_MAX);
        }
        size_t skip = frame_scan(bytes);
        assert(skip >= 1 || bytes.size <= 3);
        if (skip == 0 || skip >= bytes.size) return;
        bytes = span_from(bytes, skip);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct segment_source sources[SPOOL_SOURCES_MAX];
    if (size < 1) return 0;
    struct span bytes = span_of(data + 1, size - 1);
    // A check that must match stops a fuzzer, so half of the inputs are wrapped in a good frame.
    if ((data[0] & 1) != 0 && bytes.size > 0 && bytes.size <= SPOOL_RECORD_SIZE_MAX) {
        struct frame made = {.number = data[0], .source = 1, .record = bytes};
        struct buffer buffer;
        buffer_init(&buffer, FRAME_SIZE_MAX);
        frame_encode(&made, SALT, &buffer);
        read_frames(buffer_span(&buffer));
        buffer_done(&buffer);
        return 0;
    }
    struct segment_header header;
    struct fault fault = {.kind = FAULT_NONE};
    size_t header_size = 0;
    if (segment_header_decode(bytes, &header, sources, &header_size, &fault)) {
        assert(header_size <= bytes.size && header.sources_count <= SPOOL_SOURCES_MAX);
        bytes = span_from(bytes, header_size);
    } else {
        assert(fault.kind == FAULT_CORRUPT || fault.kind == FAULT_INPUT);
    }
    read_frames(bytes);
    return 0;
}
