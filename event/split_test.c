#include "event/split.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "tests/kit/cases.h"

enum { SIZE_MAX_USED = SPLIT_HEAD_SIZE };

// What a stream gave: records joined with '|', then how it ended.
struct outcome {
    char text[4096];
    size_t size;
};

static void note(struct outcome *outcome, struct span bytes) {
    assert_true(outcome->size + bytes.size + 1 < sizeof outcome->text);
    memcpy(outcome->text + outcome->size, bytes.bytes, bytes.size);
    outcome->size += bytes.size;
    outcome->text[outcome->size++] = '|';
    outcome->text[outcome->size] = 0;
}

// Feeds the text in pieces of at most `piece` bytes, each in memory of its own.
static void run(struct split *split, const char *text, size_t piece, struct outcome *outcome) {
    *outcome = (struct outcome){.size = 0};
    split_reset(split, 0);
    struct span rest = span_text(text);
    struct fault fault = {0};
    while (rest.size > 0) {
        size_t size = rest.size < piece ? rest.size : piece;
        uint8_t *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, rest.bytes, size);
        struct span input = span_of(copy, size);
        struct span record;
        uint64_t offset;
        enum split_result result;
        while ((result = split_step(split, &input, &record, &offset, &fault)) == SPLIT_RECORD) {
            // A record is the bytes at its offset, but for what stands around it.
            assert_memory_equal(text + offset, record.bytes, record.size);
            note(outcome, record);
        }
        free(copy);
        if (result == SPLIT_BAD) {
            note(outcome, span_text("BAD"));
            return;
        }
        assert_int_equal(result, SPLIT_MORE);
        rest = span_from(rest, size);
    }
    if (!split_finish(split, &fault)) note(outcome, span_text("CUT"));
}

// Each text gives the same in pieces of every size.
static void check(bool lines, const char *text, const char *expected) {
    struct split *split = split_create(SIZE_MAX_USED, lines);
    assert_non_null(split);
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct outcome outcome;
        run(split, text, piece, &outcome);
        if (strcmp(outcome.text, expected) != 0) {
            fail_msg("in pieces of %zu: %s gave %s", piece, text, outcome.text);
        }
    }
    split_destroy(split);
}

static void test_documents(void **state) {
    (void)state;
    check(false, "{\"Records\":[{\"a\":1},{\"b\":{\"c\":\"}\"}}]}",
          "{\"a\":1}|{\"b\":{\"c\":\"}\"}}|");
    check(false, " { \"Records\" : [ {\"a\":1} , {\"b\":2} ] }\n", "{\"a\":1}|{\"b\":2}|");
    check(false, "{\"Records\":[]}", "");
    check(false, "{\"Records\":[{\"a\":1}],\"more\":{\"x\":[\"}\"]}}", "{\"a\":1}|");
    check(false, "{\"Records\":[{\"a\":1}]}{\"Records\":[{\"b\":1}]}", "{\"a\":1}|{\"b\":1}|");
    check(false, "[{\"a\":1},{\"b\":2}]", "{\"a\":1}|{\"b\":2}|");
    check(false, "{\"eventID\":\"1\",\"Records\":[1]}", "{\"eventID\":\"1\",\"Records\":[1]}|");
    check(false, "{\"a\":1}\n{\"b\":2}\n\n{}", "{\"a\":1}|{\"b\":2}|{}|");
    check(false, "{\"Record\":[{}]}", "{\"Record\":[{}]}|");
    check(false, "{\"Records\":{\"a\":[1]}}", "{\"Records\":{\"a\":[1]}}|");
    check(false, "\xEF\xBB\xBF{\"a\":1}", "{\"a\":1}|");
    check(false, "", "");
}

static void test_strings_hide_structure(void **state) {
    (void)state;
    check(false, "[{\"a\":\"\\\"}{\"},{\"b\":\"\\\\\"},{\"c\":\"\\\\\\\"}\"}]",
          "{\"a\":\"\\\"}{\"}|{\"b\":\"\\\\\"}|{\"c\":\"\\\\\\\"}\"}|");
    check(false, "[{\"long string without anything in it\":\"and another one {{{{ here \\n\"}]",
          "{\"long string without anything in it\":\"and another one {{{{ here \\n\"}|");
}

static void test_bad_documents(void **state) {
    (void)state;
    check(false, "hello", "BAD|");
    check(false, "{\"Records\":[{\"a\":1},7]}", "{\"a\":1}|BAD|");
    check(false, "{\"a\":1}]", "{\"a\":1}|BAD|");
    check(false, "{\"Records\":[{\"a\":1},{\"b\":", "{\"a\":1}|CUT|");
    check(false, "{\"Records\":[{\"a\":1}", "{\"a\":1}|CUT|");
    check(false, "{\"Records\":[{\"a\":1}]", "{\"a\":1}|CUT|");
    check(false, "{\"Rec", "CUT|");
}

static void test_lines(void **state) {
    (void)state;
    check(true, "{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}|{\"b\":2}|");
    check(true, "{\"a\":1}\r\n\n  \n{\"b\":2}\r\n", "{\"a\":1}|{\"b\":2}|");
    check(true, "garbage\n{\"b\":2}\n", "garbage|{\"b\":2}|");
    check(true, "{\"a\":1}\n{\"b\":", "{\"a\":1}|CUT|");
}

static void test_oversize_record_is_passed_over(void **state) {
    (void)state;
    for (int lines = 0; lines <= 1; lines++) {
        struct split *split = split_create(SPLIT_HEAD_SIZE, lines != 0);
        assert_non_null(split);
        size_t size = 3 * SPLIT_HEAD_SIZE;
        uint8_t *text = malloc(size + 16);
        assert_non_null(text);
        memset(text, 'x', size);
        memcpy(text, "{\"a\":\"", 6);
        memcpy(text + size - 2, "\"}", 2);
        memcpy(text + size, "\n{\"b\":2}\n", 9);
        uint8_t expected[SHA256_SIZE];
        crypto_sha256(&(struct span){text, size}, 1, expected);

        struct span rest = span_of(text, size + 9);
        uint32_t oversize = 0, records = 0;
        while (rest.size > 0) {
            struct span input = span_of(rest.bytes, rest.size < 1000 ? rest.size : 1000);
            rest = span_from(rest, input.size);
            struct span record;
            uint64_t offset;
            struct fault fault;
            enum split_result result;
            while ((result = split_step(split, &input, &record, &offset, &fault)) != SPLIT_MORE) {
                if (result == SPLIT_RECORD) {
                    assert_true(span_is(record, "{\"b\":2}"));
                    assert_int_equal(offset, size + 1);
                    records++;
                    continue;
                }
                assert_int_equal(result, SPLIT_OVERSIZE);
                assert_int_equal(offset, 0);
                assert_int_equal(record.size, SPLIT_HEAD_SIZE);
                assert_memory_equal(record.bytes, text, record.size);
                uint64_t whole;
                uint8_t digest[SHA256_SIZE];
                split_oversize(split, &whole, digest);
                assert_int_equal(whole, size);
                assert_memory_equal(digest, expected, sizeof digest);
                oversize++;
            }
        }
        assert_int_equal(oversize, 1);
        assert_int_equal(records, 1);
        free(text);
        split_destroy(split);
    }
}

static void test_position_is_where_to_begin_again(void **state) {
    (void)state;
    struct split *split = split_create(SIZE_MAX_USED, true);
    assert_non_null(split);
    split_reset(split, 100);
    struct span input = SPAN_LITERAL("{\"a\":1}\n{\"b\"");
    struct span record;
    uint64_t offset;
    struct fault fault;
    assert_int_equal(split_step(split, &input, &record, &offset, &fault), SPLIT_RECORD);
    assert_int_equal(offset, 100);
    assert_int_equal(split_position(split), 108);
    assert_int_equal(split_step(split, &input, &record, &offset, &fault), SPLIT_MORE);
    assert_int_equal(split_position(split), 108);
    assert_true(span_is(split_pending(split), "{\"b\""));
    split_destroy(split);
}

// Random nesting and escapes, cut at random places, against what was put in.
static void test_random_documents(void **state) {
    (void)state;
    uint64_t seed = 7;
    struct random random = random_seeded(&seed);
    struct split *split = split_create(SIZE_MAX_USED, false);
    assert_non_null(split);
    for (int round = 0; round < 300; round++) {
        char text[3000] = "{\"Records\":[";
        char expected[3000] = "";
        uint64_t count = random_below(&random, 8);
        for (uint64_t index = 0; index < count; index++) {
            char record[300] = "{\"k\":\"";
            uint64_t length = random_below(&random, 40);
            for (uint64_t at = 0; at < length; at++) {
                static const char *const bits[] = {"\\\"", "\\\\", "{", "}", "[", "]", ",", "x"};
                strncat(record, bits[random_below(&random, 8)], 3);
            }
            strncat(record, "\",\"n\":{\"m\":[{},{}]}}", 30);
            if (index > 0) strncat(text, ",", 2);
            strncat(text, record, 300);
            strncat(expected, record, 300);
            strncat(expected, "|", 2);
        }
        strncat(text, "]}", 3);
        struct outcome outcome;
        run(split, text, 1 + random_below(&random, 64), &outcome);
        assert_string_equal(outcome.text, expected);
    }
    split_destroy(split);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_strings_hide_structure),
        cmocka_unit_test(test_bad_documents),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_oversize_record_is_passed_over),
        cmocka_unit_test(test_position_is_where_to_begin_again),
        cmocka_unit_test(test_random_documents),
    };
    return cases_run("split", tests, sizeof tests / sizeof tests[0]);
}
