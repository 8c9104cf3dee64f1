#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/cases.h"

enum { COUNT = 20000, SIZE = 8000, SLACK = 64 << 20 };

// What lies free between things in use goes back, and what is in use stays as it was.
static void test_holes_are_given_back(void **state) {
    (void)state;
    static char *pieces[COUNT];
    struct heap_trim trim = {0};
    // A sanitizer's allocator has nothing to give back.
    if (mallinfo2().uordblks == 0) skip();
    assert_false(heap_trim(&trim, SLACK));
    for (int index = 0; index < COUNT; index++) {
        pieces[index] = malloc(SIZE);
        assert_non_null(pieces[index]);
        memset(pieces[index], index & 0xff, SIZE);
    }
    // All is in use: it looks, and takes that as what is needed.
    (void)heap_trim(&trim, SLACK);
    size_t needed = trim.own_size;
    assert_true(needed > (size_t)COUNT * SIZE);
    assert_false(heap_trim(&trim, SLACK));
    for (int index = 0; index < COUNT; index++) {
        if (index % 16 != 0) free(pieces[index]);
    }
    assert_true(heap_trim(&trim, SLACK));
    assert_true(trim.own_size < needed - SLACK);
    assert_false(heap_trim(&trim, SLACK));
    for (int index = 0; index < COUNT; index += 16) {
        assert_int_equal((unsigned char)pieces[index][SIZE - 1], index & 0xff);
        free(pieces[index]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_holes_are_given_back)};
    return cases_run("heap_test", tests, sizeof tests / sizeof tests[0]);
}
