#include "base/zstd.h"

#include <stdlib.h>
#include <string.h>

#include "tests/kit/cases.h"

static void test_round_trip(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer frame;
    struct fault fault = {0};
    buffer_init(&frame, 100000);
    uint8_t text[20000], back[20000];
    for (size_t index = 0; index < sizeof text; index++) text[index] = (uint8_t)(index / 7);
    static const size_t sizes[] = {0, 1, 100, 20000};
    for (size_t index = 0; index < 4; index++) {
        buffer_reset(&frame);
        buffer_append_text(&frame, "head");
        assert_true(zstd_compress(zstd, span_of(text, sizes[index]), 3, &frame, &fault));
        assert_memory_equal(frame.bytes, "head", 4);
        struct span only = span_from(buffer_span(&frame), 4);
        assert_true(zstd_inflate(zstd, only, back, sizes[index], &fault));
        assert_memory_equal(text, back, sizes[index]);
    }
    buffer_done(&frame);
    zstd_destroy(zstd);
    zstd_destroy(NULL);
}

static void test_anything_else_is_corrupt(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer frame;
    struct fault fault = {0};
    uint8_t back[1000];
    buffer_init(&frame, 100000);
    assert_true(zstd_compress(zstd, SPAN_LITERAL("some text some text"), 3, &frame, &fault));
    struct span whole = buffer_span(&frame);
    for (size_t size = 0; size < whole.size; size++) {
        assert_false(zstd_inflate(zstd, span_of(whole.bytes, size), back, 19, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
    }
    assert_false(zstd_inflate(zstd, whole, back, 18, &fault));
    assert_false(zstd_inflate(zstd, whole, back, 20, &fault));
    assert_false(zstd_inflate(zstd, SPAN_LITERAL("not a frame at all"), back, 20, &fault));
    // Two frames are not one, even when they inflate to the right size.
    assert_true(zstd_compress(zstd, SPAN_LITERAL("x"), 3, &frame, &fault));
    assert_false(zstd_inflate(zstd, buffer_span(&frame), back, 20, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    buffer_done(&frame);
    zstd_destroy(zstd);
}

static void test_shared_bytes(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer alone, frame;
    struct fault fault = {0};
    uint8_t shared[5000], text[1000], back[1000];
    uint32_t number = 1;
    for (size_t index = 0; index < sizeof shared; index++) {
        number = number * 1664525u + 1013904223u;
        shared[index] = (uint8_t)(number >> 24);
    }
    memcpy(text, shared + 3000, sizeof text);
    buffer_init(&alone, 100000);
    buffer_init(&frame, 100000);
    struct zstd_shared *ready = zstd_shared_create(span_of(shared, sizeof shared), 1);
    assert_non_null(ready);
    struct span bytes = span_of(text, sizeof text);
    assert_true(zstd_compress(zstd, bytes, 1, &alone, &fault));
    assert_true(zstd_compress_shared(zstd, ready, bytes, &frame, &fault));
    assert_true(frame.size < 100);
    assert_true(alone.size > sizeof text / 2);
    assert_true(zstd_inflate_shared(zstd, span_of(shared, sizeof shared), buffer_span(&frame), back,
                                    sizeof back, &fault));
    assert_memory_equal(back, text, sizeof text);
    // Without the shared bytes, or with fewer, nothing comes back.
    assert_false(zstd_inflate(zstd, buffer_span(&frame), back, sizeof back, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_true(zstd_inflate_shared(zstd, span_of(shared, sizeof shared), buffer_span(&alone), back,
                                    sizeof back, &fault));
    zstd_shared_destroy(ready);
    zstd_shared_destroy(NULL);
    buffer_done(&alone);
    buffer_done(&frame);
    zstd_destroy(zstd);
}

static void test_full_buffer(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer narrow;
    struct fault fault = {0};
    buffer_init(&narrow, 10);
    assert_false(zstd_compress(zstd, SPAN_LITERAL("some text some text"), 3, &narrow, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_int_equal(narrow.size, 0);
    buffer_done(&narrow);
    zstd_destroy(zstd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_anything_else_is_corrupt),
        cmocka_unit_test(test_shared_bytes),
        cmocka_unit_test(test_full_buffer),
    };
    return cases_run("zstd_test", tests, sizeof tests / sizeof tests[0]);
}
