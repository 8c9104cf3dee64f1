// Block decoding: any bytes as a block, and a good block with bytes changed; the same for a
// dictionary's chunk and a group table.

#include "storage/block/block.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "storage/block/block_internal.h"
#include "storage/block/dictionary.h"
#include "tests/fuzz/fuzz.h"

enum {
    ROWS = 300,
    ATTRIBUTES = 6,  // of a row at most
    BLOCK_SIZE_MAX = 4 * 1024 * 1024,
    PATCH_SIZE = 3,  // bytes of one change: where (16 bits of a fraction), what
};

// A good block and all it needs.
struct sample {
    uint8_t secret[HASH_SECRET_SIZE];
    struct block_scratch *scratch;
    struct dictionary *dictionary;
    struct buffer block;
    struct buffer chunk;
    struct buffer group;
    struct buffer work;
};

static struct sample sample;

static void make_row(uint32_t index, char text[512], struct attribute attributes[ATTRIBUTES],
                     struct block_row *row) {
    int size = snprintf(text, 512,
                        "{\"eventTime\":\"2026-01-01T00:%02u:%02uZ\",\"eventSource\":\"s3\","
                        "\"eventName\":\"Get%u\",\"userIdentity\":{\"type\":\"IAMUser\","
                        "\"userName\":\"user-%u\"},\"requestParameters\":{\"key\":\"%08x\","
                        "\"size\":%u.0},\"eventID\":\"00000000-0000-4000-8000-%012u\"}",
                        index / 60 % 60, index % 60, index % 7, index % 5, index * 2654435761U,
                        index, index);
    // What follows from something else, what does not, and several of one kind.
    attributes[0] =
        (struct attribute){ATTRIBUTE_EVENT_NAME, span_of(text + size - 1 - index % 7, 2)};
    attributes[1] = (struct attribute){ATTRIBUTE_EVENT_SOURCE, span_of(text + index % 7 / 2, 4)};
    attributes[2] = (struct attribute){ATTRIBUTE_ACCESS_KEY, span_of(text + index % 31, 4)};
    for (uint32_t number = 3; number < ATTRIBUTES; number++) {
        attributes[number] = (struct attribute){ATTRIBUTE_RESOURCE_NAME,
                                                span_of(text + index * number % 97, 5 + index % 3)};
    }
    *row = (struct block_row){
        .sequence = 1000 + index,
        .agent = index % 3,
        .received_ms = 1767225600000 + index,
        .user = span_of(text + 90, 4),
        .text = span_of(text, (size_t)size),
        .attributes = attributes,
        .attributes_count = index % (ATTRIBUTES + 1),
    };
    row->key.event_time_s = 1767225600 + index;
    row->key.account_size = 12;
    memcpy(row->key.account, "123456789012", 12);
    memcpy(row->key.id, &index, sizeof index);
}

static void make_sample(void) {
    static char texts[ROWS][512];
    static struct attribute attributes[ROWS][ATTRIBUTES];
    static struct block_row rows[ROWS];
    struct fault fault = {.kind = FAULT_NONE};
    struct block_summary summary;
    struct block block;
    for (uint32_t index = 0; index < HASH_SECRET_SIZE; index++)
        sample.secret[index] = (uint8_t)index;
    sample.scratch = block_scratch_create();
    sample.dictionary = dictionary_create(1);
    assert(sample.scratch != NULL && sample.dictionary != NULL);
    buffer_init(&sample.block, BLOCK_SIZE_MAX);
    buffer_init(&sample.chunk, BLOCK_SIZE_MAX);
    buffer_init(&sample.group, BLOCK_SIZE_MAX);
    buffer_init(&sample.work, BLOCK_SIZE_MAX);
    for (uint32_t index = 0; index < ROWS; index++) {
        make_row(index, texts[index], attributes[index], &rows[index]);
    }
    bool made = block_encode(sample.scratch, sample.dictionary, sample.secret, rows, ROWS,
                             &sample.block, &summary, &fault) &&
                dictionary_take_pending(sample.dictionary, &sample.chunk, &fault) &&
                block_open(buffer_span(&sample.block), true, &block, &fault) &&
                block_group_encode(&block, 1, &sample.group, &fault);
    assert(made);
    dictionary_keep(sample.dictionary);
}

// Reads all that can be read of a block.
static void read_frames(const struct block *block) {
    struct fault fault = {.kind = FAULT_NONE};
    uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        struct block_columns columns;
        uint32_t which = BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ATTRIBUTES | BLOCK_COLUMN_ACCOUNT;
        int64_t time_min_s, time_max_s;
        block_frame_times(block, frame, &time_min_s, &time_max_s);
        if (block_read_columns(block, sample.scratch, frame, which, &columns, &fault)) {
            assert(columns.rows <= BLOCK_FRAME_ROWS);
            uint32_t values = columns.attribute_end[columns.rows - 1];
            uint64_t rows[2];
            // What a damaged block says of itself may not agree.
            for (uint32_t at = 0; at < values; at += 7)
                (void)!block_find_rows(block, frame, &columns.attribute_hash[at],
                                       values - at < 3 ? values - at : 3, rows, &fault);
        }
        // A reader takes the dictionary of the block's epoch; ours has one.
        if (block->summary.epoch == dictionary_epoch(sample.dictionary) &&
            block_read_texts(block, sample.scratch, sample.dictionary, frame, all, texts, accounts,
                             &fault)) {
            assert(texts[0].size <= BLOCK_RECORD_SIZE_MAX);
        }
    }
}

static void read_block(struct span bytes) {
    static struct block_place places[BLOCK_ROWS_MAX];
    static uint32_t hashes[BLOCK_ROWS_MAX];
    struct block block;
    struct fault fault = {.kind = FAULT_NONE};
    if (!block_open(bytes, false, &block, &fault)) {
        assert(fault.kind == FAULT_CORRUPT || fault.kind == FAULT_INPUT);
        return;
    }
    assert(block.frames <= BLOCK_FRAMES_MAX && block.summary.rows <= BLOCK_ROWS_MAX);
    uint8_t id[RECORD_ID_SIZE] = {7};
    (void)block_find_attribute(&block, 0x12345678);
    (void)block_may_hold_id(&block, block_id_hash(sample.secret, id));
    (void)block_find_id(&block, id, places, BLOCK_ROWS_MAX);
    if (block_read_id_hashes(&block, 20, hashes)) assert(hashes[block.summary.rows - 1] >> 20 == 0);
    if (!block_order(&block, places, &fault)) assert(fault.kind == FAULT_CORRUPT);
    read_frames(&block);
}

static void read_chunk(struct span bytes) {
    struct fault fault = {.kind = FAULT_NONE};
    struct dictionary *dictionary = dictionary_create(1);
    assert(dictionary != NULL);
    if (!dictionary_load(dictionary, bytes, &fault)) {
        assert(fault.kind == FAULT_CORRUPT || fault.kind == FAULT_FULL);
    }
    dictionary_destroy(dictionary);
}

static void read_group(struct span bytes) {
    struct fault fault = {.kind = FAULT_NONE};
    uint64_t blocks = 0;
    for (uint32_t hash = 0; hash < 4; hash++) {
        if (!block_group_find(bytes, hash * 0x55555555, &blocks, &fault)) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    if (sample.scratch == NULL) make_sample();
    void (*const readers[])(struct span) = {read_block, read_chunk, read_group};
    const struct buffer *const goods[] = {&sample.block, &sample.chunk, &sample.group};
    uint32_t which = data[0] % 3;
    if ((data[0] & 128) == 0) {
        readers[which](span_of(data + 1, size - 1));
        return 0;
    }
    buffer_reset(&sample.work);
    buffer_append(&sample.work, buffer_span(goods[which]));
    for (size_t at = 1; at + PATCH_SIZE <= size; at += PATCH_SIZE) {
        size_t fraction = (size_t)(data[at] << 8 | data[at + 1]);
        // The beginning, where sizes and offsets stand, is met as often as all the rest.
        size_t span = (fraction & 1) != 0 ? sample.work.size : sample.work.size / 32 + 1;
        sample.work.bytes[fraction * span / 65536] = data[at + 2];
    }
    if ((data[0] & 64) != 0) sample.work.size = sample.work.size * data[size - 1] / 256;
    // Past the sums, to who reads what they cover.
    if ((data[0] & 32) != 0 && which == 0) (void)block_seal(sample.work.bytes, sample.work.size);
    readers[which](buffer_span(&sample.work));
    return 0;
}
