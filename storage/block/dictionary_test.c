#include "storage/block/dictionary.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "base/zstd.h"
#include "storage/block/block_test_kit.h"
#include "tests/kit/cases.h"

static int setup(void **state) {
    *state = kit_fixture_create(1, 3);
    return 0;
}

static int teardown(void **state) {
    kit_fixture_destroy(*state);
    return 0;
}

static void encode(struct kit_fixture *fixture) {
    struct block_summary summary;
    buffer_reset(&fixture->bytes);
    assert_true(block_encode(fixture->scratch, fixture->dictionary, fixture->kit.secret,
                             fixture->kit.rows, fixture->kit.count, &fixture->bytes, &summary,
                             &fixture->fault));
    assert_int_equal(block_scratch_mismatches(fixture->scratch), 0);
}

static void keep(struct kit_fixture *fixture) {
    buffer_reset(&fixture->chunk);
    assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
    dictionary_keep(fixture->dictionary);
}

static void test_nothing_pending_gives_no_chunk(void **state) {
    struct kit_fixture *fixture = *state;
    keep(fixture);
    assert_int_equal(fixture->chunk.size, 0);
    assert_int_equal(dictionary_epoch(fixture->dictionary), 3);
    assert_false(dictionary_is_full(fixture->dictionary));
}

static void test_rollback_forgets_what_was_added(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 28);
    kit_make_rows(&fixture->kit, 400);
    encode(fixture);
    keep(fixture);
    assert_true(fixture->chunk.size > 0);
    // Two failed commits, then one that succeeds: a reader that never saw the failed ones can read.
    struct dictionary *reader = dictionary_create(3);
    assert_non_null(reader);
    assert_true(dictionary_load(reader, buffer_span(&fixture->chunk), &fixture->fault));
    for (uint32_t turn = 0; turn < 2; turn++) {
        kit_make_rows(&fixture->kit, 300);
        encode(fixture);
        buffer_reset(&fixture->chunk);
        assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
        dictionary_rollback(fixture->dictionary);
    }
    buffer_reset(&fixture->chunk);
    assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
    assert_int_equal(fixture->chunk.size, 0);
    encode(fixture);
    keep(fixture);
    assert_true(fixture->chunk.size > 0);
    assert_true(dictionary_load(reader, buffer_span(&fixture->chunk), &fixture->fault));
    struct block block;
    assert_true(block_open(buffer_span(&fixture->bytes), true, &block, &fixture->fault));
    const uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
        struct block_columns columns;
        assert_true(block_read_columns(&block, fixture->scratch, frame, BLOCK_COLUMN_PROVENANCE,
                                       &columns, &fixture->fault));
        assert_true(block_read_texts(&block, fixture->scratch, reader, frame, all, texts, accounts,
                                     &fixture->fault));
        for (uint32_t row = 0; row < columns.rows; row++) {
            uint32_t number = kit_row_of(&fixture->kit, columns.sequence[row]);
            assert_true(span_equal(texts[row], fixture->kit.rows[number].text));
        }
    }
    dictionary_destroy(reader);
    buffer_done(&first);
}

static void test_a_reopened_dictionary_goes_on(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer kept;
    buffer_init(&kept, (size_t)1 << 28);
    kit_make_rows(&fixture->kit, 1000);
    encode(fixture);
    encode(fixture);
    keep(fixture);
    struct dictionary *reopened = dictionary_create(3);
    assert_non_null(reopened);
    assert_true(dictionary_load(reopened, buffer_span(&fixture->chunk), &fixture->fault));
    dictionary_destroy(fixture->dictionary);
    fixture->dictionary = reopened;
    size_t size = fixture->bytes.size;
    encode(fixture);
    keep(fixture);
    // It finds what it loaded: as small as before but for what is seen for the first time again.
    assert_true(fixture->bytes.size < size + size / 10);
    buffer_done(&kept);
}

static void test_chunks_must_follow(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer first;
    buffer_init(&first, (size_t)1 << 28);
    kit_make_rows(&fixture->kit, 400);
    encode(fixture);
    keep(fixture);
    buffer_append(&first, buffer_span(&fixture->chunk));
    kit_make_rows(&fixture->kit, 400);
    encode(fixture);
    keep(fixture);
    struct dictionary *reader = dictionary_create(3);
    struct dictionary *other = dictionary_create(4);
    assert_non_null(reader);
    assert_non_null(other);
    struct fault *fault = &fixture->fault;
    assert_false(dictionary_load(reader, buffer_span(&fixture->chunk), fault));
    assert_int_equal(fault->kind, FAULT_CORRUPT);
    assert_false(dictionary_load(other, buffer_span(&first), fault));
    assert_non_null(strstr(fault->text, "epoch 3"));
    assert_true(dictionary_load(reader, buffer_span(&first), fault));
    assert_false(dictionary_load(reader, buffer_span(&first), fault));
    assert_true(dictionary_load(reader, buffer_span(&fixture->chunk), fault));
    dictionary_destroy(reader);
    dictionary_destroy(other);
    buffer_done(&first);
}

static void test_damaged_chunks(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 100);
    encode(fixture);
    encode(fixture);
    keep(fixture);
    struct dictionary *reader = dictionary_create(3);
    assert_non_null(reader);
    struct span chunk = buffer_span(&fixture->chunk);
    for (size_t at = 0; at < chunk.size; at++) {
        fixture->chunk.bytes[at] ^= 0x41;
        assert_false(dictionary_load(reader, chunk, &fixture->fault));
        assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
        fixture->chunk.bytes[at] ^= 0x41;
    }
    for (size_t size = 0; size < chunk.size; size++) {
        uint8_t *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, chunk.bytes, size);
        assert_false(dictionary_load(reader, span_of(copy, size), &fixture->fault));
        free(copy);
    }
    assert_true(dictionary_load(reader, chunk, &fixture->fault));
    dictionary_destroy(reader);
}

static void test_fills_up_and_goes_on(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer text;
    buffer_init(&text, (size_t)1 << 24);
    block_scratch_verify(fixture->scratch, 8);
    uint64_t number = 0;
    for (uint32_t turn = 0; turn < 40 && !dictionary_is_full(fixture->dictionary); turn++) {
        arena_reset(fixture->kit.arena);
        fixture->kit.count = 0;
        for (uint32_t row = 0; row < 100; row++) {
            buffer_reset(&text);
            // Members of their own: what never comes again under a name is asked for less and less.
            buffer_append_byte(&text, '{');
            for (uint32_t value = 0; value < 120; value++, number++) {
                buffer_print(&text, "%s\"name %u\":\"string %llu\"", value == 0 ? "" : ",", value,
                             (unsigned long long)number);
            }
            buffer_append_byte(&text, '}');
            kit_add(&fixture->kit, buffer_span(&text));
            kit_add(&fixture->kit, buffer_span(&text));
            kit_add(&fixture->kit, buffer_span(&text));
        }
        encode(fixture);
        keep(fixture);
    }
    assert_true(dictionary_is_full(fixture->dictionary));
    // Nothing is admitted any more, and texts still come back.
    for (uint32_t turn = 0; turn < 3; turn++) {
        kit_make_rows(&fixture->kit, 100);
        encode(fixture);
        keep(fixture);
    }
    buffer_done(&text);
}

enum { CHUNKS = 24 };

// Chunks as a store holds them, with the block that each came with.
struct store {
    struct buffer chunks[CHUNKS];
    struct buffer blocks[CHUNKS];
    uint32_t got;  // how often a chunk was asked for
};

static bool get_chunk(void *user, uint32_t epoch, uint32_t number, struct span *bytes,
                      struct fault *fault) {
    struct store *store = user;
    assert_int_equal(epoch, 3);
    (void)fault;
    store->got++;
    *bytes = buffer_span(&store->chunks[number]);
    return true;
}

// Rows of new strings, each three times, so that they go into the dictionary: about 3 KB of them
// a row.
static void make_texts(struct kit_fixture *fixture, uint64_t first, uint32_t rows) {
    struct buffer text;
    buffer_init(&text, (size_t)1 << 24);
    arena_reset(fixture->kit.arena);
    fixture->kit.count = 0;
    for (uint32_t row = 0; row < 3 * rows; row++) {
        uint64_t number = first + row % rows * 120;
        buffer_reset(&text);
        buffer_append_text(&text, "{");
        for (uint32_t value = 0; value < 120; value++, number++) {
            uint64_t mixed = (number + 1) * 0x9E3779B97F4A7C15U;
            buffer_print(&text, "%s\"name %u\":\"%llx.%llu!\"", value == 0 ? "" : ",", value,
                         (unsigned long long)mixed, (unsigned long long)number);
        }
        buffer_append_text(&text, "}");
        kit_add(&fixture->kit, buffer_span(&text));
    }
    buffer_done(&text);
}

static struct store *make_store(struct kit_fixture *fixture) {
    struct store *store = calloc(1, sizeof *store);
    assert_non_null(store);
    for (uint32_t index = 0; index < CHUNKS; index++) {
        buffer_init(&store->chunks[index], (size_t)1 << 28);
        buffer_init(&store->blocks[index], (size_t)1 << 28);
        make_texts(fixture, index * 4800, 40);
        encode(fixture);
        keep(fixture);
        buffer_append(&store->chunks[index], buffer_span(&fixture->chunk));
        buffer_append(&store->blocks[index], buffer_span(&fixture->bytes));
    }
    return store;
}

static void destroy_store(struct store *store) {
    for (uint32_t index = 0; index < CHUNKS; index++) {
        buffer_done(&store->chunks[index]);
        buffer_done(&store->blocks[index]);
    }
    free(store);
}

// Reads a block of the store and compares its texts with what went in. False: a fault.
static bool read_block(struct kit_fixture *fixture, const struct store *store, uint32_t index,
                       const struct dictionary *dictionary) {
    const uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    struct block block;
    make_texts(fixture, index * 4800, 40);
    assert_true(block_open(buffer_span(&store->blocks[index]), true, &block, &fixture->fault));
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
        struct block_columns columns;
        assert_true(block_read_columns(&block, fixture->scratch, frame, BLOCK_COLUMN_PROVENANCE,
                                       &columns, &fixture->fault));
        if (!block_read_texts(&block, fixture->scratch, dictionary, frame, all, texts, accounts,
                              &fixture->fault)) {
            assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
            return false;
        }
        for (uint32_t row = 0; row < columns.rows; row++) {
            uint32_t number = kit_row_of(&fixture->kit, columns.sequence[row]);
            assert_true(span_equal(texts[row], fixture->kit.rows[number].text));
        }
    }
    return true;
}

static struct dictionary *open_dictionary(struct kit_fixture *fixture, struct store *store,
                                          struct zstd *zstd) {
    const struct dictionary_source source = {get_chunk, store, zstd};
    struct dictionary *dictionary = dictionary_create_reader(3, &source);
    assert_non_null(dictionary);
    for (uint32_t index = 0; index < CHUNKS; index++) {
        if (!dictionary_index(dictionary, index, buffer_span(&store->chunks[index]),
                              &fixture->fault)) {
            assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
        }
    }
    return dictionary;
}

static void test_a_reader_loads_only_what_it_uses(void **state) {
    struct kit_fixture *fixture = *state;
    struct store *store = make_store(fixture);
    struct zstd *zstd = zstd_create();
    struct dictionary *dictionary = open_dictionary(fixture, store, zstd);
    assert_int_equal(store->got, 0);
    size_t empty = dictionary_memory(dictionary);
    assert_true(read_block(fixture, store, CHUNKS - 1, dictionary));
    // A chunk of 120 KB, and the head.
    size_t one = dictionary_memory(dictionary);
    assert_in_range(one - empty, 120000, 4000000);
    for (uint32_t index = 0; index < CHUNKS; index++)
        assert_true(read_block(fixture, store, index, dictionary));
    size_t all = dictionary_memory(dictionary);
    assert_true(all > one + 300000);

    // What was used since the last release stays, also if it is the only thing that was.
    dictionary_release(dictionary);
    assert_int_equal(dictionary_memory(dictionary), all);
    uint32_t got = store->got;
    assert_true(read_block(fixture, store, CHUNKS - 1, dictionary));
    assert_int_equal(store->got, got);
    dictionary_release(dictionary);
    assert_true(dictionary_memory(dictionary) < all - 300000);
    assert_true(read_block(fixture, store, CHUNKS - 1, dictionary));
    assert_int_equal(store->got, got);
    for (uint32_t index = 0; index < CHUNKS; index++)
        assert_true(read_block(fixture, store, index, dictionary));
    assert_int_equal(dictionary_memory(dictionary), all);
    dictionary_destroy(dictionary);
    zstd_destroy(zstd);
    destroy_store(store);
}

// Which blocks of the store can be read, as bits.
static uint32_t read_blocks(struct kit_fixture *fixture, struct store *store) {
    struct zstd *zstd = zstd_create();
    struct dictionary *dictionary = open_dictionary(fixture, store, zstd);
    uint32_t good = 0;
    for (uint32_t index = 0; index < CHUNKS; index++) {
        if (read_block(fixture, store, index, dictionary)) good |= 1u << index;
    }
    dictionary_destroy(dictionary);
    zstd_destroy(zstd);
    return good;
}

// Damage is told, and what does not lean on it is read all the same.
static void test_a_reader_goes_on_beside_damage(void **state) {
    struct kit_fixture *fixture = *state;
    struct store *store = make_store(fixture);
    const uint32_t all = (1u << CHUNKS) - 1;
    const uint32_t late = CHUNKS - 3;
    assert_int_equal(read_blocks(fixture, store), all);
    struct buffer *chunk = &store->chunks[late];
    for (size_t offset = 0; offset < chunk->size; offset += chunk->size / 23) {
        chunk->bytes[offset] ^= 4;
        uint32_t good = read_blocks(fixture, store);
        chunk->bytes[offset] ^= 4;
        // Its own block at least, and none that was written before.
        assert_int_equal(good & (1u << late), 0);
        assert_int_equal(good & ((1u << late) - 1), (1u << late) - 1);
    }
    // A page of the head: those before it, and nothing wrong behind it.
    store->chunks[1].bytes[store->chunks[1].size - 7] ^= 4;
    uint32_t good = read_blocks(fixture, store);
    assert_int_equal(good & 3, 1);
    assert_non_null(strstr(fixture->fault.text, "of dictionary 3"));
    store->chunks[1].bytes[store->chunks[1].size - 7] ^= 4;
    // The same where the whole chunk is unknown.
    store->chunks[1].bytes[20] ^= 4;
    good = read_blocks(fixture, store);
    assert_int_equal(good & 3, 1);
    assert_int_equal(good >> (CHUNKS - 1), 0);
    destroy_store(store);
}

static bool is_memory_out;

// In place of base/table.c.
void *table_allocate(size_t size) {
    return is_memory_out ? NULL : calloc(1, size);
}

void *table_allocate_bare(size_t size) {
    return is_memory_out ? NULL : malloc(size);
}

// That memory runs out says nothing against a chunk.
static void test_out_of_memory_is_no_damage(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 200);
    encode(fixture);
    keep(fixture);
    struct dictionary *loaded = dictionary_create(dictionary_epoch(fixture->dictionary));
    is_memory_out = true;
    bool is_loaded = dictionary_load(loaded, buffer_span(&fixture->chunk), &fixture->fault);
    is_memory_out = false;
    assert_false(is_loaded);
    assert_int_equal(fixture->fault.kind, FAULT_FULL);
    assert_true(dictionary_load(loaded, buffer_span(&fixture->chunk), &fixture->fault));
    dictionary_destroy(loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_pending_gives_no_chunk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rollback_forgets_what_was_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reopened_dictionary_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunks_must_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fills_up_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_loads_only_what_it_uses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_goes_on_beside_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory_is_no_damage, setup, teardown),
    };
    return cases_run("dictionary_test", tests, sizeof tests / sizeof tests[0]);
}
