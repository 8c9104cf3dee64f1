#include "base/config.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config_internal.h"

enum { MESSAGE_SIZE = 160 };  // bytes of cyaml's first message that are kept

// Keeps the first thing cyaml complains of: the rest is where it was found.
static void keep_message(cyaml_log_t level, void *context, const char *format, va_list arguments) {
    char *message = context;
    if (level < CYAML_LOG_ERROR || message[0] != 0) return;
    vsnprintf(message, MESSAGE_SIZE, format, arguments);
    message[strcspn(message, "\n")] = 0;
}

bool config_load(struct span text, const char *name, const cyaml_schema_value_t *schema,
                 void **settings, struct fault *fault) {
    assert((schema->flags & (unsigned)CYAML_FLAG_POINTER) != 0);
    if (text.size > CONFIG_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "%s: %zu bytes, more than the %d allowed", name,
                         text.size, CONFIG_SIZE_MAX);
    }
    if (!config_check(text, schema, fault)) return fault_add(fault, "%s", name);
    char message[MESSAGE_SIZE] = "";
    const cyaml_config_t config = {
        .log_fn = keep_message,
        .log_ctx = message,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    void *loaded = NULL;
    cyaml_err_t status = cyaml_load_data(text.bytes, text.size, &config, schema, &loaded, NULL);
    if (status == CYAML_ERR_OOM) return fault_set(fault, FAULT_FULL, "%s: no memory", name);
    if (status != CYAML_OK) {
        return fault_set(fault, FAULT_INPUT, "%s: %s", name,
                         message[0] == 0 ? cyaml_strerror(status) : message);
    }
    if (loaded == NULL) return fault_set(fault, FAULT_INPUT, "%s: no settings in it", name);
    *settings = loaded;
    return true;
}

static bool is_of_word(uint8_t byte) {
    return isalnum(byte) != 0 || byte == '_';
}

// What follows the word in the row, where it is no part of a longer one; span without bytes: no
// such place. The empty word is everywhere.
static struct span find_behind(struct span row, const char *word) {
    struct span wanted = span_text(word);
    for (size_t at = 0; at + wanted.size <= row.size; at++) {
        if (memcmp(row.bytes + at, wanted.bytes, wanted.size) != 0) continue;
        struct span rest = span_from(row, at + wanted.size);
        bool is_whole = wanted.size == 0 || !is_of_word(wanted.bytes[0]) || at == 0 ||
                        !is_of_word(row.bytes[at - 1]);
        bool is_ended = wanted.size == 0 || rest.size == 0 ||
                        !is_of_word(wanted.bytes[wanted.size - 1]) || !is_of_word(rest.bytes[0]);
        if (is_whole && is_ended) return rest;
    }
    return (struct span){NULL, 0};
}

bool config_refuse(struct span text, const char *name, const char *key, const char *value,
                   struct fault *fault) {
    for (uint32_t line = 1; text.size > 0; line++) {
        size_t end = span_find(text, '\n');
        struct span row = span_of(text.bytes, end);
        struct span rest = find_behind(row, key);
        if (rest.bytes != NULL && find_behind(rest, value).bytes != NULL)
            return fault_add(fault, "%s: line %" PRIu32, name, line);
        text = span_from(text, end < text.size ? end + 1 : end);
    }
    return fault_add(fault, "%s", name);
}

bool config_parse_size(const char *text, uint64_t *size, struct fault *fault) {
    static const struct {
        const char *name;
        uint32_t bits;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    char *end = NULL;
    // Only digits: strtoull would take signs and blanks too, and answers its largest for more.
    uint64_t number = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 10) : 0;
    for (size_t index = 0; number > 0 && index < sizeof units / sizeof units[0]; index++) {
        if (strcmp(end, units[index].name) != 0) continue;
        if (number > UINT64_MAX >> (units[index].bits + 1)) break;
        *size = number << units[index].bits;
        return true;
    }
    return fault_set(fault, FAULT_INPUT,
                     "\"%s\" is no size: a number above 0 with KiB, MiB, GiB, TiB or nothing "
                     "behind it",
                     text);
}

// Takes the last folder off a path in place. Not if it is a link, whose ".." is another folder.
static bool climb(char *path) {
    char *slash = strrchr(path, '/');
    const char *last = slash == NULL ? path : slash + 1;
    struct stat status;
    if (last[0] == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) return false;
    if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode)) return false;
    path[slash == NULL ? 0 : slash - path] = 0;
    return true;
}

bool config_resolve(const char *name, const char *given, char *path, size_t path_size,
                    struct fault *fault) {
    const char *slash = strrchr(name, '/');
    bool is_relative = given[0] != '/' && slash != NULL;
    int size = snprintf(path, path_size, "%.*s", is_relative ? (int)(slash - name) : 0, name);
    bool is_short = size >= 0 && (size_t)size < path_size;
    const char *rest = given;
    while (is_short && is_relative && strncmp(rest, "../", 3) == 0 && climb(path)) rest += 3;
    if (is_short) {
        size_t length = strlen(path);
        // Of "/x.yaml" and of "x/y.yaml" with "../z" nothing is left of the folder.
        bool is_joined = is_relative && (length > 0 || name[0] == '/');
        size = snprintf(path + length, path_size - length, "%s%s", is_joined ? "/" : "", rest);
        is_short = size >= 0 && (size_t)size < path_size - length;
    }
    if (is_short) return true;
    return fault_set(fault, FAULT_INPUT, "%s: the path \"%.40s...\" is too long", name, given);
}

void config_free(const cyaml_schema_value_t *schema, void *settings) {
    if (settings == NULL) return;
    const cyaml_config_t config = {.mem_fn = cyaml_mem};
    cyaml_err_t status = cyaml_free(&config, schema, settings, 0);
    assert(status == CYAML_OK);
}
