#include "collector/api/gateway_form.h"

#include "base/percent.h"
#include "base/xml.h"

#define NAMESPACE "https://sts.amazonaws.com/doc/2011-06-15/"

// Takes the next part up to a separator off the text.
static struct span cut(struct span *text, uint8_t separator) {
    size_t at = span_find(*text, separator);
    struct span part = span_of(text->bytes, at);
    *text = at < text->size ? span_from(*text, at + 1) : (struct span){NULL, 0};
    return part;
}

static bool decode(struct span text, struct buffer *output) {
    buffer_reset(output);
    for (size_t at = 0; at < text.size;) {
        bool is_blank = text.bytes[at] == '+';
        uint8_t byte;
        if (!percent_next(text, &at, &byte)) return false;
        buffer_append_byte(output, is_blank ? ' ' : byte);
    }
    return !buffer_overflowed(output);
}

bool gateway_form_read(struct span form, struct buffer *action_text, struct buffer *parameters) {
    struct buffer name, value;
    buffer_init(&name, parameters->size_max);
    buffer_init(&value, parameters->size_max);
    buffer_reset(action_text);
    buffer_reset(parameters);
    buffer_append_byte(parameters, '{');
    bool is_good = true;
    while (is_good && form.size > 0) {
        struct span right = cut(&form, '&');
        struct span left = cut(&right, '=');
        is_good = decode(left, &name) && decode(right, &value);
        if (!is_good || span_is(buffer_span(&name), "Version")) continue;
        if (span_is(buffer_span(&name), "Action")) {
            is_good = action_text->size == 0;
            buffer_append(action_text, buffer_span(&value));
            continue;
        }
        if (parameters->size > 1) buffer_append_byte(parameters, ',');
        json_append_string(parameters, buffer_span(&name));
        buffer_append_byte(parameters, ':');
        json_append_string(parameters, buffer_span(&value));
    }
    buffer_append_byte(parameters, '}');
    buffer_done(&name);
    buffer_done(&value);
    return is_good && action_text->size > 0 && !buffer_overflowed(action_text) &&
           !buffer_overflowed(parameters);
}

// Calls itself as deep as the answer is, which is ours.
static void append_members(const struct yyjson_val *members, struct buffer *output) {
    yyjson_obj_iter each;
    yyjson_obj_iter_init((yyjson_val *)(uintptr_t)members, &each);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&each)) != NULL) {
        struct span name = json_string(key);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        buffer_print(output, "<%.*s>", SPAN_PRINT(name));
        if (yyjson_is_obj(value)) {
            append_members(value, output);
        } else {
            xml_append(output, json_string(value));
        }
        buffer_print(output, "</%.*s>", SPAN_PRINT(name));
    }
}

void gateway_form_write(struct span action, const struct yyjson_val *members,
                        const char *request_id, struct buffer *output) {
    buffer_print(output, "<%.*sResponse xmlns=\"" NAMESPACE "\"><%.*sResult>", SPAN_PRINT(action),
                 SPAN_PRINT(action));
    append_members(members, output);
    buffer_print(output,
                 "</%.*sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>"
                 "</%.*sResponse>",
                 SPAN_PRINT(action), request_id, SPAN_PRINT(action));
}

void gateway_form_write_error(const char *code, const char *message, bool is_ours,
                              const char *request_id, struct buffer *output) {
    buffer_print(output,
                 "<ErrorResponse xmlns=\"" NAMESPACE
                 "\"><Error><Type>%s</Type><Code>%s</Code>"
                 "<Message>",
                 is_ours ? "Receiver" : "Sender", code);
    xml_append(output, span_text(message));
    buffer_print(output, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>", request_id);
}
