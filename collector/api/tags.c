#include "collector/api/tags.h"

#include "collector/api/trails.h"

static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static size_t count_characters(struct span text) {
    size_t count = 0;
    for (size_t at = 0; at < text.size; at++) count += (text.bytes[at] & 0xC0) != 0x80;
    return count;
}

static bool is_reserved(struct span key) {
    static const char prefix[] = "aws:";
    if (key.size < sizeof prefix - 1) return false;
    for (size_t at = 0; at < sizeof prefix - 1; at++) {
        if ((key.bytes[at] | 0x20) != (prefix[at] | 0x20)) return false;
    }
    return true;
}

static bool read_tag(struct api_call *call, const struct yyjson_val *entry, struct tag *tag) {
    static const char code[] = "InvalidTagParameterException";
    *tag = (struct tag){{NULL, 0}, {NULL, 0}};
    if (!yyjson_is_obj(unconst(entry))) {
        return api_refuse(call, "SerializationException", "A tag is no structure.");
    }
    if (!api_string(call, entry, "Key", &tag->key) ||
        !api_string(call, entry, "Value", &tag->value)) {
        return false;
    }
    if (tag->key.size == 0 || count_characters(tag->key) > TAG_KEY_LENGTH_MAX) {
        return api_refuse(call, code, "A tag's key must have 1 to %d characters.",
                          TAG_KEY_LENGTH_MAX);
    }
    if (count_characters(tag->value) > TAG_VALUE_LENGTH_MAX) {
        return api_refuse(call, code, "The value of tag %.*s has more than %d characters.",
                          SPAN_PRINT(tag->key), TAG_VALUE_LENGTH_MAX);
    }
    if (is_reserved(tag->key)) {
        return api_refuse(call, code, "Tag keys that begin with aws: are reserved: %.*s.",
                          SPAN_PRINT(tag->key));
    }
    return true;
}

static uint32_t find(const struct tags *tags, struct span key) {
    uint32_t index = 0;
    while (index < tags->count && !span_equal(tags->items[index].key, key)) index++;
    return index;
}

// Reads the list into an array; two tags of one key are refused.
static bool read_list(struct api_call *call, const struct yyjson_val *list, struct tag **items,
                      size_t *count) {
    struct fault fault;
    *count = yyjson_arr_size(unconst(list));
    if (*count > TAGS_REQUEST_MAX) {
        return api_refuse(call, "InvalidTagParameterException", "A request has at most %d tags.",
                          TAGS_REQUEST_MAX);
    }
    *items = arena_allocate_array(call->arena, *count, sizeof **items);
    if (*items == NULL) {
        fault_set(&fault, FAULT_FULL, "no memory for tags");
        return api_refuse_fault(call, &fault);
    }
    for (size_t index = 0; index < *count; index++) {
        struct tag *tag = &(*items)[index];
        if (!read_tag(call, yyjson_arr_get(unconst(list), index), tag)) return false;
        for (size_t other = 0; other < index; other++) {
            if (!span_equal((*items)[other].key, tag->key)) continue;
            return api_refuse(call, "InvalidTagParameterException",
                              "The key %.*s is given more than once.", SPAN_PRINT(tag->key));
        }
    }
    return true;
}

bool tags_add(struct api_call *call, const struct yyjson_val *list, struct tags *tags) {
    struct tag *items;
    size_t count;
    if (!read_list(call, list, &items, &count)) return false;
    for (size_t index = 0; index < count; index++) {
        uint32_t place = find(tags, items[index].key);
        if (place == TAGS_MAX) {
            return api_refuse(call, "TagsLimitExceededException",
                              "The number of tags per trail has exceeded the permitted amount: %d.",
                              TAGS_MAX);
        }
        if (place == tags->count) tags->count++;
        tags->items[place] = items[index];
    }
    return true;
}

bool tags_remove(struct api_call *call, const struct yyjson_val *list, struct tags *tags) {
    struct tag *items;
    size_t count;
    if (!read_list(call, list, &items, &count)) return false;
    for (size_t index = 0; index < count; index++) {
        uint32_t place = find(tags, items[index].key);
        if (place == tags->count) continue;
        tags->count--;
        memmove(&tags->items[place], &tags->items[place + 1],
                (tags->count - place) * sizeof tags->items[0]);
    }
    return true;
}

void tags_write(const struct tags *tags, struct json_writer *writer, const char *name) {
    json_write_list(writer, name);
    for (uint32_t index = 0; index < tags->count; index++) {
        const struct tag *tag = &tags->items[index];
        json_write_object(writer, NULL);
        json_write_string(writer, "Key", tag->key);
        if (tag->value.bytes != NULL) json_write_string(writer, "Value", tag->value);
        json_write_end(writer);
    }
    json_write_end(writer);
}

// The trail of an ARN that is to be tagged. What else has ARNs is not there.
static bool find_tagged(struct api_call *call, struct span id, struct trail *trail) {
    struct arn arn;
    if (!trail_check_split(id, &arn) || !span_is(arn.service, "cloudtrail")) {
        return api_refuse(call, "CloudTrailARNInvalidException", "%.*s is no ARN of a trail.",
                          (int)(id.size < 300 ? id.size : 300), (const char *)id.bytes);
    }
    if (span_starts(arn.resource, SPAN_LITERAL("eventdatastore/"))) {
        return api_refuse(call, "EventDataStoreNotFoundException",
                          "The specified event data store was not found.");
    }
    if (span_starts(arn.resource, SPAN_LITERAL("channel/"))) {
        return api_refuse(call, "ChannelNotFoundException", "The specified channel was not found.");
    }
    if (!span_starts(arn.resource, SPAN_LITERAL("trail/"))) {
        return api_refuse(call, "ResourceTypeNotSupportedException",
                          "Resource type %.*s is not supported by CloudTrail.",
                          (int)span_find(arn.resource, '/'), (const char *)arn.resource.bytes);
    }
    bool found;
    if (!trails_find(call, id, trail, &found)) return false;
    if (found) return true;
    return api_refuse(call, "ResourceNotFoundException", "Resource with ARN %.*s was not found.",
                      SPAN_PRINT(id));
}

static bool change(struct api_call *call,
                   bool (*edit)(struct api_call *call, const struct yyjson_val *list,
                                struct tags *tags)) {
    struct span id = {NULL, 0};
    const struct yyjson_val *list = NULL;
    struct trail trail;
    return api_string(call, call->input, "ResourceId", &id) &&
           api_list(call, call->input, "TagsList", &list) && find_tagged(call, id, &trail) &&
           trails_may_change(call, &trail) && edit(call, list, &trail.tags) &&
           trails_put(call, &trail);
}

bool tags_run_add(struct api_call *call) {
    return change(call, tags_add);
}

bool tags_run_remove(struct api_call *call) {
    return change(call, tags_remove);
}

bool tags_run_list(struct api_call *call) {
    const struct yyjson_val *list = NULL;
    struct span token = {NULL, 0};
    if (!api_list(call, call->input, "ResourceIdList", &list) ||
        !api_string(call, call->input, "NextToken", &token)) {
        return false;
    }
    if (token.size > 0) {
        return api_refuse(call, "InvalidTokenException",
                          "All tags are in one answer: there is no token of a next one.");
    }
    size_t count = yyjson_arr_size(unconst(list));
    if (count == 0 || count > TAGS_LIST_MAX) {
        return api_refuse(call, "CloudTrailARNInvalidException",
                          "ResourceIdList must have 1 to %d ARNs.", TAGS_LIST_MAX);
    }
    json_write_list(call->output, "ResourceTagList");
    for (size_t index = 0; index < count; index++) {
        struct span id = json_string(yyjson_arr_get(unconst(list), index));
        struct trail trail;
        if (!find_tagged(call, id, &trail)) return false;
        json_write_object(call->output, NULL);
        json_write_string(call->output, "ResourceId", id);
        tags_write(&trail.tags, call->output, "TagsList");
        json_write_end(call->output);
    }
    json_write_end(call->output);
    return true;
}
