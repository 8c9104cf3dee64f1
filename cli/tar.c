#include "cli/tar.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TAR_BLOCK_SIZE = 512 };

static void append_zeros(struct buffer *archive, size_t size) {
    static const uint8_t zeros[TAR_BLOCK_SIZE];
    assert(size <= sizeof zeros);
    buffer_append(archive, span_of(zeros, size));
}

// Octal digits that fill the field but for its final zero.
static void print_octal(char *field, int field_size, uint64_t value) {
    char text[24];
    int size = snprintf(text, sizeof text, "%0*llo", field_size - 1, (unsigned long long)value);
    assert(size == field_size - 1);
    memcpy(field, text, (size_t)field_size);
}

void tar_append(struct buffer *archive, const char *name, struct span bytes, uint32_t mode,
                int64_t modified_s) {
    assert(strlen(name) < TAR_NAME_SIZE_MAX);
    assert(name[0] != '/');
    assert(bytes.size < (1ULL << 33));
    char header[TAR_BLOCK_SIZE] = {0};
    memcpy(header, name, strlen(name));
    print_octal(header + 100, 8, mode);
    print_octal(header + 108, 8, 0);
    print_octal(header + 116, 8, 0);
    print_octal(header + 124, 12, bytes.size);
    print_octal(header + 136, 12, modified_s > 0 ? (uint64_t)modified_s : 0);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    memcpy(header + 265, "root", 4);
    memcpy(header + 297, "root", 4);
    // The checksum is taken with spaces in its own place.
    memset(header + 148, ' ', 8);
    uint64_t sum = 0;
    for (size_t index = 0; index < sizeof header; index++) sum += (uint8_t)header[index];
    print_octal(header + 148, 7, sum);
    buffer_append(archive, span_of(header, sizeof header));
    buffer_append(archive, bytes);
    size_t tail = bytes.size % TAR_BLOCK_SIZE;
    if (tail != 0) append_zeros(archive, TAR_BLOCK_SIZE - tail);
}

void tar_finish(struct buffer *archive) {
    append_zeros(archive, TAR_BLOCK_SIZE);
    append_zeros(archive, TAR_BLOCK_SIZE);
}
