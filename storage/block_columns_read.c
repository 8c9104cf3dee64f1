#include "storage/block_internal.h"

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

// Reads the lists that are a kind's symbols: the hashes of list n are those from ends[n - 1] to
// ends[n] of `hashes`. Returns how many lists there are; 0 if they are damaged.
static uint32_t read_symbols(struct reader *reader, struct span postings, struct buffer *hashes,
                             uint32_t ends[BLOCK_FRAME_ROWS]) {
    uint32_t flags = reader_byte(reader);
    uint64_t count = reader_varint(reader);
    uint32_t first = flags & BLOCK_SYMBOLS_EMPTY;
    uint32_t places = postings_count(postings);
    if (count > BLOCK_FRAME_ROWS - first || flags > (BLOCK_SYMBOLS_EMPTY | BLOCK_SYMBOLS_LISTS))
        return 0;
    ends[0] = 0;
    uint64_t place = 0;
    uint32_t total = 0;
    for (uint32_t code = first; code < count + first; code++) {
        bool is_list = (flags & BLOCK_SYMBOLS_LISTS) != 0;
        uint64_t size = is_list ? reader_varint(reader) : 1;
        if (size > ATTRIBUTE_COUNT_MAX) return 0;
        for (uint64_t index = 0; index < size; index++) {
            place = is_list ? reader_varint(reader) : place + reader_varint(reader);
            if (reader->bad || place >= places) return 0;
            uint32_t hash = postings_hash(postings, (uint32_t)place);
            buffer_append(hashes, span_of(&hash, sizeof hash));
        }
        total += (uint32_t)size;
        ends[code] = total;
    }
    return (uint32_t)count + first;
}

// Appends the hashes of a kind, row by row. False if they are damaged or memory ran out.
static bool read_kind(struct span part, struct span postings, uint32_t rows, struct buffer *lists,
                      struct buffer *hashes, uint32_t *ends) {
    struct reader reader = reader_of(part);
    uint32_t list_ends[BLOCK_FRAME_ROWS];
    uint8_t codes[BLOCK_FRAME_ROWS];
    buffer_reset(lists);
    uint32_t count = read_symbols(&reader, postings, lists, list_ends);
    if (count == 0) return false;
    codes_read(&reader, codes, rows, count);
    if (reader.bad || buffer_overflowed(lists)) return false;
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t begin = codes[row] == 0 ? 0 : list_ends[codes[row] - 1];
        uint32_t size = list_ends[codes[row]] - begin;
        buffer_append(hashes,
                      span_of(lists->bytes + begin * sizeof(uint32_t), size * sizeof(uint32_t)));
        ends[row] = (uint32_t)(hashes->size / sizeof(uint32_t));
    }
    return !buffer_overflowed(hashes);
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
    } else if (!read_kind(parts.kinds[kind], block->sections[BLOCK_POSTINGS], found.rows,
                          &scratch->kind_lists, &scratch->kind_hash, scratch->kind_end)) {
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
                            const struct parts *parts, uint32_t rows) {
    uint32_t ends[ATTRIBUTE_KINDS][BLOCK_FRAME_ROWS];
    size_t begins[ATTRIBUTE_KINDS];  // of the kind's hashes
    buffer_reset(&scratch->kind_hash);
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        begins[kind] = scratch->kind_hash.size / sizeof(uint32_t);
        if (parts->kinds[kind].bytes == NULL) {
            for (uint32_t row = 0; row < rows; row++) ends[kind][row] = (uint32_t)begins[kind];
        } else if (!read_kind(parts->kinds[kind], block->sections[BLOCK_POSTINGS], rows,
                              &scratch->kind_lists, &scratch->kind_hash, ends[kind])) {
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
        if (!read_attributes(block, scratch, &parts, found.rows)) {
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
