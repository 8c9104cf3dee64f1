#include "storage/block/block_internal.h"

// Where the parts of a frame's columns are.
struct parts {
    struct span fixed[BLOCK_PARTS];
    struct span kinds[ATTRIBUTE_KINDS];  // NULL bytes if the frame has none of the kind
};

static struct span take_span(struct reader *reader, uint64_t size) {
    const uint8_t *bytes = reader_take(reader, size);
    return bytes == NULL ? span_of(NULL, 0) : span_of(bytes, (size_t)size);
}

static bool find_parts(const struct block_frame *frame, struct parts *parts) {
    *parts = (struct parts){0};
    struct reader reader = reader_of(frame->columns);
    uint64_t sizes[BLOCK_PARTS];
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) sizes[part] = reader_varint(&reader);
    uint64_t kinds = reader_varint(&reader);
    uint64_t kind_sizes[ATTRIBUTE_KINDS];
    uint8_t kind_numbers[ATTRIBUTE_KINDS];
    if (kinds > ATTRIBUTE_KINDS) return false;
    for (uint32_t index = 0; index < kinds; index++) {
        kind_numbers[index] = reader_byte(&reader);
        kind_sizes[index] = reader_varint(&reader);
    }
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) {
        parts->fixed[part] = take_span(&reader, sizes[part]);
    }
    for (uint32_t index = 0; index < kinds; index++) {
        if (kind_numbers[index] >= ATTRIBUTE_KINDS) return false;
        parts->kinds[kind_numbers[index]] = take_span(&reader, kind_sizes[index]);
    }
    return !reader.bad;
}

static bool read_numbers(struct span part, uint64_t *numbers, uint32_t count) {
    struct reader reader = reader_of(part);
    codes_read_numbers(&reader, numbers, count);
    return !reader.bad;
}

static bool read_times(const struct parts *parts, const struct block_frame *frame,
                       int64_t times_s[BLOCK_FRAME_ROWS]) {
    uint64_t numbers[BLOCK_FRAME_ROWS];
    if (!read_numbers(parts->fixed[BLOCK_PART_TIMES], numbers, frame->rows)) return false;
    for (uint32_t row = 0; row < frame->rows; row++) {
        times_s[row] = (int64_t)((uint64_t)frame->time_min_s + numbers[row]);
    }
    return true;
}

bool columns_read_times(const struct block_frame *frame, int64_t times_s[BLOCK_FRAME_ROWS]) {
    struct parts parts;
    return find_parts(frame, &parts) && read_times(&parts, frame, times_s);
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

bool columns_read_accounts(const struct block_frame *frame,
                           struct span accounts[BLOCK_FRAME_ROWS]) {
    struct parts parts;
    return find_parts(frame, &parts) &&
           read_accounts(parts.fixed[BLOCK_PART_ACCOUNTS], accounts, frame->rows);
}

// One kind of a frame while it is read. `values` are the frame's hashes of the kind; those of
// symbol n are the ones from ends[n - 1] (0 for the first) to ends[n] of `lists`.
struct symbols {
    uint32_t values_count;
    uint32_t count;
    uint32_t ends[BLOCK_FRAME_ROWS + 1];
    const uint32_t *lists;
};

// Reads lists of indexes among the values; the hashes they stand for go behind the values.
static bool read_lists(struct reader *reader, uint32_t first, struct buffer *hashes,
                       struct symbols *symbols) {
    uint64_t count = reader_varint(reader);
    if (count > BLOCK_FRAME_ROWS || symbols->values_count == 0) return false;
    uint64_t total = 0;
    for (uint64_t symbol = first; symbol < count + first; symbol++) {
        uint64_t size = reader_varint(reader);
        if (size > ATTRIBUTE_COUNT_MAX) return false;
        total += size;
        symbols->ends[symbol] = (uint32_t)total;
    }
    uint32_t width = codes_width(symbols->values_count - 1);
    uint64_t packed_size = (total * width + 7) / 8;
    const uint8_t *packed = reader_take(reader, packed_size);
    if (packed == NULL) return false;
    uint8_t *room = buffer_reserve(hashes, (size_t)total * sizeof(uint32_t));
    if (room == NULL) return false;
    for (uint64_t index = 0; index < total; index++) {
        uint64_t value = codes_get_bits(span_of(packed, (size_t)packed_size), index * width, width);
        if (value >= symbols->values_count) return false;
        memcpy(room + index * sizeof(uint32_t), hashes->bytes + value * sizeof(uint32_t),
               sizeof(uint32_t));
    }
    symbols->lists = (const uint32_t *)(const void *)room;
    symbols->count = (uint32_t)count + first;
    return true;
}

// Reads the symbols of a kind.
static bool read_symbols(const struct block *block, uint32_t frame, uint32_t kind,
                         struct reader *reader, struct buffer *hashes, struct symbols *symbols) {
    uint32_t flags = reader_byte(reader);
    uint32_t first = flags & BLOCK_SYMBOLS_EMPTY;
    buffer_reset(hashes);
    if (flags > (BLOCK_SYMBOLS_EMPTY | BLOCK_SYMBOLS_LISTS) ||
        !postings_list(block->sections[BLOCK_POSTINGS], block->frames, kind, frame, hashes,
                       &symbols->values_count)) {
        return false;
    }
    symbols->ends[0] = 0;
    if ((flags & BLOCK_SYMBOLS_LISTS) != 0) return read_lists(reader, first, hashes, symbols);
    if (symbols->values_count > BLOCK_FRAME_ROWS) return false;
    for (uint32_t value = 0; value < symbols->values_count; value++) {
        symbols->ends[first + value] = value + 1;
    }
    symbols->lists = (const uint32_t *)(const void *)hashes->bytes;
    symbols->count = symbols->values_count + first;
    return symbols->count > 0;
}

// Appends the hashes of a kind, row by row. False if they are damaged or memory ran out.
static bool read_kind(const struct block *block, struct block_scratch *scratch,
                      const struct parts *parts, uint32_t frame, uint32_t kind,
                      struct buffer *hashes, uint32_t *ends) {
    struct reader reader = reader_of(parts->kinds[kind]);
    uint32_t rows = block_frame_rows(block, frame);
    struct symbols symbols;
    uint8_t codes[BLOCK_FRAME_ROWS];
    if (!read_symbols(block, frame, kind, &reader, &scratch->kind_lists, &symbols)) return false;
    if (symbols.count == 0) return false;
    codes_read(&reader, codes, rows, symbols.count);
    if (reader.bad) return false;
    uint64_t total = 0;
    for (uint32_t row = 0; row < rows; row++) {
        total += symbols.ends[codes[row]] - (codes[row] == 0 ? 0 : symbols.ends[codes[row] - 1]);
    }
    uint8_t *room = buffer_reserve(hashes, (size_t)total * sizeof(uint32_t));
    if (room == NULL) return false;
    uint32_t written = (uint32_t)(hashes->size / sizeof(uint32_t));
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t at = codes[row] == 0 ? 0 : symbols.ends[codes[row] - 1];
        for (; at < symbols.ends[codes[row]]; at++, written++, room += sizeof(uint32_t)) {
            memcpy(room, &symbols.lists[at], sizeof(uint32_t));
        }
        ends[row] = written;
    }
    hashes->size += (size_t)total * sizeof(uint32_t);
    return true;
}

bool block_read_kind(const struct block *block, struct block_scratch *scratch, uint32_t frame,
                     enum attribute_kind kind, struct block_kind *column, struct fault *fault) {
    struct block_frame found;
    struct parts parts;
    if (!block_frame_find(block, frame, &found) || !find_parts(&found, &parts)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    buffer_reset(&scratch->kind_hash);
    if (parts.kinds[kind].bytes == NULL) {
        memset(scratch->kind_end, 0, sizeof scratch->kind_end);
    } else if (!read_kind(block, scratch, &parts, frame, kind, &scratch->kind_hash,
                          scratch->kind_end)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged kind %u", frame, kind);
    }
    *column = (struct block_kind){
        .rows = found.rows,
        .end = scratch->kind_end,
        .hash = (const uint32_t *)(const void *)scratch->kind_hash.bytes,
    };
    return true;
}

// Decodes all kinds and puts them together row by row.
static bool read_attributes(const struct block *block, struct block_scratch *scratch,
                            const struct parts *parts, uint32_t frame) {
    uint32_t rows = block_frame_rows(block, frame);
    uint32_t ends[ATTRIBUTE_KINDS][BLOCK_FRAME_ROWS];
    size_t begins[ATTRIBUTE_KINDS];  // of the kind's hashes
    buffer_reset(&scratch->kind_hash);
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        begins[kind] = scratch->kind_hash.size / sizeof(uint32_t);
        if (parts->kinds[kind].bytes == NULL) {
            for (uint32_t row = 0; row < rows; row++) ends[kind][row] = (uint32_t)begins[kind];
        } else if (!read_kind(block, scratch, parts, frame, kind, &scratch->kind_hash,
                              ends[kind])) {
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
        uint32_t low = 0;
        uint32_t high = scratch->arrivals_count;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (scratch->arrivals[middle].place <= places[row]) {
                low = middle;
            } else {
                high = middle;
            }
        }
        const struct arrival *arrival = &scratch->arrivals[low];
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
    if (!block_frame_find(block, frame, &found) || !find_parts(&found, &parts) ||
        !read_times(&parts, &found, scratch->time_s)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    const uint8_t *ids = block->sections[BLOCK_IDS].bytes;
    struct block_columns result = {
        .rows = found.rows,
        .time_s = scratch->time_s,
        .id = (const uint8_t(*)[RECORD_ID_SIZE])(ids + (size_t)found.first_row * RECORD_ID_SIZE),
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
        if (!block_frame_find(block, frame, &found) || !columns_read_places(&found, numbers)) {
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
