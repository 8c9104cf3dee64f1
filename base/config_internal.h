// config_internal.h: the check of a settings text that goes before cyaml's loading.

#pragma once

#include "base/config.h"

// Whether the text is one YAML document that the schema allows, without aliases. cyaml would say no
// line for an unknown key, take any text for true, and ignore further documents. The fault names
// line and key. FAULT_INPUT; FAULT_FULL if memory runs out.
MUST_CHECK bool config_check(struct span text, const cyaml_schema_value_t *schema,
                             struct fault *fault);
