#include "collector/control/control.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rpc/rpc_local.h"
#include "tests/kit/cases.h"

enum { WAIT_MS = 20000 };

struct stage {
    struct control *control;
    char folder[64];
    char path[96];
    pthread_t thread;
    atomic_uint runs;
};

// Answers at once.
static void run_echo(void *context, struct control_call *call) {
    struct stage *stage = context;
    atomic_fetch_add(&stage->runs, 1);
    char who[32];
    snprintf(who, sizeof who, "uid %u", (unsigned)getuid());
    assert_non_null(strstr(control_call_user(call), who));
    control_call_reply(call, control_call_request(call));
    control_call_end(call, NULL);
}

static void *answer_slowly(void *argument) {
    struct control_call *call = argument;
    for (int round = 0; round < 100; round++) {
        char text[16];
        snprintf(text, sizeof text, "%d", round);
        if (!control_call_reply(call, span_text(text))) break;
        usleep(1000);
    }
    struct fault fault;
    fault_set(&fault, FAULT_FULL, "ends with a fault");
    control_call_end(call, &fault);
    return NULL;
}

// Answers from another thread.
static void run_slow(void *context, struct control_call *call) {
    struct stage *stage = context;
    atomic_fetch_add(&stage->runs, 1);
    assert_int_equal(pthread_create(&stage->thread, NULL, answer_slowly, call), 0);
}

static const struct control_method methods[] = {
    {"Echo", false, run_echo},
    {"Change", true, run_echo},
    {"Slow", false, run_slow},
};

static void start(struct stage *stage) {
    *stage = (struct stage){0};
    snprintf(stage->folder, sizeof stage->folder, "/tmp/control.XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->path, sizeof stage->path, "%s/control.sock", stage->folder);
    const struct control_options options = {
        .path = stage->path,
        .group = "no-such-group",
        .admin_group = "no-such-group",
        .methods = methods,
        .methods_count = sizeof methods / sizeof methods[0],
        .context = stage,
    };
    struct fault fault;
    assert_true(control_start(&options, &stage->control, &fault));
}

static void stop(struct stage *stage) {
    control_stop(stage->control);
    rmdir(stage->folder);
}

static bool count_in_order(void *user, struct span reply) {
    unsigned *count = user;
    char text[16];
    snprintf(text, sizeof text, "%u", (*count)++);
    assert_true(span_is(reply, text));
    return true;
}

static bool expect_text(void *user, struct span reply) {
    assert_true(span_is(reply, user));
    return true;
}

static void test_answers(void **state) {
    (void)state;
    struct stage stage;
    struct fault fault;
    start(&stage);
    char text[] = "what was asked";
    assert_true(rpc_local_call(stage.path, "/orgtrail.v1.Control/Echo", span_text(text),
                               expect_text, text, WAIT_MS, &fault));
    assert_true(rpc_local_call(stage.path, "/orgtrail.v1.Control/Change", span_text(text),
                               expect_text, text, WAIT_MS, &fault));
    unsigned count = 0;
    assert_false(rpc_local_call(stage.path, "/orgtrail.v1.Control/Slow", span_text(text),
                                count_in_order, &count, WAIT_MS, &fault));
    assert_int_equal(count, 100);
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_string_equal(fault.text, "ends with a fault");
    pthread_join(stage.thread, NULL);
    stop(&stage);
    assert_int_equal(atomic_load(&stage.runs), 3);
}

static bool want_no_more(void *user, struct span reply) {
    (void)user;
    (void)reply;
    return false;
}

static void test_a_caller_may_go(void **state) {
    (void)state;
    struct stage stage;
    struct fault fault;
    start(&stage);
    assert_true(rpc_local_call(stage.path, "/orgtrail.v1.Control/Slow", SPAN_LITERAL("x"),
                               want_no_more, NULL, WAIT_MS, &fault));
    // The socket ends while the other thread still has the call.
    stop(&stage);
    pthread_join(stage.thread, NULL);
}

static void test_unknown_methods_are_named(void **state) {
    (void)state;
    struct stage stage;
    struct fault fault;
    start(&stage);
    assert_false(rpc_local_call(stage.path, "/orgtrail.v1.Control/Nothing", SPAN_LITERAL("x"),
                                want_no_more, NULL, WAIT_MS, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "/orgtrail.v1.Control/Nothing"));
    stop(&stage);
    assert_int_equal(atomic_load(&stage.runs), 0);
}

int main(void) {
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_caller_may_go),
        cmocka_unit_test(test_unknown_methods_are_named),
    };
    int failed = cases_run("control", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return failed;
}
