// Headers of segments: what no program wrote is damage, what a newer one wrote is refused.

#include "agent/frame.h"

#include <string.h>

#include "base/bytes.h"
#include "tests/kit/cases.h"

static void encode(struct buffer *buffer) {
    const struct segment_header header = {
        .salt = 7, .spool_id = "a spool", .first = 41, .chain = "a chain", .sources_count = 1};
    const struct segment_source source = {.source = {.name = "trail", .kind = "directory"},
                                          .position = span_text("position")};
    buffer_init(buffer, SEGMENT_HEADER_SIZE_MAX);
    segment_header_encode(&header, &source, buffer);
}

static bool decode(const struct buffer *buffer, struct fault *fault) {
    static struct segment_source sources[SPOOL_SOURCES_MAX];
    struct segment_header header;
    size_t size;
    if (!segment_header_decode(buffer_span(buffer), &header, sources, &size, fault)) return false;
    assert_int_equal(size, buffer->size);
    assert_int_equal(header.first, 41);
    assert_int_equal(header.sources_count, 1);
    assert_string_equal(sources[0].source.name, "trail");
    assert_true(span_is(sources[0].position, "position"));
    return true;
}

static void test_any_other_byte_is_damage(void **state) {
    (void)state;
    struct buffer buffer;
    struct fault fault;
    encode(&buffer);
    assert_true(decode(&buffer, &fault));
    for (size_t at = 0; at < buffer.size; at++) {
        for (uint32_t bits = 1; bits <= UINT8_MAX; bits++) {
            buffer.bytes[at] ^= (uint8_t)bits;
            assert_false(decode(&buffer, &fault));
            assert_int_equal(fault.kind, FAULT_CORRUPT);
            buffer.bytes[at] ^= (uint8_t)bits;
        }
    }
    buffer_done(&buffer);
}

static void test_a_newer_version_is_refused(void **state) {
    (void)state;
    struct buffer buffer;
    struct fault fault;
    encode(&buffer);
    bytes_put_32(buffer.bytes + 8, 2);
    struct span checked = span_from(buffer_span(&buffer), 24);
    bytes_put_64(buffer.bytes + 16, spool_check(checked, 2) ^ buffer.size);
    assert_false(decode(&buffer, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "spool format 2 is not known to this version"));
    buffer_done(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_other_byte_is_damage),
        cmocka_unit_test(test_a_newer_version_is_refused),
    };
    return cases_run("frame", tests, sizeof tests / sizeof tests[0]);
}
