// gateway_form.h: AWS's query form: parameters as an HTML form comes, answers as XML.
//
// Only what STS needs: parameters that are plain strings, members that are strings or structures.

#pragma once

#include "base/buffer.h"
#include "base/json.h"
#include "base/span.h"

// Reads a form: the value of Action, and the other parameters but Version as a JSON object. False
// if there is no Action, or the form is none. The action lives in *action_text.
bool gateway_form_read(struct span form, struct buffer *action_text, struct buffer *parameters);

// Writes the answer of an action, whose members are those of a JSON object of strings and objects.
void gateway_form_write(struct span action, const struct yyjson_val *members,
                        const char *request_id, struct buffer *output);

// Writes an error.
void gateway_form_write_error(const char *code, const char *message, bool is_ours,
                              const char *request_id, struct buffer *output);
