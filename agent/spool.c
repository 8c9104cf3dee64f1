#include "agent/spool.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool_internal.h"
#include "event/chain.h"

enum {
    FREE_PERCENT_MIN = 2,  // of the file system, or FREE_SIZE_MIN if that is less
};

#define FREE_SIZE_MIN (UINT64_C(1) << 30)

void spool_path(const struct spool *spool, const char *name, char text[SPOOL_PATH_SIZE]) {
    int size = snprintf(text, SPOOL_PATH_SIZE, "%s/%s", spool->directory, name);
    assert(size > 0 && size < SPOOL_PATH_SIZE);
}

void spool_segment_path(const struct spool *spool, uint64_t first, char text[SPOOL_PATH_SIZE]) {
    char name[40];
    snprintf(name, sizeof name, "%020" PRIu64 ".segment", first);
    spool_path(spool, name, text);
}

uint64_t spool_segment_last(const struct spool *spool, uint32_t index) {
    assert(index < spool->segments_count);
    if (index + 1 == spool->segments_count) return spool->appended;
    return spool->segments[index + 1].first - 1;
}

uint32_t spool_find_segment(const struct spool *spool, uint64_t number) {
    assert(spool->segments_count > 0);
    uint32_t low = 0, high = spool->segments_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (spool->segments[middle].first <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

bool spool_reserve_segment(struct spool *spool, struct fault *fault) {
    if (spool->segments_count < spool->segments_capacity) return true;
    uint32_t capacity = spool->segments_capacity == 0 ? 64 : spool->segments_capacity * 2;
    struct segment *segments = realloc(spool->segments, capacity * sizeof *segments);
    if (segments == NULL) return fault_set(fault, FAULT_FULL, "out of memory for segments");
    spool->segments = segments;
    spool->segments_capacity = capacity;
    return true;
}

static bool encode_header(const struct spool *spool, struct buffer *buffer, struct fault *fault) {
    struct segment_header header = {
        .salt = spool->salt,
        .first = spool->appended + 1,
        .sources_count = spool->sources_count,
    };
    memcpy(header.spool_id, spool->spool_id, SPOOL_ID_SIZE);
    memcpy(header.chain, spool->chain, SPOOL_CHAIN_SIZE);
    struct segment_source *sources = calloc(SPOOL_SOURCES_MAX, sizeof *sources);
    if (sources == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a segment header");
    for (uint32_t index = 0; index < spool->sources_count; index++) {
        sources[index].source = spool->sources[index];
        sources[index].position =
            span_of(spool->positions[index].bytes, spool->positions[index].size);
    }
    segment_header_encode(&header, sources, buffer);
    free(sources);
    if (buffer_overflowed(buffer)) {
        return fault_set(fault, FAULT_FULL, "out of memory for a segment header");
    }
    return true;
}

// Removes a segment that could not be opened: the one before it goes on, with the same numbers.
// A fault beside the one that is told already ends the process.
static void discard_segment(const struct spool *spool, const char *path, struct fault *fault) {
    struct fault undo;
    if (files_remove(spool->files, path, &undo) &&
        files_sync_directory(spool->files, spool->directory, &undo)) {
        return;
    }
    *fault = undo;
    fault->kind = FAULT_IO;
    fault_add(fault, "undo a segment");
}

bool spool_begin_segment(struct spool *spool, struct fault *fault) {
    assert(spool->synced == spool->appended);
    assert(spool->buffer.size == 0);
    if (!spool_reserve_segment(spool, fault)) return false;

    struct buffer header;
    buffer_init(&header, SEGMENT_HEADER_SIZE_MAX);
    char path[SPOOL_PATH_SIZE];
    uint64_t first = spool->appended + 1;
    spool_segment_path(spool, first, path);
    uint32_t count = spool->segments_count;
    // An empty last segment is replaced by one with more sources or a good header.
    bool replaces = count > 0 && spool->segments[count - 1].first == first;
    bool written =
        encode_header(spool, &header, fault) &&
        files_write_whole(spool->files, path, buffer_span(&header), SPOOL_FILE_MODE, fault);
    size_t header_size = header.size;
    buffer_done(&header);
    int handle;
    // It may have got its name also where writing it failed at the end.
    if (!written || !files_open(spool->files, path, FILES_APPEND, &handle, fault)) {
        if (!replaces) discard_segment(spool, path, fault);
        return false;
    }
    if (replaces) {
        spool->size -= spool->segments[count - 1].size;
        spool->segments_count--;
    }
    if (spool->handle >= 0) files_close(spool->files, spool->handle);
    spool->handle = handle;
    spool->written = header_size;
    spool->is_unsynced = false;
    spool->segments[spool->segments_count++] =
        (struct segment){.first = first, .size = header_size, .header_size = header_size};
    spool->size += header_size;
    return true;
}

// Removes the oldest segment; all its frames are acknowledged.
static bool remove_oldest(struct spool *spool, struct fault *fault) {
    assert(spool->segments_count > 1);
    assert(spool_segment_last(spool, 0) <= spool->acknowledged);
    char path[SPOOL_PATH_SIZE];
    spool_segment_path(spool, spool->segments[0].first, path);
    if (!files_remove(spool->files, path, fault)) return false;
    spool->size -= spool->segments[0].size;
    spool->segments_count--;
    memmove(spool->segments, spool->segments + 1, spool->segments_count * sizeof *spool->segments);
    return true;
}

// Whether the oldest segment is kept only for a collector that might be restored.
static bool is_oldest_spare(const struct spool *spool) {
    return spool->segments_count > 1 && spool_segment_last(spool, 0) <= spool->acknowledged;
}

// Makes room for `size` more bytes below the limit. What is urgent goes in where there is none.
static bool make_room(struct spool *spool, uint64_t size, bool is_urgent, struct fault *fault) {
    while (spool->size + size > spool->size_max) {
        if (!is_oldest_spare(spool)) {
            if (is_urgent) return true;
            return fault_set(fault, FAULT_FULL,
                             "spool %s is full: %" PRIu64 " bytes of at most %" PRIu64
                             " wait for the collector",
                             spool->directory, spool->size, spool->size_max);
        }
        if (!remove_oldest(spool, fault)) return false;
    }
    return true;
}

// A spool must not be what fills a disk that others use too: gives up spare segments, then refuses.
static bool check_free(struct spool *spool, struct fault *fault) {
    uint64_t free_size, free_min;
    for (;;) {
        uint64_t total_size;
        if (!files_measure_free(spool->files, spool->directory, &free_size, &total_size, fault)) {
            return false;
        }
        free_min = total_size / 100 * FREE_PERCENT_MIN;
        if (free_min > FREE_SIZE_MIN) free_min = FREE_SIZE_MIN;
        if (free_size >= free_min) return true;
        if (!is_oldest_spare(spool)) break;
        if (!remove_oldest(spool, fault)) return false;
    }
    return fault_set(fault, FAULT_FULL,
                     "disk of spool %s has %" PRIu64 " bytes free, less than %" PRIu64
                     ": make room or move the spool",
                     spool->directory, free_size, free_min);
}

// Hands the buffer to the files; all of it or nothing.
static bool try_write_buffer(struct spool *spool, struct fault *fault) {
    if (files_append(spool->files, spool->handle, buffer_span(&spool->buffer), fault)) {
        spool->written += spool->buffer.size;
        spool->is_unsynced = true;
        buffer_reset(&spool->buffer);
        return true;
    }
    // Part of it may stand in the file now; it is written again as a whole.
    struct fault undo;
    if (!files_truncate(spool->files, spool->handle, spool->written, &undo)) {
        *fault = undo;
        fault->kind = FAULT_IO;
        return fault_add(fault, "undo an append");
    }
    return false;
}

// The same; a full disk costs spare segments first.
static bool write_buffer(struct spool *spool, struct fault *fault) {
    if (spool->buffer.size == 0) return true;
    while (!try_write_buffer(spool, fault)) {
        if (fault->kind != FAULT_FULL || !is_oldest_spare(spool)) return false;
        if (!remove_oldest(spool, fault)) return false;
    }
    return true;
}

// Waits for the sync that was begun, if any.
static bool end_sync(struct spool *spool, struct fault *fault) {
    if (!spool->is_syncing) return true;
    spool->is_syncing = false;
    if (!files_sync_end(spool->files, spool->handle, fault)) {
        // Also when it says that the disk is full: nobody knows which pages are gone.
        fault->kind = FAULT_IO;
        return fault_add(fault, "sync the spool");
    }
    spool->synced = spool->syncing;
    memcpy(spool->synced_chain, spool->syncing_chain, SPOOL_CHAIN_SIZE);
    return true;
}

bool spool_sync_begin(struct spool *spool, struct fault *fault) {
    if (!end_sync(spool, fault)) return false;
    if (!write_buffer(spool, fault)) return fault_add(fault, "write the spool");
    if (!spool->is_unsynced) return true;
    spool->is_unsynced = false;
    spool->is_syncing = true;
    spool->syncing = spool->appended;
    memcpy(spool->syncing_chain, spool->chain, SPOOL_CHAIN_SIZE);
    files_sync_begin(spool->files, spool->handle);
    return true;
}

bool spool_is_syncing(const struct spool *spool) {
    return spool->is_syncing && !files_sync_is_done(spool->files, spool->handle);
}

bool spool_sync(struct spool *spool, struct fault *fault) {
    if (!spool_sync_begin(spool, fault) || !end_sync(spool, fault)) return false;
    assert(spool->synced == spool->appended);
    return true;
}

// Makes sure that a frame of this size may be put into the buffer.
static bool prepare_append(struct spool *spool, size_t size, bool is_urgent, struct fault *fault) {
    const struct segment *last = &spool->segments[spool->segments_count - 1];
    bool has_frames = spool->appended >= last->first;
    if (has_frames && last->size + size > spool->segment_size) {
        if (!is_urgent && !check_free(spool, fault)) return false;
        if (!spool_sync(spool, fault)) return false;
        if (!make_room(spool, size + SEGMENT_HEADER_SIZE, is_urgent, fault)) return false;
        if (!spool_begin_segment(spool, fault)) return fault_add(fault, "begin a spool segment");
    }
    if (!make_room(spool, size, is_urgent, fault)) return false;
    if (spool->buffer.size + size > SPOOL_BUFFER_SIZE_MAX && !write_buffer(spool, fault)) {
        return fault_add(fault, "write the spool");
    }
    return true;
}

bool spool_append(struct spool *spool, const struct spool_item *item, uint64_t *number,
                  struct fault *fault) {
    assert(item->source < spool->sources_count);
    assert(item->record.size > 0);
    assert(item->record.size <= SPOOL_RECORD_SIZE_MAX);

    struct frame frame = {
        .number = spool->appended + 1,
        .synced = spool->synced,
        .appended_ms = spool->clock->now_ms(spool->clock->context),
        .source = item->source,
        .kind = item->kind,
        .position = item->position,
        .object = item->object,
        .record = item->record,
    };
    size_t size = frame_size(&frame);
    if (!prepare_append(spool, size, item->is_urgent, fault)) return false;
    // Preparing may have synced.
    frame.synced = spool->synced;
    memcpy(frame.chain, spool->chain, SPOOL_CHAIN_SIZE);
    frame_encode(&frame, spool->salt, &spool->buffer);
    if (buffer_overflowed(&spool->buffer)) {
        spool->buffer.overflowed = false;
        return fault_set(fault, FAULT_FULL, "out of memory for the spool's buffer");
    }
    spool->segments[spool->segments_count - 1].size += size;
    spool->size += size;
    spool->appended++;
    chain_advance(spool->chain, item->kind == SPOOL_NOTICE, item->record);
    struct spool_position *position = &spool->positions[item->source];
    position->size = item->position.size;
    if (item->position.size > 0) {
        memcpy(position->bytes, item->position.bytes, item->position.size);
    }
    *number = spool->appended;
    return true;
}

void spool_acknowledge(struct spool *spool, uint64_t number) {
    assert(number <= spool->synced);
    if (number <= spool->acknowledged) return;
    spool->acknowledged = number;
    spool->stream_is_dirty = true;
}

void spool_unacknowledge(struct spool *spool, uint64_t number) {
    if (number >= spool->acknowledged) return;
    uint64_t oldest = spool->segments[0].first;
    spool->acknowledged = number < oldest ? oldest - 1 : number;
    spool->stream_is_dirty = true;
}

bool spool_save(struct spool *spool, struct fault *fault) {
    if (!spool->stream_is_dirty) return true;
    if (!spool_write_stream(spool, fault)) return fault_add(fault, "save the acknowledged number");
    spool->stream_is_dirty = false;
    return true;
}

void spool_set_epoch(struct spool *spool, struct span epoch) {
    assert(epoch.size <= SPOOL_EPOCH_SIZE_MAX);
    if (span_equal(epoch, spool_epoch(spool))) return;
    if (epoch.size > 0) memcpy(spool->epoch, epoch.bytes, epoch.size);
    spool->epoch_size = epoch.size;
    spool->stream_is_dirty = true;
}

bool spool_restream(struct spool *spool, struct fault *fault) {
    uint8_t stream_id[SPOOL_ID_SIZE];
    uint64_t base = spool->base, acknowledged = spool->acknowledged;
    memcpy(stream_id, spool->stream_id, SPOOL_ID_SIZE);

    random_fill(spool->random, spool->stream_id, SPOOL_ID_SIZE);
    spool->base = spool->segments[0].first - 1;
    spool->acknowledged = spool->base;
    if (spool_write_stream(spool, fault)) {
        spool->stream_is_dirty = false;
        return true;
    }
    memcpy(spool->stream_id, stream_id, SPOOL_ID_SIZE);
    spool->base = base;
    spool->acknowledged = acknowledged;
    return fault_add(fault, "take a new stream id");
}

// Bytes of frames that are not acknowledged; in a segment that is partly so, in proportion.
static uint64_t measure_unacknowledged(const struct spool *spool) {
    uint64_t sum = 0;
    for (uint32_t index = spool->segments_count; index > 0; index--) {
        const struct segment *segment = &spool->segments[index - 1];
        uint64_t last = spool_segment_last(spool, index - 1);
        if (last <= spool->acknowledged) break;
        uint64_t count = last - segment->first + 1;
        uint64_t left = last - spool->acknowledged;
        uint64_t size = segment->size - segment->header_size;
        sum += left >= count ? size : size / count * left;
    }
    return sum;
}

void spool_describe(const struct spool *spool, struct spool_facts *facts) {
    *facts = (struct spool_facts){
        .base = spool->base,
        .first = spool->segments[0].first,
        .acknowledged = spool->acknowledged,
        .synced = spool->synced,
        .appended = spool->appended,
        .size = spool->size,
        .unacknowledged_size = measure_unacknowledged(spool),
        .size_max = spool->size_max,
    };
    memcpy(facts->spool_id, spool->spool_id, SPOOL_ID_SIZE);
    memcpy(facts->stream_id, spool->stream_id, SPOOL_ID_SIZE);
}

struct span spool_epoch(const struct spool *spool) {
    return span_of(spool->epoch, spool->epoch_size);
}

uint32_t spool_source_index(const struct spool *spool, const char *name) {
    for (uint32_t index = 0; index < spool->sources_count; index++) {
        if (strcmp(spool->sources[index].name, name) == 0) return index;
    }
    return UINT32_MAX;
}

const struct spool_source *spool_sources(const struct spool *spool, uint32_t *count) {
    *count = spool->sources_count;
    return spool->sources;
}

struct span spool_position(const struct spool *spool, uint32_t source) {
    assert(source < spool->sources_count);
    return span_of(spool->positions[source].bytes, spool->positions[source].size);
}

void spool_close(struct spool *spool) {
    if (spool == NULL) return;
    spool_reader_destroy(spool->lookup);
    struct fault unused;
    // Whatever it says, the next start finds out what the disk holds.
    (void)!end_sync(spool, &unused);
    if (spool->handle >= 0) files_close(spool->files, spool->handle);
    if (spool->lock >= 0) files_close(spool->files, spool->lock);
    buffer_done(&spool->buffer);
    free(spool->positions);
    free(spool->segments);
    free(spool->directory);
    free(spool);
}
