#include "storage/block/block.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/block/block_internal.h"

struct block_scratch *block_scratch_create(void) {
    struct block_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) return NULL;
    scratch->verify_frames = BLOCK_VERIFY_FRAMES;
    scratch->zstd = zstd_create();
    scratch->decoder = tokens_decoder_create();
    if (scratch->zstd == NULL || scratch->decoder == NULL) {
        zstd_destroy(scratch->zstd);
        tokens_decoder_destroy(scratch->decoder);
        free(scratch);
        return NULL;
    }
    struct buffer *buffers[BLOCK_SCRATCH_BUFFERS];
    block_scratch_buffers(scratch, buffers);
    for (uint32_t index = 0; index < BLOCK_SCRATCH_BUFFERS; index++) {
        buffer_init(buffers[index], BLOCK_SCRATCH_SIZE_MAX);
    }
    return scratch;
}

void block_scratch_buffers(struct block_scratch *scratch,
                           struct buffer *buffers[BLOCK_SCRATCH_BUFFERS]) {
    struct buffer *all[BLOCK_SCRATCH_BUFFERS] = {
        &scratch->columns,        &scratch->texts,          &scratch->parts,
        &scratch->kind_values,    &scratch->output,         &scratch->control,
        &scratch->inlined,        &scratch->strings,        &scratch->arrivals_bytes,
        &scratch->attribute_hash, &scratch->attribute_kind, &scratch->kind_hash,
        &scratch->kind_list,      &scratch->kind_codes,     &scratch->ranks,
        &scratch->lists,
    };
    memcpy(buffers, all, sizeof all);
}

void block_scratch_destroy(struct block_scratch *scratch) {
    if (scratch == NULL) return;
    struct buffer *buffers[BLOCK_SCRATCH_BUFFERS];
    block_scratch_buffers(scratch, buffers);
    for (uint32_t index = 0; index < BLOCK_SCRATCH_BUFFERS; index++) buffer_done(buffers[index]);
    zstd_destroy(scratch->zstd);
    tokens_decoder_destroy(scratch->decoder);
    tokens_encoder_destroy(scratch->encoder);
    postings_done(&scratch->postings);
    free(scratch->attributes);
    free(scratch->attribute_ends);
    free(scratch->hints);
    free(scratch->sorting);
    free(scratch->ordered);
    free(scratch->places);
    free(scratch->id_hashes);
    free(scratch->groups);
    free(scratch->arrivals);
    free(scratch);
}

void block_scratch_verify(struct block_scratch *scratch, uint32_t frames) {
    assert(frames > 0);
    scratch->verify_frames = frames;
}

uint64_t block_scratch_mismatches(const struct block_scratch *scratch) {
    return scratch->mismatches;
}

uint32_t block_attribute_hash(const uint8_t secret[HASH_SECRET_SIZE],
                              const struct attribute *attribute) {
    struct hash_key key;
    hash_key_make(secret, (uint64_t)attribute->kind, &key);
    return attribute_hash(&key, attribute);
}

uint32_t block_id_hash(const uint8_t secret[HASH_SECRET_SIZE], const uint8_t id[RECORD_ID_SIZE]) {
    return (uint32_t)hash_keyed(secret, 0, span_of(id, RECORD_ID_SIZE));
}

// Reads the header's numbers. The bytes hold a whole header.
static void read_header(struct span bytes, struct block *block, uint64_t sizes[BLOCK_SECTIONS]) {
    const uint8_t *at = bytes.bytes;
    *block = (struct block){.bytes = bytes};
    block->summary = (struct block_summary){
        .rows = bytes_get_32(at + 16),
        .epoch = bytes_get_32(at + 20),
        .size = bytes_get_64(at + 24),
        .sequence_first = bytes_get_64(at + 32),
        .sequence_last = bytes_get_64(at + 40),
        .time_min_s = (int64_t)bytes_get_64(at + 48),
        .time_max_s = (int64_t)bytes_get_64(at + 56),
        .text_size = bytes_get_64(at + 64),
    };
    block->frames = (block->summary.rows + BLOCK_FRAME_ROWS - 1) / BLOCK_FRAME_ROWS;
    block->has_head = bytes_get_32(at + 100) != 0;
    block->sample_size = bytes_get_32(at + 104);
    block->version = bytes_get_16(at + 4);
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        sizes[section] = bytes_get_32(at + 72 + 4 * section);
    }
}

// Bytes of a frame's entry.
static size_t entry_size(const struct block *block) {
    return block->version == BLOCK_VERSION_FIRST ? BLOCK_FRAME_SIZE_FIRST : BLOCK_FRAME_SIZE;
}

static const uint8_t *entry_of(const struct block *block, uint32_t frame) {
    return block->sections[BLOCK_FRAMES].bytes + frame * entry_size(block);
}

// Whether the sections fill the block and those of known sizes have them. Sets block->sections.
static bool check_sections(struct block *block, const uint64_t sizes[BLOCK_SECTIONS]) {
    struct reader reader = reader_of(span_from(block->bytes, BLOCK_HEADER_SIZE));
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        const uint8_t *bytes = reader_take(&reader, sizes[section]);
        if (bytes == NULL) return false;
        block->sections[section] = span_of(bytes, (size_t)sizes[section]);
    }
    const struct span *sections = block->sections;
    uint32_t rows = block->summary.rows;
    return reader_left(&reader) == 0 &&
           sections[BLOCK_FRAMES].size == block->frames * entry_size(block) &&
           sections[BLOCK_IDS].size == (size_t)rows * RECORD_ID_SIZE &&
           (block->version == BLOCK_VERSION_FIRST ||
            (postings_check(sections[BLOCK_POSTINGS]) &&
             fingerprints_check(sections[BLOCK_FINGERPRINTS], rows)));
}

static bool check_frames(const struct block *block) {
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        struct block_frame found;
        if (!block_frame_find(block, frame, &found)) return false;
        if (found.time_min_s < block->summary.time_min_s ||
            found.time_max_s > block->summary.time_max_s || found.time_min_s > found.time_max_s) {
            return false;
        }
    }
    return true;
}

// How much of a block is looked at when it is opened.
enum care { CARE_HEADER, CARE_FRAMES, CARE_ALL };

static bool open_version(struct span bytes, uint32_t expected, enum care care, struct block *block,
                         struct fault *fault) {
    if (bytes.size < BLOCK_HEADER_SIZE || bytes_get_32(bytes.bytes) != BLOCK_MAGIC) {
        return fault_set(fault, FAULT_CORRUPT, "block: no block (%zu bytes)", bytes.size);
    }
    uint32_t version = bytes_get_16(bytes.bytes + 4);
    if (version != expected) {
        return fault_set(fault, version > BLOCK_VERSION ? FAULT_INPUT : FAULT_CORRUPT,
                         "block: version %" PRIu32 ", %" PRIu32 " is expected", version, expected);
    }
    if (care == CARE_ALL &&
        bytes_get_64(bytes.bytes + 8) != hash_plain(span_from(bytes, BLOCK_CHECKED))) {
        return fault_set(fault, FAULT_CORRUPT, "block: wrong checksum");
    }
    struct block read;
    uint64_t sizes[BLOCK_SECTIONS];
    read_header(bytes, &read, sizes);
    const struct block_summary *summary = &read.summary;
    if (summary->rows == 0 || summary->rows > BLOCK_ROWS_MAX || summary->size != bytes.size ||
        summary->sequence_first > summary->sequence_last ||
        summary->time_min_s > summary->time_max_s || summary->text_size > BLOCK_TEXT_SIZE_MAX) {
        return fault_set(fault, FAULT_CORRUPT, "block: damaged header");
    }
    if (!check_sections(&read, sizes) || (care != CARE_HEADER && !check_frames(&read))) {
        return fault_set(fault, FAULT_CORRUPT, "block: damaged sections");
    }
    *block = read;
    return true;
}

bool block_open(struct span bytes, bool verify, struct block *block, struct fault *fault) {
    return open_version(bytes, BLOCK_VERSION, verify ? CARE_ALL : CARE_FRAMES, block, fault);
}

bool block_open_known(struct span bytes, struct block *block, struct fault *fault) {
    return open_version(bytes, BLOCK_VERSION, CARE_HEADER, block, fault);
}

bool block_open_first(struct span bytes, struct block *block, struct fault *fault) {
    return open_version(bytes, BLOCK_VERSION_FIRST, CARE_ALL, block, fault);
}

// The sum over the header from BLOCK_CHECKED on and all sections before the ids.
static uint32_t index_sum(const struct block *block) {
    const uint8_t *bytes = block->bytes.bytes;
    const uint8_t *end = block->sections[BLOCK_IDS].bytes;
    uint64_t header = hash_plain(span_of(bytes + BLOCK_CHECKED, BLOCK_INDEX_SUM - BLOCK_CHECKED));
    bytes += BLOCK_HEADER_SIZE;
    return (uint32_t)(header ^ hash_plain(span_of(bytes, (size_t)(end - bytes))));
}

bool block_check_index(const struct block *block, struct fault *fault) {
    return bytes_get_32(block->bytes.bytes + BLOCK_INDEX_SUM) == index_sum(block) ||
           fault_set(fault, FAULT_CORRUPT, "block: its index has a wrong checksum");
}

static uint32_t texts_sum(const struct block_frame *frame) {
    return (uint32_t)hash_plain(frame->texts);
}

static uint32_t columns_sum(const struct block_frame *frame) {
    return (uint32_t)(hash_plain(frame->columns) ^ hash_plain(frame->ids));
}

bool block_seal(uint8_t *bytes, size_t size) {
    struct block block;
    struct fault ignored;
    if (!block_open(span_of(bytes, size), false, &block, &ignored)) return false;
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct block_frame found;
        if (!block_frame_find(&block, frame, &found)) return false;
        uint8_t *entry = bytes + (entry_of(&block, frame) - bytes);
        bytes_put_32(entry + 24, texts_sum(&found));
        bytes_put_32(entry + 28, columns_sum(&found));
    }
    bytes_put_32(bytes + BLOCK_INDEX_SUM, index_sum(&block));
    bytes_put_64(bytes + 8, hash_plain(span_of(bytes + BLOCK_CHECKED, size - BLOCK_CHECKED)));
    return true;
}

static bool is_good(const struct block *block, uint32_t frame) {
    return block->good_frames != NULL && (*block->good_frames >> frame & 1) != 0;
}

bool block_check_ids(const struct block *block, struct fault *fault) {
    struct block_frame found;
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        if (!is_good(block, frame) && !block_frame_open(block, frame, &found))
            return fault_set(fault, FAULT_CORRUPT, "block: frame %" PRIu32 ": damaged columns",
                             frame);
    }
    return true;
}

// Where the columns and texts of a frame end.
static void read_ends(const struct block *block, uint32_t frame, uint32_t *columns,
                      uint32_t *texts) {
    const uint8_t *at = entry_of(block, frame);
    *columns = bytes_get_32(at + 16);
    *texts = bytes_get_32(at + 20);
}

bool block_frame_find(const struct block *block, uint32_t frame, struct block_frame *found) {
    if (frame >= block->frames) return false;
    uint32_t columns_begin = 0;
    uint32_t texts_begin = 0;
    uint32_t columns_end, texts_end;
    if (frame > 0) read_ends(block, frame - 1, &columns_begin, &texts_begin);
    read_ends(block, frame, &columns_end, &texts_end);
    struct span columns = block->sections[BLOCK_COLUMNS];
    struct span texts = block->sections[BLOCK_TEXTS];
    if (columns_begin > columns_end || columns_end > columns.size || texts_begin > texts_end ||
        texts_end > texts.size) {
        return false;
    }
    *found = (struct block_frame){
        .is_first = block->version == BLOCK_VERSION_FIRST,
        .rows = block_frame_rows(block, frame),
        .first_row = frame * BLOCK_FRAME_ROWS,
        .columns = span_of(columns.bytes + columns_begin, columns_end - columns_begin),
        .texts = span_of(texts.bytes + texts_begin, texts_end - texts_begin),
    };
    found->ids =
        span_of(block->sections[BLOCK_IDS].bytes + (size_t)found->first_row * RECORD_ID_SIZE,
                (size_t)found->rows * RECORD_ID_SIZE);
    if (!found->is_first) {
        found->texts_sum = bytes_get_32(entry_of(block, frame) + 24);
        found->columns_sum = bytes_get_32(entry_of(block, frame) + 28);
    }
    block_frame_times(block, frame, &found->time_min_s, &found->time_max_s);
    return true;
}

bool block_frame_open(const struct block *block, uint32_t frame, struct block_frame *found) {
    if (!block_frame_find(block, frame, found)) return false;
    if (block->version == BLOCK_VERSION_FIRST || is_good(block, frame)) return true;
    if (found->columns_sum != columns_sum(found)) return false;
    if (block->good_frames != NULL) *block->good_frames |= (uint64_t)1 << frame;
    return true;
}

bool block_frame_check_texts(const struct block *block, const struct block_frame *frame) {
    return block->version == BLOCK_VERSION_FIRST || frame->texts_sum == texts_sum(frame);
}

uint32_t block_frame_rows(const struct block *block, uint32_t frame) {
    assert(frame < block->frames);
    uint32_t left = block->summary.rows - frame * BLOCK_FRAME_ROWS;
    return left < BLOCK_FRAME_ROWS ? left : BLOCK_FRAME_ROWS;
}

void block_frame_times(const struct block *block, uint32_t frame, int64_t *time_min_s,
                       int64_t *time_max_s) {
    assert(frame < block->frames);
    const uint8_t *at = entry_of(block, frame);
    *time_min_s = (int64_t)bytes_get_64(at);
    *time_max_s = (int64_t)bytes_get_64(at + 8);
}

uint64_t block_find_attribute(const struct block *block, uint32_t attribute_hash) {
    return postings_find(block->sections[BLOCK_POSTINGS], block->frames, attribute_hash);
}

bool block_may_hold_id(const struct block *block, uint32_t id_hash) {
    return fingerprints_find(block->sections[BLOCK_FINGERPRINTS], block->summary.rows, id_hash);
}

bool block_read_id_hashes(const struct block *block, uint32_t bits, uint32_t *hashes) {
    return fingerprints_read(block->sections[BLOCK_FINGERPRINTS], block->summary.rows, bits,
                             hashes);
}

uint32_t block_find_id(const struct block *block, const uint8_t id[RECORD_ID_SIZE],
                       struct block_place *places, uint32_t places_max) {
    const uint8_t *ids = block->sections[BLOCK_IDS].bytes;
    uint64_t low, high;
    memcpy(&low, id, sizeof low);
    memcpy(&high, id + 8, sizeof high);
    uint32_t found = 0;
    for (uint32_t row = 0; row < block->summary.rows; row++) {
        uint64_t row_low, row_high;
        memcpy(&row_low, ids + (size_t)row * RECORD_ID_SIZE, sizeof row_low);
        memcpy(&row_high, ids + (size_t)row * RECORD_ID_SIZE + 8, sizeof row_high);
        if (row_low != low || row_high != high) continue;
        if (found < places_max) {
            places[found] = (struct block_place){row / BLOCK_FRAME_ROWS, row % BLOCK_FRAME_ROWS};
        }
        found++;
    }
    return found;
}

static bool frame_holds_id(const struct block *block, uint32_t frame, uint64_t low, uint64_t high) {
    const uint8_t *ids =
        block->sections[BLOCK_IDS].bytes + (size_t)frame * BLOCK_FRAME_ROWS * RECORD_ID_SIZE;
    uint32_t rows = block_frame_rows(block, frame);
    for (uint32_t row = 0; row < rows; row++) {
        uint64_t row_low, row_high;
        memcpy(&row_low, ids + (size_t)row * RECORD_ID_SIZE, sizeof row_low);
        memcpy(&row_high, ids + (size_t)row * RECORD_ID_SIZE + 8, sizeof row_high);
        if (row_low == low && row_high == high) return true;
    }
    return false;
}

bool block_holds_id(const struct block *block, const uint8_t id[RECORD_ID_SIZE], int64_t time_s) {
    uint64_t low, high;
    memcpy(&low, id, sizeof low);
    memcpy(&high, id + 8, sizeof high);
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        int64_t time_min_s, time_max_s;
        block_frame_times(block, frame, &time_min_s, &time_max_s);
        if (time_s >= time_min_s && time_s <= time_max_s &&
            frame_holds_id(block, frame, low, high)) {
            return true;
        }
    }
    return false;
}
