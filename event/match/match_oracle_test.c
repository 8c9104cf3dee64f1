// Random selectors decided for real and made-up records by match.h and by a second, naive reading
// of the same JSON texts: the two must agree on every pair.

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/gzip.h"
#include "base/random.h"
#include "event/match/match.h"
#include "event/split.h"
#include "tests/kit/cases.h"

enum {
    RECORDS_MAX = 8000,
    MADE_UP = 1500,
    SETS = 300,
    FILE_SIZE_MAX = 64 * 1024 * 1024,
    POOL = 400,  // values of each field that selectors are made of
};

static struct {
    char *text;
    size_t size;
    struct record record;
} records[RECORDS_MAX];
static uint32_t records_count;
static struct arena *arena;
static struct json_reader *json, *selectors_json;
static uint64_t seed = 20260101;

static uint32_t below(uint32_t count) {
    return (uint32_t)(random_splitmix64(&seed) % count);
}

static void add_record(struct span text) {
    assert_true(records_count < RECORDS_MAX);
    struct fault fault;
    enum record_refusal refusal;
    char *copy = arena_copy_text(arena, text);
    assert_non_null(copy);
    struct record record;
    if (!record_read(json, arena, span_of(copy, text.size), &record, &refusal, &fault)) return;
    records[records_count].text = copy;
    records[records_count].size = text.size;
    records[records_count++].record = record;
}

static void add_file(const char *path) {
    static uint8_t packed[4 * 1024 * 1024];
    uint8_t *bytes = malloc(FILE_SIZE_MAX);
    assert_non_null(bytes);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(packed, 1, sizeof packed, file), written;
    fclose(file);
    assert_true(gzip_inflate_whole(span_of(packed, size), bytes, FILE_SIZE_MAX, &written));
    struct split *split = split_create(RECORD_SIZE_MAX, false);
    struct span input = span_of(bytes, written), record;
    uint64_t offset;
    struct fault fault;
    while (split_step(split, &input, &record, &offset, &fault) == SPLIT_RECORD) add_record(record);
    split_destroy(split);
    free(bytes);
}

// Records with what the bundled ones seldom have: many resources, endpoints, console sessions.
static void make_up(void) {
    static const char *const categories[] = {"Management", "Data", "NetworkActivity", "Insight"};
    static const char *const types[] = {"AWS::S3::Object", "AWS::S3::Bucket",
                                        "AWS::Lambda::Function", "AWS::DynamoDB::Table"};
    static const char *const arns[] = {"arn:aws:s3:::b/k",       "arn:aws:s3:::b/key",
                                       "arn:aws:s3:::b/",        "arn:aws:s3:::c/k",
                                       "arn:aws:lambda:r:1:f:k", "arn:aws:dynamodb:r:1:table/k"};
    char text[4096];
    int size = snprintf(text, sizeof text,
                        "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventSource\":\"%s."
                        "amazonaws.com\",\"eventName\":\"%s\",\"eventCategory\":\"%s\"",
                        below(2) == 0 ? "s3" : "kms", below(2) == 0 ? "PutObject" : "GetObject",
                        categories[below(4)]);
    size_t used = (size_t)size;
    static const char *const parts[] = {
        ",\"readOnly\":true",
        ",\"readOnly\":false",
        ",\"sessionCredentialFromConsole\":\"true\"",
        ",\"vpcEndpointId\":\"vpce-1a\"",
        ",\"errorCode\":\"VpceAccessDenied\"",
        ",\"eventType\":\"AwsApiCall\"",
        ",\"userIdentity\":{\"arn\":\"arn:aws:iam::1:user/x\"}",
    };
    for (uint32_t index = below(2); index < sizeof parts / sizeof parts[0]; index += 1 + below(3)) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", parts[index]);
        if (index == 0) index++;
    }
    used += (size_t)snprintf(text + used, sizeof text - used, ",\"resources\":[");
    uint32_t count = below(4);
    for (uint32_t index = 0; index < count; index++) {
        const char *name = below(5) == 0 ? "ARNPrefix" : "ARN";
        used += (size_t)snprintf(text + used, sizeof text - used, "%s{\"type\":\"%s\"",
                                 index == 0 ? "" : ",", types[below(4)]);
        if (below(6) != 0) {
            used += (size_t)snprintf(text + used, sizeof text - used, ",\"%s\":\"%s\"", name,
                                     arns[below(6)]);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "}");
    }
    used += (size_t)snprintf(text + used, sizeof text - used, "]}");
    add_record(span_of(text, used));
}

static int set_up(void **state) {
    (void)state;
    arena = arena_create((size_t)1024 * 1024 * 1024);
    json = json_reader_create();
    selectors_json = json_reader_create();
    if (arena == NULL || json == NULL || selectors_json == NULL) return 1;
    glob_t found;
    if (glob("tests/data/*/*.json.gz", 0, NULL, &found) != 0) return 1;
    for (size_t index = 0; index < found.gl_pathc; index++) add_file(found.gl_pathv[index]);
    globfree(&found);
    if (records_count < 4000) return 1;
    for (uint32_t index = 0; index < MADE_UP; index++) make_up();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_destroy(arena);
    json_reader_destroy(json);
    json_reader_destroy(selectors_json);
    return 0;
}

// --- the naive reading

static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static bool operator_hits(const char *operator, struct span text, struct span value) {
    if (text.size < value.size) return false;
    if (strstr(operator, "StartsWith") != NULL) {
        return value.size == 0 || memcmp(text.bytes, value.bytes, value.size) == 0;
    }
    if (strstr(operator, "EndsWith") != NULL) {
        return memcmp(text.bytes + text.size - value.size, value.bytes, value.size) == 0;
    }
    return text.size == value.size && memcmp(text.bytes, value.bytes, value.size) == 0;
}

// Whether any text is selected and none is deselected by a field selector.
static bool field_passes(const yyjson_val *condition, const struct span *texts, uint32_t count) {
    bool has_select = false, selected = false;
    yyjson_obj_iter members;
    yyjson_obj_iter_init(unconst(condition), &members);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&members)) != NULL) {
        const char *operator= yyjson_get_str(key);
        if (strcmp(operator, "Field") == 0) continue;
        bool deselects = strncmp(operator, "Not", 3) == 0;
        has_select = has_select || !deselects;
        yyjson_arr_iter values;
        yyjson_arr_iter_init(yyjson_obj_iter_get_val(key), &values);
        yyjson_val *value;
        while ((value = yyjson_arr_iter_next(&values)) != NULL) {
            for (uint32_t index = 0; index < count; index++) {
                if (!operator_hits(operator, texts[index], json_string(value))) continue;
                if (deselects) return false;
                selected = true;
            }
        }
    }
    return selected || !has_select;
}

// The texts that a field selector looks at.
static uint32_t list_texts(const char *field, const struct record *record,
                           const struct yyjson_val *root, struct span type,
                           struct span texts[RECORD_RESOURCES_MAX]) {
    if (strcmp(field, "resources.ARN") == 0 || strcmp(field, "resources.type") == 0) {
        uint32_t count = 0;
        yyjson_arr_iter resources;
        yyjson_arr_iter_init(unconst(json_member(root, SPAN_LITERAL("resources"))), &resources);
        yyjson_val *resource;
        while ((resource = yyjson_arr_iter_next(&resources)) != NULL) {
            struct span its_type = json_member_string(resource, SPAN_LITERAL("type"));
            struct span arn = json_member_string(resource, SPAN_LITERAL("ARN"));
            if (arn.bytes == NULL) arn = json_member_string(resource, SPAN_LITERAL("ARNPrefix"));
            if (arn.bytes == NULL) arn = json_member_string(resource, SPAN_LITERAL("resourceName"));
            if (strcmp(field, "resources.type") == 0) {
                texts[count++] = its_type;
            } else if (span_equal(its_type, type) && arn.size > 0) {
                texts[count++] = arn;
            }
        }
        return count;
    }
    const struct yyjson_val *value = json_member(root, span_text(field));
    if (strcmp(field, "eventCategory") == 0) {
        // Older records lack it: which they are record_test checks.
        texts[0] = span_text(record_category_name(record->category));
    } else if (strcmp(field, "readOnly") == 0) {
        texts[0] = span_text(record->is_read_only ? "true" : "false");
    } else if (strcmp(field, "userIdentity.arn") == 0) {
        value = json_member(json_member(root, SPAN_LITERAL("userIdentity")), SPAN_LITERAL("arn"));
        texts[0] = json_string(value);
    } else if (record->category == RECORD_INSIGHT) {
        texts[0] = strcmp(field, "eventSource") == 0 ? record->event_source : record->event_name;
    } else {
        texts[0] = json_string(value);
    }
    return texts[0].bytes != NULL;
}

static bool advanced_selects(const yyjson_val *selector, const struct record *record,
                             const struct yyjson_val *root) {
    static struct span texts[RECORD_RESOURCES_MAX];
    struct span type = {NULL, 0};
    yyjson_val *list = yyjson_obj_get(unconst(selector), "FieldSelectors"), *condition;
    yyjson_arr_iter conditions;
    yyjson_arr_iter_init(list, &conditions);
    while ((condition = yyjson_arr_iter_next(&conditions)) != NULL) {
        if (strcmp(yyjson_get_str(yyjson_obj_get(condition, "Field")), "resources.type") == 0) {
            type = json_string(yyjson_arr_get_first(yyjson_obj_get(condition, "Equals")));
        }
    }
    yyjson_arr_iter_init(list, &conditions);
    while ((condition = yyjson_arr_iter_next(&conditions)) != NULL) {
        const char *field = yyjson_get_str(yyjson_obj_get(condition, "Field"));
        uint32_t count = list_texts(field, record, root, type, texts);
        if (!field_passes(condition, texts, count)) return false;
    }
    return true;
}

static bool is_listed(const yyjson_val *list, struct span text) {
    yyjson_arr_iter values;
    yyjson_arr_iter_init(unconst(list), &values);
    yyjson_val *value;
    while ((value = yyjson_arr_iter_next(&values)) != NULL) {
        if (span_equal(json_string(value), text)) return true;
    }
    return false;
}

static bool resource_selects(const yyjson_val *wanted, const struct yyjson_val *root) {
    struct span type = json_member_string(wanted, SPAN_LITERAL("Type"));
    static struct span texts[RECORD_RESOURCES_MAX];
    uint32_t types = list_texts("resources.type", NULL, root, type, texts);
    bool has_type = false;
    for (uint32_t index = 0; index < types; index++) {
        has_type = has_type || span_equal(texts[index], type);
    }
    uint32_t count = list_texts("resources.ARN", NULL, root, type, texts);
    yyjson_arr_iter values;
    yyjson_arr_iter_init(yyjson_obj_get(unconst(wanted), "Values"), &values);
    yyjson_val *value;
    while ((value = yyjson_arr_iter_next(&values)) != NULL) {
        struct span text = json_string(value);
        uint32_t colons = 0;
        for (size_t at = 0; at < text.size; at++) colons += text.bytes[at] == ':';
        if (has_type && (colons == 2 || span_ends(text, SPAN_LITERAL(":::")))) return true;
        bool is_prefix = span_is(type, "AWS::S3::Object");
        for (uint32_t index = 0; index < count; index++) {
            if (operator_hits(is_prefix ? "StartsWith" : "Equals", texts[index], text)) return true;
        }
    }
    return false;
}

static bool basic_selects(const yyjson_val *selector, const struct record *record,
                          const struct yyjson_val *root) {
    struct span access = json_member_string(selector, SPAN_LITERAL("ReadWriteType"));
    if (span_is(access, "ReadOnly") && !record->is_read_only) return false;
    if (span_is(access, "WriteOnly") && record->is_read_only) return false;
    if (record->category == RECORD_MANAGEMENT) {
        yyjson_val *with = yyjson_obj_get(unconst(selector), "IncludeManagementEvents");
        return !yyjson_is_false(with) &&
               !is_listed(yyjson_obj_get(unconst(selector), "ExcludeManagementEventSources"),
                          record->event_source);
    }
    if (record->category != RECORD_DATA) return false;
    yyjson_arr_iter resources;
    yyjson_arr_iter_init(yyjson_obj_get(unconst(selector), "DataResources"), &resources);
    yyjson_val *wanted;
    while ((wanted = yyjson_arr_iter_next(&resources)) != NULL) {
        if (resource_selects(wanted, root)) return true;
    }
    return false;
}

// --- making selectors

// A value of a field as some record has it, or a part of it.
static struct span pick_value(const char *field, enum selector_operator form) {
    struct span text = {NULL, 0};
    for (uint32_t attempt = 0; attempt < POOL && text.size == 0; attempt++) {
        const struct record *record = &records[below(records_count)].record;
        if (below(3) == 0) record = &records[records_count - 1 - below(MADE_UP)].record;
        if (strcmp(field, "resources.ARN") == 0 && record->resources_count > 0) {
            text = record->resources[below(record->resources_count)].name;
            if (form == SELECTOR_EQUALS && !span_starts(text, SPAN_LITERAL("arn:"))) text.size = 0;
        } else if (strcmp(field, "userIdentity.arn") == 0) {
            text = record->identity_arn;
        } else if (strcmp(field, "eventName") == 0) {
            text = record->event_name;
        } else if (strcmp(field, "eventSource") == 0) {
            text = record->event_source;
        } else if (strcmp(field, "eventType") == 0) {
            text = record->event_type;
        } else if (strcmp(field, "vpcEndpointId") == 0) {
            text = record->vpc_endpoint;
        }
    }
    if (text.size == 0) return SPAN_LITERAL("arn:aws:s3:::none/");
    size_t part = 1 + below((uint32_t)text.size);
    if (form % 3 == SELECTOR_STARTS) text.size = part;
    if (form % 3 == SELECTOR_ENDS) text = span_from(text, text.size - part);
    // A cut through a character is no text.
    for (size_t at = 0; at < text.size; at++) {
        if (text.bytes[at] >= 0x80) return SPAN_LITERAL("x");
    }
    return text;
}

static void print_condition(struct buffer *output, const char *field, bool only_equals) {
    buffer_print(output, ",{\"Field\":\"%s\"", field);
    uint32_t used = 0, count = only_equals ? 1 : 1 + below(3);
    for (uint32_t index = 0; index < count; index++) {
        enum selector_operator form =
            only_equals ? SELECTOR_EQUALS : (enum selector_operator)below(SELECTOR_OPERATORS);
        if ((used >> form & 1) != 0) continue;
        used |= 1u << form;
        buffer_print(output, ",\"%s\":[", selector_operator_name(form));
        uint32_t values = only_equals ? 1 : 1 + below(6);
        for (uint32_t value = 0; value < values; value++) {
            if (value > 0) buffer_append_byte(output, ',');
            json_append_string(output, pick_value(field, form));
        }
        buffer_append_byte(output, ']');
    }
    buffer_append_byte(output, '}');
}

static void print_advanced(struct buffer *output) {
    static const char *const categories[] = {"Management", "Data", "NetworkActivity"};
    static const char *const types[] = {"AWS::S3::Object", "AWS::S3::Bucket",
                                        "AWS::Lambda::Function", "AWS::DynamoDB::Table"};
    uint32_t category = below(3);
    buffer_print(output, "{\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":[\"%s\"]}",
                 categories[category]);
    if (category == 1) {
        buffer_print(output, ",{\"Field\":\"resources.type\",\"Equals\":[\"%s\"]}",
                     types[below(4)]);
        if (below(2) == 0) print_condition(output, "resources.ARN", false);
    }
    if (category == 2) print_condition(output, "eventSource", true);
    if (category == 2 && below(2) == 0) print_condition(output, "vpcEndpointId", false);
    if (category == 2 && below(3) == 0) {
        buffer_append_text(output, ",{\"Field\":\"errorCode\",\"Equals\":[\"VpceAccessDenied\"]}");
    }
    if (category < 2 && below(3) == 0) {
        buffer_print(output, ",{\"Field\":\"readOnly\",\"Equals\":[\"%s\"]}",
                     below(2) == 0 ? "true" : "false");
    }
    if (category < 2 && below(3) == 0) print_condition(output, "eventSource", false);
    if (category < 2 && below(4) == 0) print_condition(output, "eventType", false);
    if (below(3) == 0) print_condition(output, "eventName", false);
    if (below(3) == 0) print_condition(output, "userIdentity.arn", false);
    if (category < 2 && below(5) == 0) {
        buffer_print(output, ",{\"Field\":\"sessionCredentialFromConsole\",\"%s\":[\"true\"]}",
                     below(2) == 0 ? "Equals" : "NotEquals");
    }
    buffer_append_text(output, "]}");
}

static void print_basic(struct buffer *output) {
    static const char *const accesses[] = {"All", "ReadOnly", "WriteOnly"};
    static const char *const values[][4] = {
        {"arn:aws:s3", "arn:aws:s3:::b/", "arn:aws:s3:::b/k", "arn:aws:s3:::c/"},
        {"arn:aws:lambda", "arn:aws:lambda:r:1:function:k", "arn:aws:lambda:r:1:function:f",
         "arn:aws:lambda:r:2:function:k"},
        {"arn:aws:dynamodb", "arn:aws:dynamodb:r:1:table/k", "arn:aws:dynamodb:r:1:table/l",
         "arn:aws:dynamodb:r:1:table/ka"},
    };
    buffer_print(output, "{\"ReadWriteType\":\"%s\",\"IncludeManagementEvents\":%s",
                 accesses[below(3)], below(2) == 0 ? "true" : "false");
    if (below(2) == 0) {
        buffer_append_text(output, ",\"ExcludeManagementEventSources\":[\"kms.amazonaws.com\"]");
    }
    buffer_append_text(output, ",\"DataResources\":[");
    uint32_t count = below(3);
    for (uint32_t index = 0; index < count; index++) {
        enum selector_resource type = (enum selector_resource)below(3);
        buffer_print(output, "%s{\"Type\":\"%s\",\"Values\":[", index == 0 ? "" : ",",
                     selector_resource_name(type));
        for (uint32_t value = 0; value <= below(2); value++) {
            buffer_print(output, "%s\"%s\"", value == 0 ? "" : ",",
                         values[type][below(8) == 0 ? 0 : 1 + below(3)]);
        }
        buffer_append_text(output, "]}");
    }
    buffer_append_text(output, "]}");
}

// What is decided without looking deep is decided by these members alone.
static void compare_top(const struct match *match, const struct record *record, bool expected) {
    const struct record top = {
        .category = record->category,
        .is_read_only = record->is_read_only,
        .event_source = record->event_source,
        .event_name = record->event_name,
    };
    if (match_looks_deep(match, record->category)) return;
    assert_int_equal(match_selects(match, &top), expected);
}

// Compares one set over all records; counts what it selects.
static uint64_t compare(const char *text, size_t size, bool is_basic) {
    struct fault fault;
    const struct yyjson_val *list;
    struct selector_set set;
    struct match *match;
    struct arena *scratch = arena_create(SELECTOR_ARENA_SIZE);
    assert_non_null(scratch);
    assert_true(json_read(selectors_json, span_of(text, size), &list, &fault));
    bool is_good = is_basic
                       ? selector_parse_basic(list, scratch, &set, &fault)
                       : selector_parse_advanced(list, SELECTOR_FOR_TRAIL, scratch, &set, &fault);
    if (!is_good) fail_msg("%.*s: %s", (int)size, text, fault.text);
    if (!match_create(&set, &match, &fault)) fail_msg("%s", fault.text);
    arena_destroy(scratch);
    uint64_t selected = 0;
    for (uint32_t index = 0; index < records_count; index++) {
        const struct yyjson_val *root;
        struct span record = span_of(records[index].text, records[index].size);
        assert_true(json_read(json, record, &root, &fault));
        bool expected = false;
        yyjson_arr_iter selectors;
        yyjson_arr_iter_init(unconst(list), &selectors);
        yyjson_val *selector;
        while (!expected && (selector = yyjson_arr_iter_next(&selectors)) != NULL) {
            expected = is_basic ? basic_selects(selector, &records[index].record, root)
                                : advanced_selects(selector, &records[index].record, root);
        }
        if (match_selects(match, &records[index].record) != expected) {
            fail_msg("expected %d\nselectors %.*s\nrecord %.*s", expected, (int)size, text,
                     SPAN_PRINT(record));
        }
        compare_top(match, &records[index].record, expected);
        selected += expected;
    }
    match_destroy(match);
    return selected;
}

static void compare_many(bool is_basic) {
    struct buffer text;
    buffer_init(&text, 1024 * 1024);
    uint32_t some = 0;
    for (uint32_t set = 0; set < SETS; set++) {
        buffer_reset(&text);
        buffer_append_byte(&text, '[');
        uint32_t count = 1 + below(3);
        for (uint32_t index = 0; index < count; index++) {
            if (index > 0) buffer_append_byte(&text, ',');
            if (is_basic) {
                print_basic(&text);
            } else {
                print_advanced(&text);
            }
        }
        buffer_append_byte(&text, ']');
        assert_false(buffer_overflowed(&text));
        uint64_t selected = compare((const char *)text.bytes, text.size, is_basic);
        some += selected > 0 && selected < records_count;
    }
    buffer_done(&text);
    // Sets that select all or nothing show little.
    if (some < SETS / 2)
        fail_msg("only %u of %d sets select some records and not others", some, SETS);
}

static void test_advanced(void **state) {
    (void)state;
    compare_many(false);
}

static void test_basic(void **state) {
    (void)state;
    compare_many(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_advanced),
        cmocka_unit_test(test_basic),
    };
    if (set_up(NULL) != 0) return 1;
    int code = cases_run("match_oracle", tests, sizeof tests / sizeof tests[0]);
    (void)tear_down(NULL);
    return code;
}
