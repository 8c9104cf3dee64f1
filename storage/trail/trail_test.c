// The trail's writer: what becomes of events, and what survives.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

static const uint8_t stream_id[TRAIL_STREAM_ID_SIZE] = "a stream's id..";

static void test_stores_in_tail(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 10, 3);
    fixture_compare_all(&fixture);
    fixture_reopen(&fixture);
    fixture_fill(&fixture, 10, 10, 4);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_receipt_is_dense(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_begin(&fixture);
    char *first = fixture_make_record(1, 0, 1);
    char *second = fixture_make_record(2, 0, 1);
    fixture_store(&fixture, first);
    assert_int_equal(fixture_add(&fixture, first), TRAIL_DUPLICATE);
    fixture_store(&fixture, second);
    struct trail_receipt receipt = fixture_commit(&fixture);
    assert_int_equal(receipt.stored, 2);
    assert_int_equal(receipt.sequence_first, 1);
    assert_int_equal(receipt.sequence_last, 2);
    fixture_begin(&fixture);
    assert_int_equal(fixture_add(&fixture, second), TRAIL_DUPLICATE);
    receipt = fixture_commit(&fixture);
    assert_int_equal(receipt.stored, 0);
    assert_int_equal(receipt.sequence_first, 0);
    fixture_compare_all(&fixture);
    free(first);
    free(second);
    fixture_done(&fixture);
}

// The record's text with one thing replaced; on the heap.
static char *replace(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    assert_non_null(at);
    char *result = NULL;
    assert_true(asprintf(&result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
    return result;
}

// Offers copies of the record in other forms.
static void offer_copies(struct fixture *fixture, const char *text) {
    char *variant =
        replace(text, "\"eventType\":\"AwsApiCall\"", "\"eventType\" : \"AwsApiC\\u0061ll\"");
    char *conflict = replace(text, "\"sourceIPAddress\":\"10", "\"sourceIPAddress\":\"11");
    assert_int_equal(fixture_add(fixture, text), TRAIL_DUPLICATE);
    assert_int_equal(fixture_add(fixture, variant), TRAIL_VARIANT);
    assert_int_equal(fixture_add(fixture, conflict), TRAIL_CONFLICT);
    free(variant);
    free(conflict);
}

static void test_tells_copies_apart(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    char *text = fixture_make_record(1, 0, 1);
    fixture_begin(&fixture);
    fixture_store(&fixture, text);
    offer_copies(&fixture, text);
    fixture_commit(&fixture);
    fixture_begin(&fixture);
    offer_copies(&fixture, text);
    // The same id in another account, or at another time, is another event.
    char *account = replace(text, "\"recipientAccountId\":\"000000000001\"",
                            "\"recipientAccountId\":\"000000000002\"");
    char *time = replace(text, "22:13:20Z", "22:13:21Z");
    fixture_store(&fixture, account);
    fixture_store(&fixture, time);
    fixture_commit(&fixture);
    fixture_reopen(&fixture);
    fixture_begin(&fixture);
    offer_copies(&fixture, text);
    offer_copies(&fixture, account);
    fixture_commit(&fixture);
    fixture_compare_all(&fixture);
    free(account);
    free(time);
    free(text);
    fixture_done(&fixture);
}

// All events again, in another order, some of them changed.
static void offer_again(struct fixture *fixture, uint32_t step) {
    uint32_t commit = 0;
    for (uint32_t index = 0; index < fixture->events_count; index++) {
        if (commit == 0) fixture_begin(fixture);
        uint32_t other = (uint32_t)((uint64_t)index * step % fixture->events_count);
        const char *text = fixture->events[other].text;
        if (index % 97 == 0) {
            offer_copies(fixture, text);
            commit += 3;
        } else {
            assert_int_equal(fixture_add(fixture, text), TRAIL_DUPLICATE);
            commit++;
        }
        if (commit < 4000 && index + 1 < fixture->events_count) continue;
        assert_int_equal(fixture_commit(fixture).stored, 0);
        commit = 0;
    }
}

static void run_duplicates(uint32_t window_ids, uint32_t window_bits) {
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.window_ids = window_ids;
    fixture.options.window_bits = window_bits;
    fixture_open(&fixture);
    uint32_t count = window_bits == 0 ? 12000 : 3000;
    fixture_fill(&fixture, 0, count, 2500);
    fixture_fill(&fixture, count, 500, 37);
    offer_again(&fixture, 1);
    offer_again(&fixture, 6007);
    fixture_reopen(&fixture);
    offer_again(&fixture, 6007);
    fixture_fill(&fixture, count + 500, 500, 37);
    offer_again(&fixture, 1);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_finds_duplicates_in_window(void **state) {
    (void)state;
    run_duplicates(64 * 1024, 0);
}

static void test_finds_duplicates_beyond_window(void **state) {
    (void)state;
    run_duplicates(2, 0);
}

static void test_is_exact_when_hashes_collide(void **state) {
    (void)state;
    run_duplicates(64 * 1024, 5);
    run_duplicates(500, 3);
}

static void test_moves_tail_at_its_limit(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 1000;
    fixture_open(&fixture);
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    fixture_fill(&fixture, 0, 999, 111);
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.tail_rows, 999);
    assert_int_equal(facts.blocks, 0);
    fixture_compare_all(&fixture);
    fixture_fill(&fixture, 999, 1, 1);
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.tail_rows, 0);
    assert_true(facts.blocks > 0);
    fixture_compare_all(&fixture);
    fixture_fill(&fixture, 1000, 2500, 130);
    fixture_compare_all(&fixture);
    fixture_reopen(&fixture);
    fixture_compare_all(&fixture);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void test_moves_old_tail(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 30, 10);
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    fixture.now_ms += 24 * 3600 * 1000 - 1;
    assert_true(trail_upkeep(fixture.trail, &fixture.fault));
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.tail_rows, 30);
    fixture.now_ms += 1;
    assert_true(trail_upkeep(fixture.trail, &fixture.fault));
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.tail_rows, 0);
    fixture_compare_all(&fixture);
    offer_again(&fixture, 1);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void test_abort_leaves_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 20, 20);
    char *text = fixture_make_record(100, 5, 1);
    struct trail_stream stream = {.agent = 1, .durable_seq = 9};
    uint32_t agent = 0;
    bool is_new = false;
    fixture_begin(&fixture);
    assert_int_equal(fixture_add(&fixture, text), TRAIL_STORED);
    assert_true(trail_agent_number(fixture.trail, SPAN_LITERAL("spiffe://x/account/1"), &agent,
                                   &fixture.fault));
    assert_int_equal(agent, 2);
    assert_true(trail_stream_put(fixture.trail, &stream, &fixture.fault));
    const struct trail_refused refused = {
        SPAN_LITERAL("{"), "invalid_json", SPAN_LITERAL("x"), 2, 1, 0};
    assert_true(trail_quarantine(fixture.trail, &refused, &is_new, &fixture.fault));
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 1);
    trail_abort(fixture.trail);
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 0);
    bool found = true;
    assert_true(
        trail_stream_find(fixture.trail, 1, stream.stream_id, &stream, &found, &fixture.fault));
    assert_false(found);
    fixture_compare_all(&fixture);
    fixture_begin(&fixture);
    fixture_store(&fixture, text);
    assert_int_equal(fixture_commit(&fixture).sequence_first, 21);
    fixture_compare_all(&fixture);
    free(text);
    fixture_done(&fixture);
}

static bool on_stream(void *user, const struct trail_stream *stream) {
    *(struct trail_stream *)user = *stream;
    return true;
}

static bool on_gap(void *user, const struct trail_gap *gap) {
    *(struct trail_gap *)user = *gap;
    return true;
}

static bool on_quarantined(void *user, const struct trail_quarantined *entry) {
    assert_memory_equal(entry->bytes.bytes, "{broken", 7);
    assert_int_equal(entry->bytes.size, 7);
    assert_true(span_is(entry->detail, "byte 7"));
    assert_string_equal(entry->reason, "invalid_json");
    assert_int_equal(entry->first_ms, 5);
    assert_int_equal(entry->last_ms, 8);
    assert_int_equal(entry->count, 3);
    (*(uint32_t *)user)++;
    return true;
}

static void put_state(struct fixture *fixture) {
    uint32_t agent = 0;
    bool is_new = false;
    fixture_begin(fixture);
    struct span uri = SPAN_LITERAL("spiffe://org/account/111122223333");
    assert_true(trail_agent_number(fixture->trail, uri, &agent, &fixture->fault));
    struct trail_stream stream = {.agent = agent,
                                  .durable_seq = 77,
                                  .chain = "0123456789abcde",
                                  .received = 5,
                                  .gap_numbers = 12,
                                  .last_event_time_s = -1};
    memcpy(stream.stream_id, stream_id, sizeof stream_id);
    assert_true(trail_stream_put(fixture->trail, &stream, &fixture->fault));
    struct trail_gap gap = {
        .agent = agent, .first_seq = 78, .last_seq = 90, .reported_ms = 4, .reason = "disk"};
    memcpy(gap.stream_id, stream_id, sizeof stream_id);
    assert_true(trail_gap_put(fixture->trail, &gap, &is_new, &fixture->fault));
    assert_true(is_new);
    assert_true(trail_gap_put(fixture->trail, &gap, &is_new, &fixture->fault));
    assert_false(is_new);
    struct trail_refused refused = {
        SPAN_LITERAL("{broken"), "invalid_json", SPAN_LITERAL("byte 7"), agent, 5, 0};
    assert_true(trail_quarantine(fixture->trail, &refused, &is_new, &fixture->fault));
    assert_true(is_new);
    refused.received_ms = 6;
    assert_true(trail_quarantine(fixture->trail, &refused, &is_new, &fixture->fault));
    assert_false(is_new);
    fixture_commit(fixture);
    fixture_begin(fixture);
    refused.received_ms = 8;
    assert_true(trail_quarantine(fixture->trail, &refused, &is_new, &fixture->fault));
    assert_false(is_new);
    assert_true(trail_gap_put(fixture->trail, &gap, &is_new, &fixture->fault));
    assert_false(is_new);
    fixture_commit(fixture);
}

static void test_keeps_state(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    put_state(&fixture);
    fixture_reopen(&fixture);
    struct trail_stream stream;
    bool found = false;
    assert_true(trail_stream_find(fixture.trail, 2, stream_id, &stream, &found, &fixture.fault));
    assert_true(found);
    assert_int_equal(stream.durable_seq, 77);
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 7);
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    trail_epoch(fixture.trail, epoch);

    struct trail_reader *reader = NULL;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    struct trail_stream read = {0};
    struct trail_gap gap = {0};
    uint32_t entries = 0;
    assert_true(trail_reader_streams(reader, on_stream, &read, &fixture.fault));
    assert_memory_equal(&read, &stream, sizeof read);
    assert_int_equal(read.gap_numbers, 12);
    assert_int_equal(read.last_event_time_s, -1);
    assert_true(trail_reader_gaps(reader, on_gap, &gap, &fixture.fault));
    assert_int_equal(gap.last_seq, 90);
    assert_string_equal(gap.reason, "disk");
    assert_true(trail_reader_quarantine(reader, on_quarantined, &entries, &fixture.fault));
    assert_int_equal(entries, 1);
    struct span uri;
    assert_true(trail_reader_agent(reader, 2, &uri, &fixture.fault));
    assert_true(span_is(uri, "spiffe://org/account/111122223333"));
    assert_true(trail_reader_agent(reader, TRAIL_AGENT_OWN, &uri, &fixture.fault));
    assert_true(span_is(uri, "orgtrail.local"));
    assert_true(trail_reader_agent(reader, 3, &uri, &fixture.fault));
    assert_int_equal(uri.size, 0);
    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.quarantined, 1);
    assert_int_equal(facts.quarantined_count, 3);
    assert_int_equal(facts.gaps, 1);
    assert_memory_equal(facts.epoch, epoch, sizeof epoch);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static bool copy_key(void *user, const struct trail_quarantined *entry) {
    memcpy(user, entry->key, sizeof entry->key);
    return true;
}

static uint64_t count_quarantined(struct fixture *fixture, struct trail_reader *reader) {
    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture->fault));
    return facts.quarantined * 1000 + facts.quarantined_count;
}

static void test_takes_out_of_quarantine(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    put_state(&fixture);
    struct trail_reader *reader = NULL;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    uint8_t key[TRAIL_REFUSED_KEY_SIZE];
    assert_true(trail_reader_quarantine(reader, copy_key, key, &fixture.fault));
    struct trail_quarantined entry;
    bool found = false;
    // What is given up is as before.
    fixture_begin(&fixture);
    assert_true(trail_quarantine_get(fixture.trail, key, &found, &entry, &fixture.fault));
    assert_true(found);
    assert_true(span_is(entry.bytes, "{broken"));
    assert_true(trail_quarantine_remove(fixture.trail, &entry, &fixture.fault));
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 0);
    trail_abort(fixture.trail);
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 7);
    assert_int_equal(count_quarantined(&fixture, reader), 1003);

    fixture_begin(&fixture);
    assert_true(trail_quarantine_get(fixture.trail, key, &found, &entry, &fixture.fault));
    assert_true(trail_quarantine_remove(fixture.trail, &entry, &fixture.fault));
    fixture_commit(&fixture);
    assert_int_equal(count_quarantined(&fixture, reader), 0);
    uint8_t none[TRAIL_REFUSED_KEY_SIZE] = {0};
    assert_true(trail_reader_quarantine(reader, copy_key, none, &fixture.fault));
    assert_int_equal(none[0] + none[7] + none[31], 0);

    fixture_reopen(&fixture);
    assert_int_equal(trail_quarantine_size(fixture.trail, 2), 0);
    fixture_begin(&fixture);
    assert_true(trail_quarantine_get(fixture.trail, key, &found, &entry, &fixture.fault));
    assert_false(found);
    trail_abort(fixture.trail);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static bool join_document(void *user, struct span name, struct span value) {
    char *text = user;
    snprintf(text + strlen(text), 64, "%.*s=%.*s ", SPAN_PRINT(name), SPAN_PRINT(value));
    return true;
}

static void expect_documents(struct fixture *fixture, const char *prefix, const char *expected) {
    struct trail_reader *reader = NULL;
    char text[256] = "";
    assert_true(trail_reader_open(fixture->directory, &reader, &fixture->fault));
    assert_true(
        trail_reader_documents(reader, span_text(prefix), join_document, text, &fixture->fault));
    assert_string_equal(text, expected);
    trail_reader_close(reader);
}

static void put_document(struct fixture *fixture, const char *name, const char *value) {
    assert_true(
        trail_document_put(fixture->trail, span_text(name), span_text(value), &fixture->fault));
}

static void test_keeps_documents(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_begin(&fixture);
    put_document(&fixture, "b/2", "two");
    put_document(&fixture, "a", "1");
    put_document(&fixture, "b/1", "one");
    put_document(&fixture, "a", "2");
    fixture_commit(&fixture);
    expect_documents(&fixture, "", "a=2 b/1=one b/2=two ");
    expect_documents(&fixture, "b/", "b/1=one b/2=two ");
    // A prefix may be a document's whole name, and none may have it.
    expect_documents(&fixture, "a", "a=2 ");
    expect_documents(&fixture, "b/1", "b/1=one ");
    expect_documents(&fixture, "aa", "");
    expect_documents(&fixture, "c", "");
    fixture_begin(&fixture);
    put_document(&fixture, "b/3", "three");
    trail_abort(fixture.trail);
    fixture_begin(&fixture);
    put_document(&fixture, "b/1", "");
    fixture_commit(&fixture);
    fixture_reopen(&fixture);
    expect_documents(&fixture, "b/", "b/2=two ");
    fixture_done(&fixture);
}

static void test_keeps_many_streams(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_begin(&fixture);
    for (uint32_t index = 0; index < 1000; index++) {
        struct trail_stream stream = {.agent = 1 + index % 10, .durable_seq = index};
        memcpy(stream.stream_id, &index, sizeof index);
        assert_true(trail_stream_put(fixture.trail, &stream, &fixture.fault));
    }
    fixture_commit(&fixture);
    fixture_reopen(&fixture);
    for (uint32_t index = 0; index < 1000; index++) {
        uint8_t id[TRAIL_STREAM_ID_SIZE] = {0};
        memcpy(id, &index, sizeof index);
        struct trail_stream stream;
        bool found = false;
        assert_true(
            trail_stream_find(fixture.trail, 1 + index % 10, id, &stream, &found, &fixture.fault));
        assert_true(found);
        assert_int_equal(stream.durable_seq, index);
        assert_true(
            trail_stream_find(fixture.trail, 2 + index % 10, id, &stream, &found, &fixture.fault));
        assert_false(found);
    }
    fixture_done(&fixture);
}

static void test_grows_the_map(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.map_size = 1024 * 1024;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 20000, 2000);
    fixture_fill(&fixture, 20000, 300, 30);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_is_full_and_goes_on(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.size_max = 1200 * 1024;
    fixture_open(&fixture);
    uint32_t number = 0;
    struct trail_receipt receipt;
    bool full = false;
    // Commits until there is no room; then the same rows must fit after the limit is raised.
    while (!full) {
        fixture_begin(&fixture);
        uint32_t before = fixture.events_count;
        for (uint32_t index = 0; index < 200; index++, number++) {
            char *text = fixture_make_record(number, number, 1);
            fixture_store(&fixture, text);
            free(text);
        }
        full = !trail_commit(fixture.trail, &receipt, &fixture.fault);
        if (!full) continue;
        assert_int_equal(fixture.fault.kind, FAULT_FULL);
        while (fixture.events_count > before) free(fixture.events[--fixture.events_count].text);
        number = before;
    }
    assert_true(number > 200);
    fixture_compare_all(&fixture);
    // The same again is still refused, and what is there can still be found.
    fixture_begin(&fixture);
    char *text = fixture_make_record(0, 0, 1);
    assert_int_equal(fixture_add(&fixture, text), TRAIL_DUPLICATE);
    free(text);
    fixture_commit(&fixture);
    fixture.options.size_max = 0;
    fixture_reopen(&fixture);
    fixture_fill(&fixture, number, 3000, 200);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_needs_free_space(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.free_min = UINT64_MAX;
    fixture_open(&fixture);
    assert_false(trail_begin(fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    fixture_done(&fixture);
}

static void test_one_writer(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct trail *second = NULL;
    struct fault fault;
    assert_false(trail_open(&fixture.options, &second, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(fault.text, pid));
    fixture_fill(&fixture, 0, 10, 10);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void write_file(const char *directory, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_file(const char *directory, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(unlink(path), 0);
}

static void test_refuses_other_content(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    write_file(fixture.directory, "notes.txt", "mine");
    assert_false(trail_open(&fixture.options, &fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fixture.fault.text, "notes.txt"));
    remove_file(fixture.directory, "notes.txt");
    char page[8192];
    memset(page, 'x', sizeof page - 1);
    page[sizeof page - 1] = '\0';
    write_file(fixture.directory, "data.mdb", page);
    assert_false(trail_open(&fixture.options, &fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    remove_file(fixture.directory, "data.mdb");
    fixture_open(&fixture);
    fixture_done(&fixture);
}

static void test_modes(void **state) {
    (void)state;
    mode_t old = umask(0077);
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    umask(old);
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {{"data.mdb", 0640}, {"lock.mdb", 0660}, {"writer.lock", 0660}};
    for (size_t index = 0; index < sizeof files / sizeof files[0]; index++) {
        char path[128];
        struct stat facts;
        snprintf(path, sizeof path, "%s/%s", fixture.directory, files[index].name);
        assert_int_equal(stat(path, &facts), 0);
        assert_int_equal(facts.st_mode & 0777, files[index].mode);
    }
    fixture_done(&fixture);
}

static void test_missing_directory(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    struct trail_options options = fixture.options;
    options.directory = "/nonexistent/trail";
    struct trail_reader *reader = NULL;
    assert_false(trail_open(&options, &fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    assert_false(trail_reader_open("/nonexistent/trail", &reader, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    assert_false(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    fixture_done(&fixture);
}

// One record that is as large as records may be, many of them in one commit.
static void test_large_records(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    char *filler = malloc(900000);
    assert_non_null(filler);
    fixture_begin(&fixture);
    for (uint32_t number = 0; number < 70; number++) {
        uint64_t seed = number;
        for (size_t at = 0; at < 900000; at++) {
            filler[at] = (char)('a' + random_splitmix64(&seed) % 16);
            if (at % 100 == 99) filler[at] = (char)('0' + number % 10);
        }
        filler[899999] = '\0';
        char *text = fixture_make_record(number, number, 1);
        char *larger = replace(text, "bucket-", filler);
        fixture_store(&fixture, larger);
        free(text);
        free(larger);
    }
    fixture_commit(&fixture);
    fixture_compare_all(&fixture);
    free(filler);
    fixture_done(&fixture);
}

static void test_events_of_many_days(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 600;
    fixture_open(&fixture);
    for (uint32_t commit = 0; commit < 4; commit++) {
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < 200; index++) {
            uint32_t number = commit * 200 + index;
            char *text = fixture_make_record(number, -(int64_t)(index % 50) * 86400, 3);
            fixture_store(&fixture, text);
            free(text);
        }
        fixture_commit(&fixture);
    }
    fixture_compare_all(&fixture);
    offer_again(&fixture, 7);
    fixture_reopen(&fixture);
    offer_again(&fixture, 1);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stores_in_tail),
        cmocka_unit_test(test_receipt_is_dense),
        cmocka_unit_test(test_tells_copies_apart),
        cmocka_unit_test(test_finds_duplicates_in_window),
        cmocka_unit_test(test_finds_duplicates_beyond_window),
        cmocka_unit_test(test_is_exact_when_hashes_collide),
        cmocka_unit_test(test_moves_tail_at_its_limit),
        cmocka_unit_test(test_moves_old_tail),
        cmocka_unit_test(test_abort_leaves_nothing),
        cmocka_unit_test(test_keeps_state),
        cmocka_unit_test(test_takes_out_of_quarantine),
        cmocka_unit_test(test_keeps_documents),
        cmocka_unit_test(test_keeps_many_streams),
        cmocka_unit_test(test_grows_the_map),
        cmocka_unit_test(test_is_full_and_goes_on),
        cmocka_unit_test(test_needs_free_space),
        cmocka_unit_test(test_one_writer),
        cmocka_unit_test(test_refuses_other_content),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_missing_directory),
        cmocka_unit_test(test_large_records),
        cmocka_unit_test(test_events_of_many_days),
    };
    return cases_run("trail", tests, sizeof tests / sizeof tests[0]);
}
