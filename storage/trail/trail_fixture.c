#include "storage/trail/trail_fixture.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/record.h"
#include "storage/trail/trail_retention.h"
#include "tests/kit/cases.h"

static int64_t fixture_now_ms(void *context) {
    const struct fixture *fixture = context;
    return fixture->now_ms;
}

void fixture_init(struct fixture *fixture) {
    memset(fixture, 0, sizeof *fixture);
    const char *folder = getenv("TEST_TMPDIR");
    snprintf(fixture->directory, sizeof fixture->directory, "%.40s/trail-XXXXXX",
             folder == NULL || strlen(folder) > 40 ? "/tmp" : folder);
    assert_non_null(mkdtemp(fixture->directory));
    fixture->now_ms = (int64_t)FIXTURE_BASE_S * 1000;
    fixture->clock = (struct clock){fixture_now_ms, fixture_now_ms, fixture};
    fixture->random_state = 7;
    fixture->random = random_seeded(&fixture->random_state);
    fixture->options = (struct trail_options){
        .directory = fixture->directory,
        .map_size = 1024 * 1024 * 1024,
        .window_ids = 64 * 1024,
        .no_sync = true,
        .clock = &fixture->clock,
        .random = &fixture->random,
    };
    fixture->json = json_reader_create();
    fixture->arena = arena_create(16 * 1024 * 1024);
}

void fixture_open(struct fixture *fixture) {
    if (!trail_open(&fixture->options, &fixture->trail, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
}

void fixture_reopen(struct fixture *fixture) {
    trail_close(fixture->trail);
    fixture->trail = NULL;
    fixture_open(fixture);
}

void fixture_done(struct fixture *fixture) {
    trail_close(fixture->trail);
    for (uint32_t index = 0; index < fixture->events_count; index++)
        free(fixture->events[index].text);
    free(fixture->events);
    json_reader_destroy(fixture->json);
    arena_destroy(fixture->arena);
    static const char *const names[] = {"data.mdb", "lock.mdb", "writer.lock"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", fixture->directory, names[index]);
        unlink(path);
    }
    assert_int_equal(rmdir(fixture->directory), 0);
}

char *fixture_make_record(uint32_t number, int64_t second, uint32_t account) {
    static const char *const names[] = {"RunInstances", "GetObject", "PutObject", "AssumeRole",
                                        "DescribeInstances"};
    static const char *const regions[] = {"eu-west-1", "us-east-1", "ap-south-1"};
    char time[TIME_TEXT_SIZE];
    time_print(FIXTURE_BASE_S + second, time);
    char *text = NULL;
    uint64_t mixed = number;
    uint64_t random = random_splitmix64(&mixed);
    int size = asprintf(
        &text,
        "{\"eventVersion\":\"1.08\",\"userIdentity\":{\"type\":\"IAMUser\",\"userName\":\"user-%"
        "u\","
        "\"accountId\":\"%012u\",\"accessKeyId\":\"AKIA%08u\"},\"eventTime\":\"%s\","
        "\"eventSource\":"
        "\"s%u.amazonaws.com\",\"eventName\":\"%s\",\"awsRegion\":\"%s\",\"sourceIPAddress\":"
        "\"10.0.%u.%u\",%s\"requestParameters\":{\"bucketName\":\"bucket-%u\",\"token\":"
        "\"%016" PRIx64
        "\"},\"eventID\":\"%08x-0000-4000-8000-%012x\",\"readOnly\":%s,"
        "\"eventType\":\"AwsApiCall\",\"recipientAccountId\":\"%012u\"}",
        number % 17, account, number % 40, time, number % 4, names[number % 5], regions[number % 3],
        number % 5, number % 200, number % 11 == 0 ? "\"errorCode\":\"AccessDenied\"," : "",
        number % 23, random, (unsigned)(random >> 32), number, number % 2 == 0 ? "true" : "false",
        account);
    assert_true(size > 0);
    return text;
}

static void read_record(struct fixture *fixture, const char *text, struct record *record) {
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(fixture->arena);
    if (!record_read(fixture->json, fixture->arena, span_text(text), record, &refusal,
                     &fixture->fault)) {
        fail_msg("%s", fixture->fault.text);
    }
}

bool fixture_try(struct fixture *fixture, const char *text, enum trail_outcome *outcome) {
    struct record record;
    read_record(fixture, text, &record);
    const struct trail_entry entry = {
        .record = &record,
        .account = record.recipient_account,
        .agent = TRAIL_AGENT_OWN,
        .received_ms = fixture->now_ms,
    };
    return trail_add(fixture->trail, &entry, outcome, &fixture->fault);
}

enum trail_outcome fixture_add(struct fixture *fixture, const char *text) {
    enum trail_outcome outcome = TRAIL_EXPIRED;
    if (!fixture_try(fixture, text, &outcome)) fail_msg("%s", fixture->fault.text);
    return outcome;
}

// The copy lives as long as the fixture: the trail borrows it until the commit.
static const char *remember(struct fixture *fixture, const char *text) {
    if (fixture->events_count == fixture->events_capacity) {
        fixture->events_capacity = fixture->events_capacity * 2 + 1024;
        fixture->events =
            realloc(fixture->events, fixture->events_capacity * sizeof *fixture->events);
        assert_non_null(fixture->events);
    }
    struct record record;
    read_record(fixture, text, &record);
    struct fixture_event *event = &fixture->events[fixture->events_count++];
    event->key = key_of(&record, record.recipient_account);
    event->sequence = fixture->events_count;
    event->text = strdup(text);
    return event->text;
}

void fixture_store(struct fixture *fixture, const char *text) {
    assert_int_equal(fixture_add(fixture, remember(fixture, text)), TRAIL_STORED);
}

enum trail_outcome fixture_offer(struct fixture *fixture, const char *text) {
    enum trail_outcome outcome = fixture_add(fixture, text);
    if (outcome == TRAIL_STORED) remember(fixture, text);
    return outcome;
}

void fixture_begin(struct fixture *fixture) {
    if (!trail_begin(fixture->trail, &fixture->fault)) fail_msg("%s", fixture->fault.text);
}

struct trail_receipt fixture_commit(struct fixture *fixture) {
    struct trail_receipt receipt = {0};
    if (!trail_commit(fixture->trail, &receipt, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    return receipt;
}

void fixture_fill(struct fixture *fixture, uint32_t number_first, uint32_t events_count,
                  uint32_t commit_count) {
    for (uint32_t done = 0; done < events_count;) {
        fixture_begin(fixture);
        for (uint32_t index = 0; index < commit_count && done < events_count; index++, done++) {
            uint32_t number = number_first + done;
            // Ten a second, one in 20 up to an hour late, one in 100 up to four days.
            int64_t second = number / 10;
            if (random_below(&fixture->random, 20) == 0)
                second -= (int64_t)random_below(&fixture->random, 3600);
            if (random_below(&fixture->random, 100) == 0)
                second -= (int64_t)random_below(&fixture->random, 345600);
            char *text = fixture_make_record(number, second, 1 + number % 7);
            fixture_store(fixture, text);
            free(text);
        }
        fixture_commit(fixture);
    }
}

void fixture_drop(struct fixture *fixture, int64_t from_s) {
    struct trail_receipt receipt;
    if (!trail_begin_reserved(fixture->trail, &fixture->fault) ||
        !trail_retain(fixture->trail, from_s, &fixture->fault) ||
        !trail_commit(fixture->trail, &receipt, &fixture->fault)) {
        fail_msg("%s", fixture->fault.text);
    }
    if (from_s > fixture->retained_from_s) fixture->retained_from_s = from_s;
    assert_int_equal(trail_retained_from(fixture->trail), fixture->retained_from_s);
}

uint32_t fixture_keep_up(struct fixture *fixture) {
    uint32_t steps = 0;
    bool more = true;
    if (!trail_upkeep(fixture->trail, &fixture->fault)) fail_msg("%s", fixture->fault.text);
    while (more) {
        if (!trail_sweep(fixture->trail, &more, &fixture->fault))
            fail_msg("%s", fixture->fault.text);
        steps++;
    }
    return steps;
}

static bool is_there(const struct fixture *fixture, const struct fixture_event *event) {
    return event->key.event_time_s >= fixture->retained_from_s;
}

uint32_t fixture_count(const struct fixture *fixture) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < fixture->events_count; index++)
        count += is_there(fixture, &fixture->events[index]);
    return count;
}

static bool holds(struct fixture *fixture, const struct trail_query *query,
                  const struct fixture_event *event) {
    if (!is_there(fixture, event)) return false;
    if (event->key.event_time_s < query->time_min_s || event->key.event_time_s > query->time_max_s)
        return false;
    if (query->has_sequence_max && event->sequence > query->sequence_max) return false;
    if (query->id != NULL && memcmp(event->key.id, query->id, RECORD_ID_SIZE) != 0) return false;
    if (query->has_after) {
        int order = key_compare(&event->key, &query->after);
        if (query->newest_first ? order >= 0 : order <= 0) return false;
    }
    if (query->attributes_count == 0) return true;
    struct record record;
    read_record(fixture, event->text, &record);
    for (uint32_t index = 0; index < query->attributes_count; index++) {
        if (!attribute_matches(&record, span_of(event->key.account, event->key.account_size),
                               &query->attributes[index])) {
            return false;
        }
    }
    return true;
}

static struct fixture_event *sorted_events;

static int compare_indexes(const void *left, const void *right) {
    return key_compare(&sorted_events[*(const uint32_t *)left].key,
                       &sorted_events[*(const uint32_t *)right].key);
}

uint32_t *fixture_answer(struct fixture *fixture, const struct trail_query *query,
                         uint32_t *count) {
    uint32_t *indexes = malloc((fixture->events_count + 1) * sizeof *indexes);
    assert_non_null(indexes);
    uint32_t found = 0;
    for (uint32_t index = 0; index < fixture->events_count; index++) {
        if (holds(fixture, query, &fixture->events[index])) indexes[found++] = index;
    }
    sorted_events = fixture->events;
    qsort(indexes, found, sizeof *indexes, compare_indexes);
    for (uint32_t at = 0; query->newest_first && at < found / 2; at++) {
        uint32_t other = indexes[at];
        indexes[at] = indexes[found - 1 - at];
        indexes[found - 1 - at] = other;
    }
    *count = found;
    return indexes;
}

static void compare_row(const struct fixture_event *event, const struct trail_row *row,
                        bool is_bare) {
    assert_int_equal(row->sequence, is_bare ? 0 : event->sequence);
    assert_true(key_equal(&row->key, &event->key));
    assert_int_equal(row->text.size, strlen(event->text));
    assert_memory_equal(row->text.bytes, event->text, row->text.size);
    assert_int_equal(row->agent, is_bare ? 0 : TRAIL_AGENT_OWN);
}

void fixture_compare(struct fixture *fixture, struct trail_reader *reader,
                     const struct trail_query *query) {
    uint32_t count = 0;
    uint32_t *expected = fixture_answer(fixture, query, &count);
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(reader, query, &cursor, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    for (uint32_t at = 0;; at++) {
        bool found = false;
        struct trail_row row;
        if (!trail_cursor_next(cursor, &found, &row, &fixture->fault))
            fail_msg("%s", fixture->fault.text);
        if (!found) {
            assert_int_equal(at, count);
            break;
        }
        assert_true(at < count);
        compare_row(&fixture->events[expected[at]], &row, query->is_bare);
    }
    trail_cursor_close(cursor);
    free(expected);
}

struct following {
    const struct fixture *fixture;
    uint64_t next;
};

static bool on_follow(void *user, const struct trail_row *row) {
    struct following *following = user;
    const struct fixture *fixture = following->fixture;
    while (!is_there(fixture, &fixture->events[following->next - 1])) following->next++;
    assert_int_equal(row->sequence, following->next);
    compare_row(&fixture->events[following->next - 1], row, false);
    following->next++;
    return true;
}

static void on_fault(void *user, const struct fault *found) {
    (void)user;
    fail_msg("check: %s", found->text);
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    assert_true(done <= all);
}

void fixture_compare_all(struct fixture *fixture) {
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(fixture->directory, &reader, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    fixture_compare(fixture, reader, &query);
    query.newest_first = true;
    fixture_compare(fixture, reader, &query);

    struct following following = {fixture, 1};
    uint64_t last = 0;
    if (!trail_reader_follow(reader, 0, on_follow, &following, &last, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    uint64_t newest = fixture->events_count;
    while (newest > 0 && !is_there(fixture, &fixture->events[newest - 1])) newest--;
    assert_int_equal(last, newest);

    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture->fault));
    assert_int_equal(facts.events, fixture_count(fixture));
    assert_int_equal(facts.dropped, fixture->events_count - fixture_count(fixture));
    assert_int_equal(facts.retained_from_s, fixture->retained_from_s);
    assert_int_equal(facts.sequence_last, fixture->events_count);

    struct trail_check check = {0};
    if (!trail_reader_check(reader, on_fault, on_progress, NULL, &check, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    assert_int_equal(check.events, fixture_count(fixture));
    assert_int_equal(check.faults, 0);
    trail_reader_close(reader);
}
