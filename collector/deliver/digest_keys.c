#include "collector/deliver/digest_keys.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "collector/deliver/state.h"

enum { DOCUMENT_SIZE_MAX = 8192 };

struct digest_key_facts digest_key_read(const struct yyjson_val *root) {
    return (struct digest_key_facts){
        .fingerprint = json_member_string(root, SPAN_LITERAL("fingerprint")),
        .public_key = json_member_string(root, SPAN_LITERAL("public")),
        .from_ms =
            yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("from_ms"))),
        .to_ms = yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("to_ms"))),
    };
}

// What a private key is sealed for.
static void print_bound(const char *fingerprint, char text[64]) {
    snprintf(text, 64, "digest key %s", fingerprint);
}

// ---- finding one

struct search {
    struct json_reader *json;
    const uint8_t *secret;
    int64_t at_ms;
    struct digest_key *key;
    uint32_t next;  // number of the next one
    bool is_found;
};

static bool open_private(const struct search *search, struct span sealed, const char *fingerprint,
                         struct crypto_rsa **rsa, struct fault *fault) {
    uint8_t bytes[DOCUMENT_SIZE_MAX];
    struct buffer plain;
    char bound[64];
    buffer_init(&plain, DOCUMENT_SIZE_MAX);
    bool is_good = (crypto_parse_base64(sealed, &plain) && plain.size > CRYPTO_SEAL_MORE) ||
                   fault_set(fault, FAULT_CORRUPT, "a digest key cannot be read");
    print_bound(fingerprint, bound);
    is_good =
        is_good && crypto_open(search->secret, span_text(bound), buffer_span(&plain), bytes, fault);
    if (is_good) {
        size_t size = plain.size - CRYPTO_SEAL_MORE;
        is_good = crypto_rsa_load(span_of(bytes, size), rsa, fault);
        crypto_wipe(bytes, size);
    }
    buffer_done(&plain);
    return is_good;
}

static bool on_document(void *user, struct span name, struct span value) {
    struct search *search = user;
    struct fault fault;
    const struct yyjson_val *root;
    uint32_t number = 0;
    for (size_t at = strlen(STATE_DIGEST_KEYS); at < name.size; at++) {
        number = number * 10 + (uint32_t)(name.bytes[at] - '0');
    }
    search->next = number + 1;
    if (!json_read(search->json, value, &root, &fault)) {
        LOG(LOG_ERROR, "a digest key cannot be used", log_fault(&fault), log_kind(&fault));
        return true;
    }
    struct digest_key_facts facts = digest_key_read(root);
    if (facts.to_ms <= search->at_ms || search->is_found) return true;
    struct digest_key *key = search->key;
    snprintf(key->fingerprint, sizeof key->fingerprint, "%.*s", SPAN_PRINT(facts.fingerprint));
    search->is_found = open_private(search, json_member_string(root, SPAN_LITERAL("private")),
                                    key->fingerprint, &key->rsa, &fault);
    if (!search->is_found) {
        LOG(LOG_ERROR, "a digest key cannot be used", log_text("fingerprint", key->fingerprint),
            log_fault(&fault), log_kind(&fault));
    }
    return true;
}

// ---- making one

static bool seal_private(const struct crypto_rsa *rsa, const uint8_t *secret,
                         const char *fingerprint, const struct random *random,
                         struct buffer *base64, struct fault *fault) {
    struct buffer plain;
    uint8_t sealed[CRYPTO_RSA_DER_SIZE_MAX + CRYPTO_SEAL_MORE];
    char bound[64];
    buffer_init(&plain, CRYPTO_RSA_DER_SIZE_MAX);
    print_bound(fingerprint, bound);
    bool is_good =
        crypto_rsa_print_private(rsa, &plain, fault) &&
        crypto_seal(secret, span_text(bound), buffer_span(&plain), random, sealed, fault);
    if (is_good) crypto_append_base64(base64, span_of(sealed, plain.size + CRYPTO_SEAL_MORE));
    if (plain.size > 0) crypto_wipe(plain.bytes, plain.size);
    buffer_done(&plain);
    return is_good;
}

// Prints the document of a new key and its fingerprint.
static bool print_key(const struct crypto_rsa *rsa, const uint8_t *secret, struct seat *seat,
                      int64_t lifetime_ms, struct buffer *document,
                      char fingerprint[DIGEST_KEY_FINGERPRINT_SIZE], struct fault *fault) {
    struct buffer open, open64, sealed64;
    uint8_t hash[SHA256_SIZE];
    int64_t now_ms = seat_now_ms(seat);
    buffer_init(&open, CRYPTO_RSA_DER_SIZE_MAX);
    buffer_init(&open64, DOCUMENT_SIZE_MAX);
    buffer_init(&sealed64, DOCUMENT_SIZE_MAX);
    bool is_good = crypto_rsa_print_public(rsa, &open, fault);
    if (is_good) {
        const struct span der = buffer_span(&open);
        crypto_sha256(&der, 1, hash);
        crypto_print_hex(span_of(hash, (DIGEST_KEY_FINGERPRINT_SIZE - 1) / 2), fingerprint);
        crypto_append_base64(&open64, der);
        is_good = seal_private(rsa, secret, fingerprint, seat->random, &sealed64, fault);
    }
    if (is_good) {
        struct json_writer writer = json_writer_begin(document);
        json_write_object(&writer, NULL);
        json_write_string(&writer, "fingerprint", span_text(fingerprint));
        json_write_integer(&writer, "from_ms", now_ms);
        json_write_integer(&writer, "to_ms", now_ms + lifetime_ms);
        json_write_string(&writer, "public", buffer_span(&open64));
        json_write_string(&writer, "private", buffer_span(&sealed64));
        json_write_end(&writer);
    }
    buffer_done(&open);
    buffer_done(&open64);
    buffer_done(&sealed64);
    return is_good;
}

static bool make(struct seat *seat, const uint8_t *secret, int64_t lifetime_ms, uint32_t number,
                 struct digest_key *key, struct fault *fault) {
    char name[TRAIL_NAME_SIZE_MAX];
    struct buffer document;
    struct crypto_rsa *rsa = NULL;
    if (number >= DIGEST_KEYS_MAX) {
        return fault_set(fault, FAULT_FULL, "there are %d digest keys", DIGEST_KEYS_MAX);
    }
    buffer_init(&document, DOCUMENT_SIZE_MAX);
    bool is_good = crypto_rsa_generate(&rsa, fault) &&
                   print_key(rsa, secret, seat, lifetime_ms, &document, key->fingerprint, fault);
    if (is_good) {
        snprintf(name, sizeof name, STATE_DIGEST_KEYS "%06u", (unsigned)number);
        const struct append_document change = {span_text(name), {NULL, 0}, buffer_span(&document)};
        is_good = seat_save(seat, &change, 1, NULL, fault);
    }
    buffer_done(&document);
    if (!is_good) {
        crypto_rsa_destroy(rsa);
        return fault_add(fault, "a new digest key");
    }
    LOG(LOG_INFO, "a digest key was made", log_text("fingerprint", key->fingerprint));
    key->rsa = rsa;
    return true;
}

bool digest_key_get(struct seat *seat, const uint8_t secret[CRYPTO_SEAL_KEY_SIZE], int64_t at_ms,
                    int64_t lifetime_ms, struct digest_key *key, struct fault *fault) {
    struct search search = {
        .json = json_reader_create(), .secret = secret, .at_ms = at_ms, .key = key};
    key->rsa = NULL;
    if (search.json == NULL) return fault_set(fault, FAULT_FULL, "no memory for digest keys");
    bool is_good = trail_reader_documents(seat->reader, SPAN_LITERAL(STATE_DIGEST_KEYS),
                                          on_document, &search, fault);
    json_reader_destroy(search.json);
    if (!is_good) {
        crypto_rsa_destroy(key->rsa);
        return false;
    }
    return search.is_found || make(seat, secret, lifetime_ms, search.next, key, fault);
}
