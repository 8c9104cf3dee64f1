#include "collector/api/keys.h"

#include <string.h>

#include "base/crypto.h"
#include "tests/kit/cases.h"

static const uint8_t SEALING_KEY[CRYPTO_SEAL_KEY_SIZE] = {1, 2, 3};

struct room {
    struct keys *keys;
    struct arena *arena;
    uint64_t seed;
    struct random random;
};

static struct room room;

static int make_room(void **state) {
    (void)state;
    room = (struct room){.keys = keys_create(SEALING_KEY), .arena = arena_create(1 << 20)};
    room.random = random_seeded(&room.seed);
    assert_non_null(room.keys);
    return 0;
}

static int end_room(void **state) {
    (void)state;
    keys_destroy(room.keys);
    arena_destroy(room.arena);
    return 0;
}

static const struct span ACCOUNTS[] = {{(const uint8_t *)"222222222222", 12},
                                       {(const uint8_t *)"333333333333", 12}};

// Makes a key and its document.
static struct keys_facts make_key(struct buffer *document) {
    struct fault fault;
    struct keys_facts facts = {
        .name = SPAN_LITERAL("audit"),
        .account = SPAN_LITERAL("111111111111"),
        .role = API_ADMIN,
        .accounts = ACCOUNTS,
        .accounts_count = 2,
        .created_ms = 1234567890123,
        .creator = SPAN_LITERAL("ana (uid 7)"),
    };
    assert_true(keys_make(&room.random, room.arena, &facts, &fault));
    buffer_init(document, KEYS_DOCUMENT_SIZE_MAX);
    assert_true(keys_check(&facts, &fault));
    assert_true(keys_print(room.keys, &facts, &room.random, document, &fault));
    return facts;
}

static void test_a_key_comes_back_from_its_document(void **state) {
    (void)state;
    struct fault fault;
    struct buffer document;
    struct keys_facts made = make_key(&document);
    assert_int_equal(made.id.size, KEYS_ID_SIZE);
    assert_int_equal(made.secret.size, KEYS_SECRET_SIZE);
    // Neither the secret nor anything it could be found from stands in the document.
    assert_null(memmem(document.bytes, document.size, made.secret.bytes, made.secret.size));
    assert_true(keys_take(room.keys, made.id, buffer_span(&document), &fault));

    bool found;
    struct keys_facts facts;
    assert_true(keys_find(room.keys, made.id, room.arena, &found, &facts, &fault));
    assert_true(found);
    assert_true(span_equal(facts.secret, made.secret));
    assert_true(span_is(facts.name, "audit"));
    assert_true(span_is(facts.account, "111111111111"));
    assert_int_equal(facts.role, API_ADMIN);
    assert_int_equal(facts.accounts_count, 2);
    assert_true(span_is(facts.accounts[1], "333333333333"));
    assert_int_equal(facts.created_ms, 1234567890123);
    assert_true(span_is(facts.creator, "ana (uid 7)"));
    assert_false(facts.is_disabled);
    assert_false(facts.is_unreadable);
    assert_true(keys_find(room.keys, SPAN_LITERAL("AKIA"), room.arena, &found, &facts, &fault));
    assert_false(found);

    // Disabled, then gone.
    buffer_reset(&document);
    made.is_disabled = true;
    assert_true(keys_print(room.keys, &made, &room.random, &document, &fault));
    assert_true(keys_take(room.keys, made.id, buffer_span(&document), &fault));
    assert_true(keys_find(room.keys, made.id, room.arena, &found, &facts, &fault));
    assert_true(found && facts.is_disabled);
    assert_true(keys_take(room.keys, made.id, span_of(NULL, 0), &fault));
    assert_true(keys_take(room.keys, made.id, span_of(NULL, 0), &fault));
    assert_true(keys_find(room.keys, made.id, room.arena, &found, &facts, &fault));
    assert_false(found);
    buffer_done(&document);
}

static void replace_text(struct buffer *document, const char *from, const char *to) {
    assert_int_equal(strlen(from), strlen(to));
    uint8_t *at = memmem(document->bytes, document->size, from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
}

static const char *find_secret(const struct buffer *document) {
    static const char name[] = "\"secret\":\"";
    const char *at = memmem(document->bytes, document->size, name, sizeof name - 1);
    assert_non_null(at);
    return at + sizeof name - 1;
}

// Who can write the store but has no secret.key can neither read a secret nor give a key more.
static void test_a_changed_document_is_unreadable(void **state) {
    (void)state;
    static const char *const changes[][2] = {{"111111111111", "999999999999"},
                                             {"222222222222", "999999999999"},
                                             {"\"audit\"", "\"audio\""},
                                             {"\"admin\"", "\"read\" "},
                                             {"\"disabled\":false", "\"disabled\":true "},
                                             {"1234567890123", "1234567890124"},
                                             {"ana (uid 7)", "ana (uid 8)"},
                                             {"\"version\":2", "\"visions\":2"}};
    struct fault fault;
    struct keys_facts facts;
    bool found;
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        struct buffer document;
        struct keys_facts made = make_key(&document);
        replace_text(&document, changes[index][0], changes[index][1]);
        assert_false(keys_take(room.keys, made.id, buffer_span(&document), &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
        assert_true(keys_find(room.keys, made.id, room.arena, &found, &facts, &fault));
        assert_true(found && facts.is_unreadable);
        assert_int_equal(facts.secret.size, 0);
        buffer_done(&document);
    }
    // A document of one key under another's id.
    struct buffer document;
    (void)make_key(&document);
    assert_false(
        keys_take(room.keys, SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAA"), buffer_span(&document), &fault));
    buffer_done(&document);
}

// A disabled one stays so.
static void test_a_disabled_key_is_not_enabled_in_the_store(void **state) {
    (void)state;
    struct fault fault;
    struct buffer document;
    struct keys_facts facts, made = make_key(&document);
    bool found;
    made.is_disabled = true;
    buffer_reset(&document);
    assert_true(keys_print(room.keys, &made, &room.random, &document, &fault));
    assert_true(keys_take(room.keys, made.id, buffer_span(&document), &fault));
    replace_text(&document, "\"disabled\":true", "\"disabled\":null");
    assert_false(keys_take(room.keys, made.id, buffer_span(&document), &fault));
    replace_text(&document, "\"disabled\":null,", "\"disabled\":false");
    assert_false(keys_take(room.keys, made.id, buffer_span(&document), &fault));
    buffer_done(&document);
    // Nor with the seal that it had before.
    struct buffer before;
    buffer_init(&before, KEYS_DOCUMENT_SIZE_MAX);
    buffer_init(&document, KEYS_DOCUMENT_SIZE_MAX);
    assert_true(keys_print(room.keys, &made, &room.random, &document, &fault));
    made.is_disabled = false;
    assert_true(keys_print(room.keys, &made, &room.random, &before, &fault));
    const char *from = find_secret(&document);
    char *to = (char *)(uintptr_t)find_secret(&before);
    memcpy(to, from, strcspn(from, "\""));
    assert_false(keys_take(room.keys, made.id, buffer_span(&before), &fault));
    assert_true(keys_find(room.keys, made.id, room.arena, &found, &facts, &fault));
    assert_true(found && facts.is_unreadable);
    buffer_done(&before);
    buffer_done(&document);
}

// Takes an earlier version's document, with the seal that another document had.
static bool take_earlier(struct span id, const char *name, const char *account,
                         const char *accounts, const char *sealed) {
    char text[1024];
    struct fault fault;
    snprintf(text, sizeof text,
             "{\"name\":\"%s\",\"account\":\"%s\",\"role\":\"admin\",\"accounts\":[%s],"
             "\"disabled\":false,\"created\":5,\"creator\":\"ana\",\"secret\":\"%.*s\"}",
             name, account, accounts, (int)strcspn(sealed, "\""), sealed);
    return keys_take(room.keys, id, span_text(text), &fault) || fault.kind != FAULT_CORRUPT;
}

// What one version's seal is bound to is no text of the other's, however the parts are cut.
static void test_no_seal_serves_another_version(void **state) {
    (void)state;
    static const char accounts[] = "\"222222222222\",\"333333333333\",\"ana (uid 7)\"";
    struct fault fault;
    struct buffer document;
    struct keys_facts made = make_key(&document);
    char name[256];
    bool found;
    made.is_disabled = true;
    buffer_reset(&document);
    assert_true(keys_print(room.keys, &made, &room.random, &document, &fault));
    // As if the parts stood behind one another with nothing but a sign between.
    const char *sealed = find_secret(&document);
    snprintf(name, sizeof name, "disabled|1234567890123|2|%.*s|audit", SPAN_PRINT(made.id));
    assert_false(take_earlier(SPAN_LITERAL("2"), name, "111111111111", accounts, sealed));
    assert_false(take_earlier(made.id, name, "111111111111", accounts, sealed));
    assert_false(take_earlier(made.id, "audit", "111111111111", "\"222222222222\",\"333333333333\"",
                              sealed));
    // Nor one of an earlier version another key of that.
    static const char bound[] = "AKIAAAAAAAAAAAAAAAAA|audit|111111111111|admin|222222222222";
    const struct span id = SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAA");
    uint8_t bytes[KEYS_SECRET_SIZE + CRYPTO_SEAL_MORE];
    char hex[2 * sizeof bytes + 1];
    assert_true(
        crypto_seal(SEALING_KEY, span_text(bound), made.secret, &room.random, bytes, &fault));
    crypto_print_hex(span_of(bytes, sizeof bytes), hex);
    assert_false(take_earlier(SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAA|audit"), "111111111111", "admin",
                              "\"222222222222\"", hex));
    assert_true(take_earlier(id, "audit", "111111111111", "\"222222222222\"", hex));
    struct keys_facts facts;
    assert_true(keys_find(room.keys, SPAN_LITERAL("2"), room.arena, &found, &facts, &fault));
    assert_false(found);
    buffer_done(&document);
}

// As version 0.1 wrote it: the state stood beside the seal.
static void test_a_document_of_an_earlier_version(void **state) {
    (void)state;
    static const char bound[] = "AKIAAAAAAAAAAAAAAAAA|audit|111111111111|read|222222222222";
    static const char secret[] = "0123456789012345678901234567890123456789";
    const struct span id = SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAA");
    uint8_t sealed[KEYS_SECRET_SIZE + CRYPTO_SEAL_MORE];
    char hex[2 * sizeof sealed + 1], text[1024];
    struct fault fault;
    struct keys_facts facts;
    struct buffer document;
    bool found;
    assert_true(crypto_seal(SEALING_KEY, span_text(bound), span_text(secret), &room.random, sealed,
                            &fault));
    crypto_print_hex(span_of(sealed, sizeof sealed), hex);
    snprintf(
        text, sizeof text,
        "{\"name\":\"audit\",\"account\":\"111111111111\",\"role\":\"read\",\"accounts\":"
        "[\"222222222222\"],\"disabled\":true,\"created\":5,\"creator\":\"ana\",\"secret\":\"%s\"}",
        hex);
    assert_true(keys_take(room.keys, id, span_text(text), &fault));
    assert_true(keys_find(room.keys, id, room.arena, &found, &facts, &fault));
    assert_true(found && facts.is_earlier && facts.is_disabled && !facts.is_unreadable);
    assert_true(span_is(facts.secret, secret));
    // Written again it is of today's, and the same key.
    buffer_init(&document, KEYS_DOCUMENT_SIZE_MAX);
    assert_true(keys_print(room.keys, &facts, &room.random, &document, &fault));
    assert_true(keys_take(room.keys, id, buffer_span(&document), &fault));
    assert_true(keys_find(room.keys, id, room.arena, &found, &facts, &fault));
    assert_true(found && !facts.is_earlier && facts.is_disabled && !facts.is_unreadable);
    assert_true(span_is(facts.secret, secret));
    buffer_done(&document);
}

static void test_what_is_no_document(void **state) {
    (void)state;
    struct fault fault;
    const char *texts[] = {"x", "{}", "[]", "{\"name\":\"a\",\"account\":\"b\",\"role\":\"root\"}",
                           "{\"name\":\"a\",\"account\":\"b\",\"role\":\"read\",\"accounts\":[1],"
                           "\"disabled\":false}"};
    const struct span id = SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAA");
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        assert_false(keys_take(room.keys, id, span_text(texts[index]), &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
    }
    // A good one, of what is no id and of what nobody makes.
    const struct span ids[] = {SPAN_LITERAL(""),
                               SPAN_LITERAL("AKIAX"),
                               SPAN_LITERAL("AKIAAAAAAAAAAAAAAAAAA"),
                               SPAN_LITERAL("ASIAAAAAAAAAAAAAAAAA"),
                               SPAN_LITERAL("AKIAAAAAAAAAAAAAAAA1"),
                               SPAN_LITERAL("AKIAAAAAAAAAAAAAAA\0A")};
    for (size_t index = 0; index < sizeof ids / sizeof ids[0]; index++) {
        struct buffer document;
        struct keys_facts made = make_key(&document);
        made.id = ids[index];
        buffer_reset(&document);
        assert_true(keys_print(room.keys, &made, &room.random, &document, &fault));
        assert_false(keys_take(room.keys, made.id, buffer_span(&document), &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
        buffer_done(&document);
    }
    struct keys_facts *list;
    uint32_t count;
    assert_true(keys_list(room.keys, room.arena, &list, &count, &fault));
    assert_int_equal(count, 0);
}

static void test_many_keys_in_order(void **state) {
    (void)state;
    struct fault fault = {0};
    struct keys_facts *list;
    uint32_t count;
    for (int index = 0; index < KEYS_MAX; index++) {
        struct buffer document;
        struct keys_facts made = make_key(&document);
        assert_true(keys_take(room.keys, made.id, buffer_span(&document), &fault));
        buffer_done(&document);
        arena_reset(room.arena);
    }
    assert_true(keys_list(room.keys, room.arena, &list, &count, &fault));
    assert_int_equal(count, KEYS_MAX);
    for (uint32_t index = 1; index < count; index++) {
        assert_true(span_compare(list[index - 1].id, list[index].id) < 0);
    }
    struct buffer document;
    struct keys_facts made = make_key(&document);
    assert_false(keys_take(room.keys, made.id, buffer_span(&document), &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    buffer_done(&document);
}

static void test_names_and_accounts(void **state) {
    (void)state;
    struct fault fault;
    struct keys_facts facts = {.name = SPAN_LITERAL("a.b-c_d@e+f=g,1"),
                               .account = SPAN_LITERAL("111111111111")};
    assert_true(keys_check(&facts, &fault));
    const struct span names[] = {SPAN_LITERAL(""), SPAN_LITERAL("a b"), SPAN_LITERAL("a\"b"),
                                 SPAN_LITERAL("a\0b"), SPAN_LITERAL("a/b")};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        facts.name = names[index];
        assert_false(keys_check(&facts, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
    }
    facts.name = SPAN_LITERAL("a");
    facts.account = SPAN_LITERAL("");
    assert_false(keys_check(&facts, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_key_comes_back_from_its_document, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_a_changed_document_is_unreadable, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_disabled_key_is_not_enabled_in_the_store, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_no_seal_serves_another_version, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_document_of_an_earlier_version, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_what_is_no_document, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_many_keys_in_order, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_names_and_accounts, make_room, end_room),
    };
    return cases_run("keys_test", tests, sizeof tests / sizeof tests[0]);
}
