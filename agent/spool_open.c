#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool_internal.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "event/chain.h"

// The file `stream`, little endian:
//   0 magic 8 bytes, 8 version u32, 12 zero u32, 16 check u64, 24 salt u64, 32 spool id 16 bytes,
//   48 stream id 16 bytes, 64 base u64, 72 acknowledged u64, 80 epoch size u64, 88 epoch 32 bytes.
static const uint8_t stream_magic[8] = {'O', 'T', 'S', 'T', 'R', 'E', 'A', 'M'};

enum {
    STREAM_VERSION = 1,
    STREAM_SIZE = 120,
    SIZE_MAX_MIN = 64 * 1024,
    SEGMENT_SIZE_MIN = 4096,
    SEGMENT_SHARE = 8,  // of the limit: a spool gives up space by the segment
    DISK_SHARE = 64,    // of the disk, so that a small one is not filled by the last segment
};

bool spool_write_stream(struct spool *spool, struct fault *fault) {
    uint8_t bytes[STREAM_SIZE] = {0};
    memcpy(bytes, stream_magic, sizeof stream_magic);
    bytes[8] = STREAM_VERSION;
    bytes_put_64(bytes + 24, spool->salt);
    memcpy(bytes + 32, spool->spool_id, SPOOL_ID_SIZE);
    memcpy(bytes + 48, spool->stream_id, SPOOL_ID_SIZE);
    bytes_put_64(bytes + 64, spool->base);
    bytes_put_64(bytes + 72, spool->acknowledged);
    bytes_put_64(bytes + 80, spool->epoch_size);
    memcpy(bytes + 88, spool->epoch, spool->epoch_size);
    struct span checked = span_of(bytes + 24, sizeof bytes - 24);
    bytes_put_64(bytes + 16, spool_check(checked, STREAM_VERSION));
    char path[SPOOL_PATH_SIZE];
    spool_path(spool, "stream", path);
    return files_write_whole(spool->files, path, span_of(bytes, sizeof bytes), SPOOL_FILE_MODE,
                             fault);
}

// Reads the file `stream`. *usable is false if it is missing or damaged.
static bool read_stream(struct spool *spool, bool *usable, struct fault *fault) {
    *usable = false;
    char path[SPOOL_PATH_SIZE];
    spool_path(spool, "stream", path);
    bool exists;
    struct files_entry entry;
    if (!files_find(spool->files, path, &exists, &entry, fault)) return false;
    if (!exists) return true;
    int handle;
    if (!files_open(spool->files, path, FILES_READ, &handle, fault)) return false;
    uint8_t bytes[STREAM_SIZE];
    size_t got;
    bool read = files_read_at(spool->files, handle, 0, bytes, sizeof bytes, &got, fault);
    files_close(spool->files, handle);
    if (!read) return false;
    if (got < sizeof bytes || memcmp(bytes, stream_magic, sizeof stream_magic) != 0) return true;
    struct span checked = span_of(bytes + 24, sizeof bytes - 24);
    if (spool_check(checked, bytes[8]) != bytes_get_64(bytes + 16)) return true;
    if (bytes[8] != STREAM_VERSION) {
        return fault_set(fault, FAULT_INPUT, "%s: format %u is not known to this version", path,
                         bytes[8]);
    }
    if (bytes_get_64(bytes + 80) > SPOOL_EPOCH_SIZE_MAX) return true;
    spool->salt = bytes_get_64(bytes + 24);
    memcpy(spool->spool_id, bytes + 32, SPOOL_ID_SIZE);
    memcpy(spool->stream_id, bytes + 48, SPOOL_ID_SIZE);
    spool->base = bytes_get_64(bytes + 64);
    spool->acknowledged = bytes_get_64(bytes + 72);
    spool->epoch_size = bytes_get_64(bytes + 80);
    memcpy(spool->epoch, bytes + 88, spool->epoch_size);
    *usable = true;
    return true;
}

// While listing the folder.
struct listing {
    struct spool *spool;
    bool is_broken;  // *fault is set
    struct fault *fault;
};

static bool on_entry(void *user, const struct files_entry *entry) {
    struct listing *listing = user;
    struct spool *spool = listing->spool;
    uint64_t first;
    int end = 0;
    if (strlen(entry->name) != 28 ||
        sscanf(entry->name, "%20" SCNu64 ".segment%n", &first, &end) != 1 || end != 28 ||
        first == 0) {
        return true;
    }
    if (!spool_reserve_segment(spool, listing->fault)) {
        listing->is_broken = true;
        return false;
    }
    spool->segments[spool->segments_count++] =
        (struct segment){.first = first, .size = entry->size};
    spool->size += entry->size;
    return true;
}

// What recovery works with.
struct recovery {
    struct spool *spool;
    struct spool_reader *reader;
    struct buffer header;
    struct segment_source *sources;
    bool has_salt;          // from `stream` or a header
    bool needs_stream;      // the file `stream` was not usable, or the chain is lost
    uint64_t chain_number;  // spool->chain is the chain after this number
    uint64_t synced_end;    // of the last segment, what surely was synced
};

// Takes over the sources of a header: later headers know at least as many.
static void take_sources(struct spool *spool, const struct segment_header *header,
                         const struct segment_source *sources) {
    for (uint32_t index = 0; index < header->sources_count; index++) {
        spool->sources[index] = sources[index].source;
        struct spool_position *position = &spool->positions[index];
        position->size = sources[index].position.size;
        if (position->size > 0) {
            memcpy(position->bytes, sources[index].position.bytes, position->size);
        }
    }
    if (header->sources_count > spool->sources_count) spool->sources_count = header->sources_count;
}

// Reads one segment's header into recovery->sources. A damaged one is noted, not refused.
static bool load_header(struct recovery *recovery, uint32_t index, struct segment_header *header,
                        struct fault *fault) {
    struct spool *spool = recovery->spool;
    struct segment *segment = &spool->segments[index];
    segment->header_size = 0;
    size_t size;
    if (!spool_read_header(spool, segment->first, &recovery->header, header, recovery->sources,
                           &size, fault)) {
        return fault->kind == FAULT_CORRUPT;
    }
    if (recovery->has_salt && memcmp(header->spool_id, spool->spool_id, SPOOL_ID_SIZE) != 0) {
        char path[SPOOL_PATH_SIZE];
        spool_segment_path(spool, segment->first, path);
        return fault_set(fault, FAULT_CORRUPT, "%s belongs to another spool: move it away", path);
    }
    if (!recovery->has_salt) {
        memcpy(spool->spool_id, header->spool_id, SPOOL_ID_SIZE);
        spool->salt = header->salt;
        recovery->has_salt = true;
    }
    segment->header_size = size;
    return true;
}

static void take_frame(struct recovery *recovery, const struct frame *frame) {
    struct spool *spool = recovery->spool;
    memcpy(spool->chain, frame->chain, SPOOL_CHAIN_SIZE);
    chain_advance(spool->chain, frame->kind == SPOOL_NOTICE, frame->record);
    recovery->chain_number = frame->number;
    // A source that no readable header names cannot be told from another.
    if (frame->source >= spool->sources_count) return;
    struct spool_position *position = &spool->positions[frame->source];
    position->size = frame->position.size;
    if (position->size > 0) memcpy(position->bytes, frame->position.bytes, position->size);
}

// The highest number that frames of the last segment tell to be synced.
static bool find_synced(struct recovery *recovery, uint64_t *synced, struct fault *fault) {
    struct spool *spool = recovery->spool;
    uint32_t index = spool->segments_count - 1;
    *synced = spool->segments[index].first - 1;
    for (;;) {
        struct spool_found found;
        if (!spool_reader_walk(recovery->reader, index, UINT64_MAX, &found, fault)) return false;
        if (!found.is_found) return true;
        if (found.frame.synced > *synced) *synced = found.frame.synced;
    }
}

// Takes positions and chain from a segment's frames. In the last one decides where it ends: what
// follows damage is kept only if something behind the damage was synced, for only then the damaged
// place is a loss and no torn tail. *end is behind the last frame kept, *last its number.
static bool walk_segment(struct recovery *recovery, uint32_t index, uint64_t synced, uint64_t *end,
                         uint64_t *last, struct fault *fault) {
    const struct segment *segment = &recovery->spool->segments[index];
    *end = segment->header_size;
    *last = segment->first - 1;
    recovery->synced_end = 0;  // nor was the header, before the first of its frames
    bool knows_end = segment->header_size > 0;
    for (;;) {
        struct spool_found found;
        if (!spool_reader_walk(recovery->reader, index, UINT64_MAX, &found, fault)) return false;
        if (!found.is_found) return true;
        bool follows = found.frame.number == *last + 1 && (!knows_end || found.offset == *end);
        if (!follows && (found.frame.number > synced || found.frame.number <= *last)) return true;
        take_frame(recovery, &found.frame);
        *end = found.offset + found.size;
        *last = found.frame.number;
        if (*last <= synced) recovery->synced_end = *end;
        knows_end = true;
    }
}

// Reads all headers, then the frames from the last good header on.
static bool recover_segments(struct recovery *recovery, uint64_t *end, struct fault *fault) {
    struct spool *spool = recovery->spool;
    struct segment_header header;
    uint32_t begin = spool->segments_count;
    for (uint32_t index = 0; index < spool->segments_count; index++) {
        if (!load_header(recovery, index, &header, fault)) return false;
        if (spool->segments[index].header_size == 0) continue;
        begin = index;
        take_sources(spool, &header, recovery->sources);
        memcpy(spool->chain, header.chain, SPOOL_CHAIN_SIZE);
        recovery->chain_number = header.first - 1;
    }
    if (!recovery->has_salt) {
        return fault_set(fault, FAULT_CORRUPT,
                         "spool %s: neither stream nor any segment can be read: move it away",
                         spool->directory);
    }
    if (begin == spool->segments_count) begin = 0;
    recovery->reader = spool_reader_create(spool);
    if (recovery->reader == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a reader");
    uint64_t synced;
    if (!find_synced(recovery, &synced, fault)) return false;
    for (uint32_t index = begin; index < spool->segments_count; index++) {
        uint64_t last;
        bool is_last = index + 1 == spool->segments_count;
        if (!walk_segment(recovery, index, is_last ? synced : UINT64_MAX, end, &last, fault)) {
            return false;
        }
        if (is_last) spool->appended = last;
    }
    return true;
}

// Opens the last segment for appending, cuts off what is behind `end` and makes the rest durable:
// a process that was killed leaves frames that only the system's memory holds, and a segment whose
// name may be no further, and all of them count as synced from here on. What is behind synced_end
// is written again for that: the last process may have ended because its sync failed, and then
// another one would leave it where it is.
static bool open_last(struct spool *spool, uint64_t synced_end, uint64_t end, struct fault *fault) {
    struct segment *last = &spool->segments[spool->segments_count - 1];
    char path[SPOOL_PATH_SIZE];
    spool_segment_path(spool, last->first, path);
    if (!files_open(spool->files, path, FILES_APPEND, &spool->handle, fault)) return false;
    bool has_tail = last->size > end;
    if ((has_tail && !files_truncate(spool->files, spool->handle, end, fault)) ||
        (synced_end < end && !files_renew(spool->files, spool->handle, synced_end, fault)) ||
        !files_sync(spool->files, spool->handle, fault) ||
        !files_sync_directory(spool->files, spool->directory, fault)) {
        fault->kind = FAULT_IO;
        return fault_add(fault, "make what is there durable");
    }
    if (has_tail) {
        spool->size -= last->size - end;
        last->size = end;
    }
    spool->written = last->size;
    return true;
}

static bool merge_sources(struct spool *spool, const struct spool_options *options, bool *added,
                          struct fault *fault) {
    *added = false;
    for (uint32_t index = 0; index < options->sources_count; index++) {
        const struct spool_source *source = &options->sources[index];
        assert(source->name[0] != 0);
        if (spool_source_index(spool, source->name) != UINT32_MAX) continue;
        if (spool->sources_count == SPOOL_SOURCES_MAX) {
            return fault_set(fault, FAULT_INPUT,
                             "spool %s has known %d sources, no room for \"%s\": give sources "
                             "their old names, or begin a new spool folder",
                             spool->directory, SPOOL_SOURCES_MAX, source->name);
        }
        spool->positions[spool->sources_count].size = 0;
        spool->sources[spool->sources_count++] = *source;
        *added = true;
    }
    return true;
}

static bool recover(struct recovery *recovery, const struct spool_options *options,
                    struct fault *fault) {
    struct spool *spool = recovery->spool;
    uint64_t end = 0;
    bool added;
    if (!recover_segments(recovery, &end, fault)) return false;
    if (recovery->chain_number != spool->appended) {
        // The chain begins anew, which only a new stream may.
        memset(spool->chain, 0, SPOOL_CHAIN_SIZE);
        recovery->needs_stream = true;
    }
    spool->synced = spool->appended;
    memcpy(spool->synced_chain, spool->chain, SPOOL_CHAIN_SIZE);
    uint64_t oldest = spool->segments[0].first;
    if (recovery->needs_stream) {
        random_fill(spool->random, spool->stream_id, SPOOL_ID_SIZE);
        spool->base = oldest - 1;
        spool->acknowledged = spool->base;
        spool->epoch_size = 0;
        if (!spool_write_stream(spool, fault)) return false;
    }
    // Only acknowledged segments are ever removed, so what is missing was acknowledged.
    if (spool->acknowledged < oldest - 1) spool->acknowledged = oldest - 1;
    if (spool->acknowledged > spool->appended) {
        // What was acknowledged is cut off. Before other frames get its numbers that must be known.
        spool->acknowledged = spool->appended;
        if (!spool_write_stream(spool, fault)) return false;
    }

    if (!merge_sources(spool, options, &added, fault)) return false;
    bool is_damaged = spool->segments[spool->segments_count - 1].header_size == 0;
    bool is_empty = spool->appended < spool->segments[spool->segments_count - 1].first;
    if (!(is_damaged && is_empty) && !open_last(spool, recovery->synced_end, end, fault))
        return false;
    return (!added && !is_damaged) || spool_begin_segment(spool, fault);
}

static bool create(struct spool *spool, const struct spool_options *options, struct fault *fault) {
    random_fill(spool->random, &spool->salt, sizeof spool->salt);
    random_fill(spool->random, spool->spool_id, SPOOL_ID_SIZE);
    random_fill(spool->random, spool->stream_id, SPOOL_ID_SIZE);
    spool->base = 0;
    spool->acknowledged = 0;
    spool->epoch_size = 0;
    bool added;
    return merge_sources(spool, options, &added, fault) && spool_write_stream(spool, fault) &&
           spool_begin_segment(spool, fault);
}

static bool open_all(struct spool *spool, const struct spool_options *options,
                     struct fault *fault) {
    char path[SPOOL_PATH_SIZE];
    spool_path(spool, "lock", path);
    if (!files_lock(spool->files, path, &spool->lock, fault)) {
        spool->lock = -1;
        if (fault->kind != FAULT_RETRY) return false;
        return fault_add(fault, "another agent uses this spool");
    }
    struct listing listing = {.spool = spool, .fault = fault};
    if (!files_list(spool->files, spool->directory, on_entry, &listing, fault)) return false;
    if (listing.is_broken) return false;

    struct recovery recovery = {.spool = spool};
    bool has_stream;
    if (!read_stream(spool, &has_stream, fault)) return false;
    if (spool->segments_count == 0) return create(spool, options, fault);
    recovery.has_salt = has_stream;
    recovery.needs_stream = !has_stream;
    buffer_init(&recovery.header, SEGMENT_HEADER_SIZE_MAX);
    recovery.sources = calloc(SPOOL_SOURCES_MAX, sizeof *recovery.sources);
    bool recovered = recovery.sources == NULL
                         ? fault_set(fault, FAULT_FULL, "out of memory for sources")
                         : recover(&recovery, options, fault);
    spool_reader_destroy(recovery.reader);
    buffer_done(&recovery.header);
    free(recovery.sources);
    return recovered;
}

bool spool_open(const struct spool_options *options, struct spool **spool, struct fault *fault) {
    uint64_t size_max = options->size_max == 0 ? SPOOL_SIZE_MAX_DEFAULT : options->size_max;
    uint64_t segment_size = options->segment_size == 0 ? SPOOL_SEGMENT_SIZE : options->segment_size;
    uint64_t free_size, total_size;
    if (!files_measure_free(options->files, options->directory, &free_size, &total_size, fault)) {
        return fault_add(fault, "spool %s", options->directory);
    }
    if (segment_size > size_max / SEGMENT_SHARE) segment_size = size_max / SEGMENT_SHARE;
    if (total_size > 0 && segment_size > total_size / DISK_SHARE) {
        segment_size = total_size / DISK_SHARE;
    }
    if (segment_size < SEGMENT_SIZE_MIN) segment_size = SEGMENT_SIZE_MIN;
    if (size_max < SIZE_MAX_MIN) {
        return fault_set(fault, FAULT_INPUT, "spool %s: a size of %" PRIu64 " bytes is too small",
                         options->directory, size_max);
    }
    if (strlen(options->directory) > SPOOL_PATH_SIZE - 64) {
        return fault_set(fault, FAULT_INPUT, "spool: the folder's path is too long");
    }
    struct spool *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a spool");
    opened->files = options->files;
    opened->clock = options->clock;
    opened->random = options->random;
    opened->directory = strdup(options->directory);
    opened->size_max = size_max;
    opened->segment_size = (uint32_t)segment_size;
    opened->lock = -1;
    opened->handle = -1;
    buffer_init(&opened->buffer, SPOOL_BUFFER_SIZE_MAX);
    opened->positions = calloc(SPOOL_SOURCES_MAX, sizeof *opened->positions);
    if (opened->directory == NULL || opened->positions == NULL) {
        spool_close(opened);
        return fault_set(fault, FAULT_FULL, "out of memory for a spool");
    }
    if (!open_all(opened, options, fault)) {
        fault_add(fault, "spool %s", options->directory);
        spool_close(opened);
        return false;
    }
    *spool = opened;
    return true;
}
