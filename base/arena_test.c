#include "base/arena.h"

#include "tests/kit/cases.h"

static void test_allocations_do_not_overlap(void **state) {
    (void)state;
    struct arena *arena = arena_create(4 * 1024 * 1024);
    uint8_t *items[300];
    // Twice: the second time in memory that is kept. Sizes around and above a chunk's.
    for (int round = 0; round < 2; round++) {
        for (size_t index = 0; index < 300; index++) {
            size_t size = index % 100 == 99 ? 100000 : index * 7;
            items[index] = arena_allocate(arena, size);
            assert_non_null(items[index]);
            assert_int_equal((uintptr_t)items[index] % 16, 0);
            memset(items[index], (int)index, size);
        }
        for (size_t index = 0; index < 300; index++) {
            size_t size = index % 100 == 99 ? 100000 : index * 7;
            for (size_t at = 0; at < size; at++) assert_true(items[index][at] == (uint8_t)index);
        }
        arena_reset(arena);
        assert_int_equal(arena_size(arena), 0);
    }
    arena_destroy(arena);
    arena_destroy(NULL);
}

static void test_limit_is_a_refusal(void **state) {
    (void)state;
    struct arena *arena = arena_create(100000);
    assert_null(arena_allocate(arena, 100001));
    assert_null(arena_allocate(arena, SIZE_MAX));
    assert_non_null(arena_allocate(arena, 60000));
    assert_null(arena_allocate(arena, 60000));
    assert_non_null(arena_allocate(arena, 100));
    assert_null(arena_allocate_array(arena, SIZE_MAX / 2, 3));
    struct span copy = {NULL, 7};
    assert_false(arena_copy(arena, span_of("x", SIZE_MAX), &copy));
    assert_int_equal(copy.size, 7);
    size_t total = 0;
    while (arena_allocate(arena, 1000) != NULL) total += 1000;
    assert_true(total <= 40000);
    // Empty again, it gives all it may, in one piece too.
    arena_reset(arena);
    assert_non_null(arena_allocate(arena, 60000));
    arena_reset(arena);
    assert_non_null(arena_allocate(arena, 100000));
    arena_destroy(arena);
}

// A batch that is repeated asks for no more memory, whatever the order of its sizes.
static void test_reuse_is_bounded(void **state) {
    (void)state;
    struct arena *arena = arena_create(1000000);
    for (int round = 0; round < 1000; round++) {
        for (int index = 0; index < 9; index++) {
            assert_non_null(arena_allocate(arena, (size_t)(index * 37 + round) % 9 * 10000 + 1));
        }
        arena_reset(arena);
        // Little more than what a round uses: 360,009 bytes and what does not fit into chunks.
        assert_in_range(arena_kept(arena), 360009, 2 * 360009);
    }
    arena_destroy(arena);
}

// A thousand batches of a few events: each takes little.
static void test_small_arena_stays_small(void **state) {
    (void)state;
    struct arena *arena = arena_create(1000000);
    assert_int_equal(arena_kept(arena), 0);
    for (int round = 0; round < 3; round++) {
        for (int index = 0; index < 10; index++) assert_non_null(arena_allocate(arena, 1500));
        assert_in_range(arena_kept(arena), 15000, 20000);
        arena_reset(arena);
    }
    arena_destroy(arena);
}

// From 2 MiB on memory comes in pieces of 2 MiB: all of a piece is used and counted, and the limit
// holds for it.
static void test_large_chunks_are_counted(void **state) {
    (void)state;
    enum { PIECE = 2 * 1024 * 1024, HEAD_MAX = 64 };
    struct arena *arena = arena_create((size_t)5 * PIECE);
    assert_non_null(arena_allocate(arena, PIECE));
    size_t kept = arena_kept(arena);
    assert_in_range(kept, 2 * PIECE - HEAD_MAX, 2 * PIECE);
    uint8_t *rest = arena_allocate(arena, kept - PIECE);
    assert_non_null(rest);
    memset(rest, 1, kept - PIECE);
    assert_int_equal(arena_kept(arena), kept);
    // The limit is reached with what is left of it, to the byte.
    assert_non_null(arena_allocate(arena, 2 * PIECE));
    assert_in_range(arena_kept(arena), 5 * PIECE - 2 * HEAD_MAX, 5 * PIECE);
    assert_null(arena_allocate(arena, PIECE));
    arena_destroy(arena);
    arena = arena_create(PIECE + PIECE / 2);
    assert_non_null(arena_allocate(arena, PIECE));
    assert_int_equal(arena_kept(arena), PIECE);
    assert_non_null(arena_allocate(arena, PIECE / 2));
    assert_null(arena_allocate(arena, 1));
    assert_int_equal(arena_kept(arena), PIECE + PIECE / 2);
    arena_destroy(arena);
}

// More is expected than there are addresses: what is needed is had all the same.
static void test_expected_too_much(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip();  // ends the process that asks for so much
#endif
    struct arena *arena = arena_create(SIZE_MAX / 2);
    arena_expect(arena, (size_t)1 << 50);
    for (int index = 0; index < 10; index++) {
        uint8_t *bytes = arena_allocate(arena, 100000);
        assert_non_null(bytes);
        memset(bytes, index, 100000);
    }
    assert_in_range(arena_kept(arena), 1000000, 2000000);
    arena_release(arena);
    assert_int_equal(arena_kept(arena), 0);
    assert_int_equal(arena_size(arena), 0);
    assert_non_null(arena_allocate(arena, 100000));
    assert_in_range(arena_kept(arena), 100000, 200000);
    arena_destroy(arena);
}

static void test_copies_and_text(void **state) {
    (void)state;
    struct arena *arena = arena_create(100000);
    struct span copy;
    assert_true(arena_copy(arena, SPAN_LITERAL("a\0b"), &copy));
    assert_true(span_equal(copy, SPAN_LITERAL("a\0b")));
    assert_int_equal(copy.bytes[3], 0);
    assert_true(arena_copy(arena, (struct span){NULL, 0}, &copy));
    assert_int_equal(copy.size, 0);
    assert_non_null(copy.bytes);
    assert_string_equal(arena_copy_text(arena, SPAN_LITERAL("text")), "text");
    assert_string_equal(arena_print(arena, "%d-%s", 7, "x"), "7-x");
    const int *zeros = arena_allocate_array(arena, 100, sizeof *zeros);
    for (int index = 0; index < 100; index++) assert_int_equal(zeros[index], 0);
    assert_non_null(arena_allocate(arena, 0));
    arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_do_not_overlap),
        cmocka_unit_test(test_limit_is_a_refusal),
        cmocka_unit_test(test_reuse_is_bounded),
        cmocka_unit_test(test_small_arena_stays_small),
        cmocka_unit_test(test_large_chunks_are_counted),
        cmocka_unit_test(test_expected_too_much),
        cmocka_unit_test(test_copies_and_text),
    };
    return cases_run("arena_test", tests, sizeof tests / sizeof tests[0]);
}
