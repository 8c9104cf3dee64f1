#include "collector/cloudwatch/logs_state.h"

#include <stdio.h>

#include "base/json_writer.h"

static int64_t number_of(const struct yyjson_val *root, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(root, span_text(name)));
}

static void read_text(const struct yyjson_val *root, const char *name,
                      char text[LOGS_STATE_ERROR_SIZE]) {
    snprintf(text, LOGS_STATE_ERROR_SIZE, "%.*s",
             SPAN_PRINT(json_member_string(root, span_text(name))));
}

bool logs_state_read(const struct yyjson_val *root, struct logs_state *state, struct fault *fault) {
    const struct yyjson_val *active = json_member(root, SPAN_LITERAL("active"));
    struct logs_state read = {
        .trail = json_member_string(root, SPAN_LITERAL("trail")),
        .is_active = yyjson_is_true((yyjson_val *)(uintptr_t)active),
        .session_ms = number_of(root, "session_ms"),
        .attempted_ms = number_of(root, "attempted_ms"),
        .delivered_ms = number_of(root, "delivered_ms"),
        .left_out = (uint64_t)number_of(root, "left_out"),
    };
    read_text(root, "error", read.error);
    read_text(root, "note", read.note);
    if (read.trail.size == 0) {
        return fault_set(fault, FAULT_CORRUPT, "the state of a delivery cannot be read");
    }
    *state = read;
    return true;
}

void logs_state_print(const struct logs_state *state, struct buffer *buffer) {
    struct json_writer writer = json_writer_begin(buffer);
    json_write_object(&writer, NULL);
    json_write_bool(&writer, "active", state->is_active);
    json_write_integer(&writer, "session_ms", state->session_ms);
    json_write_integer(&writer, "attempted_ms", state->attempted_ms);
    json_write_integer(&writer, "delivered_ms", state->delivered_ms);
    json_write_integer(&writer, "left_out", (int64_t)state->left_out);
    json_write_string(&writer, "error", span_text(state->error));
    json_write_string(&writer, "note", span_text(state->note));
    json_write_string(&writer, "trail", state->trail);
    json_write_end(&writer);
}
