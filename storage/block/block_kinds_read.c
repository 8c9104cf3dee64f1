#include <assert.h>

#include "storage/block/block_follow.h"
#include "storage/block/block_kinds.h"

static_assert(ATTRIBUTE_KINDS <= 32, "a kind has no bit");

// A value of a row: the row above, below it which of the frame's values.
enum { VALUE_BITS = FOLLOW_WIDTH_MAX, VALUE_MASK = (1 << VALUE_BITS) - 1 };

// Reads the first layer of a kind, and of those that it needs. False if one is damaged.
static bool read_first(struct kinds_reader *kinds, uint32_t kind) {
    if ((kinds->known >> kind & 1) != 0) return true;
    const uint32_t *contexts = NULL;
    uint32_t context = kind_context(kind);
    kinds->rest[kind] = reader_of(kinds->parts[kind]);
    if (follow_peek(&kinds->rest[kind], &kinds->flags[kind]) &&
        kinds->parts[context].bytes != NULL) {
        if (!read_first(kinds, context)) return false;
        contexts = kinds->codes[context];
    }
    follow_read(&kinds->rest[kind], kinds->codes[kind], contexts, kinds->rows, &kinds->flags[kind]);
    kinds->known |= (uint32_t)1 << kind;
    return !kinds->rest[kind].bad;
}

// Appends the values of a layer's rows to scratch->kind_codes and counts them in sizes. False if
// there are none of these values, or memory runs out.
static bool take_layer(struct block_scratch *scratch, const struct layer *layer, uint32_t values,
                       uint32_t sizes[BLOCK_FRAME_ROWS]) {
    uint8_t *room = buffer_reserve(&scratch->kind_codes, layer->count * sizeof(uint32_t));
    if (room == NULL) return false;
    uint32_t empty = layer->has_empty ? 1 : 0;
    uint32_t taken = 0;
    for (uint32_t index = 0; index < layer->count; index++) {
        if (layer->has_empty && layer->codes[index] == 0) continue;
        uint32_t row = layer->rows[index];
        uint32_t value = layer->codes[index] - empty;
        if (value >= values) return false;
        value |= row << VALUE_BITS;
        memcpy(room + taken++ * sizeof value, &value, sizeof value);
        sizes[row]++;
    }
    scratch->kind_codes.size += taken * sizeof(uint32_t);
    return true;
}

// Takes all layers of a kind of which the first is read.
static bool read_layers(struct kinds_reader *kinds, struct block_scratch *scratch, uint32_t kind,
                        uint32_t values, uint32_t sizes[BLOCK_FRAME_ROWS]) {
    struct layer layer;
    uint32_t flags = kinds->flags[kind];
    layer_begin(&layer, kinds->rows);
    memcpy(layer.codes, kinds->codes[kind], sizeof layer.codes);
    for (;;) {
        layer.has_empty = (flags & KIND_EMPTY) != 0;
        if (!take_layer(scratch, &layer, values, sizes)) return false;
        if ((flags & KIND_MORE) == 0) return reader_left(&kinds->rest[kind]) == 0;
        layer_next(&layer);
        if (layer.count == 0 || layer.depth == ATTRIBUTE_COUNT_MAX) return false;
        follow_read(&kinds->rest[kind], layer.codes, layer.above, layer.count, &flags);
        if (kinds->rest[kind].bad) return false;
    }
}

// Appends the hashes of a kind of which each row has one value at most.
static bool read_single(const struct kinds_reader *kinds, uint32_t kind, const uint32_t *list,
                        uint32_t values, struct buffer *hashes, uint32_t ends[BLOCK_FRAME_ROWS]) {
    uint8_t *room = buffer_reserve(hashes, kinds->rows * sizeof(uint32_t));
    if (room == NULL || reader_left(&kinds->rest[kind]) != 0) return false;
    uint32_t begin = (uint32_t)(hashes->size / sizeof(uint32_t));
    uint32_t empty = kinds->flags[kind] & KIND_EMPTY;
    uint32_t written = 0;
    for (uint32_t row = 0; row < kinds->rows; row++) {
        uint32_t code = kinds->codes[kind][row];
        if (code >= values + empty) return false;
        // Without a value the room stays for the next row.
        uint32_t hash = list[code < empty ? 0 : code - empty];
        memcpy(room + written * sizeof hash, &hash, sizeof hash);
        written += code >= empty;
        ends[row] = begin + written;
    }
    hashes->size += written * sizeof(uint32_t);
    return true;
}

bool kinds_read(struct kinds_reader *kinds, struct block_scratch *scratch, uint32_t kind,
                struct buffer *hashes, uint32_t ends[BLOCK_FRAME_ROWS]) {
    uint32_t values;
    uint32_t sizes[BLOCK_FRAME_ROWS] = {0};
    buffer_reset(&scratch->kind_list);
    buffer_reset(&scratch->kind_codes);
    if (!postings_list(kinds->block->sections[BLOCK_POSTINGS], kinds->block->frames, kind,
                       kinds->frame, &scratch->kind_list, &values) ||
        values == 0 || !read_first(kinds, kind)) {
        return false;
    }
    const uint32_t *list = (const uint32_t *)(const void *)scratch->kind_list.bytes;
    if ((kinds->flags[kind] & KIND_MORE) == 0)
        return read_single(kinds, kind, list, values, hashes, ends);
    if (!read_layers(kinds, scratch, kind, values, sizes)) return false;
    size_t size = scratch->kind_codes.size;
    uint8_t *room = buffer_reserve(hashes, size);
    if (room == NULL) return false;
    const uint32_t *codes = (const uint32_t *)(const void *)scratch->kind_codes.bytes;
    uint32_t nexts[BLOCK_FRAME_ROWS];
    uint32_t begin = (uint32_t)(hashes->size / sizeof(uint32_t));
    uint32_t next = 0;
    for (uint32_t row = 0; row < kinds->rows; row++) {
        nexts[row] = next;
        next += sizes[row];
        ends[row] = begin + next;
    }
    for (size_t index = 0; index < size / sizeof(uint32_t); index++) {
        uint32_t hash = list[codes[index] & VALUE_MASK];
        uint32_t place = nexts[codes[index] >> VALUE_BITS]++;
        memcpy(room + place * sizeof hash, &hash, sizeof hash);
    }
    hashes->size += size;
    return true;
}

// Sets the bits of a first layer's rows that have a code.
static void match_first(const uint32_t codes[BLOCK_FRAME_ROWS], uint32_t count, uint32_t code,
                        uint64_t rows[2]) {
    for (uint32_t word = 0; word * 64 < count; word++) {
        uint32_t left = count - word * 64 < 64 ? count - word * 64 : 64;
        uint64_t matches = 0;
        for (uint32_t row = 0; row < left; row++)
            matches |= (uint64_t)(codes[word * 64 + row] == code) << row;
        rows[word] |= matches;
    }
}

// The same of the layers behind the first, which has another. False if one is damaged.
static bool match_rest(const struct kinds_reader *kinds, uint32_t kind, uint32_t place,
                       struct reader *rest, uint64_t rows[2]) {
    struct layer layer;
    uint32_t flags = kinds->flags[kind];
    layer_begin(&layer, kinds->rows);
    memcpy(layer.codes, kinds->codes[kind], sizeof layer.codes);
    while ((flags & KIND_MORE) != 0) {
        layer.has_empty = (flags & KIND_EMPTY) != 0;
        layer_next(&layer);
        if (layer.count == 0 || layer.depth == ATTRIBUTE_COUNT_MAX) return false;
        follow_read(rest, layer.codes, layer.above, layer.count, &flags);
        if (rest->bad) return false;
        uint32_t code = place + ((flags & KIND_EMPTY) != 0 ? 1 : 0);
        for (uint32_t index = 0; index < layer.count; index++) {
            uint32_t row = layer.rows[index];
            rows[row / 64] |= (uint64_t)(layer.codes[index] == code) << row % 64;
        }
    }
    return true;
}

// A kind of one layer that needs no contexts, as most are: its codes are only looked at.
static bool match_alone(struct reader *rest, uint32_t flags, uint32_t place, uint32_t count,
                        uint64_t rows[2]) {
    follow_match(rest, place + ((flags & KIND_EMPTY) != 0 ? 1 : 0), count, rows);
    return !rest->bad && reader_left(rest) == 0;
}

bool kinds_match(struct kinds_reader *kinds, uint32_t kind, uint32_t place, uint64_t rows[2]) {
    uint32_t flags;
    struct reader rest = reader_of(kinds->parts[kind]);
    if (!follow_peek(&rest, &flags) && (flags & KIND_MORE) == 0)
        return match_alone(&rest, flags, place, kinds->rows, rows);
    if (!read_first(kinds, kind)) return false;
    // Another value of the kind may be looked for after this one.
    rest = kinds->rest[kind];
    match_first(kinds->codes[kind], kinds->rows, place + ((flags & KIND_EMPTY) != 0 ? 1 : 0), rows);
    if ((flags & KIND_MORE) != 0 && !match_rest(kinds, kind, place, &rest, rows)) return false;
    return reader_left(&rest) == 0;
}
