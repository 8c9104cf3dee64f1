#include "storage/block/block_kinds.h"

// A frame's columns: the sizes of times, places, flags and accounts; the kinds it has (bit n: kind
// n), and for each its size; all variable; then those parts one after another. See docs/store.md
// for each.

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

bool columns_append(struct block_scratch *scratch, const struct block_frame_rows *frame,
                    int64_t time_max_s, struct buffer *output) {
    uint64_t numbers[BLOCK_FRAME_ROWS];
    struct buffer *parts = &scratch->parts;
    size_t ends[BLOCK_PARTS];
    buffer_reset(parts);
    for (uint32_t row = 0; row < frame->count; row++) {
        numbers[row] = (uint64_t)time_max_s - (uint64_t)frame->rows[row]->key.event_time_s;
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

    size_t kind_ends[ATTRIBUTE_KINDS];
    if (!kinds_append(scratch, frame, parts, kind_ends)) return false;

    size_t begin = 0;
    for (uint32_t part = 0; part < BLOCK_PARTS; part++) {
        bytes_append_varint(output, ends[part] - begin);
        begin = ends[part];
    }
    uint64_t kinds = 0;
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        kinds |= (uint64_t)(kind_ends[kind] > (kind == 0 ? begin : kind_ends[kind - 1])) << kind;
    }
    bytes_append_varint(output, kinds);
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        if (kind_ends[kind] > begin) bytes_append_varint(output, kind_ends[kind] - begin);
        begin = kind_ends[kind];
    }
    buffer_append(output, buffer_span(parts));
    return !buffer_overflowed(parts) && !buffer_overflowed(output);
}
