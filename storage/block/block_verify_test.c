// A text that does not come back from its tokens: counted, and stored as it is. The linker puts a
// decoder that errs in the place of ours (--wrap), as a mistake or failing memory would.

#include "storage/block/block_test_kit.h"
#include "storage/block/block_tokens.h"
#include "storage/block/dictionary.h"
#include "tests/kit/cases.h"

enum { ROWS = 300, NEVER = -1 };

static int harm_in = NEVER;  // calls until a byte of a text is turned

bool __real_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end);
bool __wrap_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end);

bool __wrap_tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                                uint8_t **output, const uint8_t *output_end) {
    uint8_t *begin = *output;
    bool is_good = __real_tokens_decoder_next(decoder, row, output, output_end);
    if (harm_in == NEVER || harm_in-- > 0) return is_good;
    assert_true(*output > begin);
    *begin ^= 1;
    return is_good;
}

// Encodes with a decoder that errs, reads with ours: every text is as it was. How many were wrong.
static uint64_t count_mismatches(struct kit *kit) {
    static const uint64_t all_rows[2] = {UINT64_MAX, UINT64_MAX};
    struct block_scratch *scratch = block_scratch_create();
    struct dictionary *dictionary = dictionary_create(1);
    struct buffer bytes, chunk;
    struct block_summary summary;
    struct block block;
    struct fault fault;
    buffer_init(&bytes, (size_t)1 << 28);
    buffer_init(&chunk, (size_t)1 << 28);
    block_scratch_verify(scratch, 1);
    assert_true(block_encode(scratch, dictionary, kit->secret, kit->rows, kit->count, &bytes,
                             &summary, &fault));
    harm_in = NEVER;
    assert_true(dictionary_take_pending(dictionary, &chunk, &fault));
    dictionary_keep(dictionary);
    assert_true(block_open(buffer_span(&bytes), true, &block, &fault));
    uint32_t rows = 0;
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct block_columns columns;
        struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
        assert_true(
            block_read_columns(&block, scratch, frame, BLOCK_COLUMN_PROVENANCE, &columns, &fault));
        assert_true(block_read_texts(&block, scratch, dictionary, frame, all_rows, texts, accounts,
                                     &fault));
        for (uint32_t row = 0; row < columns.rows; row++, rows++) {
            const struct block_row *given = &kit->rows[kit_row_of(kit, columns.sequence[row])];
            assert_true(span_equal(texts[row], given->text));
        }
    }
    assert_int_equal(rows, kit->count);
    uint64_t mismatches = block_scratch_mismatches(scratch);
    buffer_done(&bytes);
    buffer_done(&chunk);
    dictionary_destroy(dictionary);
    block_scratch_destroy(scratch);
    return mismatches;
}

static void test_a_wrong_text_is_stored_as_it_is(void **state) {
    (void)state;
    struct kit kit;
    kit_init(&kit, 1);
    kit_make_rows(&kit, ROWS);
    assert_int_equal(count_mismatches(&kit), 0);
    for (int place = 0; place < ROWS; place += 37) {
        harm_in = place;
        assert_int_equal(count_mismatches(&kit), 1);
    }
    kit_done(&kit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrong_text_is_stored_as_it_is),
    };
    return cases_run("storage/block/block_verify", tests, sizeof tests / sizeof tests[0]);
}
