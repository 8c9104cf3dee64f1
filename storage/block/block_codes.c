#include "storage/block/block_codes.h"

#include <assert.h>

enum { WIDTH_MAX = 56 };

// How codes are stored.
enum form {
    FORM_CONSTANT,  // all are 0
    FORM_COUNTING,  // 0, 1, 2, ...
    FORM_BITS,
    FORM_RUNS,  // pairs of length - 1 and code
};

static size_t packed_size(uint32_t count, uint32_t width) {
    return ((size_t)count * width + 7) / 8;
}

// Packs the low bits of numbers into bytes that have room and 8 bytes more.
static void pack(uint8_t *bytes, const uint64_t *numbers, uint32_t count, uint32_t width) {
    uint64_t mask = ((uint64_t)1 << width) - 1;
    uint64_t word = 0;
    uint32_t filled = 0;
    for (uint32_t index = 0; index < count; index++) {
        word |= (numbers[index] & mask) << filled;
        filled += width;
        bytes_put_64(bytes, word);
        bytes += filled / 8;
        word >>= filled / 8 * 8;
        filled %= 8;
    }
}

static void append_packed(struct buffer *output, const uint64_t *numbers, uint32_t count,
                          uint32_t width) {
    size_t size = packed_size(count, width);
    uint8_t *bytes = buffer_reserve(output, size + 8);
    if (bytes == NULL || size == 0) return;
    pack(bytes, numbers, count, width);
    output->size += size;
}

void codes_append_bits(struct buffer *output, const uint32_t *numbers, uint32_t count,
                       uint32_t width) {
    assert(width <= WIDTH_MAX);
    for (uint32_t done = 0; done < count; done += CODES_MAX) {
        // Chunks of CODES_MAX numbers end at a byte whatever the width.
        uint32_t chunk = count - done < CODES_MAX ? count - done : CODES_MAX;
        uint64_t wide[CODES_MAX];
        for (uint32_t index = 0; index < chunk; index++) wide[index] = numbers[done + index];
        append_packed(output, wide, chunk, width);
    }
}

// The width at which packing and exceptions together are smallest.
static uint32_t choose_width(const uint64_t *numbers, uint32_t count) {
    uint32_t wider[66] = {0};  // numbers of exactly this width, then of more than it
    for (uint32_t index = 0; index < count; index++) wider[codes_width(numbers[index])]++;
    size_t best_size = SIZE_MAX;
    uint32_t best = 0;
    uint32_t left = count;
    for (uint32_t width = 0; width <= WIDTH_MAX; width++) {
        left -= wider[width];
        size_t size = packed_size(count, width);
        if (size >= best_size) break;
        if (left > 0) {
            for (uint32_t more = width + 1; more <= 64; more++) {
                size += wider[more] * (1 + (more - width + 6) / 7);
            }
        }
        if (size < best_size) {
            best_size = size;
            best = width;
        }
    }
    return best;
}

void codes_append_numbers(struct buffer *output, const uint64_t *numbers, uint32_t count) {
    assert(count > 0);
    assert(count <= CODES_MAX);
    uint64_t least = numbers[0];
    for (uint32_t index = 1; index < count; index++) {
        if (numbers[index] < least) least = numbers[index];
    }
    uint64_t above[CODES_MAX];
    for (uint32_t index = 0; index < count; index++) above[index] = numbers[index] - least;
    uint32_t width = choose_width(above, count);
    uint32_t exceptions = 0;
    for (uint32_t index = 0; index < count; index++) exceptions += above[index] >> width != 0;
    bytes_append_varint(output, least);
    buffer_append_byte(output, (uint8_t)width);
    buffer_append_byte(output, (uint8_t)exceptions);
    append_packed(output, above, count, width);
    for (uint32_t index = 0; index < count; index++) {
        if (above[index] >> width == 0) continue;
        buffer_append_byte(output, (uint8_t)index);
        bytes_append_varint(output, above[index] >> width);
    }
}

// Reads packed numbers and adds `least` to each.
static void unpack(struct span bytes, uint64_t least, uint32_t width, uint64_t *numbers,
                   uint32_t count) {
    enum { WORD = 8 };
    uint64_t mask = ((uint64_t)1 << width) - 1;
    uint32_t index = 0;
    uint64_t bit = 0;
    // As long as a whole word can be read.
    int64_t last = ((int64_t)bytes.size - WORD) * 8 + 7;
    for (; index < count && (int64_t)bit <= last; index++, bit += width)
        numbers[index] = least + (bytes_get_64(bytes.bytes + bit / 8) >> bit % 8 & mask);
    // What is left begins in the last bytes.
    uint8_t end[2 * WORD] = {0};
    size_t begin = (size_t)bit / 8 < bytes.size ? (size_t)bit / 8 : bytes.size;
    memcpy(end, bytes.bytes + begin, bytes.size - begin);
    for (; index < count; index++, bit += width)
        numbers[index] = least + (bytes_get_64(end + (bit / 8 - begin)) >> bit % 8 & mask);
}

void codes_read_numbers(struct reader *reader, uint64_t *numbers, uint32_t count) {
    uint64_t least = reader_varint(reader);
    uint32_t width = reader_byte(reader);
    uint32_t exceptions = reader_byte(reader);
    const uint8_t *packed = NULL;
    if (width <= WIDTH_MAX) packed = reader_take(reader, packed_size(count, width));
    if (packed == NULL) {
        reader->bad = true;
        for (uint32_t index = 0; index < count; index++) numbers[index] = 0;
        return;
    }
    unpack(span_of(packed, packed_size(count, width)), least, width, numbers, count);
    for (uint32_t index = 0; index < exceptions; index++) {
        uint32_t place = reader_byte(reader);
        uint64_t high = reader_varint(reader);
        if (place < count) {
            numbers[place] += high << width;
        } else {
            reader->bad = true;
        }
    }
}

static size_t runs_size(const uint8_t *codes, uint32_t count) {
    size_t size = 1;
    for (uint32_t index = 0; index < count; index++) {
        if (index == 0 || codes[index] != codes[index - 1]) size += 2;
    }
    return size;
}

static void append_runs(struct buffer *output, const uint8_t *codes, uint32_t count) {
    for (uint32_t begin = 0; begin < count;) {
        uint32_t end = begin + 1;
        while (end < count && codes[end] == codes[begin]) end++;
        buffer_append_byte(output, (uint8_t)(end - begin - 1));
        buffer_append_byte(output, codes[begin]);
        begin = end;
    }
}

void codes_append(struct buffer *output, const uint8_t *codes, uint32_t count,
                  uint32_t codes_count) {
    assert(count > 0);
    assert(count <= CODES_MAX);
    bool constant = true;
    bool counting = true;
    for (uint32_t index = 0; index < count; index++) {
        assert(codes[index] < codes_count);
        constant = constant && codes[index] == 0;
        counting = counting && codes[index] == index;
    }
    uint32_t width = codes_width(codes_count - 1);
    if (constant) {
        buffer_append_byte(output, FORM_CONSTANT);
    } else if (counting) {
        buffer_append_byte(output, FORM_COUNTING);
    } else if (runs_size(codes, count) < 1 + packed_size(count, width)) {
        buffer_append_byte(output, FORM_RUNS);
        append_runs(output, codes, count);
    } else {
        buffer_append_byte(output, FORM_BITS);
        uint64_t wide[CODES_MAX];
        for (uint32_t index = 0; index < count; index++) wide[index] = codes[index];
        append_packed(output, wide, count, width);
    }
}

static void read_runs(struct reader *reader, uint8_t *codes, uint32_t count) {
    for (uint32_t begin = 0; begin < count;) {
        uint32_t length = reader_byte(reader) + 1u;
        uint8_t code = reader_byte(reader);
        if (length > count - begin) {
            reader->bad = true;
            length = count - begin;
        }
        memset(codes + begin, code, length);
        begin += length;
    }
}

void codes_read(struct reader *reader, uint8_t *codes, uint32_t count, uint32_t codes_count) {
    uint32_t form = reader_byte(reader);
    uint32_t width = codes_width(codes_count - 1);
    memset(codes, 0, count);
    if (form == FORM_COUNTING) {
        for (uint32_t index = 0; index < count; index++) codes[index] = (uint8_t)index;
    } else if (form == FORM_RUNS) {
        read_runs(reader, codes, count);
    } else if (form == FORM_BITS) {
        const uint8_t *packed = reader_take(reader, packed_size(count, width));
        if (packed == NULL) return;
        struct span bytes = span_of(packed, packed_size(count, width));
        for (uint32_t index = 0; index < count; index++) {
            codes[index] = (uint8_t)codes_get_bits(bytes, (uint64_t)index * width, width);
        }
    } else if (form != FORM_CONSTANT) {
        reader->bad = true;
    }
    for (uint32_t index = 0; index < count; index++) {
        if (codes[index] >= codes_count) {
            reader->bad = true;
            codes[index] = 0;
        }
    }
}
