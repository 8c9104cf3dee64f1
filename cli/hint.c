#include "cli/hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHOWN_MAX = 8,
};

// A name of the trail, and how many letters differ from the one that was asked for.
struct known {
    char name[HINT_NAME_SIZE];
    uint32_t distance;
};

struct search {
    enum attribute_kind kind;
    struct span wanted;
    struct known best[SHOWN_MAX];  // the most alike first, then in order of name
    uint32_t best_count;
    bool has_others;
};

uint32_t hint_distance(struct span wanted, const char *name) {
    uint32_t row[HINT_NAME_SIZE];
    size_t width = strnlen(name, HINT_NAME_SIZE - 1);
    size_t height = wanted.size < HINT_NAME_SIZE ? wanted.size : HINT_NAME_SIZE;
    for (uint32_t column = 0; column <= width; column++) row[column] = column;
    for (uint32_t line = 1; line <= height; line++) {
        uint32_t corner = row[0];
        row[0] = line;
        for (size_t column = 1; column <= width; column++) {
            uint32_t changed = corner + (wanted.bytes[line - 1] != (uint8_t)name[column - 1]);
            corner = row[column];
            uint32_t least = changed < corner + 1 ? changed : corner + 1;
            row[column] = least < row[column - 1] + 1 ? least : row[column - 1] + 1;
        }
    }
    return row[width];
}

static bool comes_before(const struct known *one, const struct known *other) {
    if (one->distance != other->distance) return one->distance < other->distance;
    return strcmp(one->name, other->name) < 0;
}

static void add(struct search *search, const char *name) {
    struct known known = {.distance = hint_distance(search->wanted, name)};
    snprintf(known.name, sizeof known.name, "%s", name);
    for (uint32_t index = 0; index < search->best_count; index++) {
        if (strcmp(search->best[index].name, name) == 0) return;
    }
    uint32_t at = search->best_count;
    if (at < SHOWN_MAX) {
        search->best_count++;
    } else {
        search->has_others = true;
        at--;
        if (!comes_before(&known, &search->best[at])) return;
    }
    while (at > 0 && comes_before(&known, &search->best[at - 1])) {
        search->best[at] = search->best[at - 1];
        at--;
    }
    search->best[at] = known;
}

static bool on_row(void *user, const struct coverage_row *row) {
    static const char *const no_names[] = {"global", "none", "other"};
    struct search *search = user;
    if (row->stored == 0) return true;
    if (search->kind == ATTRIBUTE_ACCOUNT) {
        add(search, row->account);
        return false;
    }
    for (size_t index = 0; index < sizeof no_names / sizeof no_names[0]; index++) {
        if (strcmp(row->region, no_names[index]) == 0) return true;
    }
    add(search, row->region);
    return true;
}

static bool on_document(void *user, struct span name, struct span value) {
    // What a later version wrote is no reason to say nothing.
    struct fault ignored;
    (void)!coverage_read(name, value, on_row, user, &ignored);
    return true;
}

static bool is_known(struct trail_reader *reader, const struct attribute *attribute, bool *known,
                     struct fault *fault) {
    struct trail_cursor *cursor = NULL;
    struct trail_row row;
    const struct trail_query query = {.attributes = attribute,
                                      .attributes_count = 1,
                                      .time_min_s = FILTER_TIME_MIN,
                                      .time_max_s = FILTER_TIME_MAX,
                                      .newest_first = true};
    if (!trail_cursor_open(reader, &query, &cursor, fault)) return false;
    bool is_good = trail_cursor_next(cursor, known, &row, fault);
    trail_cursor_close(cursor);
    return is_good;
}

static bool tell_place(struct trail_reader *reader, const struct attribute *attribute,
                       struct fault *fault) {
    struct search search = {.kind = attribute->kind, .wanted = attribute->value};
    const char *what = attribute->kind == ATTRIBUTE_ACCOUNT ? "account" : "region";
    if (!trail_reader_documents(reader, SPAN_LITERAL(COVERAGE_PREFIX), on_document, &search,
                                fault)) {
        return false;
    }
    fprintf(stderr, "No event of the %s %.*s is in the trail", what, SPAN_PRINT(search.wanted));
    for (uint32_t index = 0; index < search.best_count; index++) {
        fprintf(stderr, "%s%s", index == 0 ? "; known: " : ", ", search.best[index].name);
    }
    if (search.has_others) fputs(" and others", stderr);
    fputs(".\n", stderr);
    return true;
}

// Words that people type, of which a piece of the trail has few: it is soon known to lack one.
static bool is_word(enum attribute_kind kind) {
    return kind == ATTRIBUTE_EVENT_NAME || kind == ATTRIBUTE_EVENT_SOURCE ||
           kind == ATTRIBUTE_ERROR_CODE || kind == ATTRIBUTE_USER_NAME;
}

static void tell_word(const struct attribute *attribute) {
    fprintf(stderr, "No event of the trail has %s \"%.*s\": capital letters count.\n",
            attribute_kind_name(attribute->kind), SPAN_PRINT(attribute->value));
}

bool hint_unknown(struct trail_reader *reader, const struct filter *filter, struct fault *fault) {
    for (uint32_t index = 0; index < filter->attributes_count; index++) {
        const struct attribute *attribute = &filter->attributes[index];
        bool is_place = attribute->kind == ATTRIBUTE_ACCOUNT || attribute->kind == ATTRIBUTE_REGION;
        bool known = true;
        if (!is_place && !is_word(attribute->kind)) continue;
        if (!is_known(reader, attribute, &known, fault)) return false;
        if (!known && !is_place) tell_word(attribute);
        if (!known && is_place && !tell_place(reader, attribute, fault)) return false;
    }
    return true;
}
