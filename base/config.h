// config.h: YAML settings through libcyaml, checked against a schema, errors with line numbers.
//
// A room that has settings declares a struct and a cyaml schema for it (this header brings cyaml's
// macros) and gets it filled; optional keys that are absent leave zeros. Refused are unknown keys,
// keys given twice, wrong types, missing keys, numbers with leading zeros (010 would be eight),
// other texts than true, false, yes, no, on, off for a boolean, aliases and further documents. A
// schema has at most 64 keys a mapping and 16 levels, and its top is a mapping with
// CYAML_FLAG_POINTER.

#pragma once

#include <cyaml/cyaml.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

// An optional whole number of at least `least` (1 or more) and at most `most`; 0 when it is absent.
// Its range stands where cyaml's schema of a number has nothing.
#define CONFIG_FIELD_RANGE(name, structure, member, least, most)                  \
    {                                                                             \
        .key = (name), .data_offset = offsetof(structure, member),                \
        .value = {                                                                \
            CYAML_VALUE_UINT(CYAML_FLAG_OPTIONAL, (((structure *)NULL)->member)), \
            .string = {.min = (least), .max = (most)},                            \
        },                                                                        \
    }

enum { CONFIG_SIZE_MAX = 4 * 1024 * 1024 };  // bytes of one file: a roster of 10,000 accounts fits

// Loads text (at most CONFIG_SIZE_MAX) by the schema into new memory: the caller frees it with
// config_free and the same schema. `name` is how messages call the text (its path). FAULT_INPUT:
// "NAME: line 12: unknown key \"lisen\"" (and what is expected).
MUST_CHECK bool config_load(struct span text, const char *name, const cyaml_schema_value_t *schema,
                            void **settings, struct fault *fault);

// Adds to a fault where a value stands: "NAME: line N" with the first line that holds the value
// behind its key, or only "NAME" if none does. Returns false.
bool config_refuse(struct span text, const char *name, const char *key, const char *value,
                   struct fault *fault);

// A number of bytes as settings give it: 4096, 64KiB, 256MiB, 1GiB, 2TiB. FAULT_INPUT for anything
// else, for 0 and for 2^63 and more.
MUST_CHECK bool config_parse_size(const char *text, uint64_t *size, struct fault *fault);

// What one setting is, for people. Texts are Markdown without '|'.
struct config_help {
    const char *key;        // "store.min_free", "sources[].path"
    const char *form;       // "size", "path"; NULL: what the schema says
    const char *otherwise;  // what holds without it; NULL: it is needed
    const char *text;       // a sentence or two
};

// Appends a table of all settings of the schema, in its order: key, value, what holds without it,
// what it is. FAULT_INPUT if a setting has no help, help has no setting, or they do not agree on
// what is needed.
MUST_CHECK bool config_print_reference(const cyaml_schema_value_t *schema,
                                       const struct config_help *helps, uint32_t helps_count,
                                       struct buffer *text, struct fault *fault);

// A path as the settings in file `name` give it, into `path`: relative ones count from the file's
// folder. A "../" takes a folder away where that is no link. FAULT_INPUT if it is too long.
MUST_CHECK bool config_resolve(const char *name, const char *given, char *path, size_t path_size,
                               struct fault *fault);

// Frees what config_load made. NULL is allowed.
void config_free(const cyaml_schema_value_t *schema, void *settings);
