#include "base/gzip_writer.h"

#include <assert.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <stdlib.h>

enum {
    SIZE_MAX_OF_ONE = 1024 * 1024 * 1024,
    FAST_LEVEL = 2,  // ISA-L's own: as fast as its 1 and smaller
    FAST_MEMORY_SIZE = ISAL_DEF_LVL2_DEFAULT,
    FAST_SLACK_SIZE = 4096,  // headers, and those of blocks that do not deflate
};

struct gzip_writer {
    struct libdeflate_compressor *compressor;  // of levels from 2 on
    struct fast {
        struct isal_zstream stream;
        uint8_t memory[FAST_MEMORY_SIZE];
    } * fast;  // of level 1
};

struct gzip_writer *gzip_writer_create(int level) {
    assert(level >= 1);
    assert(level <= GZIP_WRITER_LEVEL_MAX);
    struct gzip_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return NULL;
    if (level == 1) {
        writer->fast = calloc(1, sizeof *writer->fast);
    } else {
        writer->compressor = libdeflate_alloc_compressor(level);
    }
    if (writer->fast != NULL || writer->compressor != NULL) return writer;
    free(writer);
    return NULL;
}

void gzip_writer_destroy(struct gzip_writer *writer) {
    if (writer == NULL) return;
    libdeflate_free_compressor(writer->compressor);
    free(writer->fast);
    free(writer);
}

// The room that the bytes need at most.
static size_t find_bound(const struct gzip_writer *writer, size_t size) {
    if (writer->fast == NULL) return libdeflate_gzip_compress_bound(writer->compressor, size);
    return size + size / 16 + FAST_SLACK_SIZE;
}

static size_t write_fast(struct fast *fast, struct span bytes, uint8_t *to, size_t room) {
    struct isal_zstream *stream = &fast->stream;
    isal_deflate_stateless_init(stream);
    stream->level = FAST_LEVEL;
    stream->level_buf = fast->memory;
    stream->level_buf_size = sizeof fast->memory;
    stream->gzip_flag = IGZIP_GZIP;
    stream->flush = NO_FLUSH;
    stream->end_of_stream = 1;
    stream->next_in = (uint8_t *)(uintptr_t)bytes.bytes;
    stream->avail_in = (uint32_t)bytes.size;
    stream->next_out = to;
    stream->avail_out = (uint32_t)room;
    int status = isal_deflate_stateless(stream);
    assert(status == COMP_OK);
    assert(stream->avail_in == 0);
    return stream->total_out;
}

bool gzip_writer_write(struct gzip_writer *writer, struct span bytes, struct buffer *output,
                       struct fault *fault) {
    assert(bytes.size <= SIZE_MAX_OF_ONE);
    size_t bound = find_bound(writer, bytes.size);
    uint8_t *to = buffer_reserve(output, bound);
    if (to == NULL) {
        return fault_set(fault, FAULT_FULL, "gzip: no room for %zu bytes compressed", bytes.size);
    }
    // Both bounds are for sure.
    size_t size = writer->fast != NULL ? write_fast(writer->fast, bytes, to, bound)
                                       : libdeflate_gzip_compress(writer->compressor, bytes.bytes,
                                                                  bytes.size, to, bound);
    assert(size > 0);
    output->size += size;
    return true;
}
