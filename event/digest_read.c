#include "event/digest_read.h"

#include <string.h>

#include "base/clock.h"

enum { MOMENT_SIZE = 16 };  // "YYYYMMDDThhmmssZ"

// Cuts what follows the last `byte` off. False: there is none.
static bool cut_last(struct span *text, uint8_t byte, struct span *last) {
    size_t at = text->size;
    while (at > 0 && text->bytes[at - 1] != byte) at--;
    if (at == 0) return false;
    *last = span_from(*text, at);
    text->size = at - 1;
    return true;
}

static bool cut_end(struct span *text, struct span end) {
    if (!span_ends(*text, end)) return false;
    text->size -= end.size;
    return true;
}

bool digest_parse_time(struct span text, int64_t *seconds) {
    bool has_seconds = text.size == MOMENT_SIZE;
    if (!has_seconds && text.size != MOMENT_SIZE - 2) return false;
    if (text.bytes[8] != 'T' || text.bytes[text.size - 1] != 'Z') return false;
    char plain[] = "0000-00-00T00:00:00Z";
    static const uint8_t places[] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18};
    size_t digits = has_seconds ? 14 : 12;
    for (size_t index = 0; index < digits; index++) {
        // The 'T' stands between day and time.
        uint8_t byte = text.bytes[index < 8 ? index : index + 1];
        if (byte < '0' || byte > '9') return false;
        plain[places[index]] = (char)byte;
    }
    struct fault ignored;
    return time_parse(span_text(plain), seconds, &ignored);
}

bool digest_parse_name(struct span name, struct digest_name *parsed) {
    static const char kind[] = "_CloudTrail-Digest_";
    struct digest_name found = {0};
    struct span moment;
    if (!cut_end(&name, SPAN_LITERAL(".json.gz"))) return false;
    found.is_backfill = cut_end(&name, SPAN_LITERAL("_backfill"));
    if (!cut_last(&name, '_', &moment) || !digest_parse_time(moment, &found.end_s) ||
        !cut_last(&name, '_', &found.home_region)) {
        return false;
    }
    // Trails' names have '_' as well; accounts and regions hardly do, and the kind stands between.
    const uint8_t *at = memmem(name.bytes, name.size, kind, sizeof kind - 1);
    if (at == NULL) return false;
    found.account = span_of(name.bytes, (size_t)(at - name.bytes));
    struct span rest = span_from(name, found.account.size + sizeof kind - 1);
    size_t region_size = span_find(rest, '_');
    if (region_size == rest.size) return false;
    found.region = span_of(rest.bytes, region_size);
    found.trail = span_from(rest, region_size + 1);
    if (found.account.size == 0 || found.region.size == 0 || found.trail.size == 0 ||
        found.home_region.size == 0) {
        return false;
    }
    *parsed = found;
    return true;
}

// ---- the text

static bool read_string(const struct yyjson_val *object, const char *name, struct span *value,
                        struct fault *fault) {
    struct span found = json_member_string(object, span_text(name));
    if (found.size == 0)
        return fault_set(fault, FAULT_INPUT, "%s is absent, empty or no text", name);
    *value = found;
    return true;
}

static bool read_time(const struct yyjson_val *object, const char *name, int64_t *seconds,
                      struct fault *fault) {
    struct span text;
    return read_string(object, name, &text, fault) &&
           (time_parse(text, seconds, fault) || fault_add(fault, "%s", name));
}

static bool read_hash(const struct yyjson_val *object, const char *name, struct span *hash,
                      struct fault *fault) {
    uint8_t bytes[SHA256_SIZE];
    struct span found;
    if (!read_string(object, name, &found, fault)) return false;
    if (!crypto_parse_hex(found, bytes, sizeof bytes))
        return fault_set(fault, FAULT_INPUT, "%s is no SHA-256 in hex", name);
    *hash = found;
    return true;
}

// An absent algorithm is the one there is.
static bool check_algorithm(const struct yyjson_val *object, const char *name, const char *only,
                            struct fault *fault) {
    struct span found = json_member_string(object, span_text(name));
    if (found.size == 0 || span_is(found, only)) return true;
    return fault_set(fault, FAULT_INPUT, "%s is %.*s, not %s", name,
                     (int)(found.size < 64 ? found.size : 64), (const char *)found.bytes, only);
}

static bool read_file(const struct yyjson_val *object, struct digest_file *file,
                      struct fault *fault) {
    struct fault ignored;
    if (!read_string(object, "s3Bucket", &file->bucket, fault) ||
        !read_string(object, "s3Object", &file->object, fault) ||
        !read_hash(object, "hashValue", &file->hash, fault) ||
        !check_algorithm(object, "hashAlgorithm", "SHA-256", fault)) {
        return false;
    }
    if (!read_time(object, "newestEventTime", &file->newest_s, &ignored)) file->newest_s = 0;
    if (!read_time(object, "oldestEventTime", &file->oldest_s, &ignored)) file->oldest_s = 0;
    return true;
}

static bool read_files(const struct yyjson_val *root, struct arena *arena, struct digest *digest,
                       struct fault *fault) {
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("logFiles"));
    if (!yyjson_is_arr(list)) return fault_set(fault, FAULT_INPUT, "logFiles is absent or no list");
    size_t count = yyjson_arr_size(list);
    if (count > DIGEST_FILES_MAX)
        return fault_set(fault, FAULT_INPUT, "logFiles has %zu files, more than %d", count,
                         DIGEST_FILES_MAX);
    struct digest_file *files = arena_allocate_array(arena, count, sizeof *files);
    if (files == NULL) return fault_set(fault, FAULT_FULL, "no memory for %zu files", count);
    size_t index, max;
    yyjson_val *item;
    yyjson_arr_foreach(list, index, max, item) {
        if (!read_file(item, &files[index], fault))
            return fault_add(fault, "file %zu of logFiles", index + 1);
    }
    digest->files = files;
    digest->files_count = (uint32_t)count;
    return true;
}

// All of it or nothing: a chain begins, or there is a digest before this one.
static bool read_previous(const struct yyjson_val *root, struct digest_previous *previous,
                          struct fault *fault) {
    static const char *const names[] = {"previousDigestS3Bucket", "previousDigestS3Object",
                                        "previousDigestHashValue", "previousDigestSignature"};
    bool is_null = true;
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        const struct yyjson_val *value = json_member(root, span_text(names[index]));
        is_null = is_null && (value == NULL || yyjson_is_null((yyjson_val *)(uintptr_t)value));
    }
    if (is_null) return true;
    return read_string(root, names[0], &previous->bucket, fault) &&
           read_string(root, names[1], &previous->object, fault) &&
           read_hash(root, names[2], &previous->hash, fault) &&
           read_string(root, names[3], &previous->signature, fault) &&
           check_algorithm(root, "previousDigestHashAlgorithm", "SHA-256", fault);
}

bool digest_read(struct json_reader *reader, struct arena *arena, struct span text,
                 struct digest_text *read, struct fault *fault) {
    const struct yyjson_val *root = NULL;
    struct digest_text found = {0};
    struct digest *digest = &found.digest;
    struct span duplicate;
    if (text.size > DIGEST_TEXT_SIZE_MAX)
        return fault_set(fault, FAULT_INPUT, "larger than %d bytes", DIGEST_TEXT_SIZE_MAX);
    if (!json_read(reader, text, &root, fault)) return false;
    if (!yyjson_is_obj((yyjson_val *)(uintptr_t)root))
        return fault_set(fault, FAULT_INPUT, "no JSON object");
    // Two readers could see two digests in it.
    if (json_find_duplicate(root, &duplicate))
        return fault_set(fault, FAULT_INPUT, "a member stands there twice");
    if (!read_string(root, "awsAccountId", &digest->place.account, fault) ||
        !read_string(root, "digestEndTime", &found.end, fault) ||
        !read_time(root, "digestEndTime", &digest->end_s, fault) ||
        !read_time(root, "digestStartTime", &digest->start_s, fault) ||
        !read_string(root, "digestS3Bucket", &digest->bucket, fault) ||
        !read_string(root, "digestS3Object", &digest->object, fault) ||
        !read_string(root, "digestPublicKeyFingerprint", &digest->fingerprint, fault) ||
        !check_algorithm(root, "digestSignatureAlgorithm", DIGEST_SIGNATURE_ALGORITHM, fault) ||
        !read_previous(root, &digest->previous, fault) || !read_files(root, arena, digest, fault)) {
        return false;
    }
    if (digest->start_s > digest->end_s)
        return fault_set(fault, FAULT_INPUT, "digestStartTime is after digestEndTime");
    *read = found;
    return true;
}

// ---- the signature

void digest_print_claim(const struct digest_text *read, const uint8_t hash[SHA256_SIZE],
                        struct buffer *claim) {
    const struct digest *digest = &read->digest;
    char hex[SHA256_HEX_SIZE];
    crypto_print_hex(span_of(hash, SHA256_SIZE), hex);
    buffer_append(claim, read->end);
    buffer_append_byte(claim, '\n');
    buffer_append(claim, digest->bucket);
    buffer_append_byte(claim, '/');
    buffer_append(claim, digest->object);
    buffer_print(claim, "\n%s\n", hex);
    bool is_first = digest->previous.bucket.size == 0;
    buffer_append(claim, is_first ? SPAN_LITERAL("null") : digest->previous.signature);
}

bool digest_is_signed(struct span claim, struct span signature_hex, struct span public_der) {
    uint8_t signature[CRYPTO_RSA_SIGNATURE_SIZE];
    return crypto_parse_hex(signature_hex, signature, sizeof signature) &&
           crypto_rsa_verify(public_der, claim, span_of(signature, sizeof signature));
}
