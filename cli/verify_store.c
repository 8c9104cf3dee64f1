#include "cli/verify_store.h"

#include "base/crypto_rsa.h"
#include "base/json.h"
#include "event/digest_read.h"

enum { DER_BASE64_SIZE_MAX = 64 * 1024 };

// As the collector names its documents (collector/deliver/state.h).
#define KEY_DOCUMENTS "deliver/key/"
#define CHAIN_DOCUMENTS "deliver/chain/"

struct reading {
    struct json_reader *json;
    struct public_keys *keys;
    struct known *known;
    struct arena *arena;
    struct fault *fault;
    bool is_good;
};

static int64_t number_of(const struct yyjson_val *object, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

static bool read_document(struct reading *reading, struct span name, struct span value,
                          const struct yyjson_val **root) {
    struct fault *fault = reading->fault;
    reading->is_good = json_read(reading->json, value, root, fault);
    if (reading->is_good) return true;
    if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
    return fault_add(fault, "the store's document %.*s", SPAN_PRINT(name));
}

static bool on_key(void *user, struct span name, struct span value) {
    struct reading *reading = user;
    const struct yyjson_val *root = NULL;
    struct buffer der;
    if (!read_document(reading, name, value, &root)) return false;
    struct span fingerprint = json_member_string(root, SPAN_LITERAL("fingerprint"));
    struct span text = json_member_string(root, SPAN_LITERAL("public"));
    buffer_init(&der, DER_BASE64_SIZE_MAX);
    if (fingerprint.size == 0 || !crypto_parse_base64(text, &der) || der.size == 0) {
        reading->is_good =
            fault_set(reading->fault, FAULT_CORRUPT, "the store's document %.*s has no public key",
                      SPAN_PRINT(name));
    } else {
        reading->is_good = keys_add(reading->keys, fingerprint, buffer_span(&der),
                                    number_of(root, "from_ms") / 1000,
                                    number_of(root, "to_ms") / 1000, reading->fault);
    }
    buffer_done(&der);
    return reading->is_good;
}

// The last digest of one of a region's two chains; its name says whose it is.
static bool add_end(struct reading *reading, const struct yyjson_val *link, bool is_backfill) {
    struct known_end end = {.is_backfill = is_backfill, .is_newest = true, .source = "the store"};
    struct span object = json_member_string(link, SPAN_LITERAL("object"));
    struct digest_name name;
    if (object.size == 0) return true;
    if (!arena_copy(reading->arena, object, &end.object) ||
        !arena_copy(reading->arena, json_member_string(link, SPAN_LITERAL("bucket")),
                    &end.bucket) ||
        !arena_copy(reading->arena, json_member_string(link, SPAN_LITERAL("hash")), &end.hash)) {
        return fault_set(reading->fault, FAULT_FULL, "no memory for the store's chains");
    }
    size_t at = end.object.size;
    while (at > 0 && end.object.bytes[at - 1] != '/') at--;
    if (!digest_parse_name(span_from(end.object, at), &name))
        return fault_set(reading->fault, FAULT_CORRUPT, "the store names a digest %.*s",
                         SPAN_PRINT(end.object));
    // Folders have names as digests have, with what cannot stand there escaped.
    end.account = name.account;
    end.region = name.region;
    end.trail = name.trail;
    end.home_region = name.home_region;
    end.end_s = name.end_s;
    return known_add(reading->known, &end, reading->fault);
}

static bool on_chain(void *user, struct span name, struct span value) {
    struct reading *reading = user;
    const struct yyjson_val *root = NULL;
    if (!read_document(reading, name, value, &root)) return false;
    reading->is_good = add_end(reading, json_member(root, SPAN_LITERAL("standard")), false) &&
                       add_end(reading, json_member(root, SPAN_LITERAL("backfill")), true);
    return reading->is_good;
}

bool verify_store_read(const struct store_choice *choice, struct public_keys *keys,
                       struct known *known, struct arena *arena, struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct reading reading = {json_reader_create(), keys, known, arena, fault, true};
    if (reading.json == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_good = store_open(choice, &reader, fault);
    if (is_good) {
        is_good =
            trail_reader_documents(reader, SPAN_LITERAL(KEY_DOCUMENTS), on_key, &reading, fault) &&
            reading.is_good &&
            trail_reader_documents(reader, SPAN_LITERAL(CHAIN_DOCUMENTS), on_chain, &reading,
                                   fault) &&
            reading.is_good;
        trail_reader_close(reader);
    }
    json_reader_destroy(reading.json);
    return is_good;
}
