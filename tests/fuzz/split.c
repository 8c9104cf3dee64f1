// The splitter: any bytes, in one piece and in pieces, as a file and as lines.

#include "event/split.h"

#include <assert.h>

#include "tests/fuzz/fuzz.h"

enum { RECORD_SIZE = 64 * 1024 };

// What one pass over a stream gave.
struct outcome {
    uint64_t records;
    uint64_t bytes;
    uint64_t oversize;
    uint64_t position;
    bool is_bad;
};

static struct outcome pass(struct span input, bool lines, size_t piece_size) {
    struct outcome outcome = {0};
    struct split *split = split_create(RECORD_SIZE, lines);
    assert(split != NULL);
    while (input.size > 0 && !outcome.is_bad) {
        struct span piece = input;
        if (piece.size > piece_size) piece.size = piece_size;
        input = span_from(input, piece.size);
        enum split_result result = SPLIT_RECORD;
        while (result != SPLIT_MORE && result != SPLIT_BAD) {
            struct span record;
            uint64_t offset = 0;
            struct fault fault = {.kind = FAULT_NONE};
            result = split_step(split, &piece, &record, &offset, &fault);
            if (result == SPLIT_RECORD) {
                assert(record.size > 0 && record.size <= RECORD_SIZE);
                outcome.records++;
                outcome.bytes += record.size;
            }
            outcome.oversize += result == SPLIT_OVERSIZE;
            outcome.is_bad = result == SPLIT_BAD;
            if (result == SPLIT_BAD) assert(fault.kind == FAULT_INPUT);
        }
        uint64_t position = split_position(split);
        assert(position >= outcome.position);
        outcome.position = position;
    }
    struct fault fault;
    if (!outcome.is_bad && !split_finish(split, &fault)) outcome.is_bad = true;
    split_destroy(split);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    bool lines = (data[0] & 1) != 0;
    size_t piece_size = 1 + data[1];
    struct span input = span_of(data + 2, size - 2);
    struct outcome whole = pass(input, lines, SIZE_MAX);
    struct outcome pieces = pass(input, lines, piece_size);
    // How the bytes arrive must not matter.
    assert(whole.records == pieces.records);
    assert(whole.bytes == pieces.bytes);
    assert(whole.oversize == pieces.oversize);
    assert(whole.is_bad == pieces.is_bad);
    return 0;
}
