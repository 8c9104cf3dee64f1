#include "query/status_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "query/format.h"

enum {
    ROOM_MIN = 48,  // an account, a region and a short agent
    TITLE_SIZE = 256,
};

#define SCHEME "spiffe://"

uint32_t status_names_room(uint32_t width, uint32_t others) {
    if (width == STATUS_WIDTH_FULL) return STATUS_WIDTH_FULL;
    return width > others + ROOM_MIN ? width - others : ROOM_MIN;
}

// "spiffe://o-example/" of a name; nothing of one that begins with something else.
static struct span find_prefix(const char *name) {
    size_t scheme_size = sizeof SCHEME - 1;
    if (strncmp(name, SCHEME, scheme_size) != 0) return span_of(NULL, 0);
    const char *slash = strchr(name + scheme_size, '/');
    return slash == NULL ? span_of(NULL, 0) : span_of(name, (size_t)(slash - name) + 1);
}

void status_names_add(struct status_names *names, const char *name) {
    struct span prefix = find_prefix(name);
    uint32_t size = (uint32_t)strlen(name);
    bool is_first = names->longest == 0;
    if (is_first && names->room != STATUS_WIDTH_FULL) names->prefix = prefix;
    // Names of two organizations, or of none, differ from their beginning on.
    if (!span_equal(prefix, names->prefix)) names->prefix = span_of(NULL, 0);
    if (size > names->longest) names->longest = size;
}

static void print_cell(const struct status_names *names, const char *text, struct buffer *output) {
    bool is_wide = strlen(text) > names->column;
    format_cell(span_text(text), is_wide ? UINT32_MAX : names->column, !is_wide, output);
}

void status_names_begin(struct status_names *names, struct buffer *output) {
    char title[TITLE_SIZE] = "AGENT";
    if (names->prefix.size > 0)
        snprintf(title, sizeof title, "AGENT %.*s...", SPAN_PRINT(names->prefix));
    names->column = names->longest - (uint32_t)names->prefix.size;
    if (names->column > names->room) names->column = names->room;
    if (names->column < strlen(title)) names->column = (uint32_t)strlen(title);
    print_cell(names, title, output);
}

void status_names_print(const struct status_names *names, const char *name, struct buffer *output) {
    bool is_short = span_starts(span_text(name), names->prefix) && names->prefix.size > 0;
    print_cell(names, is_short ? name + names->prefix.size : name, output);
}
