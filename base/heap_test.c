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
    // A sanitizer's allocator has nothing to give back.
    if (mallinfo2().uordblks == 0) skip();
    assert_false(heap_trim(SLACK));
    for (int index = 0; index < COUNT; index++) {
        pieces[index] = malloc(SIZE);
        assert_non_null(pieces[index]);
        memset(pieces[index], index & 0xff, SIZE);
    }
    assert_false(heap_trim(SLACK));
    for (int index = 0; index < COUNT; index++) {
        if (index % 16 != 0) free(pieces[index]);
    }
    assert_true(heap_trim(SLACK));
    assert_false(heap_trim(SLACK));
    for (int index = 0; index < COUNT; index += 16) {
        assert_int_equal((unsigned char)pieces[index][SIZE - 1], index & 0xff);
        free(pieces[index]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_holes_are_given_back)};
    return cases_run("heap_test", tests, sizeof tests / sizeof tests[0]);
}
