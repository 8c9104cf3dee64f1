#include "base/gzip.h"

#include <assert.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    WINDOW_BITS_GZIP = 15 + 16,          // zlib: the largest window, gzip headers only
    RATIO_FREE_SIZE = 1024 * 1024,       // inflated bytes before the ratio is judged
    CALL_SIZE_MAX = 1024 * 1024 * 1024,  // bytes of one call; zlib counts in 32 bits
    GZIP_FIRST_BYTE = 0x1F,
};

enum place {
    PLACE_START,    // nothing has come yet
    PLACE_MEMBER,   // inside a member
    PLACE_BETWEEN,  // a member has ended; another one, zeros or nothing may follow
    PLACE_PADDING,  // zeros have come: only zeros may follow (tapes and blocks are filled up so)
};

struct gzip_reader {
    z_stream stream;
    enum place place;
    uint64_t size_max;
    uint64_t taken;  // compressed bytes, all members
    uint64_t given;  // inflated bytes
};

struct gzip_reader *gzip_reader_create(uint64_t size_max) {
    struct gzip_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    if (inflateInit2(&reader->stream, WINDOW_BITS_GZIP) != Z_OK) {
        free(reader);
        return NULL;
    }
    reader->size_max = size_max;
    return reader;
}

void gzip_reader_destroy(struct gzip_reader *reader) {
    if (reader == NULL) return;
    inflateEnd(&reader->stream);
    free(reader);
}

void gzip_reader_reset(struct gzip_reader *reader) {
    inflateReset(&reader->stream);
    reader->place = PLACE_START;
    reader->taken = 0;
    reader->given = 0;
}

// Decides what the next byte begins. Zeros behind the last member are skipped one at a time.
static bool enter(struct gzip_reader *reader, struct span *input, struct fault *fault) {
    uint8_t byte = input->bytes[0];
    if (reader->place == PLACE_START) {
        reader->place = PLACE_MEMBER;
        return true;
    }
    if (byte == 0) {
        reader->place = PLACE_PADDING;
        reader->taken++;
        *input = span_from(*input, 1);
        return true;
    }
    if (reader->place == PLACE_BETWEEN && byte == GZIP_FIRST_BYTE) {
        reader->place = PLACE_MEMBER;
        inflateReset(&reader->stream);
        return true;
    }
    return fault_set(fault, FAULT_INPUT, "gzip: byte %" PRIu64 " is past the end of the file",
                     reader->taken);
}

// Inflates what fits into output, and no more than the end of this member.
static bool inflate_some(struct gzip_reader *reader, struct span *input, uint8_t *output,
                         size_t output_size, size_t *written, struct fault *fault) {
    z_stream *stream = &reader->stream;
    uInt input_size = (uInt)(input->size < CALL_SIZE_MAX ? input->size : CALL_SIZE_MAX);
    uInt room = (uInt)(output_size < CALL_SIZE_MAX ? output_size : CALL_SIZE_MAX);
    stream->next_in = (Bytef *)(uintptr_t)input->bytes;
    stream->avail_in = input_size;
    stream->next_out = output;
    stream->avail_out = room;
    int status = inflate(stream, Z_NO_FLUSH);
    size_t taken = input_size - stream->avail_in;
    *written = room - stream->avail_out;
    *input = span_from(*input, taken);
    reader->taken += taken;
    reader->given += *written;
    stream->next_in = NULL;
    stream->next_out = NULL;

    if (status == Z_STREAM_END) {
        reader->place = PLACE_BETWEEN;
    } else if (status == Z_MEM_ERROR) {
        return fault_set(fault, FAULT_FULL, "gzip: no memory");
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return fault_set(fault, FAULT_INPUT, "gzip: corrupt at byte %" PRIu64 ": %s", reader->taken,
                         stream->msg == NULL ? "bad data" : stream->msg);
    }
    if (reader->given > reader->size_max) {
        return fault_set(fault, FAULT_INPUT,
                         "gzip: inflates to more than the %" PRIu64 " bytes allowed",
                         reader->size_max);
    }
    if (reader->given > RATIO_FREE_SIZE && reader->given / GZIP_RATIO_MAX > reader->taken) {
        return fault_set(fault, FAULT_INPUT,
                         "gzip: the first %" PRIu64 " bytes inflate to %" PRIu64
                         ", more than %d times as many",
                         reader->taken, reader->given, GZIP_RATIO_MAX);
    }
    return true;
}

bool gzip_reader_step(struct gzip_reader *reader, struct span *input, uint8_t *output,
                      size_t output_size, size_t *written, struct fault *fault) {
    struct span rest = *input;
    size_t total = 0;
    while (total < output_size) {
        if (reader->place != PLACE_MEMBER) {
            if (rest.size == 0) break;
            if (!enter(reader, &rest, fault)) {
                *written = total;
                return false;
            }
            continue;
        }
        // Without input there may still be output that did not fit before.
        size_t part, before = rest.size;
        if (!inflate_some(reader, &rest, output + total, output_size - total, &part, fault)) {
            *written = total + part;
            return false;
        }
        total += part;
        if (part == 0 && rest.size == before && reader->place == PLACE_MEMBER) break;
    }
    assert(total == output_size || rest.size == 0);
    *input = rest;
    *written = total;
    return true;
}

bool gzip_reader_finish(struct gzip_reader *reader, struct fault *fault) {
    if (reader->place == PLACE_BETWEEN || reader->place == PLACE_PADDING) return true;
    return fault_set(fault, FAULT_INPUT, "gzip: truncated after %" PRIu64 " bytes", reader->taken);
}

bool gzip_inflate_whole(struct span file, uint8_t *output, size_t output_size, size_t *written) {
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    if (decompressor == NULL) return false;
    size_t taken, given;
    enum libdeflate_result result = libdeflate_gzip_decompress_ex(
        decompressor, file.bytes, file.size, output, output_size, &taken, &given);
    libdeflate_free_decompressor(decompressor);
    if (result != LIBDEFLATE_SUCCESS || taken != file.size) return false;
    *written = given;
    return true;
}

bool gzip_write(struct span bytes, int level, struct buffer *output, struct fault *fault) {
    assert(level >= 1);
    assert(level <= 12);
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(level);
    if (compressor == NULL) return fault_set(fault, FAULT_FULL, "gzip: no memory");
    size_t bound = libdeflate_gzip_compress_bound(compressor, bytes.size);
    uint8_t *to = buffer_reserve(output, bound);
    size_t size = 0;
    // libdeflate's bound is for sure, so only the buffer can be too small.
    if (to != NULL) {
        size = libdeflate_gzip_compress(compressor, bytes.bytes, bytes.size, to, bound);
        assert(size > 0);
    }
    libdeflate_free_compressor(compressor);
    if (to == NULL) {
        return fault_set(fault, FAULT_FULL, "gzip: no room for %zu bytes compressed", bytes.size);
    }
    output->size += size;
    return true;
}
