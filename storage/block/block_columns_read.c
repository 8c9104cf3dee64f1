#include <assert.h>

#include "storage/block/block_kinds.h"

// Where the parts of a frame's columns are.
struct parts {
    struct span fixed[BLOCK_PARTS];
    struct span kinds[ATTRIBUTE_KINDS];  // NULL bytes if the frame has none of the kind
};

static struct span take_span(struct reader *reader, uint64_t size) {
    const uint8_t *bytes = reader_take(reader, size);
    return bytes == NULL ? span_of(NULL, 0) : span_of(bytes, (size_t)size);
}

// Skips the sizes of the kinds in a block of version 1: nobody reads these.
static bool skip_kinds_first(struct reader *reader) {
    uint64_t kinds = reader_varint(reader);
    if (kinds > ATTRIBUTE_KINDS) return false;
    for (uint32_t index = 0; index < kinds; index++) {
        reader_byte(reader);
        reader_varint(reader);
    }
    return true;
}

static bool find_parts(const struct block_frame *frame, struct parts *parts) {
    *parts = (struct parts){0};
    struct reader reader = reader_of(frame->columns);
    uint64_t sizes[BLOCK_PARTS];
    uint64_t kind_sizes[ATTRIBUTE_KINDS];
    uint64_t kinds = 0;
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) sizes[part] = reader_varint(&reader);
    if (frame->is_first) {
        if (!skip_kinds_first(&reader)) return false;
    } else {
        kinds = reader_varint(&reader);
    }
    if (kinds >> ATTRIBUTE_KINDS != 0) return false;
    for (uint64_t left = kinds; left != 0; left &= left - 1) {
        kind_sizes[__builtin_ctzll(left)] = reader_varint(&reader);
    }
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) {
        parts->fixed[part] = take_span(&reader, sizes[part]);
    }
    for (uint64_t left = kinds; left != 0; left &= left - 1) {
        uint32_t kind = (uint32_t)__builtin_ctzll(left);
        parts->kinds[kind] = take_span(&reader, kind_sizes[kind]);
    }
    return !reader.bad;
}

static bool read_numbers(struct span part, uint64_t *numbers, uint32_t count) {
    struct reader reader = reader_of(part);
    codes_read_numbers(&reader, numbers, count);
    return !reader.bad;
}

static bool read_times(struct span part, const struct block_frame *frame,
                       int64_t times_s[BLOCK_FRAME_ROWS]) {
    uint64_t numbers[BLOCK_FRAME_ROWS];
    if (!read_numbers(part, numbers, frame->rows)) return false;
    for (uint32_t row = 0; row < frame->rows; row++) {
        times_s[row] = frame->is_first ? (int64_t)((uint64_t)frame->time_min_s + numbers[row])
                                       : (int64_t)((uint64_t)frame->time_max_s - numbers[row]);
    }
    return true;
}

// Finds the first part alone: most of what find_parts does is for the others.
static bool find_times(const struct block_frame *frame, struct span *times) {
    static_assert(BLOCK_PART_TIMES == 0, "times are the first part");
    struct reader reader = reader_of(frame->columns);
    uint64_t size = reader_varint(&reader);
    for (uint32_t part = 1; part < BLOCK_PARTS; part++) reader_varint(&reader);
    if (frame->is_first) {
        if (!skip_kinds_first(&reader)) return false;
    } else {
        uint64_t kinds = reader_varint(&reader);
        for (; kinds != 0; kinds &= kinds - 1) reader_varint(&reader);
    }
    *times = take_span(&reader, size);
    return !reader.bad;
}

bool block_read_times(const struct block *block, uint32_t frame, int64_t times_s[BLOCK_FRAME_ROWS],
                      struct fault *fault) {
    struct block_frame found;
    struct span times;
    return (block_frame_open(block, frame, &found) && find_times(&found, &times) &&
            read_times(times, &found, times_s)) ||
           fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged times", frame);
}

bool columns_read_places(const struct block_frame *frame, uint64_t places[BLOCK_FRAME_ROWS]) {
    struct parts parts;
    return find_parts(frame, &parts) &&
           read_numbers(parts.fixed[BLOCK_PART_PLACES], places, frame->rows);
}

static bool read_flags(struct span part, uint32_t *flags, uint32_t rows) {
    struct reader reader = reader_of(part);
    uint32_t list[BLOCK_FRAME_ROWS];
    uint8_t codes[BLOCK_FRAME_ROWS];
    uint64_t count = reader_varint(&reader);
    if (count == 0 || count > BLOCK_FRAME_ROWS) return false;
    for (uint32_t code = 0; code < count; code++) list[code] = (uint32_t)reader_varint(&reader);
    codes_read(&reader, codes, rows, (uint32_t)count);
    for (uint32_t row = 0; row < rows; row++) flags[row] = list[codes[row]];
    return !reader.bad;
}

static bool read_accounts(struct span part, struct span *accounts, uint32_t rows) {
    struct reader reader = reader_of(part);
    struct span list[BLOCK_FRAME_ROWS];
    uint8_t codes[BLOCK_FRAME_ROWS];
    uint64_t count = reader_varint(&reader);
    if (count == 0 || count > BLOCK_FRAME_ROWS) return false;
    for (uint32_t code = 0; code < count; code++) {
        uint32_t size = reader_byte(&reader);
        if (size > KEY_ACCOUNT_SIZE_MAX) return false;
        list[code] = take_span(&reader, size);
    }
    codes_read(&reader, codes, rows, (uint32_t)count);
    for (uint32_t row = 0; row < rows; row++) accounts[row] = list[codes[row]];
    return !reader.bad;
}

bool columns_read_rows(const struct block_frame *frame, int64_t times_s[BLOCK_FRAME_ROWS],
                       struct span accounts[BLOCK_FRAME_ROWS]) {
    struct parts parts;
    return find_parts(frame, &parts) && read_times(parts.fixed[BLOCK_PART_TIMES], frame, times_s) &&
           read_accounts(parts.fixed[BLOCK_PART_ACCOUNTS], accounts, frame->rows);
}

// Begins to read the kinds of a frame.
static void begin_kinds(struct kinds_reader *kinds, const struct block *block, uint32_t frame,
                        const struct parts *parts) {
    kinds->block = block;
    kinds->frame = frame;
    kinds->rows = block_frame_rows(block, frame);
    kinds->known = 0;
    memcpy(kinds->parts, parts->kinds, sizeof kinds->parts);
}

bool block_read_kind(const struct block *block, struct block_scratch *scratch, uint32_t frame,
                     enum attribute_kind kind, struct block_kind *column, struct fault *fault) {
    struct block_frame found;
    struct parts parts;
    if (!block_frame_open(block, frame, &found) || !find_parts(&found, &parts)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    buffer_reset(&scratch->kind_hash);
    if (parts.kinds[kind].bytes == NULL) {
        memset(scratch->kind_end, 0, sizeof scratch->kind_end);
    } else {
        struct kinds_reader kinds;
        begin_kinds(&kinds, block, frame, &parts);
        if (!kinds_read(&kinds, scratch, kind, &scratch->kind_hash, scratch->kind_end))
            return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged kind %u", frame, kind);
    }
    *column = (struct block_kind){
        .rows = found.rows,
        .end = scratch->kind_end,
        .hash = (const uint32_t *)(const void *)scratch->kind_hash.bytes,
    };
    return true;
}

// An attribute that rows are looked for by.
struct wanted {
    uint32_t kind;
    uint32_t place;   // among the frame's values of the kind
    uint32_t frames;  // of the block that have it
};

// Finds the places of all hashes, the one that is in the fewest frames first. *has is false if the
// frame lacks one. False if the frame is damaged.
static bool find_wanted(const struct block *block, uint32_t frame, const uint32_t *hashes,
                        uint32_t count, struct wanted wanted[BLOCK_FIND_MAX], bool *has) {
    *has = true;
    for (uint32_t index = 0; *has && index < count; index++) {
        uint64_t holders;
        struct wanted next = {.kind = hashes[index] >> BLOCK_HASH_BITS};
        if (!postings_place(block->sections[BLOCK_POSTINGS], block->frames, hashes[index], frame,
                            &holders, &next.place)) {
            return false;
        }
        *has = (holders >> frame & 1) != 0;
        next.frames = (uint32_t)__builtin_popcountll(holders);
        uint32_t at = index;
        for (; at > 0 && wanted[at - 1].frames > next.frames; at--) wanted[at] = wanted[at - 1];
        wanted[at] = next;
    }
    return true;
}

bool block_find_rows(const struct block *block, uint32_t frame, const uint32_t *attribute_hashes,
                     uint32_t count, uint64_t rows[2], struct fault *fault) {
    assert(count <= BLOCK_FIND_MAX);
    struct block_frame found;
    struct parts parts;
    struct wanted wanted[BLOCK_FIND_MAX];
    struct kinds_reader kinds;
    bool has = false;
    if (!block_frame_open(block, frame, &found) || !find_parts(&found, &parts) ||
        !find_wanted(block, frame, attribute_hashes, count, wanted, &has)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    uint64_t left[2] = {has ? UINT64_MAX : 0, has ? UINT64_MAX : 0};
    begin_kinds(&kinds, block, frame, &parts);
    for (uint32_t index = 0; index < count && (left[0] | left[1]) != 0; index++) {
        uint64_t matches[2] = {0, 0};
        uint32_t kind = wanted[index].kind;
        if (kind >= ATTRIBUTE_KINDS || parts.kinds[kind].bytes == NULL ||
            !kinds_match(&kinds, kind, wanted[index].place, matches)) {
            return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged kind %u", frame, kind);
        }
        left[0] &= matches[0];
        left[1] &= matches[1];
    }
    memcpy(rows, left, sizeof left);
    return true;
}

// Decodes all kinds and puts them together row by row.
static bool read_attributes(const struct block *block, struct block_scratch *scratch,
                            const struct parts *parts, uint32_t frame) {
    uint32_t rows = block_frame_rows(block, frame);
    struct kinds_reader reader;
    uint32_t ends[ATTRIBUTE_KINDS][BLOCK_FRAME_ROWS];
    size_t begins[ATTRIBUTE_KINDS];  // of the kind's hashes
    begin_kinds(&reader, block, frame, parts);
    buffer_reset(&scratch->kind_hash);
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        begins[kind] = scratch->kind_hash.size / sizeof(uint32_t);
        if (parts->kinds[kind].bytes == NULL) {
            for (uint32_t row = 0; row < rows; row++) ends[kind][row] = (uint32_t)begins[kind];
        } else if (!kinds_read(&reader, scratch, kind, &scratch->kind_hash, ends[kind])) {
            return false;
        }
    }
    size_t count = scratch->kind_hash.size / sizeof(uint32_t);
    buffer_reset(&scratch->attribute_hash);
    buffer_reset(&scratch->attribute_kind);
    uint8_t *hashes = buffer_reserve(&scratch->attribute_hash, (count + 1) * sizeof(uint32_t));
    uint8_t *kinds = buffer_reserve(&scratch->attribute_kind, count + 1);
    if (hashes == NULL || kinds == NULL) return false;
    uint32_t written = 0;
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
            size_t begin = row == 0 ? begins[kind] : ends[kind][row - 1];
            for (; begin < ends[kind][row]; begin++) {
                memcpy(hashes + written * sizeof(uint32_t),
                       scratch->kind_hash.bytes + begin * sizeof(uint32_t), sizeof(uint32_t));
                kinds[written++] = (uint8_t)kind;
            }
        }
        scratch->attribute_end[row] = written;
    }
    return true;
}

static bool read_provenance(const struct block *block, struct block_scratch *scratch,
                            const struct parts *parts, uint32_t rows, struct fault *fault) {
    uint64_t places[BLOCK_FRAME_ROWS];
    if (!read_numbers(parts->fixed[BLOCK_PART_PLACES], places, rows) ||
        !read_flags(parts->fixed[BLOCK_PART_FLAGS], scratch->flags, rows)) {
        return fault_set(fault, FAULT_CORRUPT, "damaged places or flags");
    }
    if (!arrivals_read(block, scratch, fault)) return false;
    for (uint32_t row = 0; row < rows; row++) {
        if (places[row] >= block->summary.rows) {
            return fault_set(fault, FAULT_CORRUPT, "a place beyond the rows");
        }
        // The last run that begins at the place or before it, found without branches.
        const struct arrival *arrival = scratch->arrivals;
        for (uint32_t count = scratch->arrivals_count; count > 1; count -= count / 2)
            arrival += arrival[count / 2].place <= places[row] ? count / 2 : 0;
        scratch->sequence[row] = arrival->sequence + (places[row] - arrival->place);
        scratch->agent[row] = arrival->agent;
        scratch->received_ms[row] = arrival->received_ms;
    }
    return true;
}

bool block_read_columns(const struct block *block, struct block_scratch *scratch, uint32_t frame,
                        uint32_t which, struct block_columns *columns, struct fault *fault) {
    struct block_frame found;
    struct parts parts;
    if (!block_frame_open(block, frame, &found) || !find_parts(&found, &parts) ||
        !read_times(parts.fixed[BLOCK_PART_TIMES], &found, scratch->time_s)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    struct block_columns result = {
        .rows = found.rows,
        .time_s = scratch->time_s,
        .id = (const uint8_t(*)[RECORD_ID_SIZE])found.ids.bytes,
    };
    if ((which & BLOCK_COLUMN_PROVENANCE) != 0) {
        if (!read_provenance(block, scratch, &parts, found.rows, fault)) {
            return fault_add(fault, "block: frame %u", frame);
        }
        result.sequence = scratch->sequence;
        result.agent = scratch->agent;
        result.flags = scratch->flags;
        result.received_ms = scratch->received_ms;
    }
    if ((which & BLOCK_COLUMN_ACCOUNT) != 0) {
        if (!read_accounts(parts.fixed[BLOCK_PART_ACCOUNTS], scratch->account, found.rows)) {
            return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged accounts", frame);
        }
        result.account = scratch->account;
    }
    if ((which & BLOCK_COLUMN_ATTRIBUTES) != 0) {
        if (!read_attributes(block, scratch, &parts, frame)) {
            return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged attributes", frame);
        }
        result.attribute_end = scratch->attribute_end;
        result.attribute_hash = (const uint32_t *)(const void *)scratch->attribute_hash.bytes;
        result.attribute_kind = scratch->attribute_kind.bytes;
    }
    *columns = result;
    return true;
}

bool block_order(const struct block *block, struct block_place *places, struct fault *fault) {
    uint64_t seen[BLOCK_ROWS_MAX / 64] = {0};
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        struct block_frame found;
        uint64_t numbers[BLOCK_FRAME_ROWS];
        if (!block_frame_open(block, frame, &found) || !columns_read_places(&found, numbers)) {
            return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged places", frame);
        }
        for (uint32_t row = 0; row < found.rows; row++) {
            uint64_t place = numbers[row];
            if (place >= block->summary.rows || (seen[place / 64] >> place % 64 & 1) != 0) {
                return fault_set(fault, FAULT_CORRUPT, "block: frame %u: a place twice", frame);
            }
            seen[place / 64] |= (uint64_t)1 << place % 64;
            places[place] = (struct block_place){frame, row};
        }
    }
    return true;
}
