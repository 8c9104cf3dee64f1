#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool_internal.h"
#include "event/chain.h"

struct spool_reader {
    struct spool *spool;
    uint64_t next;     // number to give next
    uint64_t segment;  // first number of the open segment; 0: none is open
    int handle;
    uint64_t offset;  // of bytes[0] in the segment
    uint8_t *bytes;
    size_t capacity;
    size_t fill;  // bytes read
    size_t at;    // where the next frame begins in them
};

struct spool_reader *spool_reader_create(struct spool *spool) {
    struct spool_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    reader->bytes = malloc(SPOOL_READ_SIZE);
    if (reader->bytes == NULL) {
        free(reader);
        return NULL;
    }
    reader->capacity = SPOOL_READ_SIZE;
    reader->spool = spool;
    reader->next = spool->segments[0].first;
    return reader;
}

static void close_segment(struct spool_reader *reader) {
    if (reader->segment != 0) files_close(reader->spool->files, reader->handle);
    reader->segment = 0;
}

void spool_reader_destroy(struct spool_reader *reader) {
    if (reader == NULL) return;
    close_segment(reader);
    free(reader->bytes);
    free(reader);
}

void spool_reader_seek(struct spool_reader *reader, uint64_t number) {
    // A reader that goes on forward in its segment need not begin again.
    if (number < reader->next) close_segment(reader);
    reader->next = number;
}

static bool open_segment(struct spool_reader *reader, const struct segment *segment,
                         struct fault *fault) {
    if (reader->segment == segment->first) return true;
    close_segment(reader);
    char path[SPOOL_PATH_SIZE];
    spool_segment_path(reader->spool, segment->first, path);
    if (!files_open(reader->spool->files, path, FILES_READ, &reader->handle, fault)) return false;
    reader->segment = segment->first;
    reader->offset = segment->header_size;
    reader->fill = 0;
    reader->at = 0;
    return true;
}

// Reads on until `wanted` bytes lie behind `at`. *has is false if the segment ends before.
static bool fill_bytes(struct spool_reader *reader, size_t wanted, bool *has, struct fault *fault) {
    if (reader->at > 0) {
        memmove(reader->bytes, reader->bytes + reader->at, reader->fill - reader->at);
        reader->offset += reader->at;
        reader->fill -= reader->at;
        reader->at = 0;
    }
    if (wanted > reader->capacity) {
        uint8_t *bytes = realloc(reader->bytes, FRAME_SIZE_MAX);
        if (bytes == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a large frame");
        reader->bytes = bytes;
        reader->capacity = FRAME_SIZE_MAX;
    }
    while (reader->fill < wanted) {
        size_t got;
        if (!files_read_at(reader->spool->files, reader->handle, reader->offset + reader->fill,
                           reader->bytes + reader->fill, reader->capacity - reader->fill, &got,
                           fault)) {
            return false;
        }
        if (got == 0) break;
        reader->fill += got;
    }
    *has = reader->fill >= wanted;
    return true;
}

// Finds the next good frame of the open segment from `at` on, whatever lies between. *found is
// false at the segment's end. The frame stays at `at`.
static bool find_frame(struct spool_reader *reader, uint64_t last, struct frame *frame,
                       size_t *size, bool *found, struct fault *fault) {
    for (;;) {
        struct span rest = span_of(reader->bytes + reader->at, reader->fill - reader->at);
        enum frame_result result = frame_decode(rest, reader->spool->salt, frame, size);
        if (result == FRAME_SHORT) {
            bool has;
            if (!fill_bytes(reader, *size, &has, fault)) return false;
            if (has) continue;
            if (reader->fill == reader->at) {
                *found = false;
                return true;
            }
            result = FRAME_BAD;
        }
        if (result == FRAME_OK && frame->number >= reader->segment && frame->number <= last) {
            *found = true;
            return true;
        }
        size_t skipped = frame_scan(span_of(reader->bytes + reader->at, reader->fill - reader->at));
        reader->at += skipped == 0 ? 1 : skipped;
        if (reader->at > reader->fill) reader->at = reader->fill;
    }
}

bool spool_reader_walk(struct spool_reader *reader, uint32_t index, uint64_t last,
                       struct spool_found *found, struct fault *fault) {
    if (!open_segment(reader, &reader->spool->segments[index], fault)) return false;
    if (!find_frame(reader, last, &found->frame, &found->size, &found->is_found, fault)) {
        return false;
    }
    if (!found->is_found) {
        close_segment(reader);
        return true;
    }
    found->offset = reader->offset + reader->at;
    reader->at += found->size;
    return true;
}

static enum spool_next give_gap(struct spool_reader *reader, uint64_t last,
                                const uint8_t chain[SPOOL_CHAIN_SIZE], struct spool_gap *gap) {
    assert(last >= reader->next);
    gap->first = reader->next;
    gap->last = last;
    memcpy(gap->chain, chain, SPOOL_CHAIN_SIZE);
    reader->next = last + 1;
    return SPOOL_NEXT_GAP;
}

static enum spool_next give_frame(struct spool_reader *reader, const struct frame *found,
                                  size_t size, struct spool_frame *frame) {
    *frame = (struct spool_frame){
        .number = found->number,
        .kind = found->kind,
        .source = found->source,
        .appended_ms = found->appended_ms,
        .record = found->record,
        .object = found->object,
        .position = found->position,
        .size = size,
    };
    memcpy(frame->chain, found->chain, SPOOL_CHAIN_SIZE);
    reader->at += size;
    reader->next = found->number + 1;
    return SPOOL_NEXT_FRAME;
}

enum spool_next spool_reader_next(struct spool_reader *reader, struct spool_frame *frame,
                                  struct spool_gap *gap, struct fault *fault) {
    struct spool *spool = reader->spool;
    if (reader->next < spool->segments[0].first) {
        close_segment(reader);
        reader->next = spool->segments[0].first;
    }
    if (reader->next > spool->synced) return SPOOL_NEXT_END;

    uint32_t index = spool_find_segment(spool, reader->next);
    for (; index < spool->segments_count; index++) {
        uint64_t last = spool_segment_last(spool, index);
        if (last > spool->synced) last = spool->synced;
        if (!open_segment(reader, &spool->segments[index], fault)) return SPOOL_NEXT_FAULT;
        struct frame found;
        size_t size;
        bool has = true;
        while (has) {
            if (!find_frame(reader, last, &found, &size, &has, fault)) return SPOOL_NEXT_FAULT;
            if (!has) break;
            if (found.number == reader->next) return give_frame(reader, &found, size, frame);
            // The frame stays where it is: the next call gives it.
            if (found.number > reader->next) {
                return give_gap(reader, found.number - 1, found.chain, gap);
            }
            reader->at += size;
        }
    }
    // Nothing good up to the last synced frame. Its chain is known all the same.
    close_segment(reader);
    return give_gap(reader, spool->synced, spool->synced_chain, gap);
}

bool spool_chain_after(struct spool *spool, uint64_t number, bool *known,
                       uint8_t chain[SPOOL_CHAIN_SIZE], struct fault *fault) {
    assert(number <= spool->synced);
    if (number == spool->synced) {
        memcpy(chain, spool->synced_chain, SPOOL_CHAIN_SIZE);
        *known = true;
        return true;
    }
    if (number + 1 < spool->segments[0].first) {
        *known = false;
        return true;
    }
    if (spool->lookup == NULL) spool->lookup = spool_reader_create(spool);
    if (spool->lookup == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a reader");
    struct spool_frame frame;
    struct spool_gap gap;
    spool_reader_seek(spool->lookup, number);
    switch (spool_reader_next(spool->lookup, &frame, &gap, fault)) {
        case SPOOL_NEXT_FAULT:
            return false;
        case SPOOL_NEXT_FRAME:
            memcpy(chain, frame.chain, SPOOL_CHAIN_SIZE);
            if (frame.number == number)
                chain_advance(chain, frame.kind == SPOOL_NOTICE, frame.record);
            // The oldest frame also knows the chain after the one before it.
            *known = frame.number == number || frame.number == number + 1;
            return true;
        case SPOOL_NEXT_GAP:
            memcpy(chain, gap.chain, SPOOL_CHAIN_SIZE);
            *known = gap.last == number;
            return true;
        case SPOOL_NEXT_END:
            break;
    }
    *known = false;
    return true;
}

bool spool_read_header(const struct spool *spool, uint64_t first, struct buffer *buffer,
                       struct segment_header *header, struct segment_source *sources, size_t *size,
                       struct fault *fault) {
    char path[SPOOL_PATH_SIZE];
    spool_segment_path(spool, first, path);
    int handle;
    if (!files_open(spool->files, path, FILES_READ, &handle, fault)) return false;
    buffer_reset(buffer);
    uint8_t *bytes = buffer_reserve(buffer, SEGMENT_HEADER_SIZE_MAX);
    size_t fill = 0, got = 1;
    bool read = true;
    while (read && bytes != NULL && fill < SEGMENT_HEADER_SIZE_MAX && got > 0) {
        read = files_read_at(spool->files, handle, fill, bytes + fill,
                             SEGMENT_HEADER_SIZE_MAX - fill, &got, fault);
        if (read) fill += got;
    }
    files_close(spool->files, handle);
    if (!read) return false;
    if (bytes == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a segment header");
    buffer->size = fill;
    struct segment_header decoded;
    if (!segment_header_decode(buffer_span(buffer), &decoded, sources, size, fault)) {
        return fault_add(fault, "%s", path);
    }
    if (decoded.first != first) {
        return fault_set(fault, FAULT_CORRUPT, "%s: begins with another number than its name",
                         path);
    }
    *header = decoded;
    return true;
}

bool spool_position_before(struct spool *spool, uint64_t number, uint32_t source, uint64_t *before,
                           struct span *position, struct fault *fault) {
    assert(source < spool->sources_count);
    struct segment_source *sources = calloc(SPOOL_SOURCES_MAX, sizeof *sources);
    if (sources == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a segment header");
    struct buffer buffer;
    buffer_init(&buffer, SEGMENT_HEADER_SIZE_MAX);
    uint32_t index = spool_find_segment(spool, number);
    // A damaged header says nothing; the one before it and its frames do.
    while (index > 0 && spool->segments[index].header_size == 0) index--;
    struct segment_header header = {0};
    size_t size;
    bool read = spool->segments[index].header_size == 0 ||
                spool_read_header(spool, spool->segments[index].first, &buffer, &header, sources,
                                  &size, fault);
    if (read) {
        *before = spool->segments[index].first - 1;
        *position = (struct span){NULL, 0};
        if (source < header.sources_count && sources[source].position.size > 0) {
            spool->borrowed.size = sources[source].position.size;
            memcpy(spool->borrowed.bytes, sources[source].position.bytes, spool->borrowed.size);
            *position = span_of(spool->borrowed.bytes, spool->borrowed.size);
        }
    }
    buffer_done(&buffer);
    free(sources);
    return read;
}
