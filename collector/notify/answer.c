#include "collector/notify/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/xml.h"

// Copies what is printable, and a blank for what is not; too long is cut.
static void copy(struct span from, char *text, size_t text_size) {
    size_t size = from.size < text_size ? from.size : text_size - 1;
    for (size_t at = 0; at < size; at++) {
        uint8_t byte = from.bytes[at];
        text[at] = byte >= ' ' && byte <= '~' ? (char)byte : ' ';
    }
    text[size] = 0;
}

// A code is a word; anything else is as good as none.
static void copy_code(struct span from, char code[ANSWER_CODE_SIZE]) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    if (from.size == 0 || from.size >= ANSWER_CODE_SIZE) return;
    char text[ANSWER_CODE_SIZE];
    copy(from, text, sizeof text);
    if (strspn(text, letters) == from.size) memcpy(code, text, from.size + 1);
}

// What a body says, whatever its status is.
struct reading {
    struct answer *answer;
    bool has_id;
};

static void read_json(struct span body, struct reading *reading) {
    const struct yyjson_val *root;
    struct fault ignored;
    struct answer *answer = reading->answer;
    struct json_reader *json = json_reader_create();
    if (json != NULL && json_read(json, body, &root, &ignored)) {
        // "com.amazonaws.sqs#QueueDoesNotExist", or without what stands before '#'.
        struct span type = json_member_string(root, SPAN_LITERAL("__type"));
        size_t hash = span_find(type, '#');
        copy_code(hash < type.size ? span_from(type, hash + 1) : type, answer->code);
        struct span message = json_member_string(root, SPAN_LITERAL("message"));
        if (message.bytes == NULL) message = json_member_string(root, SPAN_LITERAL("Message"));
        copy(message, answer->message, sizeof answer->message);
        reading->has_id = json_member_string(root, SPAN_LITERAL("MessageId")).size > 0;
    }
    json_reader_destroy(json);
}

// Services differ in what stands around an error.
static bool on_end(void *user, const char *path, struct span text) {
    struct reading *reading = user;
    struct span place = span_text(path);
    if (strcmp(path, "PublishResponse/PublishResult/MessageId") == 0) {
        reading->has_id = text.size > 0;
    } else if (span_ends(place, SPAN_LITERAL("/Error/Code"))) {
        copy_code(text, reading->answer->code);
    } else if (span_ends(place, SPAN_LITERAL("/Error/Message"))) {
        copy(text, reading->answer->message, sizeof reading->answer->message);
    }
    return true;
}

void answer_read(uint32_t status, struct span body, struct answer *answer) {
    struct fault ignored;
    struct reading reading = {.answer = answer};
    *answer = (struct answer){0};
    snprintf(answer->code, sizeof answer->code, "HTTP %u", status);
    bool is_json = body.size > 0 && body.bytes[0] == '{';
    bool is_whole = is_json || xml_read(body, on_end, &reading, &ignored);
    if (is_json) read_json(body, &reading);
    answer->is_taken = status >= 200 && status < 300 && is_whole && reading.has_id;
}
