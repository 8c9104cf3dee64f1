// Blocks asked about many ids at once.

#include "storage/block/block_asked.h"

#include <stdlib.h>

#include "storage/block/block_test_kit.h"
#include "tests/kit/cases.h"

static void encode(struct kit_fixture *fixture) {
    buffer_reset(&fixture->bytes);
    assert_true(block_encode(fixture->scratch, fixture->dictionary, fixture->kit.secret,
                             fixture->kit.rows, fixture->kit.count, &fixture->bytes,
                             &fixture->summary, &fixture->fault));
    assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
    dictionary_keep(fixture->dictionary);
    assert_true(block_open(buffer_span(&fixture->bytes), true, &fixture->block, &fixture->fault));
}

static int compare_hashes(const void *left, const void *right) {
    const uint32_t *first = left;
    const uint32_t *second = right;
    return (*first > *second) - (*first < *second);
}

// Blocks of every size say what they say about each of them.
static void test_asked_for_many(void **state) {
    enum { ASKED = 3000 };
    (void)state;
    struct kit_fixture *fixture = kit_fixture_create(42, 7);
    uint64_t random = 5;
    static const uint32_t sizes[] = {1, 2, 3, 60, 128, 129, 400, 1024, 1025, KIT_ROWS_MAX};
    static uint32_t hashes[ASKED], hits[ASKED];
    struct block_asked *asked = block_asked_create(ASKED);
    assert_non_null(asked);
    for (uint32_t turn = 0; turn < sizeof sizes / sizeof sizes[0]; turn++) {
        kit_make_rows(&fixture->kit, sizes[turn]);
        encode(fixture);
        for (uint32_t count = 0; count <= ASKED; count += 1000) {
            for (uint32_t index = 0; index < count; index++) {
                hashes[index] = (uint32_t)random_splitmix64(&random);
                const struct block_row *row = &fixture->kit.rows[index % sizes[turn]];
                if (index % 3 == 0) hashes[index] = block_id_hash(fixture->kit.secret, row->key.id);
            }
            qsort(hashes, count, sizeof hashes[0], compare_hashes);
            block_asked_set(asked, hashes, count);
            uint32_t found = block_asked_find(asked, &fixture->block, hits);
            uint32_t next = 0;
            for (uint32_t index = 0; index < count; index++) {
                bool is_hit = next < found && hits[next] == index;
                next += is_hit;
                assert_int_equal(is_hit, block_may_hold_id(&fixture->block, hashes[index]));
            }
            assert_int_equal(next, found);
        }
        for (uint32_t row = 0; row < sizes[turn]; row++) {
            const struct key *key = &fixture->kit.rows[row].key;
            uint8_t other[RECORD_ID_SIZE];
            random_fill(&fixture->kit.random, other, sizeof other);
            assert_true(block_holds_id(&fixture->block, key->id, key->event_time_s));
            assert_false(block_holds_id(&fixture->block, other, key->event_time_s));
        }
    }
    block_asked_destroy(asked);
    kit_fixture_destroy(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asked_for_many),
    };
    return cases_run("block_asked", tests, sizeof tests / sizeof tests[0]);
}
