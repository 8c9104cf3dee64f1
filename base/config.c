#include "base/config.h"

#include <assert.h>
#include <stdio.h>

#include "base/config_internal.h"

enum { MESSAGE_SIZE = 160 };  // bytes of cyaml's first message that are kept

// Keeps the first thing cyaml complains of: the rest is where it was found.
static void keep_message(cyaml_log_t level, void *context, const char *format, va_list arguments) {
    char *message = context;
    if (level < CYAML_LOG_ERROR || message[0] != 0) return;
    vsnprintf(message, MESSAGE_SIZE, format, arguments);
    message[strcspn(message, "\n")] = 0;
}

bool config_load(struct span text, const char *name, const cyaml_schema_value_t *schema,
                 void **settings, struct fault *fault) {
    assert((schema->flags & (unsigned)CYAML_FLAG_POINTER) != 0);
    if (text.size > CONFIG_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "%s: %zu bytes, more than the %d allowed", name,
                         text.size, CONFIG_SIZE_MAX);
    }
    if (!config_check(text, schema, fault)) return fault_add(fault, "%s", name);
    char message[MESSAGE_SIZE] = "";
    const cyaml_config_t config = {
        .log_fn = keep_message,
        .log_ctx = message,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    void *loaded = NULL;
    cyaml_err_t status = cyaml_load_data(text.bytes, text.size, &config, schema, &loaded, NULL);
    if (status == CYAML_ERR_OOM) return fault_set(fault, FAULT_FULL, "%s: no memory", name);
    if (status != CYAML_OK) {
        return fault_set(fault, FAULT_INPUT, "%s: %s", name,
                         message[0] == 0 ? cyaml_strerror(status) : message);
    }
    if (loaded == NULL) return fault_set(fault, FAULT_INPUT, "%s: no settings in it", name);
    *settings = loaded;
    return true;
}

void config_free(const cyaml_schema_value_t *schema, void *settings) {
    if (settings == NULL) return;
    const cyaml_config_t config = {.mem_fn = cyaml_mem};
    cyaml_err_t status = cyaml_free(&config, schema, settings, 0);
    assert(status == CYAML_OK);
}
