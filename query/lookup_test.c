// Lookups against brute force over the same events, page by page, while more arrive.

#include "query/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "query/follow.h"
#include "query/reading.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"
#include "tests/kit/sample.h"

enum { EVENTS_COUNT = 3000 };

static struct sample sample;
static char store[4096];
static struct trail_reader *reader;

static void must(bool is_good, const struct fault *fault) {
    if (!is_good) fail_msg("%s", fault->text);
}

static struct filter make_filter(const char *const conditions[][2], size_t count) {
    struct fault fault = {0};
    struct filter filter;
    must(filter_init(&filter, &fault), &fault);
    for (size_t index = 0; index < count; index++) {
        const char *name = conditions[index][0];
        const char *value = conditions[index][1];
        if (name == NULL) break;
        if (strcmp(name, "since") == 0) {
            must(filter_set_since(&filter, value, 0, &fault), &fault);
        } else if (strcmp(name, "until") == 0) {
            must(filter_set_until(&filter, value, 0, &fault), &fault);
        } else {
            must(filter_add(&filter, name, value, &fault), &fault);
        }
    }
    return filter;
}

static const struct sample *sorted_sample;

static int compare_indexes(const void *left, const void *right) {
    const uint32_t *a = left;
    const uint32_t *b = right;
    return sample_compare_keys(&sorted_sample->events[*a].key, &sorted_sample->events[*b].key);
}

// The events of the first `arrived` that match, in order, by looking at each.
static uint32_t *search_all(const struct filter *filter, uint32_t arrived, bool newest_first,
                            uint32_t *count) {
    uint32_t *found = calloc(arrived + 1, sizeof *found);
    *count = 0;
    for (uint32_t index = 0; index < arrived; index++) {
        struct record record;
        struct trail_row row = {.key = sample.events[index].key};
        sample_read(&sample, index, &record);
        if (filter_matches(filter, &record, &row)) found[(*count)++] = index;
    }
    sorted_sample = &sample;
    qsort(found, *count, sizeof *found, compare_indexes);
    for (uint32_t low = 0; newest_first && low < *count / 2; low++) {
        uint32_t kept = found[low];
        found[low] = found[*count - 1 - low];
        found[*count - 1 - low] = kept;
    }
    return found;
}

// Reads one page and compares it with what is expected from `offset` on.
static uint32_t read_page(struct lookup_plan *plan, const uint32_t *expected, uint32_t offset,
                          uint32_t count, char token[LOOKUP_TOKEN_SIZE]) {
    struct fault fault = {0};
    struct lookup *lookup = NULL;
    must(lookup_open(reader, plan, &lookup, &fault), &fault);
    uint32_t given = 0;
    for (;;) {
        bool found;
        struct trail_row row;
        must(lookup_next(lookup, &found, &row, &fault), &fault);
        if (!found) break;
        assert_true(offset + given < count);
        const struct sample_event *event = &sample.events[expected[offset + given]];
        assert_true(span_is(row.text, event->text));
        assert_true(key_equal(&row.key, &event->key));
        given++;
    }
    must(lookup_print_token(lookup, token, &fault), &fault);
    lookup_close(lookup);
    return given;
}

static const char *const queries[][3][2] = {
    {{NULL}},
    {{"event-name", "GetObject"}},
    {{"user", "J\xc3\xbcrgen"}, {"errors", "true"}},
    {{"event-source", "s3"}, {"read-only", "false"}, {"account", "333333333333"}},
    {{"since", "2023-07-11"}, {"until", "2023-07-12"}},
    {{"since", "2023-07-11T00:03:00"}, {"region", "eu-west-1"}},
    {{"until", "2023-07-10T00:02:00Z"}, {"category", "insight"}},
    {{"resource-name", "arn:aws:s3:::bucket3"}, {"resource-type", "AWS::S3::Bucket"}},
    {{"shared-event-id", "00000000-0000-4000-8000-000000000002"}},
    {{"access-key", "AKIA0003"}, {"source-ip", "192.0.2.4"}},
    {{"global", "true"}},
    {{"error-code", "AccessDenied"}, {"identity-type", "IAMUser"}, {"event-type", "AwsApiCall"}},
    {{"user", "nobody"}},
    {{"since", "2024-01-01"}},
};

enum { QUERIES_COUNT = sizeof queries / sizeof queries[0] };

static void test_every_query_gives_what_is_there(void **state) {
    (void)state;
    static const uint32_t limits[] = {1, 7, 50, 5000};
    for (uint32_t index = 0; index < QUERIES_COUNT * 8; index++) {
        struct filter filter = make_filter(queries[index / 8], 3);
        bool newest_first = index % 2 == 0;
        uint32_t limit = limits[index / 2 % 4];
        uint32_t count;
        uint32_t *expected = search_all(&filter, EVENTS_COUNT, newest_first, &count);
        char token[LOOKUP_TOKEN_SIZE] = "";
        struct lookup_plan plan = {.filter = &filter, .newest_first = newest_first, .limit = limit};
        uint32_t offset = 0;
        uint32_t pages = 0;
        do {
            char next[LOOKUP_TOKEN_SIZE];
            plan.token = pages > 0 ? token : NULL;
            uint32_t given = read_page(&plan, expected, offset, count, next);
            memcpy(token, next, sizeof token);
            offset += given;
            pages++;
            // A page is short only at the end.
            if (token[0] != 0) assert_int_equal(given, limit);
        } while (token[0] != 0 && pages < 60);
        if (pages < 60) assert_int_equal(offset, count);
        free(expected);
        filter_done(&filter);
    }
}

static void test_an_event_by_its_id(void **state) {
    (void)state;
    for (uint32_t index = 0; index < EVENTS_COUNT; index += 97) {
        struct record record;
        char id[64];
        sample_read(&sample, index, &record);
        snprintf(id, sizeof id, "%.*s", SPAN_PRINT(record.event_id));
        const char *const conditions[][2] = {{"event-id", id}};
        struct filter filter = make_filter(conditions, 1);
        struct lookup_plan plan = {.filter = &filter, .newest_first = true, .limit = 10};
        char token[LOOKUP_TOKEN_SIZE];
        assert_int_equal(read_page(&plan, &index, 0, 1, token), 1);
        assert_string_equal(token, "");
        filter_done(&filter);
    }
}

static void test_pages_are_stable_while_events_arrive(void **state) {
    (void)state;
    struct fault fault = {0};
    char folder[4096];
    struct trail_reader *kept = reader;
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 1000, NULL, 100);
    must(trail_reader_open(folder, &reader, &fault), &fault);
    for (int order = 0; order < 2; order++) {
        struct filter filter = make_filter(queries[1], 3);
        uint32_t arrived = order == 0 ? 1000 : 2000;
        uint32_t count;
        uint32_t *expected = search_all(&filter, arrived, order == 0, &count);
        struct lookup_plan plan = {.filter = &filter, .newest_first = order == 0, .limit = 20};
        char token[LOOKUP_TOKEN_SIZE] = "";
        char next[LOOKUP_TOKEN_SIZE];
        uint32_t offset = 0;
        uint32_t pages = 0;
        do {
            plan.token = pages > 0 ? token : NULL;
            offset += read_page(&plan, expected, offset, count, next);
            memcpy(token, next, sizeof token);
            // Late and early events arrive between pages; the page order must not notice.
            if (pages < 10) sample_append(&sample, folder, arrived + pages * 100, 100, NULL, 30);
            pages++;
        } while (token[0] != 0);
        assert_int_equal(offset, count);
        free(expected);
        filter_done(&filter);
    }
    trail_reader_close(reader);
    reader = kept;
}

static void expect_refused(struct lookup_plan *plan, const char *text) {
    struct fault fault = {0};
    struct lookup *lookup = NULL;
    if (lookup_open(reader, plan, &lookup, &fault)) fail_msg("taken: %s", plan->token);
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, text) == NULL) fail_msg("%s", fault.text);
}

static void test_tokens_of_others_are_refused(void **state) {
    (void)state;
    struct fault fault = {0};
    struct filter filter = make_filter(queries[1], 3);
    struct filter other = make_filter(queries[2], 3);
    uint32_t count;
    uint32_t *expected = search_all(&filter, EVENTS_COUNT, true, &count);
    char token[LOOKUP_TOKEN_SIZE];
    struct lookup_plan plan = {.filter = &filter, .newest_first = true, .limit = 5};
    assert_int_equal(read_page(&plan, expected, 0, count, token), 5);
    assert_string_not_equal(token, "");
    free(expected);

    struct lookup_plan wrong = {.filter = &other, .newest_first = true, .limit = 5, .token = token};
    expect_refused(&wrong, "another query");
    wrong.filter = &filter;
    wrong.newest_first = false;
    expect_refused(&wrong, "another query");
    wrong.newest_first = true;
    must(filter_set_since(&filter, "2023-07-10", 0, &fault), &fault);
    expect_refused(&wrong, "another query");
    filter_done(&filter);
    filter = make_filter(queries[1], 3);

    char folder[4096];
    struct trail_reader *kept = reader;
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 10, NULL, 10);
    must(trail_reader_open(folder, &reader, &fault), &fault);
    wrong.filter = &filter;
    expect_refused(&wrong, "another store");
    trail_reader_close(reader);
    reader = kept;

    wrong.token = "";
    expect_refused(&wrong, "damaged or none");
    wrong.token = "hello!";
    expect_refused(&wrong, "damaged or none");
    // Any one changed letter is noticed; any cut too.
    for (size_t index = 0; token[index] != 0; index++) {
        char changed[LOOKUP_TOKEN_SIZE];
        memcpy(changed, token, sizeof changed);
        changed[index] = changed[index] == 'A' ? 'B' : 'A';
        wrong.token = changed;
        // The last letter carries unused bits: a change there may mean the same bytes.
        if (token[index + 1] != 0) expect_refused(&wrong, "damaged or none");
        memcpy(changed, token, sizeof changed);
        changed[index] = 0;
        if (token[index + 1] != 0) expect_refused(&wrong, "damaged or none");
    }
    filter_done(&filter);
    filter_done(&other);
}

static void test_relative_times_hold_over_pages(void **state) {
    (void)state;
    struct fault fault = {0};
    struct filter filter;
    int64_t now_s = SAMPLE_TIME_S + 3 * 86400;
    must(filter_init(&filter, &fault), &fault);
    must(filter_set_since(&filter, "2d", now_s, &fault), &fault);
    uint32_t count;
    uint32_t *expected = search_all(&filter, EVENTS_COUNT, false, &count);
    char token[LOOKUP_TOKEN_SIZE];
    struct lookup_plan plan = {.filter = &filter, .limit = 10};
    assert_int_equal(read_page(&plan, expected, 0, count, token), 10);
    // An hour later "2d" would begin behind what the second page shall show.
    struct filter later;
    must(filter_init(&later, &fault), &fault);
    must(filter_set_since(&later, "2d", now_s + 3600, &fault), &fault);
    plan.filter = &later;
    plan.token = token;
    char next[LOOKUP_TOKEN_SIZE];
    assert_int_equal(read_page(&plan, expected, 10, count, next), 10);
    free(expected);
    filter_done(&filter);
    filter_done(&later);
}

static void test_an_empty_trail_has_no_pages(void **state) {
    (void)state;
    struct fault fault = {0};
    char folder[4096];
    struct trail_reader *kept = reader;
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 0, NULL, 1);
    must(trail_reader_open(folder, &reader, &fault), &fault);
    struct filter filter = make_filter(queries[0], 3);
    struct lookup_plan plan = {.filter = &filter, .newest_first = true, .limit = 5};
    char token[LOOKUP_TOKEN_SIZE];
    assert_int_equal(read_page(&plan, NULL, 0, 0, token), 0);
    assert_string_equal(token, "");
    filter_done(&filter);
    trail_reader_close(reader);
    reader = kept;
}

// --- arrival order

struct arrivals {
    uint32_t next;
    uint32_t count;
    const struct filter *filter;
};

static bool on_event(void *user, const struct record *record, const struct trail_row *row) {
    struct arrivals *arrivals = user;
    // The next event that matches, in the order of arrival.
    for (;; arrivals->next++) {
        struct record expected;
        struct trail_row expected_row = {.key = sample.events[arrivals->next].key};
        sample_read(&sample, arrivals->next, &expected);
        if (filter_matches(arrivals->filter, &expected, &expected_row)) break;
    }
    assert_true(span_is(row->text, sample.events[arrivals->next].text));
    assert_true(span_equal(record->text, row->text));
    assert_int_equal(row->sequence, arrivals->next + 1);
    arrivals->next++;
    arrivals->count++;
    return true;
}

static void test_following_in_order_of_arrival(void **state) {
    (void)state;
    struct fault fault = {0};
    char folder[4096];
    struct trail_reader *follower = NULL;
    struct follow *follow = NULL;
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 500, NULL, 60);
    must(trail_reader_open(folder, &follower, &fault), &fault);
    struct filter filter = make_filter(queries[1], 3);
    uint64_t after;
    must(follow_find_last(follower, &filter, 10, &after, &fault), &fault);
    struct arrivals arrivals = {.next = (uint32_t)after, .filter = &filter};
    const struct follow_sink sink = {.on_event = on_event, .user = &arrivals};
    uint64_t seen;
    must(follow_open(follower, &filter, after, &follow, &fault), &fault);
    must(follow_step(follow, &sink, &seen, &fault), &fault);
    assert_int_equal(arrivals.count, 10);
    must(follow_step(follow, &sink, &seen, &fault), &fault);
    assert_int_equal(seen, 0);
    sample_append(&sample, folder, 500, 500, NULL, 70);
    uint32_t count;
    uint32_t had;
    uint32_t *expected = search_all(&filter, 1000, true, &count);
    uint32_t *before = search_all(&filter, 500, true, &had);
    arrivals.count = 0;
    must(follow_step(follow, &sink, &seen, &fault), &fault);
    assert_int_equal(seen, 500);
    assert_int_equal(arrivals.count, count - had);
    free(expected);
    free(before);
    follow_close(follow);
    // More than there are: from the very first; none: behind the last.
    must(follow_find_last(follower, &filter, 5000, &after, &fault), &fault);
    assert_int_equal(after, 0);
    must(follow_find_last(follower, &filter, 0, &after, &fault), &fault);
    assert_int_equal(after, 1000);
    filter_done(&filter);
    trail_reader_close(follower);
}

// Turns a bit in the n-th zstd frame of a store's file: in a part of the tail, if it has no blocks.
static void damage_frame(const char *folder, uint32_t number) {
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    FILE *file = fopen(program_path("%s/data.mdb", folder), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    uint8_t *bytes = malloc((size_t)size);
    assert_non_null(bytes);
    rewind(file);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), (size_t)size);
    const uint8_t *at = bytes;
    for (uint32_t found = 0; found < number; found++) {
        at = memmem(at + 1, (size_t)(bytes + size - at - 1), magic, sizeof magic);
        assert_non_null(at);
    }
    const long inside = 200;
    assert_int_equal(fseek(file, (long)(at - bytes) + inside, SEEK_SET), 0);
    assert_int_equal(fputc(at[inside] ^ 1, file), at[inside] ^ 1);
    assert_int_equal(fclose(file), 0);
    free(bytes);
}

struct passing {
    uint32_t events;
    uint32_t damages;
    uint64_t last;
};

static bool count_event(void *user, const struct record *record, const struct trail_row *row) {
    struct passing *passing = user;
    (void)record;
    passing->events++;
    passing->last = row->sequence;
    return true;
}

static void on_damage(void *user, const struct fault *damage) {
    struct passing *passing = user;
    assert_int_equal(damage->kind, FAULT_CORRUPT);
    assert_true(program_has(damage->text, "trail: events "));
    passing->damages++;
}

static void test_following_passes_damage(void **state) {
    (void)state;
    struct fault fault = {0};
    char folder[4096];
    struct trail_reader *follower = NULL;
    struct follow *follow = NULL;
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 500, NULL, 500);
    damage_frame(folder, 2);
    must(trail_reader_open(folder, &follower, &fault), &fault);
    struct filter filter = make_filter(queries[0], 0);
    struct passing passing = {0};
    const struct follow_sink sink = {
        .on_event = count_event, .user = &passing, .on_damage = on_damage};
    uint64_t seen = 0;
    uint64_t after = 0;
    // Behind the damage there are enough, or it is passed.
    must(follow_find_last(follower, &filter, 450, &after, &fault), &fault);
    must(follow_open(follower, &filter, 0, &follow, &fault), &fault);
    must(follow_step(follow, &sink, &seen, &fault), &fault);
    assert_true(passing.damages > 0);
    assert_in_range(passing.events, 1, 499);
    assert_int_equal(seen, passing.events);
    // The next step goes on where there is nothing yet.
    uint32_t damages = passing.damages;
    must(follow_step(follow, &sink, &seen, &fault), &fault);
    assert_int_equal(seen, 0);
    assert_int_equal(passing.damages, damages);
    follow_close(follow);
    filter_done(&filter);
    trail_reader_close(follower);
}

int main(void) {
    struct fault fault = {0};
    sample_create(&sample, 11, EVENTS_COUNT);
    snprintf(store, sizeof store, "%s", program_folder());
    sample_append(&sample, store, 0, EVENTS_COUNT, NULL, 700);
    if (!trail_reader_open(store, &reader, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_query_gives_what_is_there),
        cmocka_unit_test(test_an_event_by_its_id),
        cmocka_unit_test(test_pages_are_stable_while_events_arrive),
        cmocka_unit_test(test_tokens_of_others_are_refused),
        cmocka_unit_test(test_relative_times_hold_over_pages),
        cmocka_unit_test(test_an_empty_trail_has_no_pages),
        cmocka_unit_test(test_following_in_order_of_arrival),
        cmocka_unit_test(test_following_passes_damage),
    };
    int code = cases_run("lookup_test", tests, sizeof tests / sizeof tests[0]);
    trail_reader_close(reader);
    sample_destroy(&sample);
    return code;
}
