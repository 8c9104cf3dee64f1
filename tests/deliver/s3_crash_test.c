// Deliveries to S3 where any one request fails, in each way, or is the last of its process:
// everything is delivered once, and every digest verifies (laws 1 to 5 of
// collector/deliver/README.md).

#include <stdlib.h>

#include "base/files.h"
#include "collector/append/append_fixture.h"
#include "collector/deliver/objects_s3.h"
#include "collector/metrics.h"
#include "tests/deliver/fake_store.h"
#include "tests/deliver/life.h"
#include "tests/kit/cases.h"

struct remote {
    struct fake_store *store;
    struct objects_s3 *s3;  // of the process that is alive
    struct objects objects;
    const struct clock *clock;
    enum fake_store_failure failure;
};

static void connect_process(struct remote *remote) {
    struct fault fault;
    const struct objects_s3_options options = {
        .s3 = {.endpoint = fake_store_endpoint(remote->store),
               .pause_ms = 1,
               .clock = remote->clock,
               .files = files_system()}};
    if (!objects_s3_create(&options, &remote->s3, &fault)) fail_msg("%s", fault.text);
    remote->objects = objects_in_s3(remote->s3);
}

static void remote_begin(void *context) {
    struct remote *remote = context;
    fake_store_empty(remote->store);
    connect_process(remote);
}

static void remote_fail(void *context, uint64_t nth) {
    const struct remote *remote = context;
    fake_store_fail(remote->store, nth, remote->failure);
}

static bool remote_has_failed(void *context) {
    const struct remote *remote = context;
    return fake_store_has_failed(remote->store);
}

static void remote_mend(void *context) {
    const struct remote *remote = context;
    fake_store_mend(remote->store);
}

static void remote_crash(void *context, uint32_t seed) {
    struct remote *remote = context;
    (void)seed;
    objects_s3_destroy(remote->s3);
    connect_process(remote);
}

static void remote_find(void *context, struct life_found *found) {
    const struct remote *remote = context;
    const struct fake_store_object *object;
    for (uint32_t index = 0; (object = fake_store_object(remote->store, index)) != NULL; index++) {
        life_found_add(found, object->key, span_of(object->bytes, object->size),
                       span_text(object->signature));
    }
}

static void remote_end(void *context) {
    struct remote *remote = context;
    objects_s3_destroy(remote->s3);
    remote->s3 = NULL;
}

static void run(struct rig *rig, enum fake_store_failure first, enum fake_store_failure last,
                bool is_full_store) {
    static struct life life;
    struct remote remote = {.store = fake_store_create(is_full_store, is_full_store),
                            .clock = &rig->clock};
    const struct life_place place = {.objects = &remote.objects,
                                     .begin = remote_begin,
                                     .break_at = remote_fail,
                                     .has_failed = remote_has_failed,
                                     .mend = remote_mend,
                                     .crash = remote_crash,
                                     .find = remote_find,
                                     .end = remote_end,
                                     .context = &remote};
    life_begin(&life, rig, &place);
    for (remote.failure = first; remote.failure <= last; remote.failure++) {
        bool is_crash = remote.failure >= FAKE_STORE_CLIENT_DIES;
        uint64_t count = life_run_all(&life, is_crash);
        print_message("failure %d: %u requests\n", (int)remote.failure, (unsigned)count);
        // Each object is put and looked at.
        assert_true(count > 20);
    }
    life_end(&life);
    fake_store_destroy(remote.store);
}

static void test_every_request_fails_once(void **state) {
    run(*state, 0, FAKE_STORE_CLIENT_DIES - 1, true);
}

static void test_every_request_is_a_process_s_last(void **state) {
    run(*state, FAKE_STORE_CLIENT_DIES, FAKE_STORE_FAILURES - 1, true);
}

// What stands there is read back, and replaced without a question.
static void test_a_store_without_checksums_and_conditions(void **state) {
    run(*state, FAKE_STORE_CUTS_ANSWER, FAKE_STORE_FAILURES - 1, false);
}

int main(void) {
    metrics_start();
    (void)setenv("AWS_ACCESS_KEY_ID", "AKIATEST", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_request_fails_once, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_every_request_is_a_process_s_last, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_store_without_checksums_and_conditions, rig_make,
                                        rig_end),
    };
    return cases_run("s3_crash_test", tests, sizeof tests / sizeof tests[0]);
}
