#include "storage/block/block_forms.h"

#include <string.h>

#include "base/random.h"
#include "storage/block/block_structure.h"
#include "tests/kit/cases.h"

static const char characters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/";

// The alphabet of a text byte by byte, as the header says it.
static enum forms_alphabet find_slowly(const uint8_t *text, size_t size, uint32_t *tail) {
    *tail = 0;
    while (*tail < 3 && size > 0 && text[size - 1] == '=') {
        size--;
        (*tail)++;
    }
    size_t changes = 0;
    bool is_hex = true, is_base36 = true;
    int before = -1;
    for (size_t at = 0; at < size; at++) {
        const char *found = text[at] == 0 ? NULL : strchr(characters, text[at]);
        if (found == NULL) return FORMS_NONE;
        long place = found - characters;
        int kind = place < 10 ? 0 : place < 36 ? 1 : place < 62 ? 2 : 3;
        if (place >= 16) is_hex = false;
        if (kind == 1 || kind == 3) is_base36 = false;
        changes += kind != before;
        before = kind;
    }
    if (size < 12 || changes * 4 < size) return FORMS_NONE;
    return is_hex ? FORMS_HEX : is_base36 ? FORMS_BASE36 : FORMS_BASE64;
}

static void test_alphabets_against_slow_search(void **state) {
    (void)state;
    uint64_t seed = 5;
    struct random random = random_seeded(&seed);
    static const uint32_t firsts[] = {0, 0, 0, 26, 36, 10};
    static const uint32_t counts[] = {64, 16, 10, 38, 26, 26};
    uint32_t seen[4] = {0};
    for (uint32_t round = 0; round < 60000; round++) {
        uint8_t text[200], packed[200], again[200];
        size_t size = random_below(&random, 150);
        uint32_t set = (uint32_t)random_below(&random, 6);
        for (size_t at = 0; at < size; at++) {
            text[at] = (uint8_t)characters[firsts[set] + random_below(&random, counts[set])];
            // Digits among letters, as in random texts.
            if (set > 2 && random_below(&random, 3) == 0) text[at] = '7';
        }
        if (size > 0 && random_below(&random, 4) == 0) {
            text[random_below(&random, size)] = (uint8_t)random_below(&random, 256);
        }
        uint64_t ends = random_below(&random, 5);
        for (; ends > 0; ends--) text[size++] = '=';
        uint32_t tail, slow_tail;
        enum forms_alphabet found = forms_find_alphabet(span_of(text, size), &tail);
        assert_int_equal(found, find_slowly(text, size, &slow_tail));
        assert_int_equal(tail, slow_tail);
        seen[found]++;
        if (found == FORMS_NONE) continue;
        memset(packed, 0xee, sizeof packed);
        forms_pack(found, span_of(text, size - tail), packed);
        assert_int_equal(packed[forms_packed_size(found, size - tail)], 0xee);
        forms_unpack(found, packed, size - tail, again);
        assert_memory_equal(again, text, size - tail);
    }
    for (uint32_t found = 0; found < 4; found++) assert_true(seen[found] > 1000);
}

// The end of a container or string byte by byte.
static bool skip_slowly(const uint8_t *text, uint32_t size, uint32_t at, uint32_t *end) {
    uint32_t depth = 0;
    bool quoted = false;
    for (; at < size; at++) {
        if (quoted) {
            if (text[at] == '\\')
                at++;
            else if (text[at] == '"')
                quoted = false;
        } else if (text[at] == '"') {
            quoted = true;
        } else if (text[at] == '{' || text[at] == '[') {
            depth++;
        } else if (text[at] == '}' || text[at] == ']') {
            if (--depth == 0) {
                *end = at + 1;
                return true;
            }
        }
    }
    return false;
}

static void test_ends_against_slow_search(void **state) {
    (void)state;
    uint64_t seed = 6;
    struct random random = random_seeded(&seed);
    uint32_t found_count = 0;
    for (uint32_t round = 0; round < 60000; round++) {
        static const char bytes[] = "{}[]\"\"\"\\ab,:                    ";
        uint8_t text[400];
        uint32_t size = 1 + (uint32_t)random_below(&random, sizeof text);
        text[0] = '{';
        for (uint32_t at = 1; at < size; at++) {
            text[at] = (uint8_t)bytes[random_below(&random, sizeof bytes - 1)];
            // Outside strings a backslash is no JSON, and means nothing.
            if (text[at] == '\\' && random_below(&random, 4) > 0) text[at] = 'c';
        }
        uint32_t quote = 1;
        while (quote < size && (text[quote] != '"')) {
            if (text[quote] == '\\') text[quote] = 'd';
            quote++;
        }
        uint32_t end = 0, slow_end = 0;
        // Backslashes between strings are read as bytes of no meaning only here.
        bool is_quoted = false;
        for (uint32_t at = 0; at < size; at++) {
            if (text[at] == '"')
                is_quoted = !is_quoted;
            else if (text[at] == '\\' && !is_quoted)
                text[at] = 'e';
            else if (text[at] == '\\')
                at++;
        }
        bool slow = skip_slowly(text, size, 0, &slow_end);
        assert_int_equal(structure_skip(span_of(text, size), 0, &end), slow);
        if (slow) assert_int_equal(end, slow_end);
        found_count += slow;
        uint32_t close = quote + 1;
        while (close < size && text[close] != '"') close += text[close] == '\\' ? 2 : 1;
        if (quote >= size) continue;
        assert_int_equal(structure_string_end(span_of(text, size), quote + 1),
                         close < size ? close : size);
    }
    assert_true(found_count > 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphabets_against_slow_search),
        cmocka_unit_test(test_ends_against_slow_search),
    };
    return cases_run("block_forms_test", tests, sizeof tests / sizeof tests[0]);
}
