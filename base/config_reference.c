#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/config.h"

enum { KEY_SIZE = 128 };  // of "accounts[].regions" with the final zero

struct reference {
    const struct config_help *helps;
    uint32_t helps_count;
    uint32_t used;
    struct buffer *text;
    struct fault *fault;
};

static const struct config_help *find_help(const struct reference *reference, const char *key) {
    for (uint32_t index = 0; index < reference->helps_count; index++) {
        if (strcmp(reference->helps[index].key, key) == 0) return &reference->helps[index];
    }
    return NULL;
}

static bool is_sequence(const cyaml_schema_value_t *schema) {
    return schema->type == CYAML_SEQUENCE || schema->type == CYAML_SEQUENCE_FIXED;
}

static void print_form(const struct reference *reference, const cyaml_schema_value_t *schema,
                       const struct config_help *help) {
    if (help->form != NULL) {
        buffer_append_text(reference->text, help->form);
    } else if (schema->type == CYAML_ENUM) {
        for (uint32_t index = 0; index < schema->enumeration.count; index++) {
            buffer_print(reference->text, "%s`%s`", index == 0 ? "" : ", ",
                         schema->enumeration.strings[index].str);
        }
    } else if (schema->type == CYAML_UINT && schema->string.max != 0) {
        buffer_print(reference->text, "%" PRIu32 " to %" PRIu32, schema->string.min,
                     schema->string.max);
    } else if (schema->type == CYAML_UINT || schema->type == CYAML_INT) {
        buffer_append_text(reference->text, "number");
    } else if (schema->type == CYAML_BOOL) {
        buffer_append_text(reference->text, "true, false");
    } else {
        buffer_append_text(reference->text, is_sequence(schema) ? "list" : "text");
    }
}

static bool print_leaf(struct reference *reference, const char *key,
                       const cyaml_schema_value_t *schema, bool is_optional) {
    const struct config_help *help = find_help(reference, key);
    if (help == NULL) return fault_set(reference->fault, FAULT_INPUT, "%s has no help", key);
    if ((help->otherwise != NULL) != is_optional) {
        return fault_set(reference->fault, FAULT_INPUT, "%s: %s", key,
                         is_optional ? "what holds without it?" : "it is needed");
    }
    reference->used++;
    buffer_print(reference->text, "| `%s` | ", key);
    print_form(reference, schema, help);
    buffer_print(reference->text, " | %s | %s |\n", is_optional ? help->otherwise : "needed",
                 help->text);
    return true;
}

// Levels are as few as a schema's.
static bool print_fields(struct reference *reference, const char *prefix,
                         const cyaml_schema_value_t *mapping, bool is_optional) {
    for (const cyaml_schema_field_t *field = mapping->mapping.fields; field->key != NULL; field++) {
        const cyaml_schema_value_t *value = &field->value;
        bool may_lack = (value->flags & (unsigned)CYAML_FLAG_OPTIONAL) != 0;
        bool is_list = is_sequence(value) && value->sequence.entry->type == CYAML_MAPPING;
        char key[KEY_SIZE];
        int size = snprintf(key, sizeof key, "%s%s%s", prefix, field->key,
                            is_list                        ? "[]."
                            : value->type == CYAML_MAPPING ? "."
                                                           : "");
        assert(size > 0 && (size_t)size < sizeof key);
        bool is_good = true;
        if (is_list) {
            is_good = print_fields(reference, key, value->sequence.entry, false);
        } else if (value->type == CYAML_MAPPING) {
            is_good = print_fields(reference, key, value, is_optional || may_lack);
        } else {
            is_good = print_leaf(reference, key, value, is_optional || may_lack);
        }
        if (!is_good) return false;
    }
    return true;
}

bool config_print_reference(const cyaml_schema_value_t *schema, const struct config_help *helps,
                            uint32_t helps_count, struct buffer *text, struct fault *fault) {
    struct reference reference = {helps, helps_count, 0, text, fault};
    buffer_append_text(text, "| setting | value | without it | what it is |\n|---|---|---|---|\n");
    if (!print_fields(&reference, "", schema, false)) return false;
    if (reference.used == helps_count) return true;
    return fault_set(fault, FAULT_INPUT, "there is help for settings that are not in the schema");
}
