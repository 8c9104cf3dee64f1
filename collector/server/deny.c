#include "collector/server/deny.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/admit/grant.h"
#include "event/key.h"

enum { SERIAL_DIGITS_MAX = 40 };  // 20 bytes, RFC 5280

struct deny {
    struct buffer text;
    char (*entries)[DENY_ENTRY_SIZE];  // as they are compared
    uint32_t count;
};

// A serial number without what does not matter.
static bool read_serial(struct span word, char entry[DENY_ENTRY_SIZE]) {
    size_t size = 0;
    for (size_t index = 0; index < word.size; index++) {
        int byte = tolower(word.bytes[index]);
        if (byte == ':') continue;
        if (!isxdigit(byte) || size == SERIAL_DIGITS_MAX) return false;
        if (size > 0 || byte != '0') entry[size++] = (char)byte;
    }
    entry[size] = 0;
    return size > 0;
}

static bool read_entry(struct span word, char entry[DENY_ENTRY_SIZE]) {
    if (!span_starts(word, SPAN_LITERAL("spiffe://"))) return read_serial(word, entry);
    if (word.size >= DENY_ENTRY_SIZE) return false;
    for (size_t index = 0; index < word.size; index++) {
        bool is_end = index + 1 == word.size && index > 0 && word.bytes[index - 1] == '/';
        if (word.bytes[index] <= ' ' || word.bytes[index] > '~') return false;
        if (word.bytes[index] == '*' && !is_end) return false;
    }
    memcpy(entry, word.bytes, word.size);
    entry[word.size] = 0;
    return true;
}

static bool set_entry_fault(struct span word, struct fault *fault) {
    return fault_set(fault, FAULT_INPUT,
                     "\"%.*s\" is neither a serial number in hex nor a name such as "
                     "spiffe://o-abc/account/111111111111 or spiffe://o-abc/account/111111111111/*",
                     word.size > 100 ? 100 : (int)word.size, (const char *)word.bytes);
}

// Cuts the first line off, and finds its first word: empty for a comment.
static struct span take_line(struct span *text, struct span *word) {
    struct span line = span_of(text->bytes, span_find(*text, '\n'));
    bool has_end = line.size < text->size;
    *text = span_from(*text, line.size + (has_end ? 1 : 0));
    size_t begin = 0;
    while (begin < line.size && isspace(line.bytes[begin])) begin++;
    size_t end = begin;
    while (end < line.size && !isspace(line.bytes[end])) end++;
    *word = span_of(line.bytes + begin, end - begin);
    if (word->size > 0 && word->bytes[0] == '#') word->size = 0;
    line.size += has_end ? 1 : 0;
    return line;
}

static bool add_entry(struct deny *deny, struct span word, struct fault *fault) {
    if (deny->count == DENY_ENTRIES_MAX) {
        return fault_set(fault, FAULT_INPUT, "more than %d entries", DENY_ENTRIES_MAX);
    }
    if (deny->count % 64 == 0) {
        void *larger = realloc(deny->entries, (deny->count + 64) * sizeof *deny->entries);
        if (larger == NULL) return fault_set(fault, FAULT_FULL, "no memory for the deny list");
        deny->entries = larger;
    }
    if (!read_entry(word, deny->entries[deny->count])) return set_entry_fault(word, fault);
    deny->count++;
    return true;
}

bool deny_parse(struct span text, struct deny **deny, struct fault *fault) {
    struct deny *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the deny list");
    buffer_init(&made->text, DENY_SIZE_MAX);
    buffer_append(&made->text, text);
    bool is_good = !buffer_overflowed(&made->text);
    if (!is_good) fault_set(fault, FAULT_INPUT, "more than %d bytes", DENY_SIZE_MAX);
    for (uint32_t line = 1; is_good && text.size > 0; line++) {
        struct span word;
        (void)take_line(&text, &word);
        if (word.size == 0) continue;
        is_good = add_entry(made, word, fault);
        if (!is_good) fault_add(fault, "line %" PRIu32, line);
    }
    if (!is_good) {
        deny_destroy(made);
        return false;
    }
    *deny = made;
    return true;
}

void deny_destroy(struct deny *deny) {
    if (deny == NULL) return;
    buffer_done(&deny->text);
    free(deny->entries);
    free(deny);
}

// "NAME/*" is NAME and what is below it.
static bool covers(const char *entry, const char *uri) {
    size_t size = strlen(entry);
    if (size < 2 || entry[size - 1] != '*') return strcmp(entry, uri) == 0;
    size -= 2;
    return strncmp(entry, uri, size) == 0 && (uri[size] == 0 || uri[size] == '/');
}

const char *deny_find(const struct deny *deny, const char *uri, const char *serial) {
    char number[DENY_ENTRY_SIZE];
    if (!read_serial(span_text(serial), number)) number[0] = 0;
    for (uint32_t index = 0; index < deny->count; index++) {
        const char *entry = deny->entries[index];
        if (strcmp(entry, number) == 0 || covers(entry, uri)) return entry;
    }
    return NULL;
}

const char *deny_entry(const struct deny *deny, uint32_t index) {
    return index < deny->count ? deny->entries[index] : NULL;
}

struct span deny_text(const struct deny *deny) {
    return buffer_span(&deny->text);
}

static bool has_entry(const struct deny *deny, const char *entry) {
    for (uint32_t index = 0; index < deny->count; index++) {
        if (strcmp(deny->entries[index], entry) == 0) return true;
    }
    return false;
}

static bool is_note(const char *note) {
    size_t size = strnlen(note, DENY_NOTE_SIZE_MAX + 1);
    for (size_t index = 0; index < size; index++) {
        if ((uint8_t)note[index] < ' ') return false;
    }
    return size <= DENY_NOTE_SIZE_MAX;
}

static bool check_serial(const char *entry, const char *organization, struct fault *fault) {
    char serial[DENY_ENTRY_SIZE];
    size_t size = strlen(entry);
    if (!read_serial(span_text(entry), serial)) return set_entry_fault(span_text(entry), fault);
    if (strlen(serial) >= DENY_SERIAL_DIGITS_MIN) return true;
    if (size == 12 && strspn(entry, "0123456789") == size) {
        return fault_set(fault, FAULT_INPUT,
                         "%s is an account and no serial number: all its agents are "
                         "spiffe://%s/account/%s/*",
                         entry, organization, entry);
    }
    return fault_set(fault, FAULT_INPUT,
                     "\"%s\" is too short for a serial number, which has 32 hex digits here: it is "
                     "compared whole, as \"orgtrail status\" and the collector's log print it",
                     entry);
}

// A name, or where the star stands for what is missing of one.
static bool check_name(const char *entry, const char *organization, struct fault *fault) {
    static const char *const ends[] = {"", "/x", "/account/x"};
    size_t size = strlen(entry);
    bool has_star = size > 2 && strcmp(entry + size - 2, "/*") == 0;
    struct fault reason;
    for (size_t index = 0; index < (has_star ? 3 : 1); index++) {
        char name[DENY_ENTRY_SIZE + 16];
        struct grant grant;
        struct fault *why = index == 0 ? &reason : &(struct fault){0};
        snprintf(name, sizeof name, "%.*s%s", (int)(has_star ? size - 2 : size), entry,
                 ends[index]);
        if (!grant_parse(span_text(name), organization, &grant, why)) continue;
        bool is_whole =
            grant.is_organization || index > 0 || key_check_account(grant.account, &reason);
        if (is_whole) return true;
        break;
    }
    return fault_set(fault, FAULT_INPUT, "\"%s\" would never match: %s", entry, reason.text);
}

bool deny_check_entry(const char *entry, const char *organization, struct fault *fault) {
    char read[DENY_ENTRY_SIZE];
    if (!read_entry(span_text(entry), read)) return set_entry_fault(span_text(entry), fault);
    if (strncmp(entry, "spiffe://", 9) != 0) return check_serial(entry, organization, fault);
    return check_name(entry, organization, fault);
}

bool deny_print_added(const struct deny *deny, const char *entry, const char *note,
                      struct buffer *text, struct fault *fault) {
    char read[DENY_ENTRY_SIZE];
    if (!read_entry(span_text(entry), read)) return set_entry_fault(span_text(entry), fault);
    if (has_entry(deny, read)) return fault_set(fault, FAULT_INPUT, "%s is denied already", read);
    if (deny->count == DENY_ENTRIES_MAX) {
        return fault_set(fault, FAULT_INPUT, "the list has %d entries, which is its limit",
                         DENY_ENTRIES_MAX);
    }
    if (!is_note(note)) {
        return fault_set(fault, FAULT_INPUT, "the note must be one line of at most %d bytes",
                         DENY_NOTE_SIZE_MAX);
    }
    struct span old = deny_text(deny);
    buffer_append(text, old);
    if (old.size > 0 && old.bytes[old.size - 1] != '\n') buffer_append_byte(text, '\n');
    buffer_print(text, note[0] == 0 ? "%s%s\n" : "%s  %s\n", read, note);
    if (!buffer_overflowed(text)) return true;
    return fault_set(fault, FAULT_INPUT, "the list would pass %d bytes", DENY_SIZE_MAX);
}

bool deny_print_removed(const struct deny *deny, const char *entry, struct buffer *text,
                        struct fault *fault) {
    char wanted[DENY_ENTRY_SIZE];
    if (!read_entry(span_text(entry), wanted)) return set_entry_fault(span_text(entry), fault);
    if (!has_entry(deny, wanted)) {
        return fault_set(fault, FAULT_INPUT,
                         "%s does not stand in the list: \"orgtrail deny list\" shows what does",
                         wanted);
    }
    struct span rest = deny_text(deny);
    while (rest.size > 0) {
        char read[DENY_ENTRY_SIZE];
        struct span word;
        struct span line = take_line(&rest, &word);
        bool is_it = word.size > 0 && read_entry(word, read) && strcmp(read, wanted) == 0;
        if (!is_it) buffer_append(text, line);
    }
    return true;
}
