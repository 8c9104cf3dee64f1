#include "storage/block/block_follow.h"

#include "base/random.h"
#include "storage/block/block_codes.h"
#include "tests/kit/cases.h"

enum { ROUNDS = 3000 };

struct codes {
    uint32_t count;
    uint32_t width;
    bool has_contexts;
    uint32_t contexts[CODES_MAX];
    uint32_t codes[CODES_MAX];
};

// Codes as they come: runs, what follows from contexts, and what follows from nothing.
static void make(struct codes *codes, const struct random *random) {
    codes->count = 1 + (uint32_t)random_below(random, CODES_MAX);
    codes->width = (uint32_t)random_below(random, random_below(random, 10) == 0 ? 25 : 9);
    codes->has_contexts = random_below(random, 2) == 0;
    uint64_t limit = (uint64_t)1 << codes->width;
    uint64_t surprise = random_below(random, 101);
    uint64_t contexts = 1 + random_below(random, 600);
    for (uint32_t row = 0; row < codes->count; row++) {
        codes->contexts[row] = (uint32_t)random_below(random, contexts);
        uint32_t code = row == 0 ? 0 : codes->codes[row - 1];
        if (codes->has_contexts) code = (uint32_t)(codes->contexts[row] * 7 % limit);
        if (random_below(random, 100) < surprise) code = (uint32_t)random_below(random, limit);
        codes->codes[row] = code;
    }
}

static const uint32_t *contexts_of(const struct codes *codes) {
    return codes->has_contexts ? codes->contexts : NULL;
}

// A code is found where reading finds it, with all that needs no contexts.
static void check_matching(const struct codes *codes, struct span bytes, uint32_t expected) {
    uint32_t flags;
    struct reader reader = reader_of(bytes);
    bool needs_contexts = follow_peek(&reader, &flags);
    assert_int_equal(flags, expected);
    for (uint32_t row = 0; row < codes->count; row += 1 + row) {
        uint64_t rows[2] = {0, 0};
        uint64_t wanted[2] = {0, 0};
        for (uint32_t at = 0; at < codes->count; at++)
            wanted[at / 64] |= (uint64_t)(codes->codes[at] == codes->codes[row]) << at % 64;
        reader = reader_of(bytes);
        follow_match(&reader, codes->codes[row], codes->count, rows);
        assert_int_equal(reader.bad, needs_contexts);
        if (needs_contexts) continue;
        assert_memory_equal(rows, wanted, sizeof rows);
        assert_int_equal(reader_left(&reader), 1);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    uint64_t seed = 1;
    struct random random = random_seeded(&seed);
    struct buffer bytes;
    buffer_init(&bytes, SIZE_MAX);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct codes codes;
        uint32_t read[CODES_MAX], flags;
        make(&codes, &random);
        buffer_reset(&bytes);
        follow_append(&bytes, codes.codes, contexts_of(&codes), codes.count, codes.width,
                      round % 4);
        // Never worse than packed.
        assert_true(bytes.size <= 2 + (codes.count * codes.width + 7) / 8);
        buffer_append_byte(&bytes, 77);
        struct reader reader = reader_of(buffer_span(&bytes));
        follow_read(&reader, read, contexts_of(&codes), codes.count, &flags);
        assert_false(reader.bad);
        assert_int_equal(flags, round % 4);
        assert_memory_equal(read, codes.codes, codes.count * sizeof read[0]);
        assert_int_equal(reader_left(&reader), 1);
        check_matching(&codes, span_of(bytes.bytes, bytes.size), round % 4);
    }
    buffer_done(&bytes);
}

static size_t size_of(const struct codes *codes) {
    struct buffer bytes;
    buffer_init(&bytes, SIZE_MAX);
    follow_append(&bytes, codes->codes, contexts_of(codes), codes->count, codes->width, 0);
    size_t size = bytes.size;
    buffer_done(&bytes);
    return size;
}

// What follows costs nothing.
static void test_sizes(void **state) {
    (void)state;
    struct codes codes = {.count = CODES_MAX, .width = 6};
    for (uint32_t row = 0; row < CODES_MAX; row++) codes.codes[row] = row / 64;
    assert_int_equal(size_of(&codes), 1 + 1 + 1 + 2);
    codes.has_contexts = true;
    for (uint32_t row = 0; row < CODES_MAX; row++) {
        codes.contexts[row] = row * 5 % 8;
        codes.codes[row] = 63 - codes.contexts[row];
    }
    assert_int_equal(size_of(&codes), 1 + 1 + 6);
    codes.codes[100] = 0;
    assert_int_equal(size_of(&codes), 1 + 1 + 2 + 8);
    codes.width = 0;
    memset(codes.codes, 0, sizeof codes.codes);
    assert_int_equal(size_of(&codes), 1);
}

// Any bytes are read as something or are bad; contexts that are not there are missed.
static void test_damage(void **state) {
    (void)state;
    uint64_t seed = 2;
    struct random random = random_seeded(&seed);
    uint8_t bytes[300];
    uint32_t bad = 0;
    for (uint32_t round = 0; round < 100000; round++) {
        struct codes codes;
        uint32_t flags;
        make(&codes, &random);
        size_t size = random_below(&random, sizeof bytes);
        random_fill(&random, bytes, size);
        struct reader reader = reader_of(span_of(bytes, size));
        follow_read(&reader, codes.codes, contexts_of(&codes), codes.count, &flags);
        for (uint32_t row = 0; row < codes.count; row++) {
            assert_true(codes.codes[row] < 1 << FOLLOW_WIDTH_MAX);
        }
        bad += reader.bad;
        bool is_bad = reader.bad;
        uint64_t rows[2] = {0, 0};
        reader = reader_of(span_of(bytes, size));
        bool needs_contexts = follow_peek(&reader, &flags);
        follow_match(&reader, codes.codes[0], codes.count, rows);
        assert_int_equal(reader.bad, is_bad || needs_contexts);
        for (uint32_t row = 0; row < CODES_MAX; row++) {
            bool is_set = (rows[row / 64] >> row % 64 & 1) != 0;
            bool is_equal = row < codes.count && codes.codes[row] == codes.codes[0];
            if (!reader.bad || row >= codes.count) assert_int_equal(is_set, is_equal);
        }
    }
    assert_true(bad > 10000);
    assert_true(bad < 90000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_damage),
    };
    return cases_run("block_follow_test", tests, sizeof tests / sizeof tests[0]);
}
