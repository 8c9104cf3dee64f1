#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <yaml.h>

#include "base/buffer.h"
#include "base/config_internal.h"

enum {
    DEPTH_MAX = 16,        // containers in one another that a schema may ask for
    FIELDS_MAX = 64,       // keys of one mapping in a schema
    PATH_TEXT_SIZE = 128,  // bytes of "accounts[12].regions" with the final zero
    SHOWN_SIZE = 60,       // bytes of a wrong value that a message shows
};

// A mapping or sequence that has begun and not ended.
struct frame {
    const cyaml_schema_value_t *schema;
    const cyaml_schema_field_t *field;  // of a mapping: whose value comes next; NULL for a key
    uint64_t seen;                      // of a mapping: bit by index of the field
    uint32_t entries;                   // of a sequence: how many have begun
    size_t line;                        // where it begins
};

struct check {
    const cyaml_schema_value_t *top;
    struct frame frames[DEPTH_MAX];
    uint32_t depth;
    uint32_t ignored;  // open containers inside a value that cyaml itself judges
    uint32_t documents;
    size_t line;  // of the event being looked at, from 1
    // Of the last text in quotes that goes over lines; 0: there was none. An end quote that is
    // missing makes one, which ends at the next quote.
    size_t quote_line;
    size_t quote_end_line;
    struct fault *fault;
};

// "accounts[2].id" for what the frames are at.
static void print_path(const struct check *check, char text[PATH_TEXT_SIZE]) {
    size_t size = 0;
    text[0] = 0;
    for (uint32_t index = 0; index < check->depth && size < PATH_TEXT_SIZE; index++) {
        const struct frame *frame = &check->frames[index];
        int added = 0;
        if (frame->schema->type != CYAML_MAPPING) {
            added = snprintf(text + size, PATH_TEXT_SIZE - size, "[%" PRIu32 "]", frame->entries);
        } else if (frame->field != NULL) {
            added = snprintf(text + size, PATH_TEXT_SIZE - size, "%s%s", size == 0 ? "" : ".",
                             frame->field->key);
        }
        if (added > 0) size += (size_t)added;
    }
}

static bool refuse_value(struct check *check, const char *expected, const char *found) {
    char path[PATH_TEXT_SIZE];
    print_path(check, path);
    if (check->depth == 0) {
        return fault_set(check->fault, FAULT_INPUT, "line %zu: expected %s, not %s", check->line,
                         expected, found);
    }
    return fault_set(check->fault, FAULT_INPUT, "line %zu: key \"%s\": expected %s, not %s",
                     check->line, path, expected, found);
}

static bool refuse_scalar(struct check *check, const char *expected, const char *value) {
    char found[SHOWN_SIZE + 8];
    bool cut = strlen(value) > SHOWN_SIZE;
    snprintf(found, sizeof found, "\"%.*s%s\"", SHOWN_SIZE, value, cut ? "..." : "");
    return refuse_value(check, expected, found);
}

static const char *describe_type(const cyaml_schema_value_t *schema) {
    switch (schema->type) {
        case CYAML_MAPPING:
            return "keys with values (a mapping)";
        case CYAML_SEQUENCE:
        case CYAML_SEQUENCE_FIXED:
            return "a list";
        case CYAML_STRING:
            return "a text";
        case CYAML_INT:
        case CYAML_UINT:
            return "a whole number";
        case CYAML_BOOL:
            return "true or false";
        default:
            return "a single value";
    }
}

// The schema of the value that comes next; NULL where a mapping's key must come.
static const cyaml_schema_value_t *next_schema(struct check *check) {
    if (check->depth == 0) return check->top;
    struct frame *frame = &check->frames[check->depth - 1];
    if (frame->schema->type != CYAML_MAPPING) return frame->schema->sequence.entry;
    return frame->field == NULL ? NULL : &frame->field->value;
}

// A value was taken: a mapping waits for its next key again.
static void finish_value(struct check *check) {
    if (check->depth > 0) check->frames[check->depth - 1].field = NULL;
}

// Counts an entry that begins, if the value is one of a sequence.
static bool begin_value(struct check *check) {
    if (check->depth == 0) return true;
    struct frame *frame = &check->frames[check->depth - 1];
    if (frame->schema->type == CYAML_MAPPING) return true;
    if (++frame->entries <= frame->schema->sequence.max) return true;
    frame->entries--;
    check->depth--;
    char path[PATH_TEXT_SIZE];
    print_path(check, path);
    return fault_set(check->fault, FAULT_INPUT,
                     "line %zu: key \"%s\": more than the %" PRIu32 " entries allowed", check->line,
                     path, frame->schema->sequence.max);
}

static bool check_integer(struct check *check, const cyaml_schema_value_t *schema,
                          const char *value) {
    uint32_t bits = schema->data_size * 8;
    assert(bits >= 8);
    assert(bits <= 64);
    char expected[96];
    char *end = NULL;
    bool good = value[0] != 0 && strspn(value, "+-0123456789abcdefABCDEFxX") == strlen(value);
    errno = 0;
    // Base 0 as cyaml reads it, but 010 is refused: people mean ten and would get eight.
    const char *digits = value + (value[0] == '-' || value[0] == '+');
    if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9') good = false;
    if (schema->type == CYAML_UINT) {
        uint64_t min = schema->string.min;
        uint64_t max = UINT64_MAX >> (64 - bits);
        if (schema->string.max != 0) max = schema->string.max;
        snprintf(expected, sizeof expected, "a whole number from %" PRIu64 " to %" PRIu64 "%s", min,
                 max, min == 0 ? "" : " (leave it out for the default)");
        unsigned long long number = strtoull(value, &end, 0);
        good = good && value[0] != '-' && number >= min && number <= max;
    } else {
        int64_t max = INT64_MAX >> (64 - bits);
        snprintf(expected, sizeof expected, "a whole number from %" PRId64 " to %" PRId64, -max - 1,
                 max);
        long long number = strtoll(value, &end, 0);
        good = good && number <= max && number >= -max - 1;
    }
    if (good && errno == 0 && *end == 0) return true;
    return refuse_scalar(check, expected, value);
}

static bool check_text(struct check *check, const cyaml_schema_value_t *schema, const char *value,
                       size_t size) {
    char expected[80];
    snprintf(expected, sizeof expected, "a text of %" PRIu32 " to %" PRIu32 " bytes",
             schema->string.min, schema->string.max);
    // cyaml takes text to the first zero, which would hide the rest.
    if (memchr(value, 0, size) != NULL)
        return refuse_value(check, "a text", "one with a zero byte");
    if (size >= schema->string.min && size <= schema->string.max) return true;
    if (size == 0) return refuse_value(check, expected, "nothing");
    return refuse_scalar(check, expected, value);
}

static bool check_enum(struct check *check, const cyaml_schema_value_t *schema, const char *value) {
    char expected[256] = "one of";
    size_t size = strlen(expected);
    for (uint32_t index = 0; index < schema->enumeration.count; index++) {
        const char *name = schema->enumeration.strings[index].str;
        if (strcmp(value, name) == 0) return true;
        int added =
            snprintf(expected + size, sizeof expected - size, "%s %s", index == 0 ? "" : ",", name);
        size += (size_t)added < sizeof expected - size ? (size_t)added : 0;
    }
    return refuse_scalar(check, expected, value);
}

static bool is_boolean(const char *value) {
    // cyaml takes every other text for true, also "flase".
    static const char *const names[] = {"true", "false", "yes", "no", "on", "off"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (strcasecmp(value, names[index]) == 0) return true;
    }
    return false;
}

static bool is_null(const char *value) {
    static const char *const names[] = {"", "~", "null", "Null", "NULL"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (strcmp(value, names[index]) == 0) return true;
    }
    return false;
}

static bool check_scalar(struct check *check, const cyaml_schema_value_t *schema, const char *value,
                         size_t size) {
    bool may_be_null =
        (schema->flags & (unsigned)CYAML_FLAG_POINTER_NULL) == (unsigned)CYAML_FLAG_POINTER_NULL;
    if (may_be_null && is_null(value)) return true;
    switch (schema->type) {
        case CYAML_STRING:
            return check_text(check, schema, value, size);
        case CYAML_INT:
        case CYAML_UINT:
            return check_integer(check, schema, value);
        case CYAML_BOOL:
            return is_boolean(value) || refuse_scalar(check, "true or false", value);
        case CYAML_ENUM:
            return check_enum(check, schema, value);
        case CYAML_MAPPING:
        case CYAML_SEQUENCE:
        case CYAML_SEQUENCE_FIXED:
            if (size == 0) return refuse_value(check, describe_type(schema), "nothing");
            return refuse_scalar(check, describe_type(schema), value);
        default:
            // What cyaml itself judges: floats, flags, bit fields, ignored values.
            return true;
    }
}

static bool check_key(struct check *check, const char *key) {
    struct frame *frame = &check->frames[check->depth - 1];
    char path[PATH_TEXT_SIZE];
    check->depth--;
    print_path(check, path);
    check->depth++;
    char known[200] = "";
    size_t size = 0;
    const cyaml_schema_field_t *fields = frame->schema->mapping.fields;
    for (uint32_t index = 0; fields[index].key != NULL; index++) {
        assert(index < FIELDS_MAX);
        if (strcmp(fields[index].key, key) == 0) {
            frame->field = &fields[index];
            if ((frame->seen >> index & 1) != 0) {
                return fault_set(check->fault, FAULT_INPUT, "line %zu: key \"%s\" is given twice",
                                 check->line, key);
            }
            frame->seen |= (uint64_t)1 << index;
            return true;
        }
        int added = snprintf(known + size, sizeof known - size, "%s%s", index == 0 ? "" : ", ",
                             fields[index].key);
        size += (size_t)added < sizeof known - size ? (size_t)added : 0;
    }
    return fault_set(check->fault, FAULT_INPUT,
                     "line %zu: unknown key \"%.*s\"%s%s%s; known are: %s", check->line, SHOWN_SIZE,
                     key, path[0] == 0 ? "" : " in \"", path, path[0] == 0 ? "" : "\"", known);
}

static bool on_scalar(struct check *check, const char *value, size_t size) {
    if (check->ignored > 0) return true;
    const cyaml_schema_value_t *schema = next_schema(check);
    if (schema == NULL) return check_key(check, value);
    if (!begin_value(check)) return false;
    if (!check_scalar(check, schema, value, size)) return false;
    finish_value(check);
    return true;
}

static bool on_begin(struct check *check, bool is_mapping) {
    const char *found = is_mapping ? "keys with values" : "a list";
    if (check->ignored > 0) {
        check->ignored++;
        return true;
    }
    const cyaml_schema_value_t *schema = next_schema(check);
    if (schema == NULL) {
        return fault_set(check->fault, FAULT_INPUT, "line %zu: expected a key, not %s", check->line,
                         found);
    }
    if (!begin_value(check)) return false;
    if (schema->type == CYAML_IGNORE || schema->type == CYAML_FLAGS ||
        schema->type == CYAML_BITFIELD) {
        check->ignored = 1;
        return true;
    }
    bool fits = is_mapping ? schema->type == CYAML_MAPPING
                           : schema->type == CYAML_SEQUENCE || schema->type == CYAML_SEQUENCE_FIXED;
    if (!fits) return refuse_value(check, describe_type(schema), found);
    assert(check->depth < DEPTH_MAX);
    check->frames[check->depth++] = (struct frame){.schema = schema, .line = check->line};
    return true;
}

static bool on_end(struct check *check) {
    if (check->ignored > 0) {
        if (--check->ignored == 0) finish_value(check);
        return true;
    }
    struct frame *frame = &check->frames[--check->depth];
    char path[PATH_TEXT_SIZE];
    print_path(check, path);
    const char *in = path[0] == 0 ? "" : " in \"", *end = path[0] == 0 ? "" : "\"";
    if (frame->schema->type != CYAML_MAPPING) {
        if (frame->entries < frame->schema->sequence.min) {
            return fault_set(check->fault, FAULT_INPUT,
                             "line %zu: key \"%s\": fewer than the %" PRIu32 " entries needed",
                             frame->line, path, frame->schema->sequence.min);
        }
        finish_value(check);
        return true;
    }
    const cyaml_schema_field_t *fields = frame->schema->mapping.fields;
    for (uint32_t index = 0; fields[index].key != NULL; index++) {
        bool optional = (fields[index].value.flags & (unsigned)CYAML_FLAG_OPTIONAL) != 0;
        if (optional || (frame->seen >> index & 1) != 0) continue;
        return fault_set(check->fault, FAULT_INPUT, "line %zu: key \"%s\" is missing%s%s%s",
                         frame->line, fields[index].key, in, path, end);
    }
    finish_value(check);
    return true;
}

// Keeps where a text in quotes that goes over lines begins and ends.
static void note_quotes(struct check *check, const yaml_event_t *event) {
    bool is_quoted = event->type == YAML_SCALAR_EVENT &&
                     (event->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE ||
                      event->data.scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE);
    if (!is_quoted || event->start_mark.line == event->end_mark.line) return;
    check->quote_line = event->start_mark.line + 1;
    check->quote_end_line = event->end_mark.line + 1;
}

static bool on_event(struct check *check, const yaml_event_t *event) {
    check->line = event->start_mark.line + 1;
    note_quotes(check, event);
    switch (event->type) {
        case YAML_DOCUMENT_START_EVENT:
            if (++check->documents == 1) return true;
            return fault_set(check->fault, FAULT_INPUT, "line %zu: a second document begins here",
                             check->line);
        case YAML_ALIAS_EVENT:
            return fault_set(check->fault, FAULT_INPUT,
                             "line %zu: the alias \"*%.*s\" is not allowed: write the value out",
                             check->line, SHOWN_SIZE, (const char *)event->data.alias.anchor);
        case YAML_SCALAR_EVENT:
            return on_scalar(check, (const char *)event->data.scalar.value,
                             event->data.scalar.length);
        case YAML_MAPPING_START_EVENT:
            return on_begin(check, true);
        case YAML_SEQUENCE_START_EVENT:
            return on_begin(check, false);
        case YAML_MAPPING_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
            return on_end(check);
        default:
            return true;
    }
}

static bool refuse_yaml(const struct check *check, const yaml_parser_t *parser,
                        struct fault *fault) {
    size_t line = parser->problem_mark.line + 1;
    const char *context = parser->context == NULL ? "" : parser->context;
    if (parser->error == YAML_MEMORY_ERROR) return fault_set(fault, FAULT_FULL, "no memory");
    if (parser->error == YAML_READER_ERROR) {
        return fault_set(fault, FAULT_INPUT, "byte %zu: not YAML: %s", parser->problem_offset,
                         parser->problem);
    }
    if (strcmp(context, "while scanning a quoted scalar") == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "line %zu: not YAML: the quote that begins here is not closed",
                         parser->context_mark.line + 1);
    }
    if (check->quote_line != 0 && check->quote_end_line == line) {
        return fault_set(fault, FAULT_INPUT,
                         "line %zu: not YAML: the quote that begins here is closed in line %zu "
                         "only: is one missing?",
                         check->quote_line, line);
    }
    return fault_set(fault, FAULT_INPUT, "line %zu: not YAML: %s", line,
                     parser->problem == NULL ? "unreadable" : parser->problem);
}

bool config_check(struct span text, const cyaml_schema_value_t *schema, struct fault *fault) {
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) != 1) return fault_set(fault, FAULT_FULL, "no memory");
    yaml_parser_set_input_string(&parser, text.bytes, text.size);
    struct check check = {.top = schema, .fault = fault};
    bool good = true, ended = false;
    while (good && !ended) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) != 1) {
            good = refuse_yaml(&check, &parser, fault);
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        good = on_event(&check, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (good && check.documents == 0) return fault_set(fault, FAULT_INPUT, "no settings in it");
    return good;
}
