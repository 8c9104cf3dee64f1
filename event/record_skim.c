#include "event/record_skim.h"

#include <stdint.h>
#include <string.h>

#include "event/braces.h"

// Where it is in a text, never behind its end.
struct skim {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t peek(const struct skim *skim) {
    return skim->at < skim->end ? *skim->at : 0;
}

static void pass_blanks(struct skim *skim) {
    uint8_t byte = peek(skim);
    while (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t') {
        skim->at++;
        byte = peek(skim);
    }
}

// Passes a string; it is at the opening quote. False: it does not end.
static bool pass_string(struct skim *skim, struct span *string) {
    const uint8_t *begin = skim->at + 1;
    const uint8_t *from = begin;
    const uint8_t *quote;
    while ((quote = memchr(from, '"', (size_t)(skim->end - from))) != NULL) {
        const uint8_t *escape = quote;
        while (escape > from && escape[-1] == '\\') escape--;
        from = quote + 1;
        if ((quote - escape) % 2 != 0) continue;
        *string = span_of(begin, (size_t)(quote - begin));
        skim->at = from;
        return true;
    }
    return false;
}

// Passes a string that means what it says.
static bool pass_plain(struct skim *skim, struct span *string) {
    return peek(skim) == '"' && pass_string(skim, string) &&
           span_find(*string, '\\') == string->size;
}

static bool pass_object(struct skim *skim) {
    struct braces braces = {0};
    size_t size;
    bool is_whole = braces_walk(&braces, span_of(skim->at, (size_t)(skim->end - skim->at)), &size);
    skim->at += size;
    return is_whole;
}

static bool pass_array(struct skim *skim) {
    struct span ignored;
    uint32_t depth = 0;
    do {
        uint8_t byte = peek(skim);
        if (byte == 0) return false;
        if (byte == '"') {
            if (!pass_string(skim, &ignored)) return false;
            continue;
        }
        if (byte == '[') depth++;
        if (byte == ']') depth--;
        skim->at++;
    } while (depth > 0);
    return true;
}

static bool pass_value(struct skim *skim) {
    struct span ignored;
    switch (peek(skim)) {
        case '"':
            return pass_string(skim, &ignored);
        case '{':
            return pass_object(skim);
        case '[':
            return pass_array(skim);
        default:  // a number, true, false, null
            while (skim->at < skim->end && *skim->at != ',' && *skim->at != '}') skim->at++;
            return true;
    }
}

// Where a member's value goes; NULL: nowhere.
static struct span *find_field(struct record *record, struct span name) {
    if (span_equal(name, SPAN_LITERAL("eventSource"))) return &record->event_source;
    if (span_equal(name, SPAN_LITERAL("eventName"))) return &record->event_name;
    if (span_equal(name, SPAN_LITERAL("awsRegion"))) return &record->region;
    return NULL;
}

bool record_skim(struct span text, struct record *record) {
    struct skim skim = {text.bytes, text.bytes + text.size};
    struct record made = {.text = text};
    uint32_t missing = 3;
    pass_blanks(&skim);
    if (peek(&skim) != '{') return false;
    do {
        struct span name;
        skim.at++;  // the brace, or a comma
        pass_blanks(&skim);
        if (!pass_plain(&skim, &name)) return false;
        pass_blanks(&skim);
        if (peek(&skim) != ':') return false;
        skim.at++;
        pass_blanks(&skim);
        struct span *field = find_field(&made, name);
        if (field != NULL) missing--;
        if (!(field != NULL ? pass_plain(&skim, field) : pass_value(&skim))) return false;
        pass_blanks(&skim);
    } while (missing > 0 && peek(&skim) == ',');
    if (missing > 0 && peek(&skim) != '}') return false;
    *record = made;
    return true;
}
