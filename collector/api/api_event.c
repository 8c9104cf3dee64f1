#include "collector/api/api_event.h"

#include <ctype.h>

#include "event/record.h"

enum {
    TEXT_SIZE_MAX = 1024,  // bytes of a user agent
    MEMBERS_MAX = 64,      // of an object whose names are made as CloudTrail's are
};

static void append_value(struct buffer *buffer, const yyjson_val *value);

// Whether a member of the object has this name with a small first letter.
static bool is_taken(const yyjson_val *object, struct span name, uint8_t first) {
    yyjson_obj_iter each;
    yyjson_obj_iter_init((yyjson_val *)(uintptr_t)object, &each);
    const yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&each)) != NULL) {
        struct span other = json_string(key);
        if (other.size == name.size && other.bytes[0] == first &&
            span_equal(span_from(other, 1), span_from(name, 1))) {
            return true;
        }
    }
    return false;
}

// CloudTrail writes the names of parameters with a small first letter. Not if that makes two of one
// name, or there are so many that it takes long to know.
static void append_name(struct buffer *buffer, const yyjson_val *object, struct span name) {
    size_t begin = buffer->size;
    json_append_string(buffer, name);
    if (buffer_overflowed(buffer) || name.size == 0 || !isupper(name.bytes[0])) return;
    uint8_t first = (uint8_t)tolower(name.bytes[0]);
    bool is_kept = yyjson_obj_size((yyjson_val *)(uintptr_t)object) > MEMBERS_MAX ||
                   is_taken(object, name, first);
    if (!is_kept) buffer->bytes[begin + 1] = first;
}

static void append_object(struct buffer *buffer, const yyjson_val *object) {
    yyjson_obj_iter each;
    yyjson_obj_iter_init((yyjson_val *)(uintptr_t)object, &each);
    const yyjson_val *key;
    buffer_append_byte(buffer, '{');
    for (bool is_first = true; (key = yyjson_obj_iter_next(&each)) != NULL; is_first = false) {
        if (!is_first) buffer_append_byte(buffer, ',');
        append_name(buffer, object, json_string(key));
        buffer_append_byte(buffer, ':');
        append_value(buffer, yyjson_obj_iter_get_val((yyjson_val *)(uintptr_t)key));
    }
    buffer_append_byte(buffer, '}');
}

static void append_list(struct buffer *buffer, const yyjson_val *list) {
    yyjson_arr_iter each;
    yyjson_arr_iter_init((yyjson_val *)(uintptr_t)list, &each);
    const yyjson_val *item;
    buffer_append_byte(buffer, '[');
    for (bool is_first = true; (item = yyjson_arr_iter_next(&each)) != NULL; is_first = false) {
        if (!is_first) buffer_append_byte(buffer, ',');
        append_value(buffer, item);
    }
    buffer_append_byte(buffer, ']');
}

// Calls itself at most JSON_DEPTH_MAX times: nothing deeper was read.
static void append_value(struct buffer *buffer, const yyjson_val *value) {
    yyjson_val *any = (yyjson_val *)(uintptr_t)value;
    if (yyjson_is_obj(any)) {
        append_object(buffer, value);
    } else if (yyjson_is_arr(any)) {
        append_list(buffer, value);
    } else if (yyjson_is_raw(any)) {
        // A number beyond 64 bits and a double: whoever reads the trail may have no room for it.
        json_append_string(buffer, span_of(yyjson_get_raw(any), yyjson_get_len(any)));
    } else {
        json_append_value(buffer, value);
    }
}

// What CloudTrail writes in the place of a part that is too large.
static void append_omitted(struct buffer *buffer, const char *name, size_t size) {
    buffer_print(buffer, "{\"reason\":\"%s too large\",\"omitted\":true,\"originalSize\":%zu}",
                 name, size);
}

static void append_text(struct buffer *buffer, const char *name, struct span text) {
    if (text.size > TEXT_SIZE_MAX) text.size = TEXT_SIZE_MAX;
    buffer_print(buffer, ",\"%s\":", name);
    json_append_string(buffer, text);
}

static void append_session(struct buffer *buffer, const struct api_caller *caller) {
    char time[TIME_TEXT_SIZE];
    time_print(caller->session_issued_ms / 1000, time);
    buffer_print(buffer,
                 ",\"sessionContext\":{\"attributes\":{\"creationDate\":\"%s\","
                 "\"mfaAuthenticated\":\"false\"}}",
                 time);
}

static void append_identity(struct buffer *buffer, const struct api_caller *caller) {
    buffer_append_text(buffer, "\"userIdentity\":{\"type\":\"IAMUser\"");
    append_text(buffer, "principalId", caller->key_id);
    buffer_append_text(buffer, ",\"arn\":\"arn:aws:iam::");
    // Neither holds what would need an escape: both were checked when the key was made.
    buffer_append(buffer, caller->account);
    buffer_append_text(buffer, ":user/");
    buffer_append(buffer, caller->name);
    buffer_append_byte(buffer, '"');
    append_text(buffer, "accountId", caller->account);
    bool is_session = caller->session_id.bytes != NULL;
    append_text(buffer, "accessKeyId", is_session ? caller->session_id : caller->key_id);
    append_text(buffer, "userName", caller->name);
    if (is_session) append_session(buffer, caller);
    buffer_append_byte(buffer, '}');
}

// A part that is too large is told by its size.
static void append_part(struct buffer *buffer, const char *name, const yyjson_val *value) {
    buffer_print(buffer, ",\"%s\":", name);
    size_t begin = buffer->size;
    append_value(buffer, value);
    size_t size = buffer->size - begin;
    if (size <= API_EVENT_PART_SIZE_MAX) return;
    buffer->size = begin;
    append_omitted(buffer, name, size);
}

static void append_parts(struct buffer *buffer, const struct api_event *event) {
    append_part(buffer, "requestParameters", event->input);
    bool is_empty = yyjson_obj_size((yyjson_val *)(uintptr_t)event->output) == 0;
    append_part(buffer, "responseElements", is_empty ? NULL : event->output);
}

void api_event_print(const struct api_world *world, const struct api_event *event,
                     struct buffer *buffer) {
    const struct api_request *request = event->request;
    uint8_t id[OWN_EVENT_ID_SIZE];
    char uuid[RECORD_UUID_TEXT_SIZE];
    char time[TIME_TEXT_SIZE];
    own_event_make_id(world->random, id);
    record_print_uuid(id, uuid);
    time_print(request->now_ms / 1000, time);

    buffer_reset(buffer);
    buffer_append_text(buffer, "{\"eventVersion\":\"1.11\",");
    append_identity(buffer, &request->caller);
    buffer_print(buffer, ",\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\"", time);
    append_text(buffer, "eventName", request->operation);
    append_text(buffer, "awsRegion", span_text(world->place.region));
    append_text(buffer, "sourceIPAddress", request->source);
    append_text(buffer, "userAgent", request->user_agent);
    if (event->code != NULL) {
        append_text(buffer, "errorCode", span_text(event->code));
        append_text(buffer, "errorMessage", span_text(event->message));
    }
    append_parts(buffer, event);
    buffer_append_text(buffer, ",\"additionalEventData\":{\"signatureVersion\":\"4\"");
    append_text(buffer, "service", request->service);
    append_text(buffer, "region", request->region);
    buffer_append_byte(buffer, '}');
    append_text(buffer, "requestID", span_text(request->request_id));
    append_text(buffer, "eventID", span_text(uuid));
    buffer_print(buffer, ",\"readOnly\":%s,\"eventType\":\"AwsApiCall\",\"apiVersion\":\"%s\"",
                 event->is_change ? "false" : "true", event->api_version);
    buffer_append_text(buffer, ",\"managementEvent\":true");
    append_text(buffer, "recipientAccountId", span_text(world->place.account));
    buffer_append_text(buffer, ",\"eventCategory\":\"Management\"}");
}
