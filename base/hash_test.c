#include "base/hash.h"

#include <stdlib.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "base/random.h"
#include "tests/kit/cases.h"

static uint8_t *make_secret(uint64_t state) {
    static uint8_t secret[HASH_SECRET_SIZE];
    struct random random = random_seeded(&state);
    random_fill(&random, secret, sizeof secret);
    return secret;
}

static void test_plain_is_xxh3(void **state) {
    (void)state;
    // The published value of XXH3-64 for no bytes.
    assert_true(hash_plain((struct span){0}) == 0x2D06800538D394C2u);
    assert_true(hash_plain(SPAN_LITERAL("a")) != hash_plain(SPAN_LITERAL("b")));
}

// Hashes are stored: they are the same whatever the processor, whichever way they are taken.
static void test_long_spans_hash_as_ever(void **state) {
    (void)state;
    static const struct {
        size_t size;
        uint64_t plain, keyed;
    } expected[] = {
        {255, 0x99B37C2C806E33D3u, 0x2F33DC0C68871C34u},
        {256, 0xFF5A1CEFADE75BB9u, 0xF87A5F2981C35C20u},
        {1024, 0x71BEE625238ADDB4u, 0xF3DA0C8CF74EB865u},
        {1650, 0x45222B40259ED0B5u, 0x97675220D6BC63E7u},
    };
    uint8_t bytes[1700];
    struct hash_key key;
    for (size_t at = 0; at < sizeof bytes; at++) bytes[at] = (uint8_t)(at * 7 + at / 256);
    for (size_t at = 0; at < sizeof key.bytes; at++) key.bytes[at] = (uint8_t)(at * 11 + 3);
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++) {
        struct span span = span_of(bytes, expected[index].size);
        assert_true(hash_plain(span) == expected[index].plain);
        assert_true(hash_with_key(&key, span) == expected[index].keyed);
    }
}

#ifdef __x86_64__
// Parts of the registers in use, one bit each; 0 if the processor does not tell.
static uint32_t parts_in_use(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    bool has_xgetbv = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_OSXSAVE) != 0;
    bool tells = has_xgetbv && __get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx) != 0;
    if (!tells || (eax & 1 << 2) == 0) return 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(1));
    return eax;
}

// Otherwise every SSE instruction of the program is slow from then on.
static void test_upper_halves_are_left_clear(void **state) {
    (void)state;
    const uint32_t upper_halves = 1 << 2 | 1 << 6;
    static const uint8_t bytes[4096];
    struct hash_key key = {{0}};
    uint64_t plain = hash_plain(span_of(bytes, sizeof bytes));
    uint32_t after_plain = parts_in_use();
    uint64_t keyed = hash_with_key(&key, span_of(bytes, sizeof bytes));
    uint32_t after_keyed = parts_in_use();
    assert_true(plain != keyed);
    assert_int_equal(after_plain & upper_halves, 0);
    assert_int_equal(after_keyed & upper_halves, 0);
}
#endif

// Secret, seed and bytes each change the result, at every way XXH3 has for a size.
static void test_keyed_depends_on_all(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 5000};
    uint8_t bytes[5000];
    memset(bytes, 'x', sizeof bytes);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        struct span span = span_of(bytes, sizes[index]);
        uint64_t first = hash_keyed(make_secret(1), 0, span);
        assert_true(first == hash_keyed(make_secret(1), 0, span));
        assert_true(first != hash_keyed(make_secret(2), 0, span));
        for (uint64_t seed = 1; seed < 20; seed++) {
            assert_true(first != hash_keyed(make_secret(1), seed, span));
        }
        if (sizes[index] == 0) continue;
        bytes[sizes[index] - 1] ^= 1;
        assert_true(first != hash_keyed(make_secret(1), 0, span));
        bytes[sizes[index] - 1] ^= 1;
    }
}

// Two seeds give independent hashes: values that agree in the low bits of one differ in the other.
static void test_seeds_are_independent(void **state) {
    (void)state;
    const uint8_t *secret = make_secret(3);
    int both = 0, one = 0;
    for (uint32_t number = 0; number < 200000; number++) {
        struct span span = span_of(&number, sizeof number);
        if (hash_keyed(secret, 1, span) % 256 != 0) continue;
        one++;
        both += hash_keyed(secret, 2, span) % 256 == 0;
    }
    assert_true(one > 600 && one < 1000);
    assert_true(both < 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_is_xxh3),
        cmocka_unit_test(test_long_spans_hash_as_ever),
#ifdef __x86_64__
        cmocka_unit_test(test_upper_halves_are_left_clear),
#endif
        cmocka_unit_test(test_keyed_depends_on_all),
        cmocka_unit_test(test_seeds_are_independent),
    };
    return cases_run("hash_test", tests, sizeof tests / sizeof tests[0]);
}
