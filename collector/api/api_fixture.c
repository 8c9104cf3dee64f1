#include "collector/api/api_fixture.h"

#include <stdlib.h>

#include "tests/kit/cases.h"

static char *copy_text(struct span text) {
    char *copy = malloc(text.size + 1);
    assert_non_null(copy);
    if (text.size > 0) memcpy(copy, text.bytes, text.size);
    copy[text.size] = 0;
    return copy;
}

// Where the name is, or belongs.
static uint32_t find_place(const struct api_fixture *fixture, struct span name) {
    uint32_t index = 0;
    while (index < fixture->documents_count &&
           span_compare(span_text(fixture->documents[index].name), name) < 0) {
        index++;
    }
    return index;
}

static bool is_at(const struct api_fixture *fixture, uint32_t index, struct span name) {
    return index < fixture->documents_count && span_is(name, fixture->documents[index].name);
}

static void put(struct api_fixture *fixture, struct span name, struct span value) {
    uint32_t index = find_place(fixture, name);
    struct api_fixture_document *at = &fixture->documents[index];
    uint32_t behind = fixture->documents_count - index;
    if (is_at(fixture, index, name)) {
        free(at->name);
        free(at->value);
        memmove(at, at + 1, (behind - 1) * sizeof *at);
        fixture->documents_count--;
        behind--;
    }
    if (value.size == 0) return;
    assert_true(fixture->documents_count < API_FIXTURE_DOCUMENTS_MAX);
    memmove(at + 1, at, behind * sizeof *at);
    *at = (struct api_fixture_document){copy_text(name), copy_text(value)};
    fixture->documents_count++;
}

static bool on_read(void *context, struct span prefix,
                    bool (*on_document)(void *user, struct span name, struct span value),
                    void *user, struct fault *fault) {
    (void)fault;
    const struct api_fixture *fixture = context;
    for (uint32_t index = find_place(fixture, prefix); index < fixture->documents_count; index++) {
        const struct api_fixture_document *document = &fixture->documents[index];
        if (!span_starts(span_text(document->name), prefix)) break;
        if (!on_document(user, span_text(document->name), span_text(document->value))) break;
    }
    return true;
}

static bool is_as_read(const struct api_fixture *fixture, const struct append_document *document) {
    uint32_t index = find_place(fixture, document->name);
    if (!is_at(fixture, index, document->name)) return document->before.size == 0;
    return span_is(document->before, fixture->documents[index].value);
}

static bool on_change(void *context, const struct append_document *documents,
                      uint32_t documents_count, const struct span *records, uint32_t records_count,
                      bool *is_current, struct fault *fault) {
    struct api_fixture *fixture = context;
    if (fixture->before_change != NULL) fixture->before_change(fixture);
    if (fixture->change_fault != FAULT_NONE) {
        return fault_set(fault, fixture->change_fault, "a fault of the test");
    }
    *is_current = true;
    for (uint32_t index = 0; index < documents_count; index++) {
        if (!is_as_read(fixture, &documents[index])) *is_current = false;
    }
    if (!*is_current) return true;
    for (uint32_t index = 0; index < documents_count; index++) {
        if (!span_equal(documents[index].before, documents[index].after)) {
            put(fixture, documents[index].name, documents[index].after);
        }
    }
    assert_int_equal(records_count, 1);
    free(fixture->event);
    fixture->event = copy_text(records[0]);
    fixture->changes++;
    return true;
}

void api_fixture_init(struct api_fixture *fixture) {
    static const struct roster_account accounts[] = {
        {.id = "111111111111", .name = "management"},
        {.id = "222222222222", .name = "shop"},
        {.id = "333333333333", .name = "lab"},
    };
    static const uint8_t token_key[API_TOKEN_KEY_SIZE] = {1};
    static const uint8_t sealing_key[CRYPTO_SEAL_KEY_SIZE] = {9};
    struct fault fault;
    *fixture = (struct api_fixture){
        .region = "eu-central-1",
        .now_ms = INT64_C(1760000000000),
        .caller = {.key_id = SPAN_LITERAL("AKIAORGTRAILTESTKEY1"),
                   .name = SPAN_LITERAL("tester"),
                   .account = SPAN_LITERAL("111111111111"),
                   .role = API_ADMIN},
    };
    assert_true(roster_create(accounts, 3, ROSTER_UNKNOWN_DEFAULT, &fixture->accounts, &fault));
    roster_live_init(&fixture->roster, fixture->accounts);
    fixture->random = random_seeded(&fixture->seed);
    fixture->keys = keys_create(sealing_key);
    assert_non_null(fixture->keys);
    fixture->world = (struct api_world){
        .organization = "o-example",
        .place = {"111111111111", "eu-central-1"},
        .roster = &fixture->roster,
        .random = &fixture->random,
        .token_key = token_key,
        .keys = fixture->keys,
    };
    const struct api_store store = {.read = on_read, .change = on_change, .context = fixture};
    fixture->worker = api_worker_create(&fixture->world, &store);
    assert_non_null(fixture->worker);
}

void api_fixture_done(struct api_fixture *fixture) {
    api_worker_destroy(fixture->worker);
    keys_destroy(fixture->keys);
    roster_destroy(fixture->accounts);
    while (fixture->documents_count > 0) {
        put(fixture, span_text(fixture->documents[0].name), (struct span){NULL, 0});
    }
    free(fixture->event);
    free(fixture->body);
}

const char *api_fixture_call_of(struct api_fixture *fixture, const char *service,
                                const char *operation, const char *input) {
    const struct api_request request = {
        .service = span_text(service),
        .region = span_text(fixture->region),
        .operation = span_text(operation),
        .body = span_text(input),
        .request_id = "11111111-2222-4333-8444-555555555555",
        .source = SPAN_LITERAL("192.0.2.1"),
        .user_agent = SPAN_LITERAL("test/1.0"),
        .caller = fixture->caller,
        .now_ms = fixture->now_ms,
    };
    if (fixture->operation != NULL) {
        operations_run(fixture->operation, fixture->worker, &request, &fixture->answer);
    } else {
        api_run(fixture->worker, &request, &fixture->answer);
    }
    if (fixture->answer.event.size > 0) {
        free(fixture->event);
        fixture->event = copy_text(fixture->answer.event);
    }
    free(fixture->body);
    fixture->body = copy_text(fixture->answer.body);
    return fixture->body;
}

const char *api_fixture_call(struct api_fixture *fixture, const char *operation,
                             const char *input) {
    return api_fixture_call_of(fixture, "cloudtrail", operation, input);
}

const char *api_fixture_refused(struct api_fixture *fixture, const char *code,
                                const char *operation, const char *input) {
    const char *body = api_fixture_call(fixture, operation, input);
    if (fixture->answer.code == NULL) fail_msg("%s was not refused: %s", operation, body);
    assert_string_equal(fixture->answer.code, code);
    return fixture->answer.message;
}

const char *api_fixture_get(const struct api_fixture *fixture, const char *name) {
    uint32_t index = find_place(fixture, span_text(name));
    if (!is_at(fixture, index, span_text(name))) return NULL;
    return fixture->documents[index].value;
}

void api_fixture_put(struct api_fixture *fixture, const char *name, const char *value) {
    put(fixture, span_text(name), value == NULL ? (struct span){NULL, 0} : span_text(value));
}
