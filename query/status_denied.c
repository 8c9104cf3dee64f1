#include "query/status_denied.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/json.h"
#include "query/format.h"

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct span trim(struct span text) {
    while (text.size > 0 && is_blank(text.bytes[0])) text = span_from(text, 1);
    while (text.size > 0 && is_blank(text.bytes[text.size - 1])) text.size--;
    return text;
}

// Takes the next line that has an entry off the list. False at its end.
static bool take_line(struct span *list, struct span *line) {
    while (list->size > 0) {
        size_t size = span_find(*list, '\n');
        *line = trim(span_of(list->bytes, size));
        *list = span_from(*list, size < list->size ? size + 1 : size);
        if (line->size > 0 && line->bytes[0] != '#') return true;
    }
    return false;
}

void status_denied_print(struct span list, struct buffer *output) {
    struct span rest = list;
    struct span line;
    uint32_t count = 0;
    while (take_line(&rest, &line)) count++;
    buffer_print(output, "deny list    %" PRIu32 " %s\n", count, count == 1 ? "entry" : "entries");
    for (uint32_t index = 0; index < STATUS_DENIED_SHOWN && take_line(&list, &line); index++) {
        buffer_append_text(output, "             ");
        format_cell(line, UINT32_MAX, false, output);
        buffer_append_byte(output, '\n');
    }
    if (count > STATUS_DENIED_SHOWN) {
        buffer_print(output, "             ... and %" PRIu32 " more: orgtrail deny list\n",
                     count - STATUS_DENIED_SHOWN);
    }
}

void status_denied_print_json(struct span list, struct buffer *output) {
    struct span line;
    bool is_first = true;
    buffer_append_byte(output, '[');
    while (take_line(&list, &line)) {
        size_t size = 0;
        while (size < line.size && !is_blank(line.bytes[size])) size++;
        if (!is_first) buffer_append_byte(output, ',');
        is_first = false;
        json_append_string(output, span_of(line.bytes, size));
    }
    buffer_append_byte(output, ']');
}
