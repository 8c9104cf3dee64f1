#include "base/json_pick.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/random.h"
#include "tests/kit/cases.h"

enum { FIELD_A = 1, FIELD_ID, FIELD_LIST, FIELD_ENTRY, FIELD_NAME, FIELD_IN };

#define INNER(array) sizeof(array) / sizeof(array)[0], array

static const struct json_want of_entry[] = {{"name", 4, FIELD_NAME, 0, NULL}};
static const struct json_want of_list[] = {{NULL, 0, FIELD_ENTRY, INNER(of_entry)}};
static const struct json_want of_in[] = {{"id", 2, FIELD_IN, 0, NULL}};
static const struct json_want of_root[] = {
    {"a", 1, FIELD_A, 0, NULL},
    {"id", 2, FIELD_ID, 0, NULL},
    {"in", 2, 0, INNER(of_in)},
    {"list", 4, FIELD_LIST, INNER(of_list)},
};
static const struct json_want root = {"", 0, 0, INNER(of_root)};

// What a reader says of a text, all in one span of text: equal answers are equal texts.
static void print_answer(struct json_reader *reader, struct span text, struct buffer *answer) {
    struct json_picks picks;
    enum json_refusal refusal;
    struct fault fault = {.kind = FAULT_NONE};
    buffer_reset(answer);
    if (!json_pick(reader, &root, text, &picks, &refusal, &fault)) {
        assert_true(refusal != JSON_GOOD);
        buffer_print(answer, "refusal %d, fault %d: %s", (int)refusal, (int)fault.kind, fault.text);
        return;
    }
    assert_int_equal(refusal, JSON_GOOD);
    for (uint32_t index = 0; index < picks.count; index++) {
        const struct json_pick *pick = &picks.items[index];
        buffer_print(answer, "%u:%d:%s", pick->field, (int)pick->kind,
                     pick->string.bytes == NULL ? "" : "\"");
        buffer_append(answer, pick->string);
        buffer_append_byte(answer, ' ');
    }
}

// Asks a reader and one that knows nothing, which therefore parses; the text is a copy of exactly
// its size, so that the address sanitizer sees reads past its end.
static void compare_readers(struct json_reader *reader, struct span text) {
    struct buffer known, parsed;
    buffer_init(&known, 1 << 24);
    buffer_init(&parsed, 1 << 24);
    uint8_t *copy = malloc(text.size + 1);
    memcpy(copy, text.bytes, text.size);
    uint8_t *exact = realloc(copy, text.size == 0 ? 1 : text.size);
    static struct json_reader *stranger;
    if (stranger == NULL) stranger = json_reader_create();
    json_reader_forget(stranger);
    print_answer(stranger, text, &parsed);
    assert_int_equal(json_reader_followed(stranger), 0);
    print_answer(reader, span_of(exact, text.size), &known);
    if (!span_equal(buffer_span(&known), buffer_span(&parsed))) {
        fail_msg("of %.*s\nparsed: %.*s\nknown:  %.*s", SPAN_PRINT(text),
                 SPAN_PRINT(buffer_span(&parsed)), SPAN_PRINT(buffer_span(&known)));
    }
    free(exact);
    buffer_done(&known);
    buffer_done(&parsed);
}

static void expect_answer(struct json_reader *reader, const char *text, const char *expected) {
    struct buffer answer;
    buffer_init(&answer, 1 << 16);
    print_answer(reader, span_text(text), &answer);
    if (!span_is(buffer_span(&answer), expected)) {
        fail_msg("%s\nanswer: %.*s\nnot:    %s", text, SPAN_PRINT(buffer_span(&answer)), expected);
    }
    buffer_done(&answer);
}

// Twice: parsed and followed.
static void expect_twice(struct json_reader *reader, const char *text, const char *expected) {
    expect_answer(reader, text, expected);
    uint64_t followed = json_reader_followed(reader);
    expect_answer(reader, text, expected);
    assert_int_equal(json_reader_followed(reader), followed + 1);
}

static void test_picks_in_order_of_the_text(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    expect_twice(reader, "{\"id\":\"x\",\"b\":[1,{\"a\":2}],\"a\":7}", "2:1:\"x 1:2: ");
    expect_twice(reader, "{\"a\":true,\"in\":{\"id\":null,\"a\":1}}", "1:3: 6:5: ");
    expect_twice(reader, "{\"a\":false,\"in\":[{\"id\":1}],\"id\":{}}", "1:4: 2:6: ");
    expect_twice(reader, "{\"list\":[{\"name\":\"n\"},3,{},[{\"name\":4}]],\"a\":[]}",
                 "3:7: 4:6: 5:1:\"n 4:2: 4:6: 4:7: 1:7: ");
    expect_twice(reader, "{\"list\":{\"name\":\"n\"}}", "3:6: ");
    expect_twice(reader, " { \"a\" : \"\" , \"\" : 0 } \n", "1:1:\" ");
    expect_twice(reader, "{}", "");
    json_reader_destroy(reader);
}

static void test_odd_values_are_followed(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    expect_twice(reader, "{\"a\":\"x\\u00e9\\n\\\"\"}", "1:1:\"x\xC3\xA9\n\" ");
    expect_answer(reader, "{\"a\":\"\xC3\xA9\"}", "1:1:\"\xC3\xA9 ");
    expect_answer(reader, "{\"a\":\"plain\"}", "1:1:\"plain ");
    assert_int_equal(json_reader_followed(reader), 3);
    expect_twice(reader, "{\"a\":-0.5e3,\"b\":1e999}", "1:2: ");
    expect_answer(reader, "{\"a\":123456789012345678901234567890,\"b\":0}", "1:2: ");
    expect_answer(reader, "{\"a\":-0,\"b\":500.0}", "1:2: ");
    assert_int_equal(json_reader_followed(reader), 6);
    json_reader_destroy(reader);
}

// Objects learnt apart are known together, whatever was in the ones that ended.
static void test_structures_combine(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    expect_answer(reader, "{\"x\":{\"p\":1},\"y\":2,\"id\":\"1\"}", "2:1:\"1 ");
    expect_answer(reader, "{\"x\":{\"q\":{}},\"y\":2,\"a\":\"1\"}", "1:1:\"1 ");
    assert_int_equal(json_reader_followed(reader), 0);
    expect_answer(reader, "{\"x\":{\"q\":{}},\"y\":34,\"id\":\"3\"}", "2:1:\"3 ");
    expect_answer(reader, "{\"x\":{\"p\":17},\"y\":34,\"a\":\"4\"}", "1:1:\"4 ");
    assert_int_equal(json_reader_followed(reader), 2);
    expect_answer(reader, "{\"x\":[\"1\",\"2\",\"3\"]}", "");
    expect_answer(reader, "{\"x\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}", "");
    assert_int_equal(json_reader_followed(reader), 3);
    json_reader_destroy(reader);
}

static void test_refusals(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    static const char *const good[] = {
        "{\"a\":\"x\",\"b\":{\"c\":\"y\",\"d\":5},\"l\":[1,2,\"z\"]}",
        "{\"a\":5,\"b\":\"x\",\"l\":[true,false,null]}",
        "{\"b\":\"x\",\"a\":[[[]]],\"l\":{}}",
    };
    for (uint32_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        compare_readers(reader, span_text(good[index]));
    }
    static const char *const bad[] = {
        "",
        "{",
        "{}}",
        "{} x",
        "[]",
        "\"a\"",
        "{\"a\":\"x\",\"a\":\"y\"}",
        "{\"a\":\"x\",\"b\":{\"c\":\"y\",\"c\":5}}",
        "{\"a\":5\",\"b\":\"x\",\"l\":[true,false,null]}",
        "{\"a\":\"x,\"b\":{\"c\":\"y\",\"d\":5}}",
        "{\"a\":\"x\"\"b\":{}}",
        "{\"a\":01,\"b\":\"x\"}",
        "{\"a\":1.,\"b\":\"x\"}",
        "{\"a\":-,\"b\":\"x\"}",
        "{\"a\":+1,\"b\":\"x\"}",
        "{\"a\":1 2,\"b\":\"x\"}",
        "{\"a\":5,\"b\":\"\x01\"}",
        "{\"a\":5,\"b\":\"\xFF\"}",
        "{\"a\":5,\"b\":\"\\x\"}",
        "{\"a\":5,\"b\":\"\\ud800\"}",
        "{\"a\":5,\"b\":\"x\\",
        "{\"a\":5,\"b\":\"x\\\"",
        "{\"a\":5,\"b\":\"x\",\"l\":[true,false,null,]}",
        "{\"a\":5,\"b\":\"x\",\"l\":[tru,false,null]}",
        "{\"b\":\"x\",\"a\":[[[]]}",
        "{\"b\":\"x\",\"a\":[[[]}]}",
    };
    for (uint32_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        compare_readers(reader, span_text(bad[index]));
    }
    json_reader_destroy(reader);
}

static void append_value(struct buffer *text, const struct random *random, uint32_t depth) {
    static const char *const scalars[] = {
        "true",
        "false",
        "null",
        "0",
        "-17",
        "1e5",
        "123456789012345678",
        "\"\"",
        "\"x\\ny\"",
        "\"\\u00e9\"",
        "\"\xC3\xA9\"",
        "\"plain text\"",
        "2.50",
        "1234567890123456789",
        "\"a string that is longer than two blocks of sixteen\"",
    };
    static const char *const names[] = {
        "a", "id", "in", "list", "name", "a name of more than thirty-two bytes in all"};
    uint64_t choice = random_below(random, depth == 0 ? 6 : 12);
    if (choice < 6) {
        buffer_append_text(text, scalars[random_below(random, sizeof scalars / sizeof *scalars)]);
        return;
    }
    bool is_object = choice < 10;
    bool is_wide = random_below(random, 4) == 0;
    const char *blank = random_below(random, 8) == 0 ? " " : "";
    buffer_append_text(text, is_object ? "{" : "[");
    uint64_t count = random_below(random, 5);
    uint64_t first = random_below(random, is_wide ? 6 : 2);
    for (uint64_t index = 0; index < count; index++) {
        buffer_print(text, "%s%s", index > 0 ? "," : "", blank);
        // Now and then a name comes twice.
        bool is_twice = index > 0 && random_below(random, 200) == 0;
        uint64_t name = (first + index - (is_twice ? 1 : 0)) % 6;
        if (is_object) buffer_print(text, "\"%s\":%s", names[name], blank);
        append_value(text, random, depth - 1);
    }
    buffer_append_text(text, is_object ? "}" : "]");
}

// Changes a text in one place: another byte, one less, one more, a piece of itself, its end cut.
static void damage(struct buffer *text, const struct random *random) {
    static const char bytes[] =
        "\"\\{}[],: \n0159-+.eEtfnu\x01\x80\xC3\xFF"
        "aid";
    if (text->size == 0) return;
    size_t at = random_below(random, text->size);
    uint8_t byte = (uint8_t)bytes[random_below(random, sizeof bytes)];
    switch (random_below(random, 5)) {
        case 0:
            text->bytes[at] = byte;
            return;
        case 1:
            memmove(text->bytes + at, text->bytes + at + 1, text->size - at - 1);
            text->size--;
            return;
        case 2:
            buffer_append_byte(text, byte);
            return;
        case 3:
            text->size = at;
            return;
        default: {
            size_t from = random_below(random, text->size);
            size_t size = text->size - (at > from ? at : from);
            memmove(text->bytes + at, text->bytes + from, size < 8 ? size : 8);
        }
    }
}

// Whatever was read before, a reader says of a text what one that parses it says.
static void test_known_answers_are_the_parsed_ones(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t number = seed;
        struct random random = random_seeded(&number);
        struct json_reader *reader = json_reader_create();
        struct buffer text;
        buffer_init(&text, 1 << 20);
        for (uint32_t round = 0; round < 300; round++) {
            buffer_reset(&text);
            while (text.size == 0 || text.bytes[0] != '{') {
                buffer_reset(&text);
                append_value(&text, &random, 4);
            }
            compare_readers(reader, buffer_span(&text));
            for (uint32_t times = 0; times < 4; times++) {
                damage(&text, &random);
                compare_readers(reader, buffer_span(&text));
            }
        }
        // Or nothing of it was tested.
        assert_true(json_reader_followed(reader) > 100);
        buffer_done(&text);
        json_reader_destroy(reader);
    }
}

static void append_nested(struct buffer *text, uint32_t depth) {
    buffer_append_text(text, "{\"a\":");
    for (uint32_t index = 1; index < depth; index++) buffer_append_text(text, "[");
    for (uint32_t index = 1; index < depth; index++) buffer_append_text(text, "]");
    buffer_append_text(text, "}");
}

static void test_depth_is_that_of_reading(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct buffer text;
    buffer_init(&text, 1 << 16);
    for (uint32_t times = 0; times < 2; times++) {
        for (uint32_t depth = JSON_DEPTH_MAX - 2; depth < JSON_DEPTH_MAX + 3; depth++) {
            buffer_reset(&text);
            append_nested(&text, depth);
            compare_readers(reader, buffer_span(&text));
        }
    }
    assert_int_equal(json_reader_followed(reader), 3);
    buffer_done(&text);
    json_reader_destroy(reader);
}

// Names that are never the same fill the memory, which then begins anew; what comes often is known
// again soon after.
static void test_forgets_when_full(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct buffer text;
    buffer_init(&text, 1 << 16);
    const char *often = "{\"often\":{\"p\":\"1\",\"q\":[2,3]},\"id\":\"x\"}";
    uint64_t known = 0;
    for (uint32_t round = 0; round < 30000; round++) {
        buffer_reset(&text);
        buffer_print(&text, "{\"in\":{\"id\":\"%u\",\"name %u\":{\"%u\":1}},\"a\":\"y\"}", round,
                     round, round);
        compare_readers(reader, buffer_span(&text));
        uint64_t before = json_reader_followed(reader);
        expect_answer(reader, often, "2:1:\"x ");
        known += json_reader_followed(reader) - before;
    }
    assert_true(known > 29000);
    buffer_done(&text);
    json_reader_destroy(reader);
}

static void test_trim(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_append_text(&text, "{\"a\":\"");
    for (uint32_t index = 0; index < 100000; index++) buffer_append_byte(&text, 'x');
    buffer_append_text(&text, "\"}");
    compare_readers(reader, buffer_span(&text));
    assert_true(json_reader_size(reader) > 100000);
    json_reader_trim(reader, json_reader_size(reader));
    assert_true(json_reader_size(reader) > 100000);
    json_reader_trim(reader, 100000);
    assert_int_equal(json_reader_size(reader), 0);
    compare_readers(reader, buffer_span(&text));
    assert_int_equal(json_reader_followed(reader), 1);
    buffer_done(&text);
    json_reader_destroy(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_picks_in_order_of_the_text),
        cmocka_unit_test(test_odd_values_are_followed),
        cmocka_unit_test(test_structures_combine),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_known_answers_are_the_parsed_ones),
        cmocka_unit_test(test_depth_is_that_of_reading),
        cmocka_unit_test(test_forgets_when_full),
        cmocka_unit_test(test_trim),
    };
    return cases_run("json_pick_test", tests, sizeof tests / sizeof tests[0]);
}
