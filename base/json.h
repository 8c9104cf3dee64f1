// json.h: the door to yyjson: read one document, walk it; write strings.
//
// Reading checks all of RFC 8259 including UTF-8, refuses depth over JSON_DEPTH_MAX and names the
// byte offset of what is wrong. Values are borrowed from the reader and live until its next read.
// A NULL value is allowed wherever one is taken and behaves as absent. One thread per reader.
//
// A number that fits neither 64 bits nor a double (18446744073709551616, 1e400) is of yyjson's type
// raw: its spelling. Everything below takes values that json_read made, so none is deeper than
// JSON_DEPTH_MAX.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum { JSON_DEPTH_MAX = 64 };  // containers inside one another; real records reach 11

struct json_reader;

// A reader whose pool grows to 13 times the largest document it has read, and stays so until it is
// destroyed. NULL if memory runs out.
struct json_reader *json_reader_create(void);

// Frees the reader and the values of its last read. NULL is allowed.
void json_reader_destroy(struct json_reader *reader);

// Bytes its pool has.
size_t json_reader_size(const struct json_reader *reader);

// Gives back a pool of more than size_max bytes, and with it the values of the last read.
void json_reader_trim(struct json_reader *reader, size_t size_max);

// Reads one document. FAULT_INPUT: "invalid JSON at byte 17: unexpected character"; FAULT_FULL if
// memory runs out.
MUST_CHECK bool json_read(struct json_reader *reader, struct span text,
                          const struct yyjson_val **root, struct fault *fault);

// Reads one document into an arena, where its values live: for several at a time. Takes 13 times
// the size of the text. Faults as json_read.
MUST_CHECK bool json_read_into(struct arena *arena, struct span text,
                               const struct yyjson_val **root, struct fault *fault);

// The member of an object, or NULL if it is absent or this is no object. With duplicate names the
// first one counts.
static inline const struct yyjson_val *json_member(const struct yyjson_val *object,
                                                   struct span name) {
    return yyjson_obj_getn((yyjson_val *)(uintptr_t)object, (const char *)name.bytes, name.size);
}

// A string's unescaped bytes; the zero span if it is no string.
static inline struct span json_string(const struct yyjson_val *value) {
    yyjson_val *any = (yyjson_val *)(uintptr_t)value;
    if (!yyjson_is_str(any)) return (struct span){NULL, 0};
    return span_of(yyjson_get_str(any), yyjson_get_len(any));
}

// The string member of an object; the zero span (NULL bytes) if it is absent or no string.
static inline struct span json_member_string(const struct yyjson_val *object, struct span name) {
    return json_string(json_member(object, name));
}

// A name that occurs twice in one object, at any depth; false if there is none. The name is
// borrowed from the reader.
bool json_find_duplicate(const struct yyjson_val *root, struct span *name);

// Whether two documents hold the same values: members in any order (those of one name in the same),
// numbers by value (1 = 1.0; what has a point or an exponent counts as the double it stands for),
// strings after unescaping. The values may come from different readers. False also if there is no
// memory to sort an object of more than 64 members in.
bool json_equal(const struct yyjson_val *left, const struct yyjson_val *right);

// Appends a JSON string literal with quotes. Bytes that are not UTF-8 become U+FFFD.
void json_append_string(struct buffer *output, struct span text);

// Appends a value that was read, with all below it, without blanks; NULL becomes null. A number of
// type raw keeps its spelling; others print as yyjson prints them. Marks the buffer if memory runs
// out.
void json_append_value(struct buffer *output, const struct yyjson_val *value);
