#include "base/json_writer.h"

#include <assert.h>
#include <inttypes.h>

struct json_writer json_writer_begin(struct buffer *output) {
    return (struct json_writer){.output = output};
}

static bool is_list(const struct json_writer *writer) {
    return writer->depth == 0 || (writer->lists >> writer->depth & 1) != 0;
}

// What stands before a value.
static void begin_value(struct json_writer *writer, const char *name) {
    assert((name == NULL) == is_list(writer));
    if (writer->has_value) buffer_append_byte(writer->output, ',');
    writer->has_value = true;
    if (name == NULL) return;
    buffer_append_byte(writer->output, '"');
    buffer_append_text(writer->output, name);
    buffer_append(writer->output, SPAN_LITERAL("\":"));
}

static void open(struct json_writer *writer, const char *name, bool opens_list) {
    assert(writer->depth + 1 < JSON_WRITER_DEPTH_MAX);
    begin_value(writer, name);
    buffer_append_byte(writer->output, opens_list ? '[' : '{');
    writer->depth++;
    writer->lists &= ~(UINT32_C(1) << writer->depth);
    if (opens_list) writer->lists |= UINT32_C(1) << writer->depth;
    writer->has_value = false;
}

void json_write_object(struct json_writer *writer, const char *name) {
    open(writer, name, false);
}

void json_write_list(struct json_writer *writer, const char *name) {
    open(writer, name, true);
}

void json_write_end(struct json_writer *writer) {
    assert(writer->depth > 0);
    buffer_append_byte(writer->output, is_list(writer) ? ']' : '}');
    writer->depth--;
    writer->has_value = true;
}

void json_write_string(struct json_writer *writer, const char *name, struct span text) {
    begin_value(writer, name);
    json_append_string(writer->output, text);
}

void json_write_bool(struct json_writer *writer, const char *name, bool value) {
    begin_value(writer, name);
    buffer_append_text(writer->output, value ? "true" : "false");
}

void json_write_integer(struct json_writer *writer, const char *name, int64_t value) {
    begin_value(writer, name);
    buffer_print(writer->output, "%" PRId64, value);
}

void json_write_time_ms(struct json_writer *writer, const char *name, int64_t ms) {
    begin_value(writer, name);
    int64_t fraction = ms % 1000;
    int64_t seconds = ms / 1000;
    if (fraction < 0) {
        fraction += 1000;
        seconds--;
    }
    // Before 1970 the fraction would count the other way; no event is that old.
    if (fraction == 0 || seconds < 0) {
        buffer_print(writer->output, "%" PRId64, seconds);
    } else {
        buffer_print(writer->output, "%" PRId64 ".%03" PRId64, seconds, fraction);
    }
}

void json_write_value(struct json_writer *writer, const char *name,
                      const struct yyjson_val *value) {
    begin_value(writer, name);
    json_append_value(writer->output, value);
}

void json_write_raw(struct json_writer *writer, const char *name, struct span text) {
    begin_value(writer, name);
    buffer_append(writer->output, text);
}

void json_write_members(struct json_writer *writer, struct span text) {
    assert(text.size > 0);
    if (writer->has_value) buffer_append_byte(writer->output, ',');
    writer->has_value = true;
    buffer_append(writer->output, text);
}
