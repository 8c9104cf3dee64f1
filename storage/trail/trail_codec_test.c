// Values of the trail's databases: what is written is read back, and damage is told, wherever it
// is.

#include "storage/trail/trail_codec.h"

#include <string.h>

#include "storage/trail/trail_tail.h"
#include "tests/kit/cases.h"

static const uint8_t secret[HASH_SECRET_SIZE] = {1, 2, 3};

static void test_numbers(void **state) {
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, 1024);
    trail_codec_append(&bytes, 0x1122334455667788, 8);
    trail_codec_append(&bytes, 0xAABB, 2);
    assert_int_equal(bytes.bytes[0], 0x88);
    struct trail_codec codec = {.rest = buffer_span(&bytes)};
    assert_int_equal(trail_codec_take(&codec, 8), 0x1122334455667788);
    assert_int_equal(trail_codec_take(&codec, 2), 0xAABB);
    assert_false(codec.failed);
    assert_int_equal(trail_codec_take(&codec, 1), 0);
    assert_true(codec.failed);
    buffer_done(&bytes);
}

// Every value cut at every place, and with every bit turned.
static void test_tells_damaged_values(void **state) {
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    struct fault fault;
    const uint8_t key[TRAIL_GAP_KEY_SIZE] = {0, 0, 0, 9};
    const struct trail_head head = {.sequence_last = 5, .gaps = 7};
    const struct block_summary summary = {.rows = 3, .text_size = 9};
    const struct trail_agent agent = {SPAN_LITERAL("spiffe://o/account/1"), 5};
    const struct trail_stream stream = {.agent = 9, .gap_numbers = 3};
    const struct trail_gap gap = {.agent = 9, .reason = "disk"};
    const struct trail_quarantined entry = {.reason = "future", .detail = SPAN_LITERAL("x")};
    for (uint32_t which = 0; which < 6; which++) {
        buffer_reset(&bytes);
        if (which == 0) trail_codec_append_head(&bytes, &head);
        if (which == 1) trail_codec_append_summary(&bytes, &summary);
        if (which == 2) trail_codec_append_agent(&bytes, &agent);
        if (which == 3) trail_codec_append_stream(&bytes, &stream);
        if (which == 4) trail_codec_append_gap(&bytes, &gap);
        if (which == 5) trail_codec_append_quarantined(&bytes, &entry);
        for (size_t turn = 0; turn <= 9 * bytes.size; turn++) {
            size_t size = turn < bytes.size ? turn : bytes.size;
            size_t bit = turn - size;
            bool is_turned = turn >= bytes.size && turn < 9 * bytes.size;
            if (is_turned) bytes.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct span value = span_of(bytes.bytes, size);
            struct trail_head head_read;
            struct block_summary summary_read;
            struct trail_agent agent_read;
            struct trail_stream stream_read;
            struct trail_gap gap_read;
            struct trail_quarantined entry_read;
            bool read = false;
            if (which == 0) read = trail_codec_take_head(value, &head_read, &fault);
            if (which == 1) read = trail_codec_take_summary(value, &summary_read, &fault);
            if (which == 2) read = trail_codec_take_agent(value, &agent_read, &fault);
            if (which == 3) {
                read = trail_codec_take_stream(span_of(key, TRAIL_STREAM_KEY_SIZE), value,
                                               &stream_read, &fault);
            }
            if (which == 4)
                read = trail_codec_take_gap(span_of(key, sizeof key), value, &gap_read, &fault);
            if (which == 5) {
                read = trail_codec_take_quarantined(span_of(key, TRAIL_QUARANTINE_KEY_SIZE), value,
                                                    &entry_read, &fault);
            }
            if (is_turned) bytes.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(read, turn == 9 * bytes.size);
            if (!read) assert_int_equal(fault.kind, FAULT_CORRUPT);
        }
    }
    buffer_done(&bytes);
}

static void test_refuses_other_versions(void **state) {
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    const struct trail_format format = {.major = TRAIL_FORMAT_MAJOR, .minor = 7, .created_ms = -5};
    struct trail_format read;
    struct fault fault;
    trail_codec_append_format(&bytes, &format);
    assert_true(trail_codec_take_format(buffer_span(&bytes), &read, &fault));
    assert_int_equal(read.minor, 7);
    assert_int_equal(read.created_ms, -5);
    bytes.bytes[8]++;
    assert_false(trail_codec_take_format(buffer_span(&bytes), &read, &fault));
    assert_non_null(strstr(fault.text, "format 3.7"));
    bytes.bytes[8]--;
    bytes.bytes[12] ^= 1;
    assert_false(trail_codec_take_format(buffer_span(&bytes), &read, &fault));
    assert_non_null(strstr(fault.text, "byte order"));
    bytes.bytes[12] ^= 1;
    bytes.bytes[50] ^= 1;
    assert_false(trail_codec_take_format(buffer_span(&bytes), &read, &fault));
    assert_non_null(strstr(fault.text, "backup"));
    bytes.bytes[50] ^= 1;
    bytes.bytes[0] = 'x';
    assert_false(trail_codec_take_format(buffer_span(&bytes), &read, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    buffer_done(&bytes);
}

// Who migrates does not take a damaged format of today's, or another machine's, for a good one.
static void test_a_migration_tells_a_damaged_format(void **state) {
    (void)state;
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    const struct trail_format format = {.major = TRAIL_FORMAT_MAJOR, .minor = 7};
    const struct span none = {NULL, 0};
    struct trail_format read = {0};
    struct trail_head head;
    struct fault fault;
    trail_codec_append_format(&bytes, &format);
    assert_true(trail_codec_take_first(buffer_span(&bytes), none, &read, &head, &fault));
    assert_int_equal(read.major, TRAIL_FORMAT_MAJOR);
    assert_int_equal(read.minor, 7);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(trail_codec_take_first(buffer_span(&bytes), none, &read, &head, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
        bytes.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        struct span cut = span_of(bytes.bytes, size);
        assert_false(trail_codec_take_first(cut, none, &read, &head, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
    }
    buffer_done(&bytes);
}

// A chunk of a few rows with odd contents.
static void make_chunk(struct zstd *zstd, struct buffer *scratch, struct buffer *output) {
    static const struct attribute attributes[2] = {
        {ATTRIBUTE_EVENT_NAME, {(const uint8_t *)"GetObject", 9}},
        {ATTRIBUTE_REGION, {(const uint8_t *)"eu-west-1", 9}},
    };
    struct block_row rows[3];
    memset(rows, 0, sizeof rows);
    for (uint32_t index = 0; index < 3; index++) {
        rows[index].sequence = 40 + index;
        rows[index].key.event_time_s = 1700000000 + index;
        rows[index].key.account_size = (uint8_t)(index * 12);
        memset(rows[index].key.account, '1', index * 12);
        rows[index].text = index == 1 ? (struct span){NULL, 0} : SPAN_LITERAL("{\"a\": 1}");
        rows[index].user = index == 2 ? SPAN_LITERAL("alice") : (struct span){NULL, 0};
        rows[index].attributes = attributes;
        rows[index].attributes_count = index;
    }
    struct fault fault;
    assert_true(trail_tail_encode(zstd, secret, rows, 3, scratch, output, &fault));
}

static void test_tail_comes_back(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer scratch;
    struct buffer output;
    buffer_init(&scratch, 65536);
    buffer_init(&output, 65536);
    make_chunk(zstd, &scratch, &output);
    struct trail_tail_chunk *chunk = NULL;
    struct fault fault;
    assert_true(trail_tail_decode(zstd, 40, buffer_span(&output), &chunk, &fault));
    assert_int_equal(chunk->rows_count, 3);
    assert_int_equal(chunk->rows[2].sequence, 42);
    assert_int_equal(chunk->rows[2].key.account_size, 24);
    assert_true(span_is(chunk->rows[2].user, "alice"));
    assert_true(span_is(chunk->rows[0].text, "{\"a\": 1}"));
    assert_int_equal(chunk->rows[1].text.size, 0);
    assert_int_equal(chunk->rows[2].attribute_first, 1);
    assert_int_equal(chunk->rows[2].attribute_end, 3);
    assert_int_equal(chunk->attribute_kind[2], ATTRIBUTE_REGION);
    trail_tail_release(trail_tail_share(chunk));
    trail_tail_release(chunk);
    buffer_done(&scratch);
    buffer_done(&output);
    zstd_destroy(zstd);
}

static void test_tail_tells_damage(void **state) {
    (void)state;
    struct zstd *zstd = zstd_create();
    struct buffer scratch;
    struct buffer output;
    buffer_init(&scratch, 65536);
    buffer_init(&output, 65536);
    make_chunk(zstd, &scratch, &output);
    struct trail_tail_chunk *chunk = NULL;
    struct fault fault;
    for (size_t size = 0; size < output.size; size++) {
        assert_false(trail_tail_decode(zstd, 40, span_of(output.bytes, size), &chunk, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
        assert_non_null(strstr(fault.text, "tail chunk 40"));
    }
    for (size_t at = 0; at < output.size; at++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            output.bytes[at] ^= (uint8_t)(1U << bit);
            // A bit of zstd's own header may turn without a consequence; then all is as it was.
            if (trail_tail_decode(zstd, 40, buffer_span(&output), &chunk, &fault)) {
                assert_true(span_is(chunk->rows[2].user, "alice"));
                trail_tail_release(chunk);
            }
            output.bytes[at] ^= (uint8_t)(1U << bit);
        }
    }
    buffer_done(&scratch);
    buffer_done(&output);
    zstd_destroy(zstd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tells_damaged_values),
        cmocka_unit_test(test_refuses_other_versions),
        cmocka_unit_test(test_a_migration_tells_a_damaged_format),
        cmocka_unit_test(test_tail_comes_back),
        cmocka_unit_test(test_tail_tells_damage),
    };
    return cases_run("trail_codec", tests, sizeof tests / sizeof tests[0]);
}
