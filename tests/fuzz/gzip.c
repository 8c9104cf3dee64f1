// The gzip reader: any bytes, in pieces.

#include "base/gzip.h"

#include <assert.h>

#include "tests/fuzz/fuzz.h"

enum { INFLATED_SIZE_MAX = 4 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct gzip_reader *reader;
    static uint8_t output[65536];
    if (size < 1) return 0;
    if (reader == NULL) reader = gzip_reader_create(INFLATED_SIZE_MAX);
    assert(reader != NULL);
    gzip_reader_reset(reader);

    size_t piece_size = 1 + data[0] * 16U;
    struct span input = span_of(data + 1, size - 1);
    struct fault fault = {.kind = FAULT_NONE};
    uint64_t total = 0;
    while (input.size > 0) {
        struct span piece = input;
        if (piece.size > piece_size) piece.size = piece_size;
        input = span_from(input, piece.size);
        size_t written = sizeof output;
        while (written == sizeof output) {
            if (!gzip_reader_step(reader, &piece, output, sizeof output, &written, &fault)) {
                assert(fault.kind == FAULT_INPUT);
                return 0;
            }
            total += written;
            assert(total <= INFLATED_SIZE_MAX);
        }
        assert(piece.size == 0);
    }
    if (!gzip_reader_finish(reader, &fault)) assert(fault.kind == FAULT_INPUT);
    return 0;
}
