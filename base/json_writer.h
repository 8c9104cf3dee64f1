// json_writer.h: writes one JSON document into a buffer, without a tree in between.
//
// Commas and closing brackets are the writer's business; the order of members is the caller's.
// Names are the caller's own literals and need no escapes; strings are escaped, and bytes that are
// not UTF-8 become U+FFFD. A name is given inside an object and NULL inside a list or at the top.
// What does not fit marks the buffer, as buffer.h says: nothing here fails.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/json.h"

enum { JSON_WRITER_DEPTH_MAX = 32 };  // objects and lists inside one another; more is a mistake

struct json_writer {
    struct buffer *output;
    uint32_t depth;
    uint32_t lists;  // bit n: level n is a list
    bool has_value;  // the present level has a value already
};

// Begins a document at the end of the buffer, which is borrowed.
struct json_writer json_writer_begin(struct buffer *output);

// Opens an object or a list; json_write_end closes the innermost one that is open.
void json_write_object(struct json_writer *writer, const char *name);
void json_write_list(struct json_writer *writer, const char *name);
void json_write_end(struct json_writer *writer);

// Writes one value.
void json_write_string(struct json_writer *writer, const char *name, struct span text);
void json_write_bool(struct json_writer *writer, const char *name, bool value);
void json_write_integer(struct json_writer *writer, const char *name, int64_t value);

// Writes seconds with three decimals if there is a fraction: AWS's number of epoch seconds.
void json_write_time_ms(struct json_writer *writer, const char *name, int64_t ms);

// Writes a value that was read, with all below it; absent: null.
void json_write_value(struct json_writer *writer, const char *name, const struct yyjson_val *value);

// Writes text that is JSON already.
void json_write_raw(struct json_writer *writer, const char *name, struct span text);

// Writes members of the innermost object, or values of the innermost list, that are JSON already:
// at least one, without what stands around them.
void json_write_members(struct json_writer *writer, struct span text);
