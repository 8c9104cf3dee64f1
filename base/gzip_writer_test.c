#include "base/gzip_writer.h"

#include <stdlib.h>

#include "base/gzip.h"
#include "base/random.h"
#include "tests/kit/cases.h"

enum { TEXT_SIZE = 700 * 1000 };

static void assert_holds(struct span file, struct span bytes) {
    size_t written = 0;
    uint8_t *room = malloc(bytes.size + 1);
    assert_non_null(room);
    assert_true(gzip_inflate_whole(file, room, bytes.size, &written));
    assert_true(span_equal(span_of(room, written), bytes));
    free(room);
}

// What resembles records, and what does not deflate at all.
static void fill(uint8_t *text, size_t size, bool is_noise) {
    uint64_t state = 7;
    for (size_t at = 0; at < size; at++) {
        uint64_t number = random_splitmix64(&state);
        text[at] = is_noise ? (uint8_t)number : (uint8_t)("{\"eventID\":1234}"[at % 16]);
        if (!is_noise && number % 16 == 0) text[at] = (uint8_t)('a' + number / 16 % 26);
    }
}

static void check_level(int level, const uint8_t *text) {
    static const size_t sizes[] = {0, 1, 300, 65535, 65536, TEXT_SIZE};
    struct fault fault;
    struct gzip_writer *writer = gzip_writer_create(level);
    assert_non_null(writer);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct buffer first, again;
        struct span bytes = span_of(text, sizes[index]);
        buffer_init(&first, 2 * TEXT_SIZE);
        buffer_init(&again, 2 * TEXT_SIZE);
        assert_true(gzip_writer_write(writer, bytes, &first, &fault));
        assert_holds(buffer_span(&first), bytes);
        // Nothing of what came before is in the bytes: a retry writes the same file.
        struct gzip_writer *other = gzip_writer_create(level);
        assert_non_null(other);
        assert_true(gzip_writer_write(other, bytes, &again, &fault));
        assert_true(span_equal(buffer_span(&first), buffer_span(&again)));
        gzip_writer_destroy(other);
        buffer_done(&first);
        buffer_done(&again);
    }
    gzip_writer_destroy(writer);
}

static void test_every_level(void **state) {
    (void)state;
    uint8_t *text = malloc(TEXT_SIZE);
    assert_non_null(text);
    for (int level = 1; level <= GZIP_WRITER_LEVEL_MAX; level++) {
        fill(text, TEXT_SIZE, false);
        check_level(level, text);
        fill(text, TEXT_SIZE, true);
        check_level(level, text);
    }
    free(text);
}

static void test_members_follow_one_another(void **state) {
    (void)state;
    struct fault fault;
    struct buffer file;
    struct gzip_writer *writer = gzip_writer_create(1);
    buffer_init(&file, 1 << 20);
    assert_true(gzip_writer_write(writer, SPAN_LITERAL("one"), &file, &fault));
    size_t first = file.size;
    assert_true(gzip_writer_write(writer, SPAN_LITERAL("two"), &file, &fault));
    assert_holds(span_of(file.bytes, first), SPAN_LITERAL("one"));
    assert_holds(span_from(buffer_span(&file), first), SPAN_LITERAL("two"));
    buffer_done(&file);
    gzip_writer_destroy(writer);
    gzip_writer_destroy(NULL);
}

static void test_no_room(void **state) {
    (void)state;
    for (int level = 1; level <= 2; level++) {
        struct fault fault;
        struct buffer narrow;
        struct gzip_writer *writer = gzip_writer_create(level);
        buffer_init(&narrow, 10);
        assert_false(gzip_writer_write(writer, SPAN_LITERAL("more than ten"), &narrow, &fault));
        assert_int_equal(fault.kind, FAULT_FULL);
        buffer_done(&narrow);
        gzip_writer_destroy(writer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_level),
        cmocka_unit_test(test_members_follow_one_another),
        cmocka_unit_test(test_no_room),
    };
    return cases_run("gzip_writer_test", tests, sizeof tests / sizeof tests[0]);
}
