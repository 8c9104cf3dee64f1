#include "base/gzip.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "tests/kit/cases.h"

static struct buffer pack(struct span bytes, int level) {
    struct buffer output;
    struct fault fault = {0};
    buffer_init(&output, SIZE_MAX / 2);
    assert_true(gzip_write(bytes, level, &output, &fault));
    return output;
}

// Inflates a file given in pieces of input_size into pieces of output_size. False with the fault.
static bool unpack(struct gzip_reader *reader, struct span file, size_t input_size,
                   size_t output_size, struct buffer *output, struct fault *fault) {
    gzip_reader_reset(reader);
    uint8_t *room = malloc(output_size);
    bool good = true;
    while (good && file.size > 0) {
        struct span piece = span_of(file.bytes, file.size < input_size ? file.size : input_size);
        file = span_from(file, piece.size);
        size_t written;
        do {
            good = gzip_reader_step(reader, &piece, room, output_size, &written, fault);
            // What came out before a fault stands too.
            assert_true(written <= output_size);
            buffer_append(output, span_of(room, written));
            if (good && written < output_size) assert_int_equal(piece.size, 0);
        } while (good && written == output_size);
    }
    free(room);
    return good && gzip_reader_finish(reader, fault);
}

static void assert_refused(struct span file, uint64_t size_max, const char *message) {
    struct gzip_reader *reader = gzip_reader_create(size_max);
    struct buffer output;
    struct fault fault = {0};
    buffer_init(&output, SIZE_MAX / 2);
    static const size_t input_sizes[] = {1, 4096, SIZE_MAX};
    for (size_t index = 0; index < 3; index++) {
        assert_false(unpack(reader, file, input_sizes[index], 65536, &output, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strstr(fault.text, message) == NULL) fail_msg("%s lacks %s", fault.text, message);
    }
    buffer_done(&output);
    gzip_reader_destroy(reader);
}

static void test_round_trip_in_any_pieces(void **state) {
    (void)state;
    char text[20000];
    for (size_t index = 0; index < sizeof text; index++) text[index] = (char)(index * index / 97);
    struct buffer file = pack(span_of(text, sizeof text), 6);
    struct gzip_reader *reader = gzip_reader_create(sizeof text);
    static const size_t sizes[] = {1, 2, 7, 1000, 20000, 20001};
    for (size_t in = 0; in < 6; in++) {
        for (size_t out = 0; out < 6; out++) {
            struct buffer output;
            struct fault fault = {0};
            buffer_init(&output, SIZE_MAX / 2);
            assert_true(unpack(reader, buffer_span(&file), sizes[in], sizes[out], &output, &fault));
            assert_true(span_equal(buffer_span(&output), span_of(text, sizeof text)));
            buffer_done(&output);
        }
    }
    gzip_reader_destroy(reader);
    gzip_reader_destroy(NULL);
    buffer_done(&file);
}

static void test_members_and_padding(void **state) {
    (void)state;
    struct buffer file = pack(SPAN_LITERAL("one "), 1);
    struct fault fault = {0};
    assert_true(gzip_write((struct span){NULL, 0}, 6, &file, &fault));
    assert_true(gzip_write(SPAN_LITERAL("two"), 12, &file, &fault));
    size_t end = file.size;
    buffer_append(&file, SPAN_LITERAL("\0\0\0\0\0"));
    struct gzip_reader *reader = gzip_reader_create(7);
    for (size_t size = 1; size < file.size; size++) {
        struct buffer output;
        buffer_init(&output, 100);
        assert_true(unpack(reader, buffer_span(&file), size, 3, &output, &fault));
        assert_true(span_is(buffer_span(&output), "one two"));
        buffer_done(&output);
    }
    gzip_reader_destroy(reader);

    char message[64];
    snprintf(message, sizeof message, "gzip: byte %zu is past the end", end + 5);
    buffer_append(&file, SPAN_LITERAL("x"));
    assert_refused(buffer_span(&file), 100, message);
    // Not even another member may follow padding.
    file.bytes[file.size - 1] = 0x1F;
    assert_refused(buffer_span(&file), 100, message);
    file.size = end;
    buffer_append(&file, SPAN_LITERAL("garbage"));
    snprintf(message, sizeof message, "gzip: byte %zu is past the end", end);
    assert_refused(buffer_span(&file), 100, message);
    buffer_done(&file);
}

static void test_truncation_is_seen_at_every_byte(void **state) {
    (void)state;
    struct buffer file = pack(SPAN_LITERAL("{\"Records\":[{\"eventID\":\"x\"}]}"), 6);
    for (size_t size = 1; size < file.size; size++) {
        char message[64];
        snprintf(message, sizeof message, "gzip: truncated after %zu bytes", size);
        assert_refused(span_of(file.bytes, size), 1000, message);
    }
    assert_refused((struct span){NULL, 0}, 1000, "gzip: truncated after 0 bytes");
    buffer_done(&file);
}

static void test_corruption_is_refused(void **state) {
    (void)state;
    assert_refused(SPAN_LITERAL("{\"Records\":[]}"), 1000, "gzip: corrupt at byte 2: ");
    struct buffer file = pack(SPAN_LITERAL("some text some text some text"), 6);
    // Any changed byte from the compressed data on is found; most of the header does not matter.
    for (size_t at = 10; at < file.size; at++) {
        file.bytes[at] ^= 0x55;
        assert_refused(buffer_span(&file), 1000, "gzip: ");
        file.bytes[at] ^= 0x55;
    }
    buffer_done(&file);
}

static void test_limits(void **state) {
    (void)state;
    size_t size = 2 * 1024 * 1024;
    uint8_t *zeros = calloc(1, size);
    struct buffer small = pack(span_of(zeros, 900000), 6);
    struct buffer large = pack(span_of(zeros, size), 6);
    struct gzip_reader *reader = gzip_reader_create(900000);
    struct buffer output;
    struct fault fault = {0};
    buffer_init(&output, SIZE_MAX / 2);
    assert_true(unpack(reader, buffer_span(&small), 100, 65536, &output, &fault));
    assert_int_equal(output.size, 900000);
    assert_refused(buffer_span(&small), 899999, "inflates to more than the 899999 bytes");
    assert_refused(buffer_span(&large), UINT64_MAX, "more than 500 times as many");
    // The reader is good for the next file after a fault.
    buffer_reset(&output);
    assert_false(unpack(reader, buffer_span(&large), 100, 65536, &output, &fault));
    buffer_reset(&output);
    assert_true(unpack(reader, buffer_span(&small), 100, 65536, &output, &fault));
    buffer_done(&output);
    buffer_done(&small);
    buffer_done(&large);
    gzip_reader_destroy(reader);
    free(zeros);
}

static void test_whole_files_at_once(void **state) {
    (void)state;
    uint8_t text[5000], room[5001];
    for (size_t index = 0; index < sizeof text; index++)
        text[index] = (uint8_t)(index * index % 97);
    struct buffer file = pack(span_of(text, sizeof text), 6);
    size_t written = 7;
    assert_true(gzip_inflate_whole(buffer_span(&file), room, sizeof room, &written));
    assert_true(span_equal(span_of(room, written), span_of(text, sizeof text)));
    assert_true(gzip_inflate_whole(buffer_span(&file), room, sizeof text, &written));
    written = 7;
    assert_false(gzip_inflate_whole(buffer_span(&file), room, sizeof text - 1, &written));
    for (size_t size = 0; size < file.size; size++) {
        assert_false(gzip_inflate_whole(span_of(file.bytes, size), room, sizeof room, &written));
    }
    file.bytes[file.size / 2] ^= 1;
    assert_false(gzip_inflate_whole(buffer_span(&file), room, sizeof room, &written));
    file.bytes[file.size / 2] ^= 1;
    // Two members, or bytes behind: the reader's.
    buffer_append_byte(&file, 0);
    assert_false(gzip_inflate_whole(buffer_span(&file), room, sizeof room, &written));
    assert_int_equal(written, 7);
    buffer_done(&file);
}

static void test_write_is_repeatable_and_bounded(void **state) {
    (void)state;
    uint64_t seed = 1;
    uint8_t noise[5000];
    struct random random = random_seeded(&seed);
    random_fill(&random, noise, sizeof noise);
    struct buffer one = pack(span_of(noise, sizeof noise), 6);
    struct buffer other = pack(span_of(noise, sizeof noise), 6);
    assert_true(span_equal(buffer_span(&one), buffer_span(&other)));
    assert_memory_equal(one.bytes + 4, "\0\0\0\0", 4);
    struct buffer narrow;
    struct fault fault = {0};
    buffer_init(&narrow, 1000);
    buffer_append_text(&narrow, "kept");
    assert_false(gzip_write(span_of(noise, sizeof noise), 6, &narrow, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_true(span_is(buffer_span(&narrow), "kept"));
    buffer_done(&narrow);
    buffer_done(&one);
    buffer_done(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_in_any_pieces),
        cmocka_unit_test(test_members_and_padding),
        cmocka_unit_test(test_truncation_is_seen_at_every_byte),
        cmocka_unit_test(test_corruption_is_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_whole_files_at_once),
        cmocka_unit_test(test_write_is_repeatable_and_bounded),
    };
    return cases_run("gzip_test", tests, sizeof tests / sizeof tests[0]);
}
