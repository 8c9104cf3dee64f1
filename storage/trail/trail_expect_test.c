// Events that are expected: what becomes of them is the same as if they came alone, and each block
// is asked once.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "event/record.h"
#include "storage/block/block_internal.h"
#include "storage/trail/trail_fixture.h"
#include "storage/trail/trail_internal.h"
#include "tests/kit/cases.h"

enum { TEXTS_MAX = 20000, HOUR_S = 3600 };

static struct key key_of_text(struct fixture *fixture, const char *text) {
    struct record record;
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(fixture->arena);
    assert_true(record_read(fixture->json, fixture->arena, span_text(text), &record, &refusal,
                            &fixture->fault));
    return key_of(&record, record.recipient_account);
}

// All texts ever made; they live as long as the test.
struct texts {
    char *list[TEXTS_MAX];
    uint32_t count;
    uint32_t numbers;
    uint64_t random_state;
};

static uint32_t pick(struct texts *texts, uint32_t below) {
    return (uint32_t)(random_splitmix64(&texts->random_state) % below);
}

static const char *keep(struct texts *texts, char *text) {
    assert_true(texts->count < TEXTS_MAX);
    assert_non_null(text);
    texts->list[texts->count++] = text;
    return text;
}

// A new event, or of one that was made before: a copy, another spelling, other values, or another
// event with its id.
static const char *make_text(struct texts *texts) {
    uint32_t kind = pick(texts, 10);
    int64_t second = pick(texts, 3 * HOUR_S);
    if (pick(texts, 8) == 0) second -= 86400 * (1 + pick(texts, 2));
    if (kind < 5 || texts->count == 0) {
        uint32_t number = texts->numbers++;
        return keep(texts, fixture_make_record(number, second, 1 + number % 7));
    }
    const char *old = texts->list[pick(texts, texts->count)];
    if (kind < 8) return old;
    char *text = strdup(old);
    assert_non_null(text);
    size_t size = strlen(text);
    if (kind == 8) {
        char *spelled = NULL;
        assert_true(asprintf(&spelled, "%.*s }", (int)(size - 1), text) > 0);
        free(text);
        return keep(texts, spelled);
    }
    // The event's type is no part of its key; the account, of which this is the last digit, is.
    static const char account[] = "\"recipientAccountId\":\"00000000000";
    bool is_conflict = pick(texts, 2) == 0;
    char *at = strstr(text, is_conflict ? "AwsApiCall" : account);
    if (at == NULL) at = strstr(text, "BwsApiCall");
    assert_non_null(at);
    if (is_conflict) {
        *at = 'B';
    } else {
        at[sizeof account - 1] = (char)('1' + pick(texts, 7));
    }
    return keep(texts, text);
}

struct pair {
    struct fixture alone;
    struct fixture together;
};

static void init(struct fixture *fixture, const struct trail_options *options) {
    fixture_init(fixture);
    fixture->options.block_rows_min = 8;
    fixture->options.tail_rows_max = 24;
    fixture->options.window_ids = options->window_ids;
    fixture->options.window_traces = options->window_traces;
    fixture->options.window_bits = options->window_bits;
    fixture_open(fixture);
}

// One commit through both. Of the one all, or some, are expected, and others that do not come.
static void offer_batch(struct pair *pair, struct texts *texts, bool is_aborted) {
    const char *batch[128];
    uint32_t count = pick(texts, 128);
    uint32_t expected = pick(texts, 3) == 0 ? pick(texts, 128) : 128;
    for (uint32_t index = 0; index < count; index++) batch[index] = make_text(texts);
    fixture_begin(&pair->alone);
    fixture_begin(&pair->together);
    for (uint32_t index = 0; index < count; index++) {
        const char *text = index < expected ? batch[index] : texts->list[pick(texts, texts->count)];
        struct key key = key_of_text(&pair->together, text);
        trail_expect(pair->together.trail, &key);
    }
    for (uint32_t index = 0; index < count; index++) {
        enum trail_outcome (*offer)(struct fixture *, const char *) =
            is_aborted ? fixture_add : fixture_offer;
        assert_int_equal(offer(&pair->together, batch[index]), offer(&pair->alone, batch[index]));
    }
    if (is_aborted) {
        trail_abort(pair->alone.trail);
        trail_abort(pair->together.trail);
    } else {
        uint32_t stored = fixture_commit(&pair->alone).stored;
        assert_int_equal(fixture_commit(&pair->together).stored, stored);
    }
}

static void run_both(uint64_t seed, const struct trail_options *options) {
    struct pair pair;
    struct texts *texts = calloc(1, sizeof *texts);
    assert_non_null(texts);
    texts->random_state = seed;
    init(&pair.alone, options);
    init(&pair.together, options);
    for (uint32_t turn = 0; turn < 120; turn++) {
        offer_batch(&pair, texts, pick(texts, 16) == 0);
        if (pick(texts, 20) == 0) {
            fixture_reopen(&pair.alone);
            fixture_reopen(&pair.together);
        }
        if (turn == 80) {
            fixture_drop(&pair.alone, FIXTURE_BASE_S / 86400 * 86400 - 86400);
            fixture_drop(&pair.together, FIXTURE_BASE_S / 86400 * 86400 - 86400);
        }
    }
    assert_true(pair.alone.events_count > 1000);
    assert_int_equal(pair.alone.events_count, pair.together.events_count);
    for (uint32_t index = 0; index < pair.alone.events_count; index++)
        assert_string_equal(pair.alone.events[index].text, pair.together.events[index].text);
    fixture_compare_all(&pair.alone);
    fixture_compare_all(&pair.together);
    fixture_done(&pair.alone);
    fixture_done(&pair.together);
    for (uint32_t index = 0; index < texts->count; index++) free(texts->list[index]);
    free(texts);
}

static void test_changes_no_outcome(void **state) {
    (void)state;
    const struct trail_options options[] = {
        {.window_ids = 2, .window_traces = 2},
        {.window_ids = 600, .window_traces = 1200},
        {.window_ids = 64 * 1024},
        {.window_ids = 2, .window_traces = 2, .window_bits = 4},
        {.window_ids = 300, .window_bits = 6},
    };
    for (uint32_t at = 0; at < sizeof options / sizeof options[0]; at++) {
        for (uint64_t seed = 1; seed <= 3; seed++) run_both(seed, &options[at]);
    }
}

// New events of one hour in a commit, some hundred of those before.
static uint32_t store_hour(struct fixture *fixture, uint32_t number, uint32_t count,
                           bool is_expected) {
    char *texts[1000];
    for (uint32_t index = 0; index < count; index++) {
        int64_t second = (int64_t)(number + index) * 7919 % HOUR_S;
        texts[index] = fixture_make_record(number + index, second, 1 + index % 7);
    }
    uint64_t asked = trail_asked_blocks(fixture->trail);
    fixture_begin(fixture);
    for (uint32_t index = 0; is_expected && index < count; index++) {
        struct key key = key_of_text(fixture, texts[index]);
        trail_expect(fixture->trail, &key);
    }
    for (uint32_t index = 0; index < count; index++) fixture_store(fixture, texts[index]);
    fixture_commit(fixture);
    for (uint32_t index = 0; index < count; index++) free(texts[index]);
    return (uint32_t)(trail_asked_blocks(fixture->trail) - asked);
}

static void test_asks_each_block_once(void **state) {
    (void)state;
    enum { BLOCKS = 60, ROWS = 100, OFFERED = 1000 };
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture.options.window_ids = 2;
    fixture.options.window_traces = 2;
    fixture_open(&fixture);
    for (uint32_t block = 0; block < BLOCKS; block++)
        store_hour(&fixture, block * ROWS, ROWS, true);
    // As it is after a start, when nothing is in the window.
    fixture_reopen(&fixture);
    assert_int_equal(store_hour(&fixture, BLOCKS * ROWS, OFFERED, true), BLOCKS);
    fixture_reopen(&fixture);
    assert_true(store_hour(&fixture, BLOCKS * ROWS + OFFERED, OFFERED, false) > 100 * BLOCKS);
    // What is looked for alone costs no more than what is expected where the window has all of it.
    fixture.options.window_ids = 0;
    fixture.options.window_traces = 0;
    fixture_reopen(&fixture);
    store_hour(&fixture, BLOCKS * ROWS + 2 * OFFERED, ROWS, true);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// Opens all blocks, so that they count as checked, and copies some bytes of the first one's
// columns.
static void look_at_blocks(struct fixture *fixture, uint8_t *bytes, size_t size) {
    fixture_begin(fixture);
    uint32_t count = trail_catalog_count(fixture->trail->catalog);
    assert_int_equal(count, 3);
    while (count-- > 0) {
        struct block block;
        assert_true(trail_open_block(fixture->trail, count, &block, &fixture->fault));
        struct span columns = block.sections[BLOCK_COLUMNS];
        assert_true(columns.size / 2 > size);
        memcpy(bytes, columns.bytes + columns.size / 2, size);
    }
    trail_abort(fixture->trail);
}

// Changes a bit of the file where these bytes are, under the open trail.
static void rot(struct fixture *fixture, const uint8_t *bytes, size_t size) {
    char path[256];
    assert_true(snprintf(path, sizeof path, "%s/data.mdb", fixture->directory) > 0);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    struct stat facts;
    assert_int_equal(fstat(file, &facts), 0);
    uint8_t *all = malloc((size_t)facts.st_size);
    assert_non_null(all);
    assert_int_equal(pread(file, all, (size_t)facts.st_size, 0), facts.st_size);
    const uint8_t *found = memmem(all, (size_t)facts.st_size, bytes, size);
    assert_non_null(found);
    uint8_t changed = found[10] ^ 1;
    assert_int_equal(pwrite(file, &changed, 1, found - all + 10), 1);
    free(all);
    assert_int_equal(close(file), 0);
}

// A block rots that has been found good before. What others hold is not stored a second time.
static void test_rot_is_no_reason_to_store_again(void **state) {
    (void)state;
    enum { BLOCKS = 3, ROWS = 300 };
    for (uint32_t is_expected = 0; is_expected < 2; is_expected++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture.options.block_rows_min = 1;
        fixture_open(&fixture);
        for (uint32_t block = 0; block < BLOCKS; block++)
            store_hour(&fixture, block * ROWS, ROWS, false);
        fixture_reopen(&fixture);
        uint8_t bytes[64];
        look_at_blocks(&fixture, bytes, sizeof bytes);
        rot(&fixture, bytes, sizeof bytes);
        fixture_begin(&fixture);
        uint32_t count = fixture.events_count;
        assert_int_equal(count, BLOCKS * ROWS);
        for (uint32_t index = 0; is_expected == 1 && index < count; index++)
            trail_expect(fixture.trail, &fixture.events[index].key);
        uint32_t undecided = 0;
        for (uint32_t index = 0; index < count; index++) {
            enum trail_outcome outcome = TRAIL_STORED;
            if (fixture_try(&fixture, fixture.events[index].text, &outcome)) {
                assert_int_equal(outcome, TRAIL_DUPLICATE);
            } else {
                assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
                undecided++;
            }
        }
        assert_in_range(undecided, 1, ROWS);
        trail_abort(fixture.trail);
        fixture_done(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_no_outcome),
        cmocka_unit_test(test_asks_each_block_once),
        cmocka_unit_test(test_rot_is_no_reason_to_store_again),
    };
    return cases_run("trail_expect", tests, sizeof tests / sizeof tests[0]);
}
