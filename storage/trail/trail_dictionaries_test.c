// Dictionaries of many epochs through one reader's memory: every text comes back, and the memory
// stays within what the header promises.

#include "storage/trail/trail_dictionaries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "storage/block/block.h"
#include "tests/kit/cases.h"

enum {
    EPOCHS = 32,
    BLOCKS = 8,  // of an epoch, with a chunk each
    ROWS = 120,
    VALUES = 120,
    SEED = 12345,
};

struct fixture {
    char directory[64];
    struct trail_environment *environment;
    struct block_scratch *scratch;
    struct buffer blocks[EPOCHS][BLOCKS];
    MDB_txn *reading;
    struct fault fault;
};

static void must(bool good, const struct fault *fault) {
    if (!good) fail_msg("%s", fault->text);
}

// The text of a row; each stands three times in its block, apart, so that its strings are admitted.
static void make_text(uint32_t epoch, uint32_t block, uint32_t row, struct buffer *text) {
    uint64_t number = (((uint64_t)epoch * BLOCKS + block) * ROWS + row % (ROWS / 3)) * VALUES;
    buffer_reset(text);
    buffer_append_text(text, "{");
    for (uint32_t value = 0; value < VALUES; value++, number++) {
        buffer_print(text, "%s\"name %u\":\"%llx.%llu!\"", value == 0 ? "" : ",", value,
                     (unsigned long long)((number + SEED) * 0x9E3779B97F4A7C15U),
                     (unsigned long long)number);
    }
    buffer_append_text(text, "}");
}

// Encodes a block and puts what it adds to the dictionary into the store.
static void make_block(struct fixture *fixture, struct dictionary *dictionary, uint32_t block) {
    static const uint8_t secret[HASH_SECRET_SIZE] = {7};
    static struct block_row rows[ROWS];
    struct buffer texts[ROWS];
    struct buffer chunk;
    struct buffer *output = &fixture->blocks[dictionary_epoch(dictionary)][block];
    for (uint32_t row = 0; row < ROWS; row++) {
        buffer_init(&texts[row], 1024 * 1024);
        make_text(dictionary_epoch(dictionary), block, row, &texts[row]);
        rows[row] = (struct block_row){
            .sequence = row + 1,
            .key = {.event_time_s = 1700000000 + row, .id = {(uint8_t)row, (uint8_t)(row >> 8)}},
            .text = buffer_span(&texts[row]),
        };
    }
    struct block_summary summary;
    buffer_init(output, 64 * 1024 * 1024);
    buffer_init(&chunk, 64 * 1024 * 1024);
    must(block_encode(fixture->scratch, dictionary, secret, rows, ROWS, output, &summary,
                      &fixture->fault),
         &fixture->fault);
    must(dictionary_take_pending(dictionary, &chunk, &fixture->fault), &fixture->fault);
    dictionary_keep(dictionary);
    struct trail_change change = {
        .database = TRAIL_DATABASE_DICTIONARY,
        .key_size = sizeof(uint64_t),
        .value_size = chunk.size,
    };
    uint64_t key = trail_dictionaries_key(dictionary_epoch(dictionary), block);
    memcpy(change.key, &key, sizeof key);
    must(trail_environment_commit(fixture->environment, &change, 1, buffer_span(&chunk), false,
                                  &fixture->fault),
         &fixture->fault);
    for (uint32_t row = 0; row < ROWS; row++) buffer_done(&texts[row]);
    buffer_done(&chunk);
}

static void read_block(struct fixture *fixture, struct trail_dictionaries *dictionaries,
                       uint32_t epoch, uint32_t number) {
    const uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    const struct dictionary *dictionary = NULL;
    struct block block;
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    must(block_open(buffer_span(&fixture->blocks[epoch][number]), true, &block, &fixture->fault),
         &fixture->fault);
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct span texts[BLOCK_FRAME_ROWS];
        struct span accounts[BLOCK_FRAME_ROWS];
        struct block_columns columns;
        must(trail_dictionaries_get(dictionaries, fixture->reading, 1, epoch, &dictionary,
                                    &fixture->fault),
             &fixture->fault);
        must(block_read_columns(&block, fixture->scratch, frame, BLOCK_COLUMN_PROVENANCE, &columns,
                                &fixture->fault),
             &fixture->fault);
        must(block_read_texts(&block, fixture->scratch, dictionary, frame, all, texts, accounts,
                              &fixture->fault),
             &fixture->fault);
        for (uint32_t row = 0; row < columns.rows; row++) {
            make_text(epoch, number, (uint32_t)columns.sequence[row] - 1, &text);
            assert_true(span_equal(texts[row], buffer_span(&text)));
        }
    }
    buffer_done(&text);
}

static void open_all(struct fixture *fixture, uint32_t epochs) {
    *fixture = (struct fixture){.directory = "/tmp/trail_dictionaries_test.XXXXXX"};
    assert_non_null(mkdtemp(fixture->directory));
    const struct trail_environment_options options = {.directory = fixture->directory,
                                                      .no_sync = true};
    must(trail_environment_open(&options, &fixture->environment, &fixture->fault), &fixture->fault);
    fixture->scratch = block_scratch_create();
    assert_non_null(fixture->scratch);
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        struct dictionary *dictionary = dictionary_create(epoch);
        assert_non_null(dictionary);
        for (uint32_t block = 0; block < BLOCKS; block++) make_block(fixture, dictionary, block);
        dictionary_destroy(dictionary);
    }
    must(trail_environment_begin(fixture->environment, &fixture->reading, &fixture->fault),
         &fixture->fault);
}

static void close_all(struct fixture *fixture) {
    trail_environment_end(fixture->environment, fixture->reading);
    trail_environment_free(fixture->reading);
    trail_environment_close(fixture->environment);
    block_scratch_destroy(fixture->scratch);
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        for (uint32_t block = 0; block < BLOCKS; block++)
            buffer_done(&fixture->blocks[epoch][block]);
    }
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", fixture->directory, names[index]);
        unlink(path);
    }
    rmdir(fixture->directory);
}

static void test_memory_stays_bounded(void **state) {
    (void)state;
    static struct fixture fixture;
    open_all(&fixture, EPOCHS);
    struct trail_dictionaries *dictionaries = trail_dictionaries_create(fixture.environment);
    assert_non_null(dictionaries);
    // What one frame of these blocks refers to, and one head: what may come on top.
    const size_t frame_max = 8 * 1024 * 1024;
    size_t largest = 0;
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
            for (uint32_t block = 0; block < BLOCKS; block++) {
                // In the second turn epochs alternate, so that none is used for long.
                uint32_t which = turn == 1 ? (epoch * BLOCKS + block * 7) % EPOCHS : epoch;
                read_block(&fixture, dictionaries, which, block);
                size_t memory = trail_dictionaries_memory(dictionaries);
                if (memory > largest) largest = memory;
            }
        }
    }
    // The bound is met, and was needed.
    assert_true(largest <= TRAIL_DICTIONARIES_SIZE_MAX + frame_max);
    assert_true(largest > TRAIL_DICTIONARIES_SIZE_MAX - frame_max);
    trail_dictionaries_destroy(dictionaries);
    close_all(&fixture);
}

// One row of one block takes little of an epoch.
static void test_a_lookup_takes_little(void **state) {
    (void)state;
    static struct fixture fixture;
    open_all(&fixture, 4);
    struct trail_dictionaries *dictionaries = trail_dictionaries_create(fixture.environment);
    assert_non_null(dictionaries);
    read_block(&fixture, dictionaries, 3, 0);
    size_t first = trail_dictionaries_memory(dictionaries);
    read_block(&fixture, dictionaries, 3, BLOCKS - 1);
    assert_true(trail_dictionaries_memory(dictionaries) - first < 2 * 1024 * 1024);
    trail_dictionaries_destroy(dictionaries);
    close_all(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_stays_bounded),
        cmocka_unit_test(test_a_lookup_takes_little),
    };
    return cases_run("trail_dictionaries", tests, sizeof tests / sizeof tests[0]);
}
