#include "base/aws/credentials.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct span trim(struct span text) {
    while (text.size > 0 && is_blank(text.bytes[0])) text = span_from(text, 1);
    while (text.size > 0 && is_blank(text.bytes[text.size - 1])) text.size--;
    return text;
}

// A value without what no key has: blanks, control characters, bytes beyond ASCII.
static bool take(struct span value, char *text, size_t text_size) {
    if (value.size >= text_size) return false;
    for (size_t index = 0; index < value.size; index++) {
        if (value.bytes[index] <= ' ' || value.bytes[index] > '~') return false;
    }
    if (value.size > 0) memcpy(text, value.bytes, value.size);
    text[value.size] = 0;
    return true;
}

static bool take_member(struct span name, struct span value, struct credentials *credentials) {
    if (span_is(name, "aws_access_key_id")) {
        return take(value, credentials->key_id, sizeof credentials->key_id);
    }
    if (span_is(name, "aws_secret_access_key")) {
        return take(value, credentials->secret, sizeof credentials->secret);
    }
    if (span_is(name, "aws_session_token")) {
        return take(value, credentials->token, sizeof credentials->token);
    }
    return true;
}

// "[name]" or, as ~/.aws/config has it, "[profile name]".
static bool is_heading_of(struct span line, const char *profile) {
    struct span name = trim(span_of(line.bytes + 1, line.size - 2));
    if (span_starts(name, SPAN_LITERAL("profile "))) name = trim(span_from(name, 8));
    return span_is(name, profile);
}

bool credentials_parse(struct span text, const char *profile, struct credentials *credentials,
                       struct fault *fault) {
    struct credentials found = {0};
    bool is_here = false;
    bool was_here = false;
    if (profile == NULL) profile = "default";
    for (uint32_t number = 1; text.size > 0; number++) {
        size_t end = span_find(text, '\n');
        struct span line = trim(span_of(text.bytes, end));
        text = end < text.size ? span_from(text, end + 1) : (struct span){NULL, 0};
        if (line.size == 0 || line.bytes[0] == '#' || line.bytes[0] == ';') continue;
        if (line.bytes[0] == '[' && line.bytes[line.size - 1] == ']' && line.size > 2) {
            is_here = is_heading_of(line, profile);
            was_here = was_here || is_here;
            continue;
        }
        if (!is_here) continue;
        size_t equals = span_find(line, '=');
        struct span value =
            equals < line.size ? trim(span_from(line, equals + 1)) : (struct span){NULL, 0};
        if (!take_member(trim(span_of(line.bytes, equals)), value, &found)) {
            return fault_set(fault, FAULT_INPUT, "line %u: not the form of a key or secret",
                             number);
        }
    }
    if (!was_here) return fault_set(fault, FAULT_INPUT, "it has no profile [%s]", profile);
    if (found.key_id[0] == 0 || found.secret[0] == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "profile [%s] needs aws_access_key_id and aws_secret_access_key", profile);
    }
    *credentials = found;
    return true;
}

bool credentials_from_environment(struct credentials *credentials, struct fault *fault) {
    const char *key_id = getenv("AWS_ACCESS_KEY_ID");
    const char *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");
    struct credentials found = {0};
    if (key_id == NULL || secret == NULL || key_id[0] == 0 || secret[0] == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "no access key: name a credentials file, or set AWS_ACCESS_KEY_ID and "
                         "AWS_SECRET_ACCESS_KEY");
    }
    if (!take(span_text(key_id), found.key_id, sizeof found.key_id) ||
        !take(span_text(secret), found.secret, sizeof found.secret) ||
        !take(span_text(token == NULL ? "" : token), found.token, sizeof found.token)) {
        return fault_set(fault, FAULT_INPUT,
                         "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN does not "
                         "have the form of one");
    }
    *credentials = found;
    return true;
}

bool credentials_from_file(const struct files *files, const char *path, const char *profile,
                           struct credentials *credentials, struct fault *fault) {
    bool exists;
    struct files_entry entry;
    if (!files_find(files, path, &exists, &entry, fault)) return false;
    if (!exists) return fault_set(fault, FAULT_INPUT, "credentials file %s: there is none", path);
    if ((entry.mode & 07) != 0) {
        return fault_set(
            fault, FAULT_DENIED,
            "credentials file %s: every user of this machine can read it: chmod 600 it", path);
    }
    struct buffer text;
    buffer_init(&text, CREDENTIALS_FILE_SIZE_MAX);
    bool is_good = files_read_whole(files, path, CREDENTIALS_FILE_SIZE_MAX, &text, fault) &&
                   (credentials_parse(buffer_span(&text), profile, credentials, fault) ||
                    fault_add(fault, "credentials file %s", path));
    if (text.bytes != NULL) memset(text.bytes, 0, text.size);
    buffer_done(&text);
    return is_good;
}

static bool copy_text(const char *text, char **copy) {
    *copy = text == NULL ? NULL : strdup(text);
    return text == NULL || *copy != NULL;
}

bool credentials_source_init(const struct files *files, const char *path, const char *profile,
                             struct credentials_source *source, struct fault *fault) {
    *source = (struct credentials_source){.files = files};
    return (copy_text(path, &source->path) && copy_text(profile, &source->profile)) ||
           fault_set(fault, FAULT_FULL, "no memory for credentials");
}

bool credentials_source_read(struct credentials_source *source, struct fault *fault) {
    if (source->path == NULL) {
        if (source->credentials.key_id[0] != 0) return true;
        return credentials_from_environment(&source->credentials, fault);
    }
    bool exists = false;
    struct files_entry entry = {0};
    if (!files_find(source->files, source->path, &exists, &entry, fault)) return false;
    const struct files_entry *seen = &source->seen;
    bool is_same = exists && entry.modified_ns == seen->modified_ns && entry.inode == seen->inode &&
                   entry.size == seen->size && entry.mode == seen->mode;
    if (is_same) return true;
    if (!credentials_from_file(source->files, source->path, source->profile, &source->credentials,
                               fault)) {
        return false;
    }
    source->seen = entry;
    return true;
}

void credentials_source_done(struct credentials_source *source) {
    free(source->path);
    free(source->profile);
    explicit_bzero(source, sizeof *source);
}
