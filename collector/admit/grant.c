#include "collector/admit/grant.h"

// Copies one part of the URI, if it is made of what SPIFFE allows and fits.
static bool copy_part(struct span part, const char *what, char *text, size_t text_size,
                      struct fault *fault) {
    if (part.size == 0) return fault_set(fault, FAULT_DENIED, "its %s is empty", what);
    if (part.size >= text_size) {
        return fault_set(fault, FAULT_DENIED, "its %s is longer than %zu bytes", what,
                         text_size - 1);
    }
    for (size_t index = 0; index < part.size; index++) {
        uint8_t byte = part.bytes[index];
        bool is_good = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                       (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '_' || byte == '.';
        if (!is_good) {
            return fault_set(fault, FAULT_DENIED,
                             "its %s has a byte other than letters, digits, '-', '_' and '.'",
                             what);
        }
    }
    memcpy(text, part.bytes, part.size);
    text[part.size] = '\0';
    return true;
}

// Takes what stands before the next '/' of a path that begins with one. False at the end.
static bool take_part(struct span *path, struct span *part) {
    if (path->size == 0) return false;
    *path = span_from(*path, 1);
    size_t size = span_find(*path, '/');
    *part = span_of(path->bytes, size);
    *path = span_from(*path, size);
    return true;
}

// Takes "/NAME/VALUE" off the path if NAME is next; *text stays empty otherwise.
static bool take_pair(struct span *path, const char *name, char *text, size_t text_size,
                      struct fault *fault) {
    struct span rest = *path;
    struct span part;
    if (!take_part(&rest, &part) || !span_is(part, name)) return true;
    struct span value = {NULL, 0};
    (void)take_part(&rest, &value);
    if (!copy_part(value, name, text, text_size, fault)) return false;
    *path = rest;
    return true;
}

static bool parse_path(struct span path, struct grant *grant, struct fault *fault) {
    struct span part = {NULL, 0};
    struct span rest = path;
    (void)take_part(&rest, &part);
    if (span_is(part, "organization")) {
        grant->is_organization = true;
        path = rest;
    } else if (span_is(part, "account")) {
        if (!take_pair(&path, "account", grant->account, sizeof grant->account, fault)) {
            return false;
        }
        if (!take_pair(&path, "region", grant->region, sizeof grant->region, fault)) return false;
    } else {
        return fault_set(fault, FAULT_DENIED,
                         "its path begins with neither /account nor "
                         "/organization");
    }
    if (!take_pair(&path, "agent", grant->name, sizeof grant->name, fault)) return false;
    if (path.size > 0) {
        return fault_set(fault, FAULT_DENIED, "its path goes on with \"%.*s\"", SPAN_PRINT(path));
    }
    return true;
}

bool grant_parse(struct span uri, const char *organization, struct grant *grant,
                 struct fault *fault) {
    const struct span scheme = SPAN_LITERAL("spiffe://");
    if (uri.size == 0) {
        return fault_set(fault, FAULT_DENIED,
                         "the certificate has no URI that names an agent: enroll the agent with "
                         "\"orgtrail enroll\"");
    }
    struct grant parsed = {0};
    bool is_good = true;
    if (!span_starts(uri, scheme)) {
        is_good = fault_set(fault, FAULT_DENIED, "it does not begin with spiffe://");
    } else {
        struct span rest = span_from(uri, scheme.size);
        size_t size = span_find(rest, '/');
        if (!span_equal(span_of(rest.bytes, size), span_text(organization))) {
            is_good = fault_set(fault, FAULT_DENIED, "its organization is not %s", organization);
        } else {
            is_good = parse_path(span_from(rest, size), &parsed, fault);
        }
    }
    if (!is_good) return fault_add(fault, "the certificate's URI %.*s", SPAN_PRINT(uri));
    *grant = parsed;
    return true;
}
