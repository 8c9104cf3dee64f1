#include "storage/block/block_follow.h"

#include <assert.h>

#include "storage/block/block_codes.h"

// The head: form (2 bits), flags (2), width (4); a width of WIDTH_LONG stands in the next byte.
// Then, but for FORM_BITS, the number of rows that do not have the code that is expected; then
// these rows, a byte each, or a bit for each of all rows if that is shorter; then their codes and
// those of the rows for which none is expected. Codes are packed.

enum form {
    FORM_BITS,     // every code
    FORM_ROW,      // as the row before
    FORM_CONTEXT,  // as the last row of the same context, modulo CONTEXTS
};

enum {
    FORM_BITS_OF_HEAD = 2,
    WIDTH_SHIFT = FORM_BITS_OF_HEAD + FOLLOW_FLAGS,
    WIDTH_LONG = 15,
    CONTEXTS = 256,
    NO_CODE = UINT32_MAX,
    MAP_WORDS = CODES_MAX / 64,
};

// Which rows have another code than the one that is expected, and which have a code of their own:
// these and those for which none is expected.
struct marks {
    uint64_t wrong[MAP_WORDS];
    uint64_t own[MAP_WORDS];
};

static uint32_t count_bits(const uint64_t map[MAP_WORDS]) {
    return (uint32_t)(__builtin_popcountll(map[0]) + __builtin_popcountll(map[1]));
}

static size_t packed_size(uint32_t count, uint32_t width) {
    return ((size_t)count * width + 7) / 8;
}

static size_t map_size(uint32_t count) {
    return (count + 7) / 8;
}

static void mark_by_row(const uint32_t *codes, uint32_t count, struct marks *marks) {
    *marks = (struct marks){.own = {1}};
    for (uint32_t row = 1; row < count; row++) {
        uint64_t wrong = codes[row] != codes[row - 1];
        marks->wrong[row / 64] |= wrong << row % 64;
    }
    for (uint32_t word = 0; word < MAP_WORDS; word++) marks->own[word] |= marks->wrong[word];
}

static void mark_by_context(const uint32_t *codes, const uint32_t *contexts, uint32_t count,
                            struct marks *marks) {
    uint32_t last[CONTEXTS];
    memset(last, 0xff, sizeof last);
    *marks = (struct marks){0};
    for (uint32_t row = 0; row < count; row++) {
        uint32_t *expected = &last[contexts[row] % CONTEXTS];
        uint64_t own = *expected != codes[row];
        uint64_t wrong = own & (*expected != NO_CODE);
        marks->own[row / 64] |= own << row % 64;
        marks->wrong[row / 64] |= wrong << row % 64;
        *expected = codes[row];
    }
}

static size_t marked_size(const struct marks *marks, uint32_t count, uint32_t width) {
    uint32_t wrong = count_bits(marks->wrong);
    return 1 + (wrong < map_size(count) ? wrong : map_size(count)) +
           packed_size(count_bits(marks->own), width);
}

static void append_marked(struct buffer *output, const struct marks *marks, const uint32_t *codes,
                          uint32_t count, uint32_t width) {
    uint32_t wrong = count_bits(marks->wrong);
    uint32_t own[CODES_MAX];
    uint32_t own_count = 0;
    buffer_append_byte(output, (uint8_t)wrong);
    if (wrong < map_size(count)) {
        for (uint32_t word = 0; word < MAP_WORDS; word++) {
            for (uint64_t left = marks->wrong[word]; left != 0; left &= left - 1) {
                buffer_append_byte(output, (uint8_t)(word * 64 + (uint32_t)__builtin_ctzll(left)));
            }
        }
    } else {
        uint8_t map[MAP_WORDS * 8];
        for (uint32_t word = 0; word < MAP_WORDS; word++)
            bytes_put_64(map + (size_t)word * 8, marks->wrong[word]);
        buffer_append(output, span_of(map, map_size(count)));
    }
    for (uint32_t word = 0; word < MAP_WORDS; word++) {
        for (uint64_t left = marks->own[word]; left != 0; left &= left - 1) {
            own[own_count++] = codes[word * 64 + (uint32_t)__builtin_ctzll(left)];
        }
    }
    codes_append_bits(output, own, own_count, width);
}

static void append_head(struct buffer *output, enum form form, uint32_t flags, uint32_t width) {
    uint32_t shown = width < WIDTH_LONG ? width : WIDTH_LONG;
    buffer_append_byte(output, (uint8_t)(form | flags << FORM_BITS_OF_HEAD | shown << WIDTH_SHIFT));
    if (shown == WIDTH_LONG) buffer_append_byte(output, (uint8_t)width);
}

void follow_append(struct buffer *output, const uint32_t *codes, const uint32_t *contexts,
                   uint32_t count, uint32_t width, uint32_t flags) {
    assert(count > 0);
    assert(count <= CODES_MAX);
    assert(width <= FOLLOW_WIDTH_MAX);
    assert(flags < 1 << FOLLOW_FLAGS);
    struct marks marks[2];
    enum form form = FORM_BITS;
    size_t size = packed_size(count, width);
    if (size > 0) {
        mark_by_row(codes, count, &marks[0]);
        size_t marked = marked_size(&marks[0], count, width);
        if (marked < size) {
            form = FORM_ROW;
            size = marked;
        }
    }
    if (size > 0 && contexts != NULL) {
        mark_by_context(codes, contexts, count, &marks[1]);
        if (marked_size(&marks[1], count, width) < size) form = FORM_CONTEXT;
    }
    append_head(output, form, flags, width);
    if (form == FORM_BITS) {
        codes_append_bits(output, codes, count, width);
    } else {
        append_marked(output, &marks[form - FORM_ROW], codes, count, width);
    }
}

// Reads which rows have not the code that is expected.
static void read_wrong(struct reader *reader, uint32_t count, uint64_t wrong[MAP_WORDS]) {
    uint32_t rows = reader_byte(reader);
    if (rows < map_size(count)) {
        for (uint32_t index = 0; index < rows; index++) {
            uint32_t row = reader_byte(reader) % CODES_MAX;
            wrong[row / 64] |= (uint64_t)1 << row % 64;
        }
    } else {
        uint8_t map[MAP_WORDS * 8] = {0};
        const uint8_t *bytes = reader_take(reader, map_size(count));
        if (bytes != NULL) memcpy(map, bytes, map_size(count));
        for (uint32_t word = 0; word < MAP_WORDS; word++)
            wrong[word] = bytes_get_64(map + (size_t)word * 8);
    }
}

// The codes that rows have for themselves, one after another.
struct own_codes {
    uint64_t mask;
    uint32_t width;
    uint8_t bytes[CODES_MAX * FOLLOW_WIDTH_MAX / 8 + 8];  // and zeros, which may be read as well
};

static void begin_own(struct own_codes *own, const struct reader *reader, uint32_t width) {
    size_t size = packed_size(CODES_MAX, width);
    if (size > reader_left(reader)) size = reader_left(reader);
    own->width = width;
    own->mask = ((uint64_t)1 << width) - 1;
    if (size > 0) memcpy(own->bytes, reader->at, size);
    memset(own->bytes + size, 0, packed_size(CODES_MAX, width) - size + 8);
}

static inline uint32_t own_code(const struct own_codes *own, uint64_t bit) {
    return (uint32_t)(bytes_get_64(own->bytes + bit / 8) >> bit % 8 & own->mask);
}

static void read_bits(struct reader *reader, uint32_t *codes, uint32_t count, uint32_t width) {
    struct own_codes own;
    begin_own(&own, reader, width);
    for (uint32_t row = 0; row < count; row++) codes[row] = own_code(&own, (uint64_t)row * width);
    reader_take(reader, packed_size(count, width));
}

// Both return the bits that rows had for themselves. Here most runs are long.
static uint64_t read_by_row(const struct own_codes *own, const uint64_t wrong[MAP_WORDS],
                            uint32_t *codes, uint32_t count) {
    uint64_t bit = 0;
    uint32_t row = 0;
    uint64_t left[MAP_WORDS] = {wrong[0] & ~(uint64_t)1, wrong[1]};
    while (row < count) {
        uint32_t end = count;
        uint32_t code = own_code(own, bit);
        bit += own->width;
        uint32_t word = left[0] != 0 ? 0 : 1;
        if (left[word] != 0) end = word * 64 + (uint32_t)__builtin_ctzll(left[word]);
        left[word] &= left[word] - 1;
        if (end > count) end = count;
        for (; row < end; row++) codes[row] = code;
    }
    return bit;
}

// Here nobody can foresee which rows have codes of their own: each reads one, without branches.
static uint64_t read_by_context(const struct own_codes *own, const uint64_t wrong[MAP_WORDS],
                                const uint32_t *contexts, uint32_t *codes, uint32_t count) {
    uint32_t last[CONTEXTS];
    memset(last, 0xff, sizeof last);
    uint64_t bit = 0;
    for (uint32_t row = 0; row < count; row++) {
        uint32_t *expected = &last[contexts[row] % CONTEXTS];
        uint32_t taken = (uint32_t)(wrong[row / 64] >> row % 64 & 1) | (*expected == NO_CODE);
        uint32_t mask = 0 - taken;
        codes[row] = (own_code(own, bit) & mask) | (*expected & ~mask);
        bit += own->width & mask;
        *expected = codes[row];
    }
    return bit;
}

// What stands before the rows' own codes.
struct head {
    enum form form;
    uint32_t flags;
    uint32_t width;
    uint64_t wrong[MAP_WORDS];
};

static uint32_t form_of(uint32_t head) {
    return head & ((1 << FORM_BITS_OF_HEAD) - 1);
}

static uint32_t flags_of(uint32_t head) {
    return head >> FORM_BITS_OF_HEAD & ((1 << FOLLOW_FLAGS) - 1);
}

// False if it is damaged.
static bool read_head(struct reader *reader, uint32_t count, struct head *head) {
    uint32_t first = reader_byte(reader);
    *head = (struct head){form_of(first), flags_of(first), first >> WIDTH_SHIFT, {0}};
    if (head->width == WIDTH_LONG) head->width = reader_byte(reader);
    if (head->form != FORM_BITS) read_wrong(reader, count, head->wrong);
    return !reader->bad && head->width <= FOLLOW_WIDTH_MAX && head->form <= FORM_CONTEXT;
}

void follow_read(struct reader *reader, uint32_t *codes, const uint32_t *contexts, uint32_t count,
                 uint32_t *flags) {
    assert(count <= CODES_MAX);
    struct head head;
    bool good = read_head(reader, count, &head) && (head.form != FORM_CONTEXT || contexts != NULL);
    *flags = head.flags;
    if (!good) {
        memset(codes, 0, count * sizeof *codes);
        reader->bad = true;
        return;
    }
    if (head.form == FORM_BITS) {
        read_bits(reader, codes, count, head.width);
        return;
    }
    struct own_codes own;
    begin_own(&own, reader, head.width);
    uint64_t bits = head.form == FORM_ROW
                        ? read_by_row(&own, head.wrong, codes, count)
                        : read_by_context(&own, head.wrong, contexts, codes, count);
    reader_take(reader, (bits + 7) / 8);
}

bool follow_peek(const struct reader *reader, uint32_t *flags) {
    uint32_t head = reader_left(reader) == 0 ? 0 : *reader->at;
    *flags = flags_of(head);
    return form_of(head) == FORM_CONTEXT;
}

// Sets the bits of rows from begin to before end.
static void set_rows(uint64_t rows[MAP_WORDS], uint32_t begin, uint32_t end) {
    for (uint32_t word = begin / 64; word * 64 < end; word++) {
        uint64_t bits = UINT64_MAX;
        if (begin > word * 64) bits &= UINT64_MAX << begin % 64;
        if (end < word * 64 + 64) bits &= ~(UINT64_MAX << end % 64);
        rows[word] |= bits;
    }
}

// As read_by_row, but a run is only looked at.
static uint64_t match_by_row(const struct own_codes *own, const uint64_t wrong[MAP_WORDS],
                             uint32_t code, uint32_t count, uint64_t rows[MAP_WORDS]) {
    uint64_t bit = 0;
    uint64_t left[MAP_WORDS] = {wrong[0] & ~(uint64_t)1, wrong[1]};
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        end = count;
        uint32_t word = left[0] != 0 ? 0 : 1;
        if (left[word] != 0) end = word * 64 + (uint32_t)__builtin_ctzll(left[word]);
        left[word] &= left[word] - 1;
        if (end > count) end = count;
        if (own_code(own, bit) == code) set_rows(rows, begin, end);
        bit += own->width;
    }
    return bit;
}

void follow_match(struct reader *reader, uint32_t code, uint32_t count, uint64_t rows[MAP_WORDS]) {
    assert(count <= CODES_MAX);
    struct head head;
    struct own_codes own;
    if (!read_head(reader, count, &head) || head.form == FORM_CONTEXT) {
        reader->bad = true;
        return;
    }
    begin_own(&own, reader, head.width);
    uint64_t bits = (uint64_t)count * head.width;
    if (head.form == FORM_ROW) {
        bits = match_by_row(&own, head.wrong, code, count, rows);
    } else {
        for (uint32_t row = 0; row < count; row++) {
            uint64_t is_it = own_code(&own, (uint64_t)row * head.width) == code;
            rows[row / 64] |= is_it << row % 64;
        }
    }
    reader_take(reader, (bits + 7) / 8);
}
