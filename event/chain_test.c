#include "event/chain.h"

#include "base/crypto.h"
#include "tests/kit/cases.h"

// Values from an independent computation (Python's hashlib) of the formula in chain.h.
static void test_known_values(void **state) {
    (void)state;
    uint8_t chain[CHAIN_SIZE] = {0};
    char hex[2 * CHAIN_SIZE + 1];
    chain_advance(chain, false, SPAN_LITERAL("{\"a\":1}"));
    crypto_print_hex(span_of(chain, CHAIN_SIZE), hex);
    assert_string_equal(hex, "d91fe694074550335e61006233ab5133");
    chain_advance(chain, true, SPAN_LITERAL(""));
    crypto_print_hex(span_of(chain, CHAIN_SIZE), hex);
    assert_string_equal(hex, "496bc179a8a93ef86b2814bf9f732024");
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_values)};
    return cases_run("chain", tests, sizeof tests / sizeof tests[0]);
}
