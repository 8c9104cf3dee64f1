// Dictionaries of many epochs through one reader's memory: every text comes back, and the memory
// stays within what the header promises.

#include "storage/trail/trail_dictionaries.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "storage/block/block.h"
#include "tests/kit/cases.h"

enum {
    EPOCHS = 16,
    BLOCKS = 8,  // of an epoch, with a chunk each
    ROWS = 120,
    VALUES = 120,
    SEED = 12345,
    SIZE_MAX_HERE = 24 * 1024 * 1024,  // about half of what all blocks refer to
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

// What one thread reads with.
struct hand {
    const struct fixture *fixture;
    struct trail_dictionaries *dictionaries;
    struct block_scratch *scratch;
    MDB_txn *reading;
};

// Reads a block and compares its texts. False: some other text came, or a fault.
static bool read_with(const struct hand *hand, uint32_t epoch, uint32_t number,
                      struct fault *fault) {
    const uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    const struct dictionary *dictionary = NULL;
    struct block block;
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    bool is_good =
        block_open(buffer_span(&hand->fixture->blocks[epoch][number]), true, &block, fault);
    for (uint32_t frame = 0; is_good && frame < block.frames; frame++) {
        struct span texts[BLOCK_FRAME_ROWS];
        struct span accounts[BLOCK_FRAME_ROWS];
        struct block_columns columns;
        is_good =
            block_read_columns(&block, hand->scratch, frame, BLOCK_COLUMN_PROVENANCE, &columns,
                               fault) &&
            trail_dictionaries_get(hand->dictionaries, hand->reading, epoch, &dictionary, fault);
        if (!is_good) break;
        is_good =
            block_read_texts(&block, hand->scratch, dictionary, frame, all, texts, accounts, fault);
        trail_dictionaries_put(hand->dictionaries);
        for (uint32_t row = 0; is_good && row < columns.rows; row += 3) {
            make_text(epoch, number, (uint32_t)columns.sequence[row] - 1, &text);
            is_good = span_equal(texts[row], buffer_span(&text)) ||
                      fault_set(fault, FAULT_CORRUPT, "another text");
        }
    }
    buffer_done(&text);
    return is_good;
}

static void read_block(struct fixture *fixture, struct trail_dictionaries *dictionaries,
                       uint32_t epoch, uint32_t number) {
    const struct hand hand = {fixture, dictionaries, fixture->scratch, fixture->reading};
    must(read_with(&hand, epoch, number, &fixture->fault), &fixture->fault);
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
    struct trail_dictionaries *dictionaries = trail_dictionaries_create(fixture.environment, true);
    assert_non_null(dictionaries);
    // What one frame of these blocks refers to, and one head: what may come on top.
    const size_t frame_max = 6 * 1024 * 1024;
    trail_dictionaries_limit(dictionaries, SIZE_MAX_HERE);
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
    assert_true(largest <= SIZE_MAX_HERE + frame_max);
    assert_true(largest > SIZE_MAX_HERE - frame_max);
    trail_dictionaries_destroy(dictionaries);
    close_all(&fixture);
}

// One row of one block takes little of an epoch.
static void test_a_lookup_takes_little(void **state) {
    (void)state;
    static struct fixture fixture;
    open_all(&fixture, 4);
    struct trail_dictionaries *dictionaries = trail_dictionaries_create(fixture.environment, true);
    assert_non_null(dictionaries);
    read_block(&fixture, dictionaries, 3, 0);
    size_t first = trail_dictionaries_memory(dictionaries);
    read_block(&fixture, dictionaries, 3, BLOCKS - 1);
    assert_true(trail_dictionaries_memory(dictionaries) - first < 2 * 1024 * 1024);
    trail_dictionaries_destroy(dictionaries);
    close_all(&fixture);
}

enum {
    THREADS = 4,
    GROWING = 4,  // epochs that grow while they are read
    ROUNDS = 2,   // that a thread reads all blocks for
};

struct reading {
    struct fixture *fixture;
    uint32_t number;       // of the thread
    atomic_uint *written;  // blocks of each growing epoch; NULL: all epochs are there as a whole
    struct fault fault;
    uint32_t wrong;
};

static void note(struct reading *reading, bool is_good) {
    if (!is_good) reading->wrong++;
}

// All blocks of all epochs, which take more than the memory there is for them.
static void read_all(struct reading *reading, struct hand *hand) {
    uint32_t count = EPOCHS * BLOCKS;
    note(reading,
         trail_environment_begin(reading->fixture->environment, &hand->reading, &reading->fault));
    for (uint32_t at = 0; at < ROUNDS * count && reading->wrong == 0; at += THREADS) {
        uint32_t which = (at + reading->number + at / count) % count;
        note(reading, read_with(hand, which % EPOCHS, which / EPOCHS, &reading->fault));
        // Now and then a reader goes: others still use what is shared.
        if (at % 256 != 0) continue;
        trail_dictionaries_destroy(hand->dictionaries);
        hand->dictionaries = trail_dictionaries_create(reading->fixture->environment, true);
    }
    trail_environment_end(reading->fixture->environment, hand->reading);
}

// The blocks that are there so far, each in a snapshot that has them, up to the last.
static void read_growing(struct reading *reading, struct hand *hand) {
    struct trail_environment *environment = reading->fixture->environment;
    for (uint32_t known = 0; known < BLOCKS && reading->wrong == 0;) {
        known = *reading->written;
        note(reading, trail_environment_begin(environment, &hand->reading, &reading->fault));
        for (uint32_t epoch = 0; epoch < GROWING && known > 0; epoch++) {
            uint32_t block = (known - 1) * (reading->number % 2);
            note(reading, read_with(hand, epoch, block, &reading->fault));
        }
        trail_environment_end(environment, hand->reading);
    }
}

static void *run_reader(void *context) {
    struct reading *reading = context;
    struct hand hand = {.fixture = reading->fixture, .scratch = block_scratch_create()};
    hand.dictionaries = trail_dictionaries_create(reading->fixture->environment, true);
    reading->written == NULL ? read_all(reading, &hand) : read_growing(reading, &hand);
    trail_dictionaries_destroy(hand.dictionaries);
    block_scratch_destroy(hand.scratch);
    trail_environment_free(hand.reading);
    return NULL;
}

static void run_readers(struct fixture *fixture, atomic_uint *written) {
    struct reading readings[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t index = 0; index < THREADS; index++) {
        readings[index] = (struct reading){.fixture = fixture, .number = index, .written = written};
        assert_int_equal(pthread_create(&threads[index], NULL, run_reader, &readings[index]), 0);
    }
    struct dictionary *growing[GROWING] = {NULL};
    for (uint32_t block = 0; written != NULL && block < BLOCKS; block++) {
        for (uint32_t epoch = 0; epoch < GROWING; epoch++) {
            if (block == 0) growing[epoch] = dictionary_create(epoch);
            make_block(fixture, growing[epoch], block);
        }
        *written = block + 1;
    }
    for (uint32_t index = 0; index < THREADS; index++) pthread_join(threads[index], NULL);
    for (uint32_t epoch = 0; epoch < GROWING; epoch++) dictionary_destroy(growing[epoch]);
    for (uint32_t index = 0; index < THREADS; index++) {
        if (readings[index].wrong > 0) fail_msg("%s", readings[index].fault.text);
    }
}

static void test_threads_share_what_does_not_fit(void **state) {
    (void)state;
    static struct fixture fixture;
    open_all(&fixture, EPOCHS);
    struct trail_dictionaries *dictionaries = trail_dictionaries_create(fixture.environment, true);
    struct trail_dictionaries *own = trail_dictionaries_create(fixture.environment, false);
    trail_dictionaries_limit(dictionaries, SIZE_MAX_HERE);
    run_readers(&fixture, NULL);
    assert_true(trail_dictionaries_memory(dictionaries) < 2 * SIZE_MAX_HERE);
    // They are gone, and what they inflated is still there for the next, and for no stranger.
    assert_true(trail_dictionaries_memory(dictionaries) > SIZE_MAX_HERE / 2);
    assert_int_equal(trail_dictionaries_memory(own), 0);
    trail_dictionaries_destroy(dictionaries);
    trail_dictionaries_destroy(own);
    dictionaries = trail_dictionaries_create(fixture.environment, true);
    assert_int_equal(trail_dictionaries_memory(dictionaries), 0);
    trail_dictionaries_destroy(dictionaries);
    close_all(&fixture);
}

static void test_threads_share_what_grows(void **state) {
    (void)state;
    static struct fixture fixture;
    atomic_uint written = 0;
    open_all(&fixture, 0);
    run_readers(&fixture, &written);
    close_all(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_stays_bounded),
        cmocka_unit_test(test_a_lookup_takes_little),
        cmocka_unit_test(test_threads_share_what_does_not_fit),
        cmocka_unit_test(test_threads_share_what_grows),
    };
    return cases_run("trail_dictionaries", tests, sizeof tests / sizeof tests[0]);
}
