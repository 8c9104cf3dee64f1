#include "event/match/selector_internal.h"

enum { RESOURCE_TYPES = 3, EXCLUDED_MAX = 2 };

static bool refuse(const char *member, struct span value, const char *expected,
                   struct fault *fault) {
    return fault_set(fault, FAULT_INPUT, "Value %.*s for %s is invalid: %s.",
                     SPAN_PRINT(selector_shorten(value)), member, expected);
}

static bool parse_access(const struct yyjson_val *object, enum selector_access *access,
                         struct fault *fault) {
    const struct yyjson_val *value = selector_member(object, "ReadWriteType");
    struct span name = json_string(value);
    if (value == NULL || span_is(name, "All")) {
        *access = SELECTOR_ALL;
    } else if (span_is(name, "ReadOnly")) {
        *access = SELECTOR_READ;
    } else if (span_is(name, "WriteOnly")) {
        *access = SELECTOR_WRITE;
    } else {
        return refuse("ReadWriteType", name, "it must be ReadOnly, WriteOnly or All", fault);
    }
    return true;
}

// What may stand for one resource of each type. S3: a bucket and a prefix of its objects' names.
static bool is_resource(enum selector_resource type, struct span value) {
    static const struct {
        const char *service;
        const char *resource;  // how the ARN's last part begins; S3's has a slash in it
        bool is_regional;
    } forms[] = {
        [SELECTOR_S3] = {"s3", "", false},
        [SELECTOR_LAMBDA] = {"lambda", "function:", true},
        [SELECTOR_DYNAMODB] = {"dynamodb", "table/", true},
    };
    struct span parts[5];
    struct span rest = value;
    for (uint32_t index = 0; index < 5; index++) {
        size_t colon = span_find(rest, ':');
        if (colon == rest.size) return false;
        parts[index] = span_of(rest.bytes, colon);
        rest = span_from(rest, colon + 1);
    }
    if (!span_is(parts[0], "arn") || !span_starts(parts[1], SPAN_LITERAL("aws")) ||
        !span_is(parts[2], forms[type].service) || (parts[3].size > 0) != forms[type].is_regional ||
        (parts[4].size > 0) != forms[type].is_regional) {
        return false;
    }
    struct span begin = span_text(forms[type].resource);
    if (!span_starts(rest, begin) || rest.size == begin.size) return false;
    size_t slash = span_find(rest, '/');
    // No wildcards: AWS refuses them too.
    if (span_find(rest, '*') < rest.size) return false;
    return type != SELECTOR_S3 || (slash > 0 && slash < rest.size);
}

static bool parse_resources(const struct yyjson_val *object, struct arena *arena,
                            struct selector_resources *resources, uint32_t *count,
                            struct fault *fault) {
    struct span name = json_member_string(object, SPAN_LITERAL("Type"));
    uint32_t type = 0;
    while (type < RESOURCE_TYPES &&
           !span_is(name, selector_resource_name((enum selector_resource)type))) {
        type++;
    }
    if (type == RESOURCE_TYPES) {
        return refuse("DataResources.Type", name,
                      "it must be AWS::S3::Object, AWS::Lambda::Function or AWS::DynamoDB::Table; "
                      "advanced event selectors know the others",
                      fault);
    }
    resources->type = (enum selector_resource)type;
    if (!selector_parse_values(selector_member(object, "Values"), "DataResources.Values", arena,
                               &resources->values, fault)) {
        return false;
    }
    for (uint32_t index = 0; index < resources->values.count; index++) {
        struct span value = resources->values.items[index];
        if (selector_is_whole_type(resources->type, value)) continue;
        if (!is_resource(resources->type, value)) {
            return fault_set(fault, FAULT_INPUT, "Value %.*s for DataResources.Values is invalid.",
                             SPAN_PRINT(selector_shorten(value)));
        }
        (*count)++;
    }
    if (*count <= SELECTOR_RESOURCES_MAX) return true;
    return fault_set(fault, FAULT_INPUT,
                     "The number of data resources of all event selectors exceeds %d.",
                     SELECTOR_RESOURCES_MAX);
}

static bool parse_excluded(const struct yyjson_val *object, struct arena *arena,
                           struct selector_values *excluded, struct fault *fault) {
    static const char member[] = "ExcludeManagementEventSources";
    const struct yyjson_val *list = selector_member(object, member);
    if (list == NULL) return true;
    if (!yyjson_is_arr(selector_unconst(list)) ||
        yyjson_arr_size(selector_unconst(list)) > EXCLUDED_MAX) {
        return fault_set(fault, FAULT_INPUT, "%s must be a list of at most %d sources.", member,
                         EXCLUDED_MAX);
    }
    if (yyjson_arr_size(selector_unconst(list)) == 0) return true;
    if (!selector_parse_values(list, member, arena, excluded, fault)) return false;
    for (uint32_t index = 0; index < excluded->count; index++) {
        struct span source = excluded->items[index];
        if (span_is(source, "kms.amazonaws.com") || span_is(source, "rdsdata.amazonaws.com")) {
            continue;
        }
        return refuse(member, source, "it must be kms.amazonaws.com or rdsdata.amazonaws.com",
                      fault);
    }
    return true;
}

static bool parse_selector(const struct yyjson_val *object, struct arena *arena,
                           struct selector_basic *basic, uint32_t *count, struct fault *fault) {
    if (!yyjson_is_obj(selector_unconst(object))) {
        return fault_set(fault, FAULT_INPUT, "An event selector must be an object.");
    }
    if (!parse_access(object, &basic->access, fault)) return false;
    const struct yyjson_val *management = selector_member(object, "IncludeManagementEvents");
    if (management != NULL && !yyjson_is_bool(selector_unconst(management))) {
        return fault_set(fault, FAULT_INPUT, "IncludeManagementEvents must be true or false.");
    }
    basic->with_management = management == NULL || yyjson_is_true(selector_unconst(management));
    if (!parse_excluded(object, arena, &basic->excluded, fault)) return false;
    const struct yyjson_val *list = selector_member(object, "DataResources");
    if (list == NULL) return true;
    size_t resources_count = yyjson_arr_size(selector_unconst(list));
    // A type that stands for itself more than once is no more than one.
    if (!yyjson_is_arr(selector_unconst(list)) || resources_count > SELECTOR_RESOURCES_MAX) {
        return fault_set(fault, FAULT_INPUT, "DataResources must be a list of at most %d.",
                         SELECTOR_RESOURCES_MAX);
    }
    if (resources_count == 0) return true;
    basic->resources = arena_allocate_array(arena, resources_count, sizeof *basic->resources);
    if (basic->resources == NULL) return selector_out_of_memory(fault);
    basic->resources_count = (uint32_t)resources_count;
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(selector_unconst(list), &iterator);
    for (size_t index = 0; index < resources_count; index++) {
        if (!parse_resources(yyjson_arr_iter_next(&iterator), arena, &basic->resources[index],
                             count, fault)) {
            return false;
        }
    }
    return true;
}

bool selector_parse_basic(const struct yyjson_val *list, struct arena *arena,
                          struct selector_set *set, struct fault *fault) {
    size_t count = yyjson_arr_size(selector_unconst(list));
    if (count == 0 || count > SELECTOR_BASIC_MAX) {
        return fault_set(fault, FAULT_INPUT, "EventSelectors must be a list of 1 to %d selectors.",
                         SELECTOR_BASIC_MAX);
    }
    struct selector_basic *basic = arena_allocate_array(arena, count, sizeof *basic);
    if (basic == NULL) return selector_out_of_memory(fault);
    uint32_t resources_count = 0;
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(selector_unconst(list), &iterator);
    for (size_t index = 0; index < count; index++) {
        if (!parse_selector(yyjson_arr_iter_next(&iterator), arena, &basic[index], &resources_count,
                            fault)) {
            return fault_add(fault, "EventSelectors[%zu]", index);
        }
    }
    *set = (struct selector_set){.basic = basic, .basic_count = (uint32_t)count};
    return true;
}
