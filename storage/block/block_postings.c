#include <assert.h>
#include <stdlib.h>

#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

// The section: count (32 bits); for each kind but the first where its entries begin (32 bits each);
// for each stretch of STRETCH entries where the frames of the first begin (32 bits each); the
// hashes without their kinds, HASH_BITS each; a class byte for each entry; the frames of those
// entries whose class does not tell them.

enum {
    HASH_BITS = BLOCK_HASH_BITS,
    KINDS = 1 << (32 - HASH_BITS),
    HEADER_SIZE = 4 * KINDS,
    STRETCH = 64,
    ENTRIES_FIRST = 16384,

    CLASS_PAIR = BLOCK_FRAMES_MAX,     // below: that frame alone; from here on: n and n + 1
    CLASS_ALL = 2 * BLOCK_FRAMES_MAX,  // every frame
    CLASS_BITMAP,                      // a bit for each frame
    CLASS_LIST,                        // and more: that many frames above one, a byte each
    NO_ENTRY = UINT32_MAX,
};

static_assert((int)ATTRIBUTE_KINDS <= (int)KINDS, "a kind does not fit its bits");

// The parts of a section.
struct table {
    uint32_t count;
    uint32_t frames;
    const uint8_t *kinds;
    const uint8_t *stretches;
    struct span lows;
    const uint8_t *classes;
    struct span rest;  // frames that classes do not tell
};

void postings_done(struct postings *postings) {
    free(postings->hashes);
    free(postings->frames);
    free(postings->places);
    free(postings->sorting);
    free(postings->slots);
    *postings = (struct postings){0};
}

static bool make_room(struct postings *postings, uint32_t room) {
    uint32_t *hashes = realloc(postings->hashes, room * sizeof *hashes);
    if (hashes != NULL) postings->hashes = hashes;
    uint64_t *frames = realloc(postings->frames, room * sizeof *frames);
    if (frames != NULL) postings->frames = frames;
    uint32_t *places = realloc(postings->places, room * sizeof *places);
    if (places != NULL) postings->places = places;
    uint64_t *sorting = realloc(postings->sorting, 2 * (size_t)room * sizeof *sorting);
    if (sorting != NULL) postings->sorting = sorting;
    uint32_t *slots = calloc(2 * (size_t)room, sizeof *slots);
    if (hashes == NULL || frames == NULL || places == NULL || sorting == NULL || slots == NULL) {
        free(slots);
        return false;
    }
    free(postings->slots);
    postings->slots = slots;
    postings->slots_count = 2 * room;
    postings->room = room;
    for (uint32_t entry = 0; entry < postings->count; entry++) {
        uint32_t slot = postings->hashes[entry] & (postings->slots_count - 1);
        while (slots[slot] != 0) slot = (slot + 1) & (postings->slots_count - 1);
        slots[slot] = entry + 1;
    }
    return true;
}

bool postings_begin(struct postings *postings) {
    postings->count = 0;
    if (postings->room == 0) return make_room(postings, ENTRIES_FIRST);
    memset(postings->slots, 0, postings->slots_count * sizeof *postings->slots);
    return true;
}

uint32_t postings_add(struct postings *postings, uint32_t hash, uint32_t frame) {
    if (postings->count == postings->room && !make_room(postings, 2 * postings->room)) {
        return NO_ENTRY;
    }
    uint32_t slot = hash & (postings->slots_count - 1);
    while (postings->slots[slot] != 0) {
        uint32_t entry = postings->slots[slot] - 1;
        if (postings->hashes[entry] == hash) {
            postings->frames[entry] |= (uint64_t)1 << frame;
            return entry;
        }
        slot = (slot + 1) & (postings->slots_count - 1);
    }
    uint32_t entry = postings->count++;
    postings->slots[slot] = entry + 1;
    postings->hashes[entry] = hash;
    postings->frames[entry] = (uint64_t)1 << frame;
    return entry;
}

static uint64_t all_frames(uint32_t frames) {
    return frames == 64 ? UINT64_MAX : ((uint64_t)1 << frames) - 1;
}

static uint32_t bitmap_size(uint32_t frames) {
    return (frames + 7) / 8;
}

static uint8_t class_of(uint64_t bitmap, uint32_t frames) {
    uint32_t lowest = (uint32_t)__builtin_ctzll(bitmap);
    uint64_t shifted = bitmap >> lowest;
    if (shifted == 1) return (uint8_t)lowest;
    if (bitmap == all_frames(frames)) return CLASS_ALL;
    if (shifted == 3) return (uint8_t)(CLASS_PAIR + lowest);
    uint32_t count = (uint32_t)__builtin_popcountll(bitmap);
    return (uint8_t)(count < bitmap_size(frames) ? CLASS_LIST + count - 1 : CLASS_BITMAP);
}

// The bytes that an entry of this class has behind the classes.
static uint32_t rest_size(uint32_t class, uint32_t frames) {
    if (class < CLASS_BITMAP) return 0;
    return class == CLASS_BITMAP ? bitmap_size(frames) : class - CLASS_LIST + 1;
}

static void append_32(struct buffer *output, uint32_t number) {
    uint8_t *at = buffer_reserve(output, 4);
    if (at == NULL) return;
    bytes_put_32(at, number);
    output->size += 4;
}

static uint32_t entry_at(const struct postings *postings, uint32_t index) {
    return (uint32_t)postings->sorting[index];
}

void postings_sort(struct postings *postings) {
    uint32_t count = postings->count;
    for (uint32_t entry = 0; entry < count; entry++) {
        postings->sorting[entry] = (uint64_t)postings->hashes[entry] << 32 | entry;
    }
    block_sort(postings->sorting, postings->sorting + postings->room, count);
    for (uint32_t index = 0; index < count; index++) {
        postings->places[entry_at(postings, index)] = index;
    }
}

// Appends where the kinds and the stretches begin.
static void append_directory(const struct postings *postings, uint32_t frames,
                             struct buffer *output) {
    append_32(output, postings->count);
    uint32_t index = 0;
    for (uint32_t kind = 1; kind < KINDS; kind++) {
        while (index < postings->count && postings->sorting[index] >> (32 + HASH_BITS) < kind) {
            index++;
        }
        append_32(output, index);
    }
    uint32_t offset = 0;
    for (index = 0; index < postings->count; index++) {
        if (index % STRETCH == 0) append_32(output, offset);
        uint64_t bitmap = postings->frames[entry_at(postings, index)];
        offset += rest_size(class_of(bitmap, frames), frames);
    }
}

static void append_rest(uint64_t bitmap, uint32_t frames, struct buffer *output) {
    uint32_t class = class_of(bitmap, frames);
    uint8_t bytes[8];
    if (class == CLASS_BITMAP) {
        bytes_put_64(bytes, bitmap);
        buffer_append(output, span_of(bytes, bitmap_size(frames)));
    } else if (class >= CLASS_LIST) {
        for (; bitmap != 0; bitmap &= bitmap - 1) {
            buffer_append_byte(output, (uint8_t)__builtin_ctzll(bitmap));
        }
    }
}

void postings_append(const struct postings *postings, uint32_t frames, struct buffer *output) {
    uint32_t count = postings->count;
    append_directory(postings, frames, output);
    for (uint32_t done = 0; done < count; done += CODES_MAX) {
        uint32_t lows[CODES_MAX];
        uint32_t chunk = count - done < CODES_MAX ? count - done : CODES_MAX;
        for (uint32_t index = 0; index < chunk; index++) {
            lows[index] =
                (uint32_t)(postings->sorting[done + index] >> 32) & ((1u << HASH_BITS) - 1);
        }
        codes_append_bits(output, lows, chunk, HASH_BITS);
    }
    for (uint32_t index = 0; index < count; index++) {
        buffer_append_byte(output, class_of(postings->frames[entry_at(postings, index)], frames));
    }
    for (uint32_t index = 0; index < count; index++) {
        append_rest(postings->frames[entry_at(postings, index)], frames, output);
    }
}

// Finds the parts of a section. False if their sizes are wrong.
static bool open_table(struct span section, uint32_t frames, struct table *table) {
    if (section.size < HEADER_SIZE) return false;
    *table = (struct table){
        .count = bytes_get_32(section.bytes),
        .frames = frames,
        .kinds = section.bytes,
        .stretches = section.bytes + HEADER_SIZE,
    };
    uint64_t lows_size = ((uint64_t)table->count * HASH_BITS + 7) / 8;
    uint64_t lows = HEADER_SIZE + ((uint64_t)table->count + STRETCH - 1) / STRETCH * 4;
    uint64_t classes = lows + lows_size;
    uint64_t rest = classes + table->count;
    if (rest > section.size) return false;
    table->lows = span_of(section.bytes + lows, (size_t)lows_size);
    table->classes = section.bytes + classes;
    table->rest = span_from(section, (size_t)rest);
    return true;
}

bool postings_check(struct span section, uint32_t frames) {
    struct table table;
    return open_table(section, frames, &table);
}

static uint32_t low_of(const struct table *table, uint32_t index) {
    return (uint32_t)codes_get_bits(table->lows, (uint64_t)index * HASH_BITS, HASH_BITS);
}

// Where the entries of a kind begin; the count for what lies behind the last.
static uint32_t kind_begin(const struct table *table, uint32_t kind) {
    if (kind == 0) return 0;
    if (kind == KINDS) return table->count;
    uint32_t begin = bytes_get_32(table->kinds + 4 * (size_t)kind);
    return begin < table->count ? begin : table->count;
}

// Where the frames of an entry begin in `rest`.
static uint64_t rest_begin(const struct table *table, uint32_t index) {
    uint32_t first = index / STRETCH * STRETCH;
    uint64_t offset = bytes_get_32(table->stretches + 4 * (size_t)(index / STRETCH));
    for (; first < index; first++) offset += rest_size(table->classes[first], table->frames);
    return offset;
}

// The frames of an entry; *offset is where they begin in `rest`, and moves on behind them.
static bool read_frames(const struct table *table, uint32_t index, uint64_t *offset,
                        uint64_t *frames) {
    uint32_t class = table->classes[index];
    uint32_t size = rest_size(class, table->frames);
    uint64_t found = 0;
    if (size > 8 || *offset > table->rest.size || size > table->rest.size - *offset) return false;
    const uint8_t *at = table->rest.bytes + *offset;
    *offset += size;
    if (class < CLASS_PAIR) {
        found = (uint64_t)1 << class;
    } else if (class < CLASS_ALL) {
        found = (uint64_t)3 << (class - CLASS_PAIR);
    } else if (class == CLASS_ALL) {
        found = all_frames(table->frames);
    } else if (class == CLASS_BITMAP) {
        uint8_t bytes[8] = {0};
        memcpy(bytes, at, size);
        found = bytes_get_64(bytes);
    } else {
        for (uint32_t number = 0; number < size; number++) found |= (uint64_t)1 << at[number] % 64;
    }
    *frames = found & all_frames(table->frames);
    return true;
}

uint64_t postings_find(struct span section, uint32_t frames, uint32_t hash) {
    struct table table;
    // What a damaged table says may be anywhere.
    if (!open_table(section, frames, &table)) return all_frames(frames);
    uint32_t kind = hash >> HASH_BITS;
    uint32_t low = hash & ((1u << HASH_BITS) - 1);
    uint32_t begin = kind_begin(&table, kind);
    uint32_t end = kind_begin(&table, kind + 1);
    while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        uint32_t found = low_of(&table, middle);
        if (found == low) {
            uint64_t offset = rest_begin(&table, middle);
            uint64_t result;
            return read_frames(&table, middle, &offset, &result) ? result : all_frames(frames);
        }
        if (found < low) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return 0;
}

bool postings_list(struct span section, uint32_t frames, uint32_t kind, uint32_t frame,
                   struct buffer *hashes, uint32_t *count) {
    struct table table;
    if (!open_table(section, frames, &table)) return false;
    uint32_t begin = kind_begin(&table, kind);
    uint32_t end = kind_begin(&table, kind + 1);
    *count = 0;
    if (begin >= end) return true;
    uint8_t *room = buffer_reserve(hashes, (size_t)(end - begin) * sizeof(uint32_t));
    if (room == NULL) return false;
    uint64_t offset = rest_begin(&table, begin);
    for (uint32_t index = begin; index < end; index++) {
        uint32_t class = table.classes[index];
        uint64_t found = (uint64_t)1 << class % 64;
        if (class >= CLASS_PAIR && !read_frames(&table, index, &offset, &found)) return false;
        if ((found >> frame & 1) == 0) continue;
        uint32_t hash = kind << HASH_BITS | low_of(&table, index);
        memcpy(room + *count * sizeof hash, &hash, sizeof hash);
        (*count)++;
    }
    hashes->size += *count * sizeof(uint32_t);
    return true;
}

bool postings_walk(struct span section, uint32_t frames,
                   bool (*on_entry)(void *user, uint32_t hash, uint64_t frames), void *user) {
    struct table table;
    if (!open_table(section, frames, &table)) return false;
    uint64_t offset = 0;
    uint32_t index = 0;
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        uint32_t end = kind_begin(&table, kind + 1);
        for (; index < end; index++) {
            uint64_t found;
            uint32_t hash = kind << HASH_BITS | low_of(&table, index);
            if (!read_frames(&table, index, &offset, &found)) return false;
            if (!on_entry(user, hash, found)) return true;
        }
    }
    return index == table.count;
}
