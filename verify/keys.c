#include "verify/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/crypto_rsa.h"
#include "base/json.h"
#include "event/digest_read.h"

enum { DER_FIRST_BYTE = 0x30, ARENA_SIZE = 64 * 1024 * 1024 };

struct public_key {
    struct span fingerprint;
    struct span der;
    int64_t from_s;
    int64_t to_s;
};

struct public_keys {
    struct arena *arena;
    struct public_key *list;
    uint32_t count;
};

struct public_keys *keys_create(void) {
    struct public_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL) return NULL;
    keys->arena = arena_create(ARENA_SIZE);
    keys->list = calloc(KEYS_MAX, sizeof *keys->list);
    if (keys->arena != NULL && keys->list != NULL) return keys;
    keys_destroy(keys);
    return NULL;
}

void keys_destroy(struct public_keys *keys) {
    if (keys == NULL) return;
    arena_destroy(keys->arena);
    free(keys->list);
    free(keys);
}

uint32_t keys_count(const struct public_keys *keys) {
    return keys->count;
}

bool keys_add(struct public_keys *keys, struct span fingerprint, struct span der, int64_t from_s,
              int64_t to_s, struct fault *fault) {
    struct public_key key = {.from_s = from_s, .to_s = to_s};
    if (keys->count == KEYS_MAX)
        return fault_set(fault, FAULT_INPUT, "more than %d public keys", KEYS_MAX);
    if (!arena_copy(keys->arena, fingerprint, &key.fingerprint) ||
        !arena_copy(keys->arena, der, &key.der)) {
        return fault_set(fault, FAULT_FULL, "no memory for public keys");
    }
    keys->list[keys->count++] = key;
    return true;
}

// ---- the answer of ListPublicKeys

static bool read_moment(const struct yyjson_val *object, const char *name, int64_t absent_s,
                        int64_t *seconds, struct fault *fault) {
    yyjson_val *value = (yyjson_val *)(uintptr_t)json_member(object, span_text(name));
    if (value == NULL || yyjson_is_null(value)) {
        *seconds = absent_s;
        return true;
    }
    if (yyjson_is_num(value)) {
        double number = yyjson_get_num(value);
        if (!(number >= 0 && number < 253402300800.0))
            return fault_set(fault, FAULT_INPUT, "%s is no time", name);
        *seconds = (int64_t)number;
        return true;
    }
    return time_parse(json_string(value), seconds, fault) || fault_add(fault, "%s", name);
}

static bool read_key(struct public_keys *keys, const struct yyjson_val *object, struct buffer *der,
                     struct fault *fault) {
    int64_t from_s, to_s;
    struct span fingerprint = json_member_string(object, SPAN_LITERAL("Fingerprint"));
    buffer_reset(der);
    if (fingerprint.size == 0) return fault_set(fault, FAULT_INPUT, "Fingerprint is absent");
    if (!crypto_parse_base64(json_member_string(object, SPAN_LITERAL("Value")), der) ||
        der->size == 0) {
        return fault_set(fault, FAULT_INPUT, "Value is absent or not base64");
    }
    return read_moment(object, "ValidityStartTime", 0, &from_s, fault) &&
           read_moment(object, "ValidityEndTime", INT64_MAX, &to_s, fault) &&
           keys_add(keys, fingerprint, buffer_span(der), from_s, to_s, fault);
}

static bool read_list(struct public_keys *keys, struct json_reader *reader, struct span bytes,
                      struct buffer *der, struct fault *fault) {
    const struct yyjson_val *root = NULL;
    if (!json_read(reader, bytes, &root, fault)) return false;
    yyjson_val *list = (yyjson_val *)(uintptr_t)root;
    if (yyjson_is_obj(list)) list = yyjson_obj_get(list, "PublicKeyList");
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return fault_set(fault, FAULT_INPUT,
                         "no keys in it: it should be the answer of ListPublicKeys as JSON "
                         "({\"PublicKeyList\":[...]}), or a public key as PEM or DER");
    size_t index, max;
    yyjson_val *item;
    yyjson_arr_foreach(list, index, max, item) {
        if (!read_key(keys, item, der, fault)) return fault_add(fault, "key %zu", index + 1);
    }
    return true;
}

// ---- one key

// The bytes between a PEM's lines.
static bool read_pem(struct public_keys *keys, struct span bytes, struct buffer *der,
                     struct fault *fault) {
    static const char begin[] = "-----BEGIN RSA PUBLIC KEY-----";
    static const char end[] = "-----END RSA PUBLIC KEY-----";
    const uint8_t *from = memmem(bytes.bytes, bytes.size, begin, sizeof begin - 1);
    const uint8_t *to = memmem(bytes.bytes, bytes.size, end, sizeof end - 1);
    struct buffer text;
    if (from == NULL || to == NULL || to < from)
        return fault_set(fault, FAULT_INPUT,
                         "no PKCS#1 public key: openssl rsa -RSAPublicKey_out makes one");
    buffer_init(&text, KEYS_FILE_SIZE_MAX);
    for (const uint8_t *at = from + sizeof begin - 1; at < to; at++) {
        if (*at > ' ') buffer_append_byte(&text, *at);
    }
    bool is_read = crypto_parse_base64(buffer_span(&text), der) && der->size > 0;
    buffer_done(&text);
    if (!is_read) return fault_set(fault, FAULT_INPUT, "its base64 cannot be read");
    return keys_add(keys, (struct span){NULL, 0}, buffer_span(der), 0, INT64_MAX, fault);
}

bool keys_read(struct public_keys *keys, struct span bytes, struct fault *fault) {
    struct buffer der;
    if (bytes.size == 0) return fault_set(fault, FAULT_INPUT, "the file is empty");
    if (bytes.bytes[0] == DER_FIRST_BYTE)
        return keys_add(keys, (struct span){NULL, 0}, bytes, 0, INT64_MAX, fault);
    buffer_init(&der, KEYS_FILE_SIZE_MAX);
    bool is_read;
    if (span_starts(bytes, SPAN_LITERAL("-----"))) {
        is_read = read_pem(keys, bytes, &der, fault);
    } else {
        struct json_reader *reader = json_reader_create();
        is_read = reader != NULL ? read_list(keys, reader, bytes, &der, fault)
                                 : fault_set(fault, FAULT_FULL, "no memory");
        json_reader_destroy(reader);
    }
    buffer_done(&der);
    return is_read;
}

// ---- verifying

static bool is_in_use(const struct public_key *key, int64_t time_s) {
    bool has_begun = time_s >= key->from_s - KEYS_SLACK_S;
    return has_begun && (key->to_s == INT64_MAX || time_s <= key->to_s + KEYS_SLACK_S);
}

enum keys_verdict keys_verify(const struct public_keys *keys, struct span fingerprint,
                              int64_t time_s, struct span claim, struct span signature_hex) {
    enum keys_verdict verdict = KEYS_UNKNOWN;
    for (uint32_t index = 0; index < keys->count; index++) {
        const struct public_key *key = &keys->list[index];
        if (key->fingerprint.size > 0 && !span_equal(key->fingerprint, fingerprint)) continue;
        if (!digest_is_signed(claim, signature_hex, key->der)) {
            if (verdict == KEYS_UNKNOWN) verdict = KEYS_BAD;
        } else if (is_in_use(key, time_s)) {
            return KEYS_GOOD;
        } else {
            verdict = KEYS_OUTDATED;
        }
    }
    return verdict;
}
