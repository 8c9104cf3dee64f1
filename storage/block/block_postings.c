#include <assert.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

// The section: for each kind where its part ends (32 bits each), then the parts. A part: the number
// of its entries (32 bits); their hashes without the kind, as block_sorted.h has them; for each
// stretch of STRETCH entries but the first where the frames of its first entry begin (32 bits
// each); a class byte for each entry; the frames of those entries whose class does not tell them.

enum {
    HASH_BITS = BLOCK_HASH_BITS,
    KINDS = BLOCK_HASH_KINDS,
    HASH_MASK = (1 << HASH_BITS) - 1,
    DIRECTORY_SIZE = 4 * KINDS,
    STRETCH = 256,
    STEP = 16,  // classes looked at together
    ENTRIES_FIRST = 16384,

    CLASS_PAIR = BLOCK_FRAMES_MAX,     // below: that frame alone; from here on: n and n + 1
    CLASS_ALL = 2 * BLOCK_FRAMES_MAX,  // every frame
    CLASS_BITMAP,                      // a bit for each frame
    CLASS_LIST,                        // and more: that many frames above one, a byte each
    NO_ENTRY = UINT32_MAX,
};

static_assert((int)ATTRIBUTE_KINDS <= (int)KINDS, "a kind does not fit its bits");

// The part of a kind. Without entries nothing else is set.
struct part {
    uint32_t count;
    uint32_t frames;
    struct sorted hashes;
    const uint8_t *stretches;
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

void postings_sort(struct postings *postings) {
    uint32_t count = postings->count;
    uint64_t *frames = postings->sorting + postings->room;
    for (uint32_t entry = 0; entry < count; entry++) {
        postings->sorting[entry] = (uint64_t)postings->hashes[entry] << 32 | entry;
    }
    block_sort(postings->sorting, frames, count);
    for (uint32_t place = 0; place < count; place++) {
        uint32_t entry = (uint32_t)postings->sorting[place];
        postings->places[entry] = place;
        postings->hashes[place] = (uint32_t)(postings->sorting[place] >> 32) & HASH_MASK;
        frames[place] = postings->frames[entry];
    }
    memcpy(postings->frames, frames, count * sizeof *frames);
    uint32_t place = 0;
    for (uint32_t kind = 0; kind <= KINDS; kind++) {
        while (place < count && postings->sorting[place] >> (32 + HASH_BITS) < kind) place++;
        postings->kind_begin[kind] = place;
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

// Appends the part of a kind: count entries from a place on.
static void append_part(const struct postings *postings, uint32_t begin, uint32_t count,
                        uint32_t frames, struct buffer *output) {
    const uint64_t *bitmaps = postings->frames + begin;
    append_32(output, count);
    sorted_append(output, postings->hashes + begin, count, HASH_BITS);
    uint32_t offset = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (index % STRETCH == 0 && index > 0) append_32(output, offset);
        offset += rest_size(class_of(bitmaps[index], frames), frames);
    }
    for (uint32_t index = 0; index < count; index++) {
        buffer_append_byte(output, class_of(bitmaps[index], frames));
    }
    for (uint32_t index = 0; index < count; index++) append_rest(bitmaps[index], frames, output);
}

void postings_append(const struct postings *postings, uint32_t frames, struct buffer *output) {
    size_t section = output->size;
    for (uint32_t kind = 0; kind < KINDS; kind++) append_32(output, 0);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        uint32_t begin = postings->kind_begin[kind];
        uint32_t count = postings->kind_begin[kind + 1] - begin;
        if (count > 0) append_part(postings, begin, count, frames, output);
        if (buffer_overflowed(output)) return;
        bytes_put_32(output->bytes + section + 4 * (size_t)kind,
                     (uint32_t)(output->size - section));
    }
}

bool postings_check(struct span section) {
    return section.size >= DIRECTORY_SIZE;
}

// Finds the part of a kind in a section that was checked. False if its sizes are wrong.
static bool open_part(struct span section, uint32_t frames, uint32_t kind, struct part *part) {
    const uint8_t *end = section.bytes + 4 * (size_t)kind;
    uint32_t part_begin = kind == 0 ? DIRECTORY_SIZE : bytes_get_32(end - 4);
    uint32_t part_end = bytes_get_32(end);
    *part = (struct part){.frames = frames};
    if (part_begin == part_end) return true;
    if (part_begin > part_end || part_end > section.size) return false;
    struct reader reader = reader_of(span_of(section.bytes + part_begin, part_end - part_begin));
    const uint8_t *count = reader_take(&reader, 4);
    if (count == NULL) return false;
    part->count = bytes_get_32(count);
    // An entry has a class at least.
    if (part->count == 0 || part->count > reader_left(&reader)) return false;
    if (!sorted_open(span_of(reader.at, reader_left(&reader)), part->count, HASH_BITS,
                     &part->hashes)) {
        return false;
    }
    reader_take(&reader, sorted_size(part->count, HASH_BITS));
    part->stretches = reader_take(&reader, (part->count - 1) / STRETCH * 4);
    part->classes = reader_take(&reader, part->count);
    part->rest = span_of(reader.at, reader_left(&reader));
    return !reader.bad;
}

// Where the frames of an entry begin in `rest`.
static uint64_t rest_begin(const struct part *part, uint32_t index) {
    uint32_t stretch = index / STRETCH;
    uint64_t offset = stretch == 0 ? 0 : bytes_get_32(part->stretches + 4 * (size_t)(stretch - 1));
    for (uint32_t at = stretch * STRETCH; at < index; at++) {
        offset += rest_size(part->classes[at], part->frames);
    }
    return offset;
}

// The frames of an entry; *offset is where they begin in `rest`, and moves on behind them.
static bool read_frames(const struct part *part, uint32_t index, uint64_t *offset,
                        uint64_t *frames) {
    uint32_t class = part->classes[index];
    uint32_t size = rest_size(class, part->frames);
    uint64_t found = 0;
    if (size > 8 || *offset > part->rest.size || size > part->rest.size - *offset) return false;
    const uint8_t *at = part->rest.bytes + *offset;
    *offset += size;
    if (class < CLASS_PAIR) {
        found = (uint64_t)1 << class;
    } else if (class < CLASS_ALL) {
        found = (uint64_t)3 << (class - CLASS_PAIR);
    } else if (class == CLASS_ALL) {
        found = all_frames(part->frames);
    } else if (class == CLASS_BITMAP) {
        uint8_t bytes[8] = {0};
        memcpy(bytes, at, size);
        found = bytes_get_64(bytes);
    } else {
        for (uint32_t number = 0; number < size; number++) found |= (uint64_t)1 << at[number] % 64;
    }
    *frames = found & all_frames(part->frames);
    return true;
}

uint64_t postings_find(struct span section, uint32_t frames, uint32_t hash) {
    struct part part;
    uint32_t index;
    uint64_t found;
    // What a damaged table says may be anywhere.
    if (!open_part(section, frames, hash >> HASH_BITS, &part)) return all_frames(frames);
    if (part.count == 0 || !sorted_find(&part.hashes, hash & HASH_MASK, &index)) {
        return 0;
    }
    uint64_t offset = part.classes[index] < CLASS_BITMAP ? 0 : rest_begin(&part, index);
    return read_frames(&part, index, &offset, &found) ? found : all_frames(frames);
}

// An entry that may stand in a frame.
struct candidate {
    uint32_t index;
    uint32_t bucket;  // of its hash
};

// Of the next entries, at most STRETCH, those that stand in a frame, and those that have frames in
// `rest`. Returns how many.
static uint32_t select_entries(const struct part *part, uint32_t begin, uint32_t frame,
                               struct sorted_walk *walk, struct candidate candidates[STRETCH]) {
    uint8_t selected[UINT8_MAX + 1];
    memset(selected, 0, CLASS_BITMAP);
    memset(selected + CLASS_BITMAP, 1, sizeof selected - CLASS_BITMAP);
    selected[frame] = 1;
    selected[CLASS_PAIR + frame] = 1;
    if (frame > 0) selected[CLASS_PAIR + frame - 1] = 1;
    selected[CLASS_ALL] = 1;
    uint32_t count = part->count - begin < STRETCH ? part->count - begin : STRETCH;
    uint32_t found = 0;
    // Few are, in no order that a processor could foresee: each is written.
    for (uint32_t index = begin; index < begin + count; index++) {
        candidates[found] = (struct candidate){index, sorted_walk_next(walk)};
        found += selected[part->classes[index]];
    }
    return found;
}

bool postings_list(struct span section, uint32_t frames, uint32_t kind, uint32_t frame,
                   struct buffer *hashes, uint32_t *count) {
    struct part part;
    *count = 0;
    if (!open_part(section, frames, kind, &part)) return false;
    if (part.count == 0) return true;
    struct sorted_walk walk = sorted_walk_of(&part.hashes);
    uint64_t offset = 0;
    for (uint32_t begin = 0; begin < part.count; begin += STRETCH) {
        struct candidate candidates[STRETCH];
        uint32_t selected = select_entries(&part, begin, frame, &walk, candidates);
        uint8_t *room = buffer_reserve(hashes, selected * sizeof(uint32_t));
        if (room == NULL) return false;
        uint32_t written = 0;
        for (uint32_t number = 0; number < selected; number++) {
            uint32_t index = candidates[number].index;
            uint64_t found;
            if (!read_frames(&part, index, &offset, &found)) return false;
            uint32_t hash =
                kind << HASH_BITS | sorted_number(&part.hashes, index, candidates[number].bucket);
            memcpy(room + written * sizeof hash, &hash, sizeof hash);
            written += (uint32_t)(found >> frame & 1);
        }
        hashes->size += written * sizeof(uint32_t);
        *count += written;
    }
    return !walk.bad;
}

// Of STEP classes, as bitmaps: those of entries that stand in a frame, and those that do not tell.
struct standing {
    uint32_t here;
    uint32_t untold;
};

#ifdef __SSE2__
static inline struct standing find_standing(const uint8_t classes[STEP], uint32_t frame) {
    uint32_t before = frame > 0 ? frame - 1 : frame;
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)classes);
    __m128i here = _mm_cmpeq_epi8(all, _mm_set1_epi8((char)frame));
    __m128i pair = _mm_cmpeq_epi8(all, _mm_set1_epi8((char)(CLASS_PAIR + frame)));
    __m128i pair_before = _mm_cmpeq_epi8(all, _mm_set1_epi8((char)(CLASS_PAIR + before)));
    __m128i every = _mm_cmpeq_epi8(all, _mm_set1_epi8((char)CLASS_ALL));
    __m128i untold = _mm_cmpeq_epi8(_mm_max_epu8(all, _mm_set1_epi8((char)CLASS_BITMAP)), all);
    here = _mm_or_si128(_mm_or_si128(here, every), _mm_or_si128(pair, pair_before));
    return (struct standing){(uint32_t)_mm_movemask_epi8(here),
                             (uint32_t)_mm_movemask_epi8(untold)};
}
#else
static inline struct standing find_standing(const uint8_t classes[STEP], uint32_t frame) {
    struct standing standing = {0, 0};
    for (uint32_t at = 0; at < STEP; at++) {
        uint32_t class = classes[at];
        bool is_here = class == frame || class == CLASS_ALL || class == CLASS_PAIR + frame ||
                       (frame > 0 && class == CLASS_PAIR + frame - 1);
        standing.here |= (uint32_t)is_here << at;
        standing.untold |= (uint32_t)(class >= CLASS_BITMAP) << at;
    }
    return standing;
}
#endif

// Whether an entry whose class does not tell stands in a frame.
static bool stands_in(const uint8_t *rest, uint32_t class, uint32_t size, uint32_t frame) {
    if (class == CLASS_BITMAP) return (rest[frame / 8] >> frame % 8 & 1) != 0;
    for (uint32_t at = 0; at < size; at++) {
        if (rest[at] == frame) return true;
    }
    return false;
}

// How many of the first `count` entries stand in a frame. False if the section is damaged.
static bool count_entries(const struct part *part, uint32_t count, uint32_t frame,
                          uint32_t *found) {
    uint64_t offset = 0;
    uint32_t sum = 0;
    for (uint32_t begin = 0; begin < count; begin += STEP) {
        uint8_t classes[STEP] = {0};
        uint32_t step = count - begin < STEP ? count - begin : STEP;
        memcpy(classes, part->classes + begin, step);
        struct standing standing = find_standing(classes, frame);
        uint32_t counted = UINT32_MAX >> (32 - step);
        sum += (uint32_t)__builtin_popcount(standing.here & counted);
        for (uint32_t left = standing.untold & counted; left != 0; left &= left - 1) {
            uint32_t class = classes[__builtin_ctz(left)];
            uint32_t size = rest_size(class, part->frames);
            if (offset > part->rest.size || size > part->rest.size - offset) return false;
            sum += stands_in(part->rest.bytes + offset, class, size, frame);
            offset += size;
        }
    }
    *found = sum;
    return true;
}

bool postings_place(struct span section, uint32_t frames, uint32_t hash, uint32_t frame,
                    uint64_t *holders, uint32_t *place) {
    struct part part;
    uint32_t index;
    *holders = 0;
    if (!open_part(section, frames, hash >> HASH_BITS, &part)) return false;
    if (part.count == 0 || !sorted_find(&part.hashes, hash & HASH_MASK, &index)) return true;
    uint64_t offset = part.classes[index] < CLASS_BITMAP ? 0 : rest_begin(&part, index);
    if (!read_frames(&part, index, &offset, holders)) return false;
    bool has = (*holders >> frame & 1) != 0;
    return !has || count_entries(&part, index, frame, place);
}

bool postings_walk(struct span section, uint32_t frames,
                   bool (*on_entry)(void *user, uint32_t hash, uint64_t frames), void *user) {
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        struct part part;
        if (!open_part(section, frames, kind, &part)) return false;
        struct sorted_walk walk = sorted_walk_of(&part.hashes);
        uint64_t offset = 0;
        for (uint32_t index = 0; index < part.count; index++) {
            uint64_t found;
            uint32_t low = sorted_number(&part.hashes, index, sorted_walk_next(&walk));
            if (walk.bad || !read_frames(&part, index, &offset, &found)) return false;
            if (!on_entry(user, kind << HASH_BITS | low, found)) return true;
        }
    }
    return true;
}
