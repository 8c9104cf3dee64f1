#include "base/metric.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/kit/cases.h"

static const char *const reasons[] = {"input", "say \"\\\n"};

static struct metric plain[] = {
    {.name = "orgtrail_test_events_total", .help = "Events\nof a \\ test.", .kind = METRIC_COUNTER},
    {.name = "orgtrail_test_refused_total",
     .help = "By reason.",
     .kind = METRIC_COUNTER,
     .label = "reason",
     .label_values = reasons,
     .label_values_count = 2},
    {.name = "orgtrail_test_lag_seconds", .help = "Lag.", .kind = METRIC_GAUGE, .scale = 0.001},
    {.name = "orgtrail_test_wait_seconds",
     .help = "Waits.",
     .kind = METRIC_HISTOGRAM,
     .scale = 0.001},
};

static struct metric agents[] = {
    {.name = "orgtrail_test_agent_events_total",
     .help = "By agent.",
     .kind = METRIC_COUNTER,
     .label = "agent"},
};

static char printed[1 << 20];

static const char *print_all(void) {
    struct buffer output;
    buffer_init(&output, sizeof printed);
    metric_print(&output);
    assert_false(buffer_overflowed(&output));
    assert_true(output.size < sizeof printed);
    memcpy(printed, output.bytes, output.size);
    printed[output.size] = 0;
    buffer_done(&output);
    return printed;
}

static void assert_has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void test_text_format(void **state) {
    (void)state;
    metric_add(&plain[0], 0, 3);
    metric_add(&plain[0], 0, 4);
    metric_add(&plain[1], 1, 2);
    metric_set(&plain[2], 0, 1500);
    metric_add(&plain[2], 0, -250);
    static const int64_t waits[] = {0, 1, 2, 3, 1 << 18, (1 << 18) + 1};
    for (int index = 0; index < 6; index++) metric_observe(&plain[3], waits[index]);
    const char *text = print_all();
    assert_has(text,
               "# HELP orgtrail_test_events_total Events\\nof a \\\\ test.\n"
               "# TYPE orgtrail_test_events_total counter\n"
               "orgtrail_test_events_total 7\n"
               "# HELP orgtrail_test_refused_total By reason.\n"
               "# TYPE orgtrail_test_refused_total counter\n"
               "orgtrail_test_refused_total{reason=\"input\"} 0\n"
               "orgtrail_test_refused_total{reason=\"say \\\"\\\\\\n\"} 2\n"
               "# HELP orgtrail_test_lag_seconds Lag.\n"
               "# TYPE orgtrail_test_lag_seconds gauge\n"
               "orgtrail_test_lag_seconds 1.25\n"
               "# HELP orgtrail_test_wait_seconds Waits.\n"
               "# TYPE orgtrail_test_wait_seconds histogram\n"
               "orgtrail_test_wait_seconds_bucket{le=\"0.001\"} 2\n"
               "orgtrail_test_wait_seconds_bucket{le=\"0.002\"} 3\n"
               "orgtrail_test_wait_seconds_bucket{le=\"0.004\"} 4\n"
               "orgtrail_test_wait_seconds_bucket{le=\"0.008\"} 4\n");
    assert_has(text,
               "orgtrail_test_wait_seconds_bucket{le=\"131.072\"} 4\n"
               "orgtrail_test_wait_seconds_bucket{le=\"262.144\"} 5\n"
               "orgtrail_test_wait_seconds_bucket{le=\"+Inf\"} 6\n"
               "orgtrail_test_wait_seconds_sum 524.295\n"
               "orgtrail_test_wait_seconds_count 6\n");
    assert_int_equal(metric_get(&plain[0], 0), 7);
    assert_int_equal(metric_get(&plain[1], 1), 2);
}

static void *add_labels(void *context) {
    char text[32];
    for (int round = 0; round < 20; round++) {
        for (int index = 0; index < 200; index++) {
            snprintf(text, sizeof text, "agent-%d", index);
            metric_add(&agents[0], metric_label(&agents[0], span_text(text)), 1);
        }
    }
    return context;
}

static void test_labels_from_many_threads(void **state) {
    (void)state;
    pthread_t threads[4];
    for (int index = 0; index < 4; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, add_labels, NULL), 0);
    }
    for (int index = 0; index < 4; index++) pthread_join(threads[index], NULL);
    const char *text = print_all();
    for (int index = 0; index < 200; index++) {
        char line[100];
        snprintf(line, sizeof line, "_agent_events_total{agent=\"agent-%d\"} 80\n", index);
        assert_has(text, line);
    }
    assert_null(strstr(text, "agent=\"other\""));
    uint32_t index = metric_label(&agents[0], SPAN_LITERAL("agent-7"));
    assert_int_equal(metric_get(&agents[0], index), 80);
}

static void test_too_many_labels_share_one(void **state) {
    (void)state;
    char text[32];
    uint32_t last = 0;
    for (int index = 0; index < METRIC_LABELS_MAX + 10; index++) {
        snprintf(text, sizeof text, "more-%d", index);
        last = metric_label(&agents[0], span_text(text));
    }
    assert_int_equal(last, METRIC_LABELS_MAX - 1);
    metric_add(&agents[0], last, 5);
    assert_has(print_all(), "_agent_events_total{agent=\"other\"} 5\n");
}

static int register_all(void **state) {
    static bool done;
    (void)state;
    if (done) return 0;
    done = true;
    metric_register(plain, sizeof plain / sizeof plain[0]);
    metric_register(agents, sizeof agents / sizeof agents[0]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_text_format, register_all),
        cmocka_unit_test_setup(test_labels_from_many_threads, register_all),
        cmocka_unit_test_setup(test_too_many_labels_share_one, register_all),
    };
    return cases_run("metric_test", tests, sizeof tests / sizeof tests[0]);
}
