#include "collector/api/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crypto.h"

// What a token holds, and in this order.
struct plain {
    int64_t issued_ms;
    int64_t expires_ms;
    struct span key_id;
    struct span secret;
};

static void write_plain(const struct plain *plain, uint8_t bytes[SESSION_PLAIN_SIZE]) {
    bytes_put_64(bytes, (uint64_t)plain->issued_ms);
    bytes_put_64(bytes + 8, (uint64_t)plain->expires_ms);
    memcpy(bytes + 16, plain->key_id.bytes, KEYS_ID_SIZE);
    memcpy(bytes + 16 + KEYS_ID_SIZE, plain->secret.bytes, KEYS_SECRET_SIZE);
}

static struct plain read_plain(const uint8_t bytes[SESSION_PLAIN_SIZE]) {
    return (struct plain){
        .issued_ms = (int64_t)bytes_get_64(bytes),
        .expires_ms = (int64_t)bytes_get_64(bytes + 8),
        .key_id = span_of(bytes + 16, KEYS_ID_SIZE),
        .secret = span_of(bytes + 16 + KEYS_ID_SIZE, KEYS_SECRET_SIZE),
    };
}

static void make_sealing_key(const struct keys *keys, uint8_t key[CRYPTO_SEAL_KEY_SIZE]) {
    keys_derive(keys, SPAN_LITERAL("sessions of the API"), key);
}

// ---- whose a session is

static enum session_verdict open_token(const struct keys *keys, const struct sigv4_claim *claim,
                                       struct arena *arena, struct plain *plain) {
    struct fault ignored;
    uint8_t key[CRYPTO_SEAL_KEY_SIZE];
    uint8_t sealed[SESSION_TOKEN_SIZE / 2];
    uint8_t *bytes = arena_allocate(arena, SESSION_PLAIN_SIZE);
    if (bytes == NULL) return SESSION_NO_MEMORY;
    if (!crypto_parse_hex(claim->token, sealed, sizeof sealed)) return SESSION_UNKNOWN;
    make_sealing_key(keys, key);
    bool is_ours = crypto_open(key, claim->key_id, span_of(sealed, sizeof sealed), bytes, &ignored);
    crypto_wipe(key, sizeof key);
    if (!is_ours) return SESSION_UNKNOWN;
    *plain = read_plain(bytes);
    return SESSION_GOOD;
}

enum session_verdict session_find(struct keys *keys, const struct sigv4_claim *claim,
                                  int64_t now_ms, struct arena *arena, struct keys_facts *key,
                                  int64_t *issued_ms, struct fault *fault) {
    bool found = false;
    struct plain plain = {.key_id = claim->key_id};
    bool is_session = claim->token.bytes != NULL;
    if (is_session) {
        enum session_verdict verdict = open_token(keys, claim, arena, &plain);
        if (verdict == SESSION_NO_MEMORY) fault_put(fault, FAULT_FULL, "no memory for a session");
        if (verdict != SESSION_GOOD) return verdict;
    }
    if (!keys_find(keys, plain.key_id, arena, &found, key, fault)) return SESSION_NO_MEMORY;
    if (!found) return SESSION_UNKNOWN;
    if (is_session && now_ms >= plain.expires_ms) return SESSION_EXPIRED;
    if (is_session) key->secret = plain.secret;
    *issued_ms = plain.issued_ms;
    return SESSION_GOOD;
}

// ---- giving one out

// The form's parameters are texts.
static bool read_duration(struct api_call *call, int64_t *seconds) {
    struct span text = {NULL, 0};
    if (!api_string(call, call->input, "DurationSeconds", &text)) return false;
    if (text.bytes == NULL) return true;
    int64_t value = 0;
    bool is_number = text.size > 0 && text.size < 10;
    for (size_t index = 0; is_number && index < text.size; index++) {
        is_number = text.bytes[index] >= '0' && text.bytes[index] <= '9';
        value = value * 10 + (text.bytes[index] - '0');
    }
    if (is_number && value >= SESSION_SECONDS_MIN && value <= SESSION_SECONDS_MAX) {
        *seconds = value;
        return true;
    }
    return api_refuse(call, "ValidationError",
                      "The value of 'durationSeconds' must be a number of %d to %d.",
                      SESSION_SECONDS_MIN, SESSION_SECONDS_MAX);
}

static bool may_begin(struct api_call *call) {
    struct span device = {NULL, 0}, code = {NULL, 0};
    if (call->request->caller.session_id.bytes != NULL) {
        return api_refuse_status(call, 403, "AccessDenied",
                                 "Cannot call GetSessionToken with session credentials");
    }
    if (!api_string(call, call->input, "SerialNumber", &device) ||
        !api_string(call, call->input, "TokenCode", &code)) {
        return false;
    }
    if (device.bytes == NULL && code.bytes == NULL) return true;
    return api_refuse_status(call, 403, "AccessDenied",
                             "MultiFactorAuthentication failed: keys of orgtrail have no MFA "
                             "device.");
}

static bool seal(struct api_call *call, const struct plain *plain, struct span id,
                 char token[SESSION_TOKEN_SIZE + 1], struct fault *fault) {
    uint8_t key[CRYPTO_SEAL_KEY_SIZE];
    uint8_t bytes[SESSION_PLAIN_SIZE];
    uint8_t sealed[SESSION_TOKEN_SIZE / 2];
    write_plain(plain, bytes);
    make_sealing_key(call->world->keys, key);
    bool is_good =
        crypto_seal(key, id, span_of(bytes, sizeof bytes), call->world->random, sealed, fault);
    crypto_wipe(key, sizeof key);
    crypto_wipe(bytes, sizeof bytes);
    if (is_good) crypto_print_hex(span_of(sealed, sizeof sealed), token);
    return is_good;
}

bool session_run_token(struct api_call *call) {
    struct fault fault;
    struct keys_facts made = {0};
    char token[SESSION_TOKEN_SIZE + 1];
    char until[TIME_TEXT_SIZE];
    int64_t seconds = SESSION_SECONDS_DEFAULT;
    const struct api_request *request = call->request;
    if (!may_begin(call) || !read_duration(call, &seconds)) return false;
    if (!keys_make_session(call->world->random, call->arena, &made, &fault)) {
        return api_refuse_fault(call, &fault);
    }
    // Whole seconds: what is told is what holds.
    const struct plain plain = {
        .issued_ms = request->now_ms,
        .expires_ms = (request->now_ms / 1000 + seconds) * 1000,
        .key_id = request->caller.key_id,
        .secret = made.secret,
    };
    if (!seal(call, &plain, made.id, token, &fault)) return api_refuse_fault(call, &fault);
    time_print(plain.expires_ms / 1000, until);
    json_write_object(call->output, "Credentials");
    json_write_string(call->output, "AccessKeyId", made.id);
    json_write_string(call->output, "SecretAccessKey", made.secret);
    json_write_string(call->output, "SessionToken", span_text(token));
    json_write_string(call->output, "Expiration", span_text(until));
    json_write_end(call->output);
    return true;
}
