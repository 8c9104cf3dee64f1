#include "collector/api/keys.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "event/key.h"

enum {
    ENTRY_SIZE_MAX = 1024 * 1024,  // bytes of a key in memory, with what was read to make it
    SEALED_SIZE = KEYS_SECRET_SIZE + CRYPTO_SEAL_MORE,
    SEALED_TEXT_SIZE = 2 * SEALED_SIZE + 1,
    DOCUMENT_VERSION = 2,
};

#define ID_BEGIN "AKIA"
#define ID_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

struct entry {
    struct arena *arena;  // all of it
    struct keys_facts facts;
    struct span document;
};

struct keys {
    pthread_mutex_t mutex;
    uint8_t sealing_key[CRYPTO_SEAL_KEY_SIZE];
    struct entry entries[KEYS_MAX];  // in order of id
    uint32_t entries_count;
};

struct keys *keys_create(const uint8_t sealing_key[CRYPTO_SEAL_KEY_SIZE]) {
    struct keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) return NULL;
    if (pthread_mutex_init(&keys->mutex, NULL) != 0) {
        free(keys);
        return NULL;
    }
    memcpy(keys->sealing_key, sealing_key, CRYPTO_SEAL_KEY_SIZE);
    return keys;
}

static void discard(struct entry *entry) {
    if (entry->facts.secret.size > 0) {
        crypto_wipe((void *)(uintptr_t)entry->facts.secret.bytes, entry->facts.secret.size);
    }
    arena_destroy(entry->arena);
    *entry = (struct entry){0};
}

void keys_destroy(struct keys *keys) {
    if (keys == NULL) return;
    for (uint32_t index = 0; index < keys->entries_count; index++) discard(&keys->entries[index]);
    crypto_wipe(keys->sealing_key, sizeof keys->sealing_key);
    pthread_mutex_destroy(&keys->mutex);
    free(keys);
}

static void lock(struct keys *keys) {
    int status = pthread_mutex_lock(&keys->mutex);
    assert(status == 0);
}

static void unlock(struct keys *keys) {
    int status = pthread_mutex_unlock(&keys->mutex);
    assert(status == 0);
}

const char *keys_role_name(enum api_role role) {
    return role == API_ADMIN ? "admin" : "read";
}

bool keys_find_role(struct span name, enum api_role *role) {
    if (!span_is(name, "read") && !span_is(name, "admin")) return false;
    *role = span_is(name, "admin") ? API_ADMIN : API_READ;
    return true;
}

// ---- what a key is bound to: nobody can move a secret to a key that may do more

// Documents of an earlier version do not say theirs, and are bound to less. No part of theirs has
// the sign between them (is_made), and none begins with a zero.
static void print_earlier_bound(const struct keys_facts *facts, struct buffer *text) {
    buffer_print(text, "%.*s|%.*s|%.*s|%s", SPAN_PRINT(facts->id), SPAN_PRINT(facts->name),
                 SPAN_PRINT(facts->account), keys_role_name(facts->role));
    for (uint32_t index = 0; index < facts->accounts_count; index++) {
        buffer_print(text, "|%.*s", SPAN_PRINT(facts->accounts[index]));
    }
}

static void print_part(struct buffer *text, struct span part) {
    buffer_print(text, "%zu:", part.size);
    buffer_append(text, part);
}

// Also none that was disabled is enabled by who edits the store.
static bool print_bound(const struct keys_facts *facts, struct buffer *text) {
    buffer_init(text, KEYS_DOCUMENT_SIZE_MAX);
    if (facts->is_earlier) {
        print_earlier_bound(facts, text);
        return !buffer_overflowed(text);
    }
    buffer_append_byte(text, 0);
    buffer_print(text, "%d:%s:%s:%lld:%u:", DOCUMENT_VERSION, keys_role_name(facts->role),
                 facts->is_disabled ? "disabled" : "enabled", (long long)facts->created_ms,
                 (unsigned)facts->accounts_count);
    print_part(text, facts->id);
    print_part(text, facts->name);
    print_part(text, facts->account);
    print_part(text, facts->creator);
    for (uint32_t index = 0; index < facts->accounts_count; index++) {
        print_part(text, facts->accounts[index]);
    }
    return !buffer_overflowed(text);
}

bool keys_print(const struct keys *keys, const struct keys_facts *facts,
                const struct random *random, struct buffer *document, struct fault *fault) {
    uint8_t sealed[SEALED_SIZE];
    char hex[SEALED_TEXT_SIZE];
    struct buffer bound;
    struct keys_facts written = *facts;
    written.is_earlier = false;
    assert(facts->secret.size == KEYS_SECRET_SIZE);
    bool is_good = print_bound(&written, &bound) ||
                   fault_set(fault, FAULT_FULL, "a key with too many accounts");
    is_good = is_good && crypto_seal(keys->sealing_key, buffer_span(&bound), facts->secret, random,
                                     sealed, fault);
    buffer_done(&bound);
    if (!is_good) return false;
    crypto_print_hex(span_of(sealed, sizeof sealed), hex);
    struct json_writer writer = json_writer_begin(document);
    json_write_object(&writer, NULL);
    json_write_integer(&writer, "version", DOCUMENT_VERSION);
    json_write_string(&writer, "name", facts->name);
    json_write_string(&writer, "account", facts->account);
    json_write_string(&writer, "role", span_text(keys_role_name(facts->role)));
    json_write_list(&writer, "accounts");
    for (uint32_t index = 0; index < facts->accounts_count; index++) {
        json_write_string(&writer, NULL, facts->accounts[index]);
    }
    json_write_end(&writer);
    json_write_bool(&writer, "disabled", facts->is_disabled);
    json_write_integer(&writer, "created", facts->created_ms);
    json_write_string(&writer, "creator", facts->creator);
    json_write_string(&writer, "secret", span_text(hex));
    json_write_end(&writer);
    return !buffer_overflowed(document) || fault_set(fault, FAULT_FULL, "a key too large");
}

static bool take_accounts(const struct yyjson_val *root, struct entry *entry) {
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("accounts"));
    size_t count = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || count > KEYS_ACCOUNTS_MAX) return false;
    struct span *accounts = arena_allocate_array(entry->arena, count, sizeof *accounts);
    if (accounts == NULL) return false;
    for (size_t index = 0; index < count; index++) {
        if (!arena_copy(entry->arena, json_string(yyjson_arr_get(list, index)), &accounts[index]))
            return false;
        if (accounts[index].size == 0) return false;
    }
    entry->facts.accounts = accounts;
    entry->facts.accounts_count = (uint32_t)count;
    return true;
}

// Whether a key can be made like that: what seals are bound to relies on it.
static bool is_made(const struct keys_facts *facts) {
    struct fault ignored;
    size_t begin = strlen(ID_BEGIN);
    if (facts->id.size != KEYS_ID_SIZE || memcmp(facts->id.bytes, ID_BEGIN, begin) != 0) {
        return false;
    }
    for (size_t index = begin; index < KEYS_ID_SIZE; index++) {
        if (memchr(ID_LETTERS, facts->id.bytes[index], strlen(ID_LETTERS)) == NULL) return false;
    }
    return keys_check(facts, &ignored);
}

static bool take_facts(struct span id, const struct yyjson_val *root, struct entry *entry) {
    struct keys_facts *facts = &entry->facts;
    yyjson_val *created = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("created"));
    yyjson_val *disabled = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("disabled"));
    yyjson_val *version = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("version"));
    facts->is_earlier = version == NULL;
    if (version != NULL && yyjson_get_sint(version) != DOCUMENT_VERSION) return false;
    facts->created_ms = yyjson_get_sint(created);
    facts->is_disabled = yyjson_get_bool(disabled);
    return arena_copy(entry->arena, id, &facts->id) &&
           arena_copy(entry->arena, json_member_string(root, SPAN_LITERAL("name")), &facts->name) &&
           arena_copy(entry->arena, json_member_string(root, SPAN_LITERAL("account")),
                      &facts->account) &&
           arena_copy(entry->arena, json_member_string(root, SPAN_LITERAL("creator")),
                      &facts->creator) &&
           yyjson_is_bool(disabled) &&
           keys_find_role(json_member_string(root, SPAN_LITERAL("role")), &facts->role) &&
           take_accounts(root, entry) && is_made(facts);
}

// The secret, or that it cannot be opened.
static bool take_secret(const struct keys *keys, const struct yyjson_val *root, struct entry *entry,
                        struct fault *fault) {
    uint8_t sealed[SEALED_SIZE];
    struct buffer bound;
    uint8_t *secret = arena_allocate(entry->arena, KEYS_SECRET_SIZE);
    bool is_good =
        print_bound(&entry->facts, &bound) && secret != NULL &&
        crypto_parse_hex(json_member_string(root, SPAN_LITERAL("secret")), sealed, sizeof sealed);
    if (!is_good) {
        fault_set(fault, FAULT_CORRUPT, "the key %.*s has no secret", SPAN_PRINT(entry->facts.id));
    } else if (!crypto_open(keys->sealing_key, buffer_span(&bound), span_of(sealed, sizeof sealed),
                            secret, fault)) {
        is_good = fault_add(fault, "the key %.*s", SPAN_PRINT(entry->facts.id));
    } else {
        entry->facts.secret = span_of(secret, KEYS_SECRET_SIZE);
    }
    buffer_done(&bound);
    entry->facts.is_unreadable = !is_good;
    return is_good;
}

// Where the id is, or belongs.
static uint32_t find_place(const struct keys *keys, struct span id, bool *found) {
    uint32_t low = 0, high = keys->entries_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (span_compare(keys->entries[middle].facts.id, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < keys->entries_count && span_equal(keys->entries[low].facts.id, id);
    return low;
}

static void remove_at(struct keys *keys, uint32_t index) {
    discard(&keys->entries[index]);
    keys->entries_count--;
    memmove(&keys->entries[index], &keys->entries[index + 1],
            (keys->entries_count - index) * sizeof keys->entries[0]);
}

// Puts an entry in the place of the one there was; it is the table's then. An empty one: none.
static bool replace(struct keys *keys, struct span id, struct entry *entry, struct fault *fault) {
    bool found;
    lock(keys);
    uint32_t index = find_place(keys, id, &found);
    if (found) remove_at(keys, index);
    bool is_good = true;
    if (entry->arena != NULL && keys->entries_count == KEYS_MAX) {
        is_good = fault_set(fault, FAULT_FULL, "more than %d keys", KEYS_MAX);
    } else if (entry->arena != NULL) {
        memmove(&keys->entries[index + 1], &keys->entries[index],
                (keys->entries_count - index) * sizeof keys->entries[0]);
        keys->entries[index] = *entry;
        keys->entries_count++;
    }
    unlock(keys);
    if (!is_good) discard(entry);
    return is_good;
}

bool keys_take(struct keys *keys, struct span id, struct span document, struct fault *fault) {
    struct entry entry = {0};
    const struct yyjson_val *root;
    if (document.size == 0) return replace(keys, id, &entry, fault);
    entry.arena = arena_create(ENTRY_SIZE_MAX);
    if (entry.arena == NULL) return fault_set(fault, FAULT_FULL, "no memory for a key");
    if (!arena_copy(entry.arena, document, &entry.document) ||
        !json_read_into(entry.arena, document, &root, fault) || !take_facts(id, root, &entry)) {
        arena_destroy(entry.arena);
        return fault_set(fault, FAULT_CORRUPT, "the document of the key %.*s is none",
                         SPAN_PRINT(id));
    }
    struct fault unreadable;
    bool is_readable = take_secret(keys, root, &entry, &unreadable);
    if (!replace(keys, id, &entry, fault)) return false;
    return is_readable || fault_set(fault, unreadable.kind, "%s", unreadable.text);
}

// ---- asking

static bool copy_facts(const struct keys_facts *from, struct arena *arena,
                       struct keys_facts *facts) {
    struct span *accounts = arena_allocate_array(arena, from->accounts_count, sizeof *accounts);
    if (accounts == NULL) return false;
    for (uint32_t index = 0; index < from->accounts_count; index++) {
        if (!arena_copy(arena, from->accounts[index], &accounts[index])) return false;
    }
    *facts = *from;
    facts->accounts = accounts;
    return arena_copy(arena, from->id, &facts->id) && arena_copy(arena, from->name, &facts->name) &&
           arena_copy(arena, from->account, &facts->account) &&
           arena_copy(arena, from->creator, &facts->creator) &&
           arena_copy(arena, from->secret, &facts->secret);
}

bool keys_find(struct keys *keys, struct span id, struct arena *arena, bool *found,
               struct keys_facts *facts, struct fault *fault) {
    lock(keys);
    uint32_t index = find_place(keys, id, found);
    bool is_good = !*found || copy_facts(&keys->entries[index].facts, arena, facts);
    unlock(keys);
    return is_good || fault_set(fault, FAULT_FULL, "no memory for a key");
}

bool keys_get_document(struct keys *keys, struct span id, struct buffer *document) {
    bool found;
    lock(keys);
    uint32_t index = find_place(keys, id, &found);
    if (found) buffer_append(document, keys->entries[index].document);
    unlock(keys);
    return found && !buffer_overflowed(document);
}

bool keys_list(struct keys *keys, struct arena *arena, struct keys_facts **list, uint32_t *count,
               struct fault *fault) {
    lock(keys);
    struct keys_facts *made = arena_allocate_array(arena, keys->entries_count, sizeof *made);
    bool is_good = made != NULL;
    for (uint32_t index = 0; is_good && index < keys->entries_count; index++) {
        is_good = copy_facts(&keys->entries[index].facts, arena, &made[index]);
    }
    if (is_good) {
        *list = made;
        *count = keys->entries_count;
    }
    unlock(keys);
    return is_good || fault_set(fault, FAULT_FULL, "no memory for the keys");
}

// ---- making

static bool make_text(const struct random *random, struct arena *arena, const char *begin,
                      const char *letters, size_t size, struct span *text) {
    size_t letters_count = strlen(letters);
    size_t at = strlen(begin);
    char *made = arena_allocate(arena, size + 1);
    if (made == NULL) return false;
    memcpy(made, begin, at);
    while (at < size) made[at++] = letters[random_below(random, letters_count)];
    made[size] = 0;
    *text = span_of(made, size);
    return true;
}

static bool make_pair(const struct random *random, struct arena *arena, const char *begin,
                      struct keys_facts *facts, struct fault *fault) {
    // As AWS's look: 80 random bits of id, 240 of secret.
    if (make_text(random, arena, begin, ID_LETTERS, KEYS_ID_SIZE, &facts->id) &&
        make_text(random, arena, "",
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                  KEYS_SECRET_SIZE, &facts->secret)) {
        return true;
    }
    return fault_set(fault, FAULT_FULL, "no memory for a key");
}

bool keys_make(const struct random *random, struct arena *arena, struct keys_facts *facts,
               struct fault *fault) {
    return make_pair(random, arena, ID_BEGIN, facts, fault);
}

bool keys_make_session(const struct random *random, struct arena *arena, struct keys_facts *facts,
                       struct fault *fault) {
    return make_pair(random, arena, "ASIA", facts, fault);
}

void keys_derive(const struct keys *keys, struct span use, uint8_t key[CRYPTO_SEAL_KEY_SIZE]) {
    static_assert((int)CRYPTO_SEAL_KEY_SIZE == (int)SHA256_SIZE, "a hash is a key");
    crypto_hmac_sha256(span_of(keys->sealing_key, CRYPTO_SEAL_KEY_SIZE), &use, 1, key);
}

static bool is_name(struct span name) {
    if (name.size == 0 || name.size > KEYS_NAME_SIZE_MAX) return false;
    for (size_t index = 0; index < name.size; index++) {
        uint8_t byte = name.bytes[index];
        bool is_plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                        (byte >= '0' && byte <= '9');
        if (!is_plain && (byte == 0 || strchr("+=,.@_-", byte) == NULL)) return false;
    }
    return true;
}

static bool check_account(struct span account, struct fault *fault) {
    char text[KEY_ACCOUNT_SIZE_MAX + 1];
    if (account.size > KEY_ACCOUNT_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "an account has at most %d bytes",
                         KEY_ACCOUNT_SIZE_MAX);
    }
    // It stands in ARNs, and in what the secret is bound to.
    for (size_t index = 0; index < account.size; index++) {
        uint8_t byte = account.bytes[index];
        if (byte <= ' ' || byte >= 0x7f || strchr("\"\\|:/", byte) != NULL) {
            return fault_set(fault, FAULT_INPUT, "no account of a key: \"%.*s\"",
                             SPAN_PRINT(account));
        }
    }
    snprintf(text, sizeof text, "%.*s", SPAN_PRINT(account));
    return key_check_account(text, fault);
}

bool keys_check(const struct keys_facts *facts, struct fault *fault) {
    if (!is_name(facts->name)) {
        return fault_set(fault, FAULT_INPUT,
                         "a key's name has 1 to %d letters, digits and signs of +=,.@_-",
                         KEYS_NAME_SIZE_MAX);
    }
    if (!check_account(facts->account, fault)) return false;
    if (facts->accounts_count > KEYS_ACCOUNTS_MAX) {
        return fault_set(fault, FAULT_INPUT, "a key is narrowed to at most %d accounts",
                         KEYS_ACCOUNTS_MAX);
    }
    for (uint32_t index = 0; index < facts->accounts_count; index++) {
        if (!check_account(facts->accounts[index], fault)) return false;
    }
    return true;
}
