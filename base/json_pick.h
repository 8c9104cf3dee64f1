// json_pick.h: the values of wanted members, picked out of one document after another.
//
// What is wanted is a tree of names, the same for all documents of a reader. The answer is a list:
// what was wanted and is there, in the order of the text, an object or array before what is in it.
//
// Documents of one kind differ in their values and hardly in anything else. So a reader remembers
// the structure of documents it has parsed (json_track_internal.h), and one whose structure it
// knows is not parsed again: only its strings and numbers are looked at. The answer is the same.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"

enum json_kind {
    JSON_ABSENT,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_OBJECT,
    JSON_ARRAY,
};

// A member that is wanted, or on the way to one. Lives as long as the readers it is used with.
struct json_want {
    const char *name;               // in its object; NULL: every element of an array
    uint8_t name_size;              // bytes
    uint8_t field;                  // the caller's number for it; 0: only on the way
    uint8_t inner_count;            // what is wanted inside of it
    const struct json_want *inner;  // shorter names first
};

struct json_pick {
    uint32_t field;
    enum json_kind kind;
    struct span string;  // its unescaped bytes; the zero span if it is none
};

struct json_picks {
    const struct json_pick *items;
    uint32_t count;
};

// Why nothing was picked, beside want of memory.
enum json_refusal {
    JSON_GOOD,
    JSON_INVALID,        // what json_read refuses
    JSON_NO_OBJECT,      // JSON, but no object
    JSON_REPEATED_NAME,  // one object has a name twice, at any depth
};

// Reads one document as json_read does and picks what is wanted of its root, whose want has no
// name. A reader is always used with the same root. Strings lie in the text or in the reader, the
// list in the reader, all until its next use. FAULT_INPUT with the refusal; FAULT_FULL with
// JSON_GOOD if memory runs out.
MUST_CHECK bool json_pick(struct json_reader *reader, const struct json_want *root,
                          struct span text, struct json_picks *picks, enum json_refusal *refusal,
                          struct fault *fault);

// Forgets the structure of all documents, so that the next one is parsed.
void json_reader_forget(struct json_reader *reader);

// How many documents were read without parsing them.
uint64_t json_reader_followed(const struct json_reader *reader);
