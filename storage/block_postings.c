#include <stdlib.h>

#include "storage/block_internal.h"
#include "storage/block_sort.h"

// The section: count (32 bits), bits of the directory (8), 3 bytes of 0; the directory, for each
// value of the hashes' top bits where its entries and its bitmaps begin (32 bits each); the low
// bits of the hashes; a class byte for each entry; the bitmaps of those of class CLASS_BITMAP.

enum {
    HEADER_SIZE = 8,
    DIRECTORY_SIZE = 8,   // of an entry of the directory
    BUCKET_ENTRIES = 16,  // about, in one bucket of the directory
    DIRECTORY_BITS_MAX = 20,
    ENTRIES_FIRST = 16384,

    CLASS_PAIR = BLOCK_FRAMES_MAX,     // below: that frame alone; from here on: n and n + 1
    CLASS_ALL = 2 * BLOCK_FRAMES_MAX,  // every frame
    CLASS_BITMAP,
    NO_ENTRY = UINT32_MAX,
};

// The parts of a section.
struct table {
    uint32_t count;
    uint32_t directory_bits;
    uint32_t low_bits;  // of a hash
    uint32_t frames;
    const uint8_t *directory;
    struct span lows;
    const uint8_t *classes;
    struct span bitmaps;
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
    return (uint8_t)(shifted == 3 ? CLASS_PAIR + lowest : CLASS_BITMAP);
}

static uint32_t choose_directory_bits(uint32_t count) {
    uint32_t buckets = count / BUCKET_ENTRIES;
    uint32_t bits = buckets == 0 ? 0 : codes_width(buckets) - 1;
    return bits > DIRECTORY_BITS_MAX ? DIRECTORY_BITS_MAX : bits;
}

static void append_32(struct buffer *output, uint32_t number) {
    uint8_t *at = buffer_reserve(output, 4);
    if (at == NULL) return;
    bytes_put_32(at, number);
    output->size += 4;
}

// Appends where the buckets' entries and bitmaps begin.
static void append_directory(const struct postings *postings, uint32_t frames, uint32_t bits,
                             struct buffer *output) {
    uint32_t index = 0;
    uint32_t bitmaps = 0;
    for (uint64_t bucket = 0; bucket < (uint64_t)1 << bits; bucket++) {
        append_32(output, index);
        append_32(output, bitmaps);
        for (; index < postings->count; index++) {
            if (bits > 0 && postings->sorting[index] >> (64 - bits) != bucket) break;
            uint64_t frames_of = postings->frames[(uint32_t)postings->sorting[index]];
            bitmaps += class_of(frames_of, frames) == CLASS_BITMAP;
        }
    }
}

void postings_sort(struct postings *postings) {
    uint32_t count = postings->count;
    for (uint32_t entry = 0; entry < count; entry++) {
        postings->sorting[entry] = (uint64_t)postings->hashes[entry] << 32 | entry;
    }
    block_sort(postings->sorting, postings->sorting + postings->room, count);
    for (uint32_t index = 0; index < count; index++) {
        postings->places[(uint32_t)postings->sorting[index]] = index;
    }
}

void postings_append(const struct postings *postings, uint32_t frames, struct buffer *output) {
    uint32_t count = postings->count;
    uint32_t bits = choose_directory_bits(count);
    append_32(output, count);
    append_32(output, bits);
    append_directory(postings, frames, bits, output);
    for (uint32_t done = 0; done < count; done += CODES_MAX) {
        uint32_t lows[CODES_MAX];
        uint32_t chunk = count - done < CODES_MAX ? count - done : CODES_MAX;
        for (uint32_t index = 0; index < chunk; index++) {
            uint32_t hash = (uint32_t)(postings->sorting[done + index] >> 32);
            lows[index] = (uint32_t)(hash & (((uint64_t)1 << (32 - bits)) - 1));
        }
        codes_append_bits(output, lows, chunk, 32 - bits);
    }
    for (uint32_t index = 0; index < count; index++) {
        uint64_t bitmap = postings->frames[(uint32_t)postings->sorting[index]];
        buffer_append_byte(output, class_of(bitmap, frames));
    }
    for (uint32_t index = 0; index < count; index++) {
        uint64_t bitmap = postings->frames[(uint32_t)postings->sorting[index]];
        if (class_of(bitmap, frames) != CLASS_BITMAP) continue;
        uint8_t bytes[8];
        bytes_put_64(bytes, bitmap);
        buffer_append(output, span_of(bytes, bitmap_size(frames)));
    }
}

// Finds the parts of a section. False if their sizes are wrong.
static bool open_table(struct span section, uint32_t frames, struct table *table) {
    if (section.size < HEADER_SIZE) return false;
    *table = (struct table){
        .count = bytes_get_32(section.bytes),
        .directory_bits = bytes_get_32(section.bytes + 4),
        .frames = frames,
        .directory = section.bytes + HEADER_SIZE,
    };
    if (table->directory_bits > DIRECTORY_BITS_MAX) return false;
    table->low_bits = 32 - table->directory_bits;
    size_t lows = HEADER_SIZE + ((size_t)DIRECTORY_SIZE << table->directory_bits);
    uint64_t lows_size = ((uint64_t)table->count * table->low_bits + 7) / 8;
    uint64_t classes = lows + lows_size;
    uint64_t bitmaps = classes + table->count;
    if (bitmaps > section.size) return false;
    table->lows = span_of(section.bytes + lows, (size_t)lows_size);
    table->classes = section.bytes + classes;
    table->bitmaps = span_from(section, (size_t)bitmaps);
    return true;
}

bool postings_check(struct span section, uint32_t frames) {
    struct table table;
    return open_table(section, frames, &table);
}

uint32_t postings_count(struct span section) {
    return bytes_get_32(section.bytes);
}

static uint32_t low_of(const struct table *table, uint32_t index) {
    return (uint32_t)codes_get_bits(table->lows, (uint64_t)index * table->low_bits,
                                    table->low_bits);
}

// Where a bucket's entries begin; the count for what lies behind the last.
static uint32_t bucket_begin(const struct table *table, uint32_t bucket) {
    if (bucket >> table->directory_bits != 0) return table->count;
    uint32_t begin = bytes_get_32(table->directory + (size_t)bucket * DIRECTORY_SIZE);
    return begin < table->count ? begin : table->count;
}

// The frames of an entry; *bitmap is the index of the next bitmap, and moves on behind it.
static bool read_frames(const struct table *table, uint32_t index, uint64_t *bitmap,
                        uint64_t *frames) {
    uint32_t class = table->classes[index];
    if (class < CLASS_PAIR) {
        *frames = (uint64_t)1 << class;
    } else if (class < CLASS_ALL) {
        *frames = (uint64_t)3 << (class - CLASS_PAIR);
    } else if (class == CLASS_ALL) {
        *frames = all_frames(table->frames);
    } else {
        uint32_t size = bitmap_size(table->frames);
        if (class != CLASS_BITMAP || *bitmap >= table->bitmaps.size / size) return false;
        uint8_t bytes[8] = {0};
        memcpy(bytes, table->bitmaps.bytes + *bitmap * size, size);
        (*bitmap)++;
        *frames = bytes_get_64(bytes);
    }
    *frames &= all_frames(table->frames);
    return true;
}

uint64_t postings_find(struct span section, uint32_t frames, uint32_t hash) {
    struct table table;
    if (!open_table(section, frames, &table)) return all_frames(frames);
    uint32_t bucket = (uint32_t)((uint64_t)hash >> table.low_bits);
    uint32_t low = (uint32_t)(hash & (((uint64_t)1 << table.low_bits) - 1));
    uint32_t end = bucket_begin(&table, bucket + 1);
    uint64_t bitmap = bytes_get_32(table.directory + (size_t)bucket * DIRECTORY_SIZE + 4);
    for (uint32_t index = bucket_begin(&table, bucket); index < end; index++) {
        uint32_t found = low_of(&table, index);
        if (found == low) {
            uint64_t result;
            // What a damaged table says may be anywhere.
            return read_frames(&table, index, &bitmap, &result) ? result : all_frames(frames);
        }
        if (found > low) break;
        bitmap += table.classes[index] == CLASS_BITMAP;
    }
    return 0;
}

uint32_t postings_hash(struct span section, uint32_t place) {
    struct table table;
    if (!open_table(section, 1, &table) || place >= table.count) return 0;
    // Hashes are spread evenly, so that the bucket is near where it is expected.
    uint32_t last = ((uint32_t)1 << table.directory_bits) - 1;
    uint32_t bucket = (uint32_t)(((uint64_t)place << table.directory_bits) / table.count);
    while (bucket > 0 && bucket_begin(&table, bucket) > place) bucket--;
    while (bucket < last && bucket_begin(&table, bucket + 1) <= place) bucket++;
    return (uint32_t)((uint64_t)bucket << table.low_bits) | low_of(&table, place);
}

bool postings_walk(struct span section, uint32_t frames,
                   bool (*on_entry)(void *user, uint32_t hash, uint64_t frames), void *user) {
    struct table table;
    if (!open_table(section, frames, &table)) return false;
    uint64_t bitmap = 0;
    uint32_t index = 0;
    for (uint64_t bucket = 0; bucket < (uint64_t)1 << table.directory_bits; bucket++) {
        uint32_t end = bucket_begin(&table, (uint32_t)bucket + 1);
        for (; index < end; index++) {
            uint64_t found;
            uint32_t hash = (uint32_t)(bucket << table.low_bits) | low_of(&table, index);
            if (!read_frames(&table, index, &bitmap, &found)) return false;
            if (!on_entry(user, hash, found)) return true;
        }
    }
    return index == table.count;
}
