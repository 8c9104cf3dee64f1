#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

// A frame's columns: the sizes of times, places, flags and accounts, the number of kinds, and for
// each kind its number (8 bits) and size, all variable; then those parts one after another. See
// docs/store.md for each.

// The values of one kind in a frame while it is encoded: places in the posting table.
struct kind_rows {
    uint32_t begin[BLOCK_FRAME_ROWS];  // into values
    uint32_t end[BLOCK_FRAME_ROWS];
    uint32_t *values;
};

static void append_flags(struct buffer *output, const struct block_frame_rows *frame) {
    uint32_t list[BLOCK_FRAME_ROWS];
    uint8_t codes[BLOCK_FRAME_ROWS];
    uint32_t count = 0;
    for (uint32_t row = 0; row < frame->count; row++) {
        uint32_t code = 0;
        while (code < count && list[code] != frame->rows[row]->flags) code++;
        if (code == count) list[count++] = frame->rows[row]->flags;
        codes[row] = (uint8_t)code;
    }
    bytes_append_varint(output, count);
    for (uint32_t code = 0; code < count; code++) bytes_append_varint(output, list[code]);
    codes_append(output, codes, frame->count, count);
}

static struct span account_of(const struct block_row *row) {
    return span_of(row->key.account, row->key.account_size);
}

static void append_accounts(struct buffer *output, const struct block_frame_rows *frame) {
    struct span list[BLOCK_FRAME_ROWS];
    uint8_t codes[BLOCK_FRAME_ROWS];
    uint32_t count = 0;
    // Rows are sorted by account.
    for (uint32_t row = 0; row < frame->count; row++) {
        struct span account = account_of(frame->rows[row]);
        if (count == 0 || !span_equal(list[count - 1], account)) list[count++] = account;
        codes[row] = (uint8_t)(count - 1);
    }
    bytes_append_varint(output, count);
    for (uint32_t code = 0; code < count; code++) {
        buffer_append_byte(output, (uint8_t)list[code].size);
        buffer_append(output, list[code]);
    }
    codes_append(output, codes, frame->count, count);
}

static bool lists_equal(const struct kind_rows *kind, uint32_t left, uint32_t right) {
    uint32_t size = kind->end[left] - kind->begin[left];
    if (kind->end[right] - kind->begin[right] != size) return false;
    if (size == 1) return kind->values[kind->begin[left]] == kind->values[kind->begin[right]];
    return memcmp(kind->values + kind->begin[left], kind->values + kind->begin[right],
                  size * sizeof *kind->values) == 0;
}

// Numbers the different lists of a kind; heads[n] is a row that has list n. Returns how many.
static uint32_t number_lists(const struct kind_rows *kind, uint32_t rows, uint8_t *codes,
                             uint8_t *heads) {
    enum { SLOTS = 2 * BLOCK_FRAME_ROWS };
    uint8_t slots[SLOTS] = {0};  // code + 1 by a hash of the list
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (row > 0 && lists_equal(kind, row - 1, row)) {
            codes[row] = codes[row - 1];
            continue;
        }
        uint32_t mark = kind->end[row] - kind->begin[row];
        for (uint32_t at = kind->begin[row]; at < kind->end[row]; at++) {
            mark = (mark + kind->values[at]) * 0x9E3779B1u;
        }
        uint32_t slot = mark >> 24;
        while (slots[slot] != 0 && !lists_equal(kind, heads[slots[slot] - 1], row)) {
            slot = (slot + 1) % SLOTS;
        }
        if (slots[slot] == 0) {
            slots[slot] = (uint8_t)(count + 1);
            heads[count++] = (uint8_t)row;
        }
        codes[row] = (uint8_t)(slots[slot] - 1);
    }
    return count;
}

// Puts the empty list first and, if all others have one value, those in order of the values.
static void order_lists(const struct kind_rows *kind, uint32_t rows, uint8_t *codes, uint8_t *heads,
                        uint32_t count, bool sorted) {
    uint64_t keys[2 * BLOCK_FRAME_ROWS];
    uint8_t heads_before[BLOCK_FRAME_ROWS];
    uint8_t new_codes[BLOCK_FRAME_ROWS];
    for (uint32_t code = 0; code < count; code++) {
        uint32_t begin = kind->begin[heads[code]];
        bool is_empty = kind->end[heads[code]] == begin;
        uint64_t key = sorted && !is_empty ? kind->values[begin] : 0;
        keys[code] = is_empty ? code : (key + 1) << 8 | code;
        heads_before[code] = heads[code];
    }
    block_sort(keys, keys + count, count);
    for (uint32_t code = 0; code < count; code++) {
        uint32_t before = keys[code] & 0xff;
        heads[code] = heads_before[before];
        new_codes[before] = (uint8_t)code;
    }
    for (uint32_t row = 0; row < rows; row++) codes[row] = new_codes[codes[row]];
}

// The frame's values of a kind in order, each once. Returns how many.
static uint32_t list_values(const struct kind_rows *kind, const uint8_t *heads, uint32_t count,
                            uint64_t *sorted) {
    uint32_t total = 0;
    for (uint32_t code = 0; code < count; code++) {
        uint32_t end = kind->end[heads[code]];
        for (uint32_t at = kind->begin[heads[code]]; at < end; at++) {
            sorted[total++] = kind->values[at];
        }
    }
    block_sort(sorted, sorted + total, total);
    uint32_t different = 0;
    for (uint32_t index = 0; index < total; index++) {
        if (index == 0 || sorted[index] != sorted[index - 1]) sorted[different++] = sorted[index];
    }
    return different;
}

static uint32_t index_of(const uint64_t *sorted, uint32_t count, uint32_t value) {
    uint32_t low = 0;
    while (count > 1) {
        uint32_t half = count / 2;
        if (sorted[low + half] <= value) low += half;
        count -= half;
    }
    return low;
}

// Appends lists as sizes and indexes among the frame's values of the kind. False if memory runs
// out.
static bool append_lists(struct block_scratch *scratch, const struct kind_rows *kind,
                         const uint8_t *heads, uint32_t first, uint32_t count) {
    struct buffer *parts = &scratch->parts;
    uint32_t total = 0;
    for (uint32_t code = first; code < count; code++) {
        uint32_t size = kind->end[heads[code]] - kind->begin[heads[code]];
        bytes_append_varint(parts, size);
        total += size;
    }
    buffer_reset(&scratch->kind_sorted);
    uint8_t *room = buffer_reserve(&scratch->kind_sorted, 3 * (size_t)total * sizeof(uint64_t));
    if (room == NULL) return false;
    uint64_t *sorted = (uint64_t *)(void *)room;
    uint32_t *indexes = (uint32_t *)(void *)(sorted + 2 * (size_t)total);
    uint32_t values = list_values(kind, heads, count, sorted);
    uint32_t written = 0;
    for (uint32_t code = first; code < count; code++) {
        uint32_t end = kind->end[heads[code]];
        for (uint32_t at = kind->begin[heads[code]]; at < end; at++) {
            indexes[written++] = index_of(sorted, values, kind->values[at]);
        }
    }
    codes_append_bits(parts, indexes, written, codes_width(values - 1));
    return true;
}

static bool append_kind(struct block_scratch *scratch, const struct kind_rows *kind,
                        uint32_t rows) {
    uint8_t codes[BLOCK_FRAME_ROWS];
    uint8_t heads[BLOCK_FRAME_ROWS];
    uint32_t count = number_lists(kind, rows, codes, heads);
    uint32_t flags = 0;
    for (uint32_t code = 0; code < count; code++) {
        uint32_t size = kind->end[heads[code]] - kind->begin[heads[code]];
        if (size == 0) flags |= BLOCK_SYMBOLS_EMPTY;
        if (size > 1) flags |= BLOCK_SYMBOLS_LISTS;
    }
    bool has_lists = (flags & BLOCK_SYMBOLS_LISTS) != 0;
    uint32_t first = (flags & BLOCK_SYMBOLS_EMPTY) != 0 ? 1 : 0;
    order_lists(kind, rows, codes, heads, count, !has_lists);
    buffer_append_byte(&scratch->parts, (uint8_t)flags);
    if (has_lists) {
        bytes_append_varint(&scratch->parts, count - first);
        if (!append_lists(scratch, kind, heads, first, count)) return false;
    }
    codes_append(&scratch->parts, codes, rows, count);
    return true;
}

// Puts the values of all kinds behind one another, kind by kind and row by row: those of kind n and
// row m end at ends[n * rows + m]. False if memory runs out.
static bool collect_kinds(struct block_scratch *scratch, const struct block_frame_rows *frame,
                          uint32_t **values, uint32_t ends[ATTRIBUTE_KINDS * BLOCK_FRAME_ROWS]) {
    uint32_t count = frame->attribute_ends[frame->count - 1] - frame->attribute_begin;
    buffer_reset(&scratch->kind_values);
    uint8_t *room = buffer_reserve(&scratch->kind_values, (count + 1) * sizeof **values);
    if (room == NULL) return false;
    *values = (uint32_t *)(void *)room;
    uint32_t cells = ATTRIBUTE_KINDS * frame->count;
    memset(ends, 0, cells * sizeof *ends);
    const struct block_attribute *attributes = scratch->attributes + frame->attribute_begin;
    uint32_t index = 0;
    for (uint32_t row = 0; row < frame->count; row++) {
        uint32_t end = frame->attribute_ends[row] - frame->attribute_begin;
        for (; index < end; index++) ends[attributes[index].kind * frame->count + row]++;
    }
    uint32_t total = 0;
    for (uint32_t cell = 0; cell < cells; cell++) {
        uint32_t size = ends[cell];
        ends[cell] = total;  // begin for now
        total += size;
    }
    index = 0;
    for (uint32_t row = 0; row < frame->count; row++) {
        uint32_t end = frame->attribute_ends[row] - frame->attribute_begin;
        for (; index < end; index++) {
            uint32_t place = scratch->postings.places[attributes[index].entry];
            (*values)[ends[attributes[index].kind * frame->count + row]++] = place;
        }
    }
    return true;
}

// Appends the kinds that the frame has; numbers and part_ends are filled for *kinds of them. False
// if memory runs out.
static bool append_kinds(struct block_scratch *scratch, uint32_t rows, uint32_t *values,
                         const uint32_t *ends, uint32_t *kinds, uint8_t numbers[ATTRIBUTE_KINDS],
                         size_t part_ends[ATTRIBUTE_KINDS]) {
    *kinds = 0;
    struct kind_rows kind = {.values = values};
    uint32_t end = 0;
    for (uint32_t number = 0; number < ATTRIBUTE_KINDS; number++) {
        uint32_t begin = end;
        for (uint32_t row = 0; row < rows; row++) {
            kind.begin[row] = end;
            end = ends[number * rows + row];
            kind.end[row] = end;
        }
        if (begin == end) continue;
        if (!append_kind(scratch, &kind, rows)) return false;
        numbers[*kinds] = (uint8_t)number;
        part_ends[(*kinds)++] = scratch->parts.size;
    }
    return true;
}

bool columns_append(struct block_scratch *scratch, const struct block_frame_rows *frame,
                    int64_t time_min_s, struct buffer *output) {
    uint64_t numbers[BLOCK_FRAME_ROWS];
    struct buffer *parts = &scratch->parts;
    size_t ends[BLOCK_PARTS];
    buffer_reset(parts);
    for (uint32_t row = 0; row < frame->count; row++) {
        numbers[row] = (uint64_t)frame->rows[row]->key.event_time_s - (uint64_t)time_min_s;
    }
    codes_append_numbers(parts, numbers, frame->count);
    ends[BLOCK_PART_TIMES] = parts->size;
    for (uint32_t row = 0; row < frame->count; row++) numbers[row] = frame->places[row];
    codes_append_numbers(parts, numbers, frame->count);
    ends[BLOCK_PART_PLACES] = parts->size;
    append_flags(parts, frame);
    ends[BLOCK_PART_FLAGS] = parts->size;
    append_accounts(parts, frame);
    ends[BLOCK_PART_ACCOUNTS] = parts->size;

    uint32_t *values;
    uint32_t value_ends[ATTRIBUTE_KINDS * BLOCK_FRAME_ROWS];
    uint8_t kind_numbers[ATTRIBUTE_KINDS];
    size_t kind_ends[ATTRIBUTE_KINDS];
    uint32_t kinds;
    if (!collect_kinds(scratch, frame, &values, value_ends) ||
        !append_kinds(scratch, frame->count, values, value_ends, &kinds, kind_numbers, kind_ends)) {
        return false;
    }

    size_t begin = 0;
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) {
        bytes_append_varint(output, ends[part] - begin);
        begin = ends[part];
    }
    bytes_append_varint(output, kinds);
    for (uint32_t index = 0; index < kinds; index++) {
        buffer_append_byte(output, kind_numbers[index]);
        bytes_append_varint(output, kind_ends[index] - begin);
        begin = kind_ends[index];
    }
    buffer_append(output, buffer_span(parts));
    return !buffer_overflowed(parts) && !buffer_overflowed(output);
}
