#include "collector/append/append_documents.h"

#include <string.h>

#include "collector/append/append_fixture.h"
#include "collector/metrics.h"
#include "storage/trail/trail_reader.h"
#include "tests/kit/cases.h"

static const char RECORD[] =
    "{\"eventVersion\":\"1.11\",\"eventTime\":\"2023-11-14T22:13:20Z\",\"eventSource\":"
    "\"orgtrail.local\",\"eventName\":\"StartLogging\",\"awsRegion\":\"eu-central-1\",\"eventID\":"
    "\"%s\",\"recipientAccountId\":\"999999999999\"}";

struct result {
    uint32_t calls;
    bool is_current;
    struct fault fault;
};

static void on_done(void *context, bool is_current, const struct fault *fault) {
    struct result *result = context;
    result->calls++;
    result->is_current = is_current;
    if (fault != NULL) result->fault = *fault;
}

// Changes one document and says what became of it.
static struct result change(struct rig *rig, const char *name, const char *before,
                            const char *after, const char *id) {
    struct fault fault;
    struct result result = {0};
    char text[512];
    snprintf(text, sizeof text, RECORD, id);
    const struct append_document document = {span_text(name), span_text(before), span_text(after)};
    const struct span record = span_text(text);
    const struct append_documents_options options = {
        .documents = &document,
        .documents_count = 1,
        .records = &record,
        .records_count = 1,
        .done = on_done,
        .context = &result,
    };
    assert_true(append_documents_submit(rig->append, &options, &fault));
    memset(text, 0, sizeof text);  // it has copied what it needs
    rig_step(rig);
    assert_int_equal(result.calls, 1);
    return result;
}

static bool on_document(void *user, struct span name, struct span value) {
    char *text = user;
    (void)name;
    snprintf(text, 64, "%.*s", SPAN_PRINT(value));
    return true;
}

static void read_document(struct rig *rig, const char *name, char text[64]) {
    struct trail_reader *reader = NULL;
    struct fault fault;
    text[0] = 0;
    assert_true(trail_reader_open(rig->directory, &reader, &fault));
    assert_true(trail_reader_documents(reader, span_text(name), on_document, text, &fault));
    trail_reader_close(reader);
}

static void test_changes_what_is_as_it_was_read(void **state) {
    struct rig *rig = *state;
    static struct own own;
    char text[64];
    struct result made = change(rig, "t/1", "", "one", "11111111-0000-4000-8000-000000000001");
    assert_true(made.is_current);
    assert_int_equal(made.fault.kind, FAULT_NONE);
    assert_true(
        change(rig, "t/1", "one", "two", "11111111-0000-4000-8000-000000000002").is_current);
    read_document(rig, "t/1", text);
    assert_string_equal(text, "two");

    // Whoever read "one" is too late, and so is who saw nothing; neither leaves an event.
    struct result late = change(rig, "t/1", "one", "three", "11111111-0000-4000-8000-000000000003");
    assert_false(late.is_current);
    assert_int_equal(late.fault.kind, FAULT_NONE);
    assert_false(
        change(rig, "t/1", "", "three", "11111111-0000-4000-8000-000000000004").is_current);
    read_document(rig, "t/1", text);
    assert_string_equal(text, "two");
    (void)rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "StartLogging"), 2);

    assert_true(change(rig, "t/1", "two", "", "11111111-0000-4000-8000-000000000005").is_current);
    read_document(rig, "t/1", text);
    assert_string_equal(text, "");
}

static void test_what_is_only_compared_stays(void **state) {
    struct rig *rig = *state;
    char text[64];
    assert_true(change(rig, "t/1", "", "one", "11111111-0000-4000-8000-000000000001").is_current);
    assert_true(
        change(rig, "t/1", "one", "one", "11111111-0000-4000-8000-000000000002").is_current);
    assert_true(change(rig, "t/2", "", "", "11111111-0000-4000-8000-000000000003").is_current);
    read_document(rig, "t/1", text);
    assert_string_equal(text, "one");
}

static void test_too_large_is_refused(void **state) {
    struct rig *rig = *state;
    struct fault fault;
    struct result result = {0};
    static uint8_t bytes[APPEND_DOCUMENTS_SIZE_MAX];
    const struct append_document document = {SPAN_LITERAL("t/1"), {NULL, 0}, {bytes, sizeof bytes}};
    const struct append_documents_options options = {
        .documents = &document, .documents_count = 1, .done = on_done, .context = &result};
    assert_false(append_documents_submit(rig->append, &options, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_int_equal(result.calls, 0);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes_what_is_as_it_was_read, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_what_is_only_compared_stays, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_too_large_is_refused, rig_make, rig_end),
    };
    return cases_run("append_documents_test", tests, sizeof tests / sizeof tests[0]);
}
