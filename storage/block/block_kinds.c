#include "storage/block/block_kinds.h"

#include "storage/block/block_follow.h"

// The values that a frame has, of all kinds: of each place in the posting table a bit.
struct ranks {
    uint64_t *words;
    uint32_t *before;  // by word: set bits before it
};

// A frame's attributes. An attribute is named by its number in the frame.
struct kinds {
    const struct block_frame_rows *frame;
    const struct block_attribute *attributes;
    uint32_t *values;                                   // by attribute: which of the frame's values
    uint32_t values_count[ATTRIBUTE_KINDS];             // of the frame
    uint32_t depth[ATTRIBUTE_KINDS];                    // values of the row that has most
    struct layer layers[ATTRIBUTE_KINDS];               // the first ones
    uint32_t first[ATTRIBUTE_KINDS][BLOCK_FRAME_ROWS];  // attribute, of rows that have one
};

static uint32_t rank_of(const struct ranks *ranks, uint32_t place) {
    uint64_t below = ranks->words[place / 64] & (((uint64_t)1 << place % 64) - 1);
    return ranks->before[place / 64] + (uint32_t)__builtin_popcountll(below);
}

static uint32_t row_end(const struct block_frame_rows *frame, uint32_t row) {
    return frame->attribute_ends[row] - frame->attribute_begin;
}

// Marks the frame's values. False if memory runs out.
static bool make_ranks(struct block_scratch *scratch, const struct kinds *kinds, uint32_t count,
                       struct ranks *ranks) {
    // One more than the places need: the rank of what lies behind the last is asked for too.
    size_t words = scratch->postings.count / 64 + 1;
    buffer_reset(&scratch->ranks);
    uint8_t *room = buffer_reserve(&scratch->ranks, words * (sizeof(uint64_t) + sizeof(uint32_t)));
    if (room == NULL) return false;
    ranks->words = (uint64_t *)(void *)room;
    ranks->before = (uint32_t *)(void *)(ranks->words + words);
    memset(ranks->words, 0, words * sizeof *ranks->words);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t place = scratch->postings.places[kinds->attributes[index].entry];
        ranks->words[place / 64] |= (uint64_t)1 << place % 64;
    }
    uint32_t before = 0;
    for (size_t word = 0; word < words; word++) {
        ranks->before[word] = before;
        before += (uint32_t)__builtin_popcountll(ranks->words[word]);
    }
    return true;
}

// Makes the first layers, of kinds that the frame has, while it numbers the values of all
// attributes.
static void make_first(const struct block_scratch *scratch, const struct ranks *ranks,
                       const uint32_t begins[ATTRIBUTE_KINDS], struct kinds *kinds) {
    const struct block_frame_rows *frame = kinds->frame;
    uint32_t filled[ATTRIBUTE_KINDS] = {0};
    uint32_t index = 0;
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        kinds->depth[kind] = 0;
        layer_begin(&kinds->layers[kind], frame->count);
        memset(kinds->layers[kind].codes, 0, frame->count * sizeof(uint32_t));
    }
    for (uint32_t row = 0; row < frame->count; row++) {
        uint32_t end = row_end(frame, row);
        for (; index < end; index++) {
            const struct block_attribute *attribute = &kinds->attributes[index];
            uint32_t kind = attribute->kind;
            uint32_t place = scratch->postings.places[attribute->entry];
            uint32_t value = rank_of(ranks, place) - begins[kind];
            kinds->values[index] = value;
            if (kinds->layers[kind].codes[row] == 0) {
                kinds->layers[kind].codes[row] = value + 1;
                kinds->first[kind][row] = index;
                filled[kind]++;
            }
            uint32_t depth = index - kinds->first[kind][row] + 1;
            if (depth > kinds->depth[kind]) kinds->depth[kind] = depth;
        }
    }
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        struct layer *layer = &kinds->layers[kind];
        layer->has_empty = filled[kind] < frame->count;
        for (uint32_t row = 0; row < frame->count && !layer->has_empty; row++) layer->codes[row]--;
    }
}

// Reads the frame's attributes. False if memory runs out.
static bool read_attributes(struct block_scratch *scratch, struct kinds *kinds) {
    uint32_t count = row_end(kinds->frame, kinds->frame->count - 1);
    uint32_t begins[ATTRIBUTE_KINDS + 1];
    struct ranks ranks;
    buffer_reset(&scratch->kind_values);
    uint8_t *room = buffer_reserve(&scratch->kind_values, (count + 1) * sizeof *kinds->values);
    if (room == NULL || !make_ranks(scratch, kinds, count, &ranks)) return false;
    kinds->values = (uint32_t *)(void *)room;
    for (uint32_t kind = 0; kind <= ATTRIBUTE_KINDS; kind++) {
        begins[kind] = rank_of(&ranks, scratch->postings.kind_begin[kind]);
        if (kind > 0) kinds->values_count[kind - 1] = begins[kind] - begins[kind - 1];
    }
    make_first(scratch, &ranks, begins, kinds);
    return true;
}

// Makes the codes of the rows of a deeper layer: all have a value in the layer above.
static void make_codes(const struct kinds *kinds, uint32_t kind, struct layer *layer) {
    layer->has_empty = false;
    for (uint32_t index = 0; index < layer->count; index++) {
        uint32_t row = layer->rows[index];
        uint32_t attribute = kinds->first[kind][row] + layer->depth;
        bool is_empty =
            attribute == row_end(kinds->frame, row) || kinds->attributes[attribute].kind != kind;
        layer->codes[index] = is_empty ? 0 : kinds->values[attribute] + 1;
        layer->has_empty = layer->has_empty || is_empty;
    }
    if (layer->has_empty) return;
    for (uint32_t index = 0; index < layer->count; index++) layer->codes[index]--;
}

static void append_layer(const struct kinds *kinds, uint32_t kind, const struct layer *layer,
                         const uint32_t *contexts, struct buffer *output) {
    uint32_t flags = 0;
    if (layer->has_empty) flags |= KIND_EMPTY;
    if (layer->depth + 1 < kinds->depth[kind]) flags |= KIND_MORE;
    uint32_t code_max = kinds->values_count[kind] - (layer->has_empty ? 0 : 1);
    follow_append(output, layer->codes, contexts, layer->count, codes_width(code_max), flags);
}

static void append_kind(const struct kinds *kinds, uint32_t kind, struct buffer *output) {
    uint32_t context = kind_context(kind);
    append_layer(kinds, kind, &kinds->layers[kind],
                 kinds->depth[context] > 0 ? kinds->layers[context].codes : NULL, output);
    if (kinds->depth[kind] == 1) return;
    struct layer layer = kinds->layers[kind];
    while (layer.depth + 1 < kinds->depth[kind]) {
        layer_next(&layer);
        make_codes(kinds, kind, &layer);
        append_layer(kinds, kind, &layer, layer.above, output);
    }
}

bool kinds_append(struct block_scratch *scratch, const struct block_frame_rows *frame,
                  struct buffer *output, size_t ends[ATTRIBUTE_KINDS]) {
    struct kinds kinds;
    kinds.frame = frame;
    kinds.attributes = scratch->attributes + frame->attribute_begin;
    if (!read_attributes(scratch, &kinds)) return false;
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        if (kinds.depth[kind] > 0) append_kind(&kinds, kind, output);
        ends[kind] = output->size;
    }
    return true;
}
