#include "collector/api/trail_document.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/crypto.h"

enum {
    NAME_HASH_SIZE = 10,  // bytes of a hash of region and name: names are longer than a document's
};

void trail_document_name(struct span account, struct span region, struct span name,
                         char document[TRAIL_NAME_SIZE_MAX + 1]) {
    const struct span parts[] = {region, SPAN_LITERAL("/"), name};
    uint8_t digest[SHA256_SIZE];
    char hex[2 * NAME_HASH_SIZE + 1];
    crypto_sha256(parts, 3, digest);
    crypto_print_hex(span_of(digest, NAME_HASH_SIZE), hex);
    int size = snprintf(document, TRAIL_NAME_SIZE_MAX + 1, TRAIL_DOCUMENTS "%.*s/%s",
                        SPAN_PRINT(account), hex);
    assert(size > 0 && size <= TRAIL_NAME_SIZE_MAX);
}

void trail_document_id(const struct trail *trail, char id[TRAIL_ID_SIZE]) {
    char text[512];
    uint8_t digest[SHA256_SIZE];
    snprintf(text, sizeof text, "%.*s/%.*s/%.*s/%" PRId64, SPAN_PRINT(trail->account),
             SPAN_PRINT(trail->region), SPAN_PRINT(trail->name), trail->created_ms);
    const struct span whole = span_text(text);
    crypto_sha256(&whole, 1, digest);
    crypto_print_hex(span_of(digest, (TRAIL_ID_SIZE - 1) / 2), id);
}

static struct span text_of(const struct yyjson_val *root, const char *name) {
    struct span text = json_member_string(root, span_text(name));
    return text.bytes == NULL ? SPAN_LITERAL("") : text;
}

static bool flag_of(const struct yyjson_val *root, const char *name) {
    return yyjson_is_true((yyjson_val *)(uintptr_t)json_member(root, span_text(name)));
}

static int64_t number_of(const struct yyjson_val *root, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(root, span_text(name)));
}

struct trail trail_document_read(const struct yyjson_val *root) {
    return (struct trail){
        .version = (uint64_t)number_of(root, "version"),
        .account = text_of(root, "account"),
        .region = text_of(root, "region"),
        .name = text_of(root, "name"),
        .bucket = text_of(root, "bucket"),
        .prefix = text_of(root, "prefix"),
        .topic = text_of(root, "topic"),
        .logs_group = text_of(root, "logs_group"),
        .logs_role = text_of(root, "logs_role"),
        .key = text_of(root, "key"),
        .is_global = flag_of(root, "global"),
        .is_multi_region = flag_of(root, "multi_region"),
        .is_organization = flag_of(root, "organization"),
        .is_validated = flag_of(root, "validated"),
        .is_recursive = flag_of(root, "recursive"),
        .is_logging = flag_of(root, "logging"),
        .created_ms = number_of(root, "created_ms"),
        .changed_ms = number_of(root, "changed_ms"),
        .started_ms = number_of(root, "started_ms"),
        .stopped_ms = number_of(root, "stopped_ms"),
        .logs_ms = number_of(root, "logs_ms"),
        .advanced = json_member(root, SPAN_LITERAL("advanced")),
        .basic = json_member(root, SPAN_LITERAL("basic")),
        .insights = json_member(root, SPAN_LITERAL("insights")),
    };
}

bool trail_document_selectors(const struct trail *trail, struct arena *arena,
                              struct selector_set *set, struct fault *fault) {
    *set = selector_default();
    if (trail->advanced == NULL && trail->basic == NULL) return true;
    bool is_good =
        trail->advanced != NULL
            ? selector_parse_advanced(trail->advanced, SELECTOR_FOR_TRAIL, arena, set, fault)
            : selector_parse_basic(trail->basic, arena, set, fault);
    if (!is_good && fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
    return is_good;
}

const char *trail_document_partition(struct span region) {
    if (span_starts(region, SPAN_LITERAL("cn-"))) return "aws-cn";
    if (span_starts(region, SPAN_LITERAL("us-gov-"))) return "aws-us-gov";
    return "aws";
}

void trail_document_topic(const struct trail *trail, char arn[TRAIL_TOPIC_SIZE]) {
    if (span_starts(trail->topic, SPAN_LITERAL("arn:"))) {
        snprintf(arn, TRAIL_TOPIC_SIZE, "%.*s", SPAN_PRINT(trail->topic));
        return;
    }
    snprintf(arn, TRAIL_TOPIC_SIZE, "arn:%s:sns:%.*s:%.*s:%.*s",
             trail_document_partition(trail->region), SPAN_PRINT(trail->region),
             SPAN_PRINT(trail->account), SPAN_PRINT(trail->topic));
}
