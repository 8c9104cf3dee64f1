#include "storage/block/block.h"
#include "storage/block/block_test_kit.h"
#include "tests/kit/cases.h"

enum { EPOCH = 7, MEMBERS = 3, ROWS = 40 };

static int setup(void **state) {
    *state = kit_fixture_create(42, EPOCH);
    return 0;
}

static int teardown(void **state) {
    kit_fixture_destroy(*state);
    return 0;
}

static void begin_rows(struct kit_fixture *fixture) {
    arena_reset(fixture->kit.arena);
    fixture->kit.count = 0;
}

// Encodes the kit's rows and compares what comes back. Returns the block's size.
static size_t encode(struct kit_fixture *fixture) {
    struct block_summary summary;
    struct block block;
    buffer_reset(&fixture->bytes);
    assert_true(block_encode(fixture->scratch, fixture->dictionary, fixture->kit.secret,
                             fixture->kit.rows, fixture->kit.count, &fixture->bytes, &summary,
                             &fixture->fault));
    // Texts that do not come back are kept as they stand: none may need that.
    assert_int_equal(block_scratch_mismatches(fixture->scratch), 0);
    assert_true(block_open(buffer_span(&fixture->bytes), true, &block, &fixture->fault));
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        static const uint64_t all_rows[2] = {UINT64_MAX, UINT64_MAX};
        struct block_columns columns;
        struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
        assert_true(block_read_columns(&block, fixture->scratch, frame, BLOCK_COLUMN_PROVENANCE,
                                       &columns, &fixture->fault));
        assert_true(block_read_texts(&block, fixture->scratch, fixture->dictionary, frame, all_rows,
                                     texts, accounts, &fixture->fault));
        for (uint32_t row = 0; row < columns.rows; row++) {
            uint32_t number = kit_row_of(&fixture->kit, columns.sequence[row]);
            assert_true(span_equal(texts[row], fixture->kit.rows[number].text));
        }
    }
    return summary.size;
}

static void keep(struct kit_fixture *fixture) {
    buffer_reset(&fixture->chunk);
    assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
    dictionary_keep(fixture->dictionary);
}

// Objects in arrays in an object; each array has objects of two forms.
static void append_arrays(struct kit_fixture *fixture, uint32_t arrays, uint32_t objects,
                          uint32_t values) {
    struct buffer *text = &fixture->text;
    buffer_append_byte(text, '{');
    for (uint32_t array = 0; array < arrays; array++) {
        buffer_print(text, "%s\"array%u\":[", array == 0 ? "" : ",", array);
        for (uint32_t object = 0; object < objects; object++) {
            unsigned value = (unsigned)random_below(&fixture->kit.random, values);
            buffer_print(text, "%s{\"name\":\"value-%u\",\"size\":%u", object == 0 ? "" : ",",
                         value, value / 3);
            if (value % 2 == 0) buffer_print(text, ",\"more\":{\"deep\":[%u,\"x\"]}", value);
            buffer_append_byte(text, '}');
        }
        buffer_append_byte(text, ']');
    }
    buffer_append_byte(text, '}');
}

// More values and containers than are prepared before a text is put, and few enough for a shape.
static void test_many_containers(void **state) {
    struct kit_fixture *fixture = *state;
    static const uint32_t values[] = {1, 5, 100, 1000000};
    for (size_t turn = 0; turn < 3 * sizeof values / sizeof values[0]; turn++) {
        begin_rows(fixture);
        for (uint32_t row = 0; row < ROWS; row++) {
            buffer_reset(&fixture->text);
            append_arrays(fixture, 1 + row % 24, 1 + row * 7 % 100,
                          values[turn % (sizeof values / sizeof values[0])]);
            kit_add(&fixture->kit, buffer_span(&fixture->text));
        }
        encode(fixture);
        keep(fixture);
    }
}

// Records of a few members whose values are all of one letter: with another letter, the same
// numbers of the dictionary would be other strings.
static void make_records(struct kit_fixture *fixture, char letter) {
    begin_rows(fixture);
    for (uint32_t row = 0; row < ROWS; row++) {
        struct buffer *text = &fixture->text;
        buffer_reset(text);
        for (uint32_t member = 0; member < MEMBERS; member++) {
            buffer_print(text, "%s\"member%u\":\"%c-long-enough-%u\"", member == 0 ? "{" : ",",
                         member, letter, row / 2 % 4);
        }
        buffer_append_byte(text, '}');
        kit_add(&fixture->kit, buffer_span(text));
    }
}

// What was learnt from blocks that were taken back is not taken for true.
static void test_rolled_back(void **state) {
    struct kit_fixture *fixture = *state;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        make_records(fixture, letter);
        encode(fixture);
        if (letter % 3 == 0) {
            keep(fixture);
        } else {
            dictionary_rollback(fixture->dictionary);
        }
    }
}

// Nor what was learnt with another dictionary, of the same epoch and perhaps the same address.
static void test_other_dictionaries(void **state) {
    struct kit_fixture *fixture = *state;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        make_records(fixture, letter);
        encode(fixture);
        dictionary_destroy(fixture->dictionary);
        fixture->dictionary = dictionary_create(EPOCH);
        assert_non_null(fixture->dictionary);
    }
}

// The second block finds in the dictionary what the first one met twice.
static void test_strings_are_found_again(void **state) {
    struct kit_fixture *fixture = *state;
    make_records(fixture, 'a');
    size_t first = encode(fixture);
    keep(fixture);
    make_records(fixture, 'a');
    assert_true(encode(fixture) < first);
    buffer_reset(&fixture->chunk);
    keep(fixture);
    assert_int_equal(fixture->chunk.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_containers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_dictionaries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strings_are_found_again, setup, teardown),
    };
    return cases_run("block_tokens_test", tests, sizeof tests / sizeof tests[0]);
}
