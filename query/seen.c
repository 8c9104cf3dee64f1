#include "query/seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

enum { NAME_HASH_SIZE = 16 };

static const char *const kind_names[] = {
    [SEEN_CA] = "ca",
    [SEEN_COLLECTOR] = "collector",
    [SEEN_AGENT] = "agent",
};

const char *seen_kind_name(enum seen_kind kind) {
    return kind_names[kind];
}

void seen_print_name(const struct seen *seen, char name[SEEN_NAME_SIZE]) {
    // A subject may be longer than a document's name.
    const struct span parts[] = {span_text(seen->subject)};
    uint8_t hash[SHA256_SIZE];
    char hex[2 * NAME_HASH_SIZE + 1];
    crypto_sha256(parts, 1, hash);
    crypto_print_hex(span_of(hash, NAME_HASH_SIZE), hex);
    snprintf(name, SEEN_NAME_SIZE, SEEN_PREFIX "%s/%s", kind_names[seen->kind], hex);
}

void seen_print(const struct seen *seen, struct buffer *value) {
    buffer_print(value, "%s\n%s\n%s\n%s\n%" PRId64 "\n%" PRId32 "\n", kind_names[seen->kind],
                 seen->subject, seen->serial, seen->fingerprint, seen->not_after_s,
                 seen->told_days);
}

// Takes a line off the text.
static bool take_line(struct span *text, char *line, size_t line_size) {
    size_t size = span_find(*text, '\n');
    if (size == text->size || size >= line_size) return false;
    memcpy(line, text->bytes, size);
    line[size] = 0;
    *text = span_from(*text, size + 1);
    return true;
}

static bool take_number(struct span *text, int64_t *number) {
    char line[32];
    char *end;
    if (!take_line(text, line, sizeof line) || line[0] == 0) return false;
    *number = strtoll(line, &end, 10);
    return *end == 0;
}

static bool take_kind(struct span *text, enum seen_kind *kind) {
    char line[16];
    if (!take_line(text, line, sizeof line)) return false;
    for (int index = SEEN_CA; index <= SEEN_AGENT; index++) {
        if (strcmp(line, kind_names[index]) != 0) continue;
        *kind = (enum seen_kind)index;
        return true;
    }
    return false;
}

bool seen_parse(struct span value, struct seen *seen, struct fault *fault) {
    struct seen read = {0};
    int64_t told_days;
    if (!take_kind(&value, &read.kind) || !take_line(&value, read.subject, sizeof read.subject) ||
        !take_line(&value, read.serial, sizeof read.serial) ||
        !take_line(&value, read.fingerprint, sizeof read.fingerprint) ||
        !take_number(&value, &read.not_after_s) || !take_number(&value, &told_days) ||
        told_days < -1 || told_days > SEEN_WARN_DAYS) {
        return fault_set(fault, FAULT_CORRUPT, "what is kept of a certificate cannot be read");
    }
    read.told_days = (int32_t)told_days;
    *seen = read;
    return true;
}

struct listing {
    bool (*on_seen)(void *user, const struct seen *seen);
    void *user;
    bool is_good;
    struct fault *fault;
};

static bool on_document(void *user, struct span name, struct span value) {
    struct listing *listing = user;
    struct seen seen;
    if (!seen_parse(value, &seen, listing->fault)) {
        listing->is_good = fault_add(listing->fault, "%.*s", SPAN_PRINT(name));
        return false;
    }
    return listing->on_seen(listing->user, &seen);
}

bool seen_list(struct trail_reader *reader, bool (*on_seen)(void *user, const struct seen *seen),
               void *user, struct fault *fault) {
    struct listing listing = {on_seen, user, true, fault};
    return trail_reader_documents(reader, SPAN_LITERAL(SEEN_PREFIX), on_document, &listing,
                                  fault) &&
           listing.is_good;
}
