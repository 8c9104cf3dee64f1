// What becomes of lists of files that nobody takes (laws 1, 5 of README.md); tests/notify has
// targets that take.

#include "collector/notify/notifier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "collector/append/append_documents.h"
#include "collector/append/append_fixture.h"
#include "collector/deliver/state.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

enum { PATIENCE_MS = 20000, QUEUE_SIZE_MAX = 2048 };

#define ID "0123456789abcdef"
#define TRAIL_WITH(name, topic)                                                      \
    "{\"version\":1,\"account\":\"111111111111\",\"region\":\"r\",\"bucket\":\"b\"," \
    "\"topic\":\"" topic "\",\"created_ms\":1,\"name\":\"" name "\"}"
#define TRAIL(name) TRAIL_WITH(name, "")

// The writer on a thread of its own, as in the collector, and a clock that is set.
struct world {
    struct rig *rig;
    pthread_t writer;
    atomic_bool is_over;
    atomic_llong now_ms;
    struct clock clock;
    struct followers *followers;
    struct notifier *notifier;
};

// Its secret is not there: whatever it is told of waits, and nobody is connected to.
static const struct target target = {.kind = TARGET_WEBHOOK,
                                     .name = "pager",
                                     .trail = "org",
                                     .account = "111111111111",
                                     .address = "https://localhost/",
                                     .secret = "/nowhere/secret"};

static const char *const topics[] = {"arn:aws:sns:r:111111111111:allowed"};

static int64_t tell_now(void *context) {
    return atomic_load(&((struct world *)context)->now_ms);
}

static int64_t tell_monotonic(void *context) {
    (void)context;
    const struct clock *system = clock_system();
    return system->monotonic_ms(system->context);
}

static void *write_trail(void *context) {
    struct world *world = context;
    struct fault fault;
    while (!atomic_load(&world->is_over)) {
        if (!append_step(world->rig->append, 1, &fault)) abort();
    }
    return NULL;
}

static void start(struct world *world, struct rig *rig, uint32_t targets_count) {
    struct fault fault;
    *world = (struct world){.rig = rig, .clock = {tell_now, tell_monotonic, world}};
    atomic_store(&world->now_ms, RIG_NOW_MS);
    assert_int_equal(pthread_create(&world->writer, NULL, write_trail, world), 0);
    const struct followers_options followers = {.store_directory = rig->directory,
                                                .append = rig->append,
                                                .clock = &world->clock,
                                                .random = random_system()};
    assert_true(followers_start(&followers, &world->followers, &fault));
    const struct notifier_options options = {.followers = world->followers,
                                             .files = files_system(),
                                             .bucket_region = "r",
                                             .targets = &target,
                                             .targets_count = targets_count,
                                             .topics = topics,
                                             .topics_count = 1,
                                             .queue_size_max = QUEUE_SIZE_MAX};
    assert_true(notifier_start(&options, &world->notifier, &fault));
}

static void stop(struct world *world) {
    notifier_end_soon(world->notifier);
    assert_true(followers_stop(world->followers));
    notifier_destroy(world->notifier);
    atomic_store(&world->is_over, true);
    assert_int_equal(pthread_join(world->writer, NULL), 0);
}

// ---- documents

static void put(struct world *world, const char *name, const char *before, const char *after) {
    struct fault fault;
    bool is_current = false;
    const struct append_document document = {span_text(name), span_text(before), span_text(after)};
    const struct append_documents_options options = {.documents = &document, .documents_count = 1};
    assert_true(append_documents_change(world->rig->append, &options, 10000, &is_current, &fault));
    assert_true(is_current);
}

static void print_state_of(const char *trail, char *text, size_t text_size) {
    struct buffer buffer;
    const struct state state = {.trail = span_text(trail), .is_active = true};
    buffer_init(&buffer, STATE_SIZE_MAX);
    state_print(&state, &buffer);
    snprintf(text, text_size, "%.*s", SPAN_PRINT(buffer_span(&buffer)));
    buffer_done(&buffer);
}

static void print_state(char *text, size_t text_size) {
    print_state_of(TRAIL("org"), text, text_size);
}

// A round's list of two files, as large as asked.
static void put_list_of(struct world *world, const char *id, uint32_t round, size_t size) {
    char name[TRAIL_NAME_SIZE_MAX], text[QUEUE_SIZE_MAX];
    int64_t time_s = atomic_load(&world->now_ms) / 1000;
    snprintf(name, sizeof name, STATE_QUEUES "%s/%016x/%016llx", id, round, (long long)time_s);
    snprintf(
        text, sizeof text,
        "{\"time_s\":%lld,\"bucket\":\"b\",\"files\":[{\"object\":\"one\"},{\"object\":\"two\"}],"
        "\"rest\":\"%0*d\"}",
        (long long)time_s, (int)size, 0);
    put(world, name, "", text);
}

static void put_list(struct world *world, uint32_t round, size_t size) {
    put_list_of(world, ID, round, size);
}

static bool count_one(void *user, struct span name, struct span value) {
    uint32_t *found = user;
    (void)name;
    (void)value;
    (*found)++;
    return true;
}

// How many documents there are whose name begins so.
static uint32_t count(struct world *world, const char *prefix) {
    struct fault fault;
    struct trail_reader *reader = NULL;
    uint32_t found = 0;
    assert_true(trail_reader_open(world->rig->directory, &reader, &fault));
    assert_true(trail_reader_documents(reader, span_text(prefix), count_one, &found, &fault));
    trail_reader_close(reader);
    return found;
}

static void wait_for(struct world *world, const char *prefix, uint32_t wanted) {
    for (uint32_t waited = 0; count(world, prefix) != wanted; waited += 20) {
        const struct timespec time = {0, 20000000};
        if (waited > PATIENCE_MS) fail_msg("%s: %u, not %u", prefix, count(world, prefix), wanted);
        (void)nanosleep(&time, NULL);
    }
}

static int64_t lost(void) {
    struct metric *metric = &metrics_table[METRICS_NOTIFICATIONS_LOST];
    return metric_get(metric, metric_label(metric, SPAN_LITERAL("notify-org-pager-012345")));
}

// ---- tests

static void test_what_waits_too_long_is_given_up(void **state) {
    struct world world;
    char text[1024];
    start(&world, *state, 1);
    int64_t before = lost();
    print_state(text, sizeof text);
    put(&world, STATE_DOCUMENTS ID, "", text);
    put_list(&world, 5, 10);
    wait_for(&world, STATE_TARGETS, 1);
    atomic_fetch_add(&world.now_ms, INT64_C(1000) * (NOTIFIER_KEEP_S - 1));
    put_list(&world, 9, 10);
    wait_for(&world, STATE_QUEUES, 2);
    assert_int_equal(lost(), before);
    atomic_fetch_add(&world.now_ms, 3000);
    wait_for(&world, STATE_QUEUES, 1);
    assert_int_equal(lost(), before + 2);
    // A trail that is gone: what it has left is kept for a while, and its target's place with it.
    put(&world, STATE_DOCUMENTS ID, text, "");
    put_list(&world, 12, 10);
    const struct timespec looks = {2, 500000000};  // of the notifier, one a second
    (void)nanosleep(&looks, NULL);
    assert_int_equal(count(&world, STATE_QUEUES), 2);
    assert_int_equal(count(&world, STATE_TARGETS), 1);
    atomic_fetch_add(&world.now_ms, INT64_C(1000) * (NOTIFIER_DELETED_KEEP_S + 1));
    wait_for(&world, STATE_QUEUES, 0);
    wait_for(&world, STATE_TARGETS, 0);
    stop(&world);
}

static void test_too_much_is_given_up_from_the_oldest_on(void **state) {
    struct world world;
    char text[1024];
    start(&world, *state, 1);
    print_state(text, sizeof text);
    put(&world, STATE_DOCUMENTS ID, "", text);
    for (uint32_t round = 1; round <= 4; round++) put_list(&world, round, 800);
    wait_for(&world, STATE_QUEUES, 2);
    assert_int_equal(count(&world, STATE_QUEUES ID "/0000000000000004"), 1);
    assert_int_equal(count(&world, STATE_QUEUES ID "/0000000000000003"), 1);
    stop(&world);
}

static void test_lists_that_nobody_wants_go(void **state) {
    struct world world;
    char text[1024];
    start(&world, *state, 0);
    print_state(text, sizeof text);
    put(&world, STATE_DOCUMENTS ID, "", text);
    put(&world, STATE_TARGETS ID "/0011223344556677", "", "{\"name\":\"old\"}");
    put_list(&world, 1, 10);
    wait_for(&world, STATE_QUEUES, 0);
    wait_for(&world, STATE_TARGETS, 0);
    stop(&world);
}

static void test_what_goes_at_once_is_not_bound_to_looks(void **state) {
    enum { LISTS = 256, LONGEST_MS = 4000 };  // 32 a look, one a second, were 8 seconds
    struct world world;
    start(&world, *state, 0);
    for (uint32_t round = 1; round <= LISTS; round++) put_list(&world, round, 10);
    assert_int_equal(count(&world, STATE_QUEUES), LISTS);
    int64_t before_ms = tell_monotonic(NULL);
    atomic_fetch_add(&world.now_ms, INT64_C(1000) * (NOTIFIER_DELETED_KEEP_S + 1));
    wait_for(&world, STATE_QUEUES, 0);
    assert_true(tell_monotonic(NULL) - before_ms < LONGEST_MS);
    stop(&world);
}

static void print_id(uint32_t index, char id[TRAIL_ID_SIZE]) {
    snprintf(id, TRAIL_ID_SIZE, "%016x", index);
}

static void test_one_target_too_many_waits_alone(void **state) {
    struct world world;
    char text[1024], other[1024], id[TRAIL_ID_SIZE], name[TRAIL_NAME_SIZE_MAX];
    start(&world, *state, 1);
    print_state(text, sizeof text);
    print_state_of(TRAIL("other"), other, sizeof other);
    for (uint32_t index = 0; index <= NOTIFIER_HERALDS_MAX; index++) {
        print_id(index, id);
        snprintf(name, sizeof name, STATE_DOCUMENTS "%s", id);
        put(&world, name, "", text);
    }
    // The last one's list waits; of a trail without targets it goes.
    put_list_of(&world, id, 1, 10);
    put(&world, STATE_DOCUMENTS ID, "", other);
    put_list(&world, 1, 10);
    wait_for(&world, STATE_QUEUES ID, 0);
    snprintf(name, sizeof name, STATE_QUEUES "%s", id);
    assert_int_equal(count(&world, name), 1);
    assert_int_equal(count(&world, STATE_TARGETS), 0);
    // Another trail that is gone makes room: the target is tried, and fails.
    print_id(0, id);
    snprintf(name, sizeof name, STATE_DOCUMENTS "%s", id);
    put(&world, name, text, "");
    wait_for(&world, STATE_TARGETS, 1);
    stop(&world);
}

static void test_refused_topics_leave_room(void **state) {
    struct world world;
    char text[1024], refused[1024], id[TRAIL_ID_SIZE], name[TRAIL_NAME_SIZE_MAX];
    start(&world, *state, 1);
    print_state(text, sizeof text);
    print_state_of(TRAIL_WITH("other", "refused"), refused, sizeof refused);
    for (uint32_t index = 0; index < NOTIFIER_HERALDS_MAX; index++) {
        print_id(index, id);
        snprintf(name, sizeof name, STATE_DOCUMENTS "%s", id);
        put(&world, name, "", refused);
        put_list_of(&world, id, 1, 10);
    }
    // As many as have room say so; lists of the others wait.
    wait_for(&world, STATE_TARGETS, NOTIFIER_REFUSED_MAX);
    put(&world, STATE_DOCUMENTS ID, "", text);
    put_list(&world, 1, 10);
    wait_for(&world, STATE_TARGETS ID, 1);
    assert_int_equal(count(&world, STATE_TARGETS), NOTIFIER_REFUSED_MAX + 1);
    assert_int_equal(count(&world, STATE_QUEUES), NOTIFIER_HERALDS_MAX + 1);
    stop(&world);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_waits_too_long_is_given_up, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_too_much_is_given_up_from_the_oldest_on, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_lists_that_nobody_wants_go, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_what_goes_at_once_is_not_bound_to_looks, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_one_target_too_many_waits_alone, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_refused_topics_leave_room, rig_make, rig_end),
    };
    return cases_run("collector/notify/notifier", tests, sizeof tests / sizeof tests[0]);
}
