#include "collector/api/trail_check.h"

#include "collector/api/trail_document.h"
#include "collector/deliver/objects_directory.h"

enum { BUCKET_MIN = 3, BUCKET_MAX = 63 };

static bool is_digit(uint8_t byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_lower(uint8_t byte) {
    return byte >= 'a' && byte <= 'z';
}

static bool is_alphanumeric(uint8_t byte) {
    return is_digit(byte) || is_lower(byte) || (byte >= 'A' && byte <= 'Z');
}

// Whether all bytes are letters, digits or one of these.
static bool is_made_of(struct span text, const char *others) {
    for (size_t at = 0; at < text.size; at++) {
        if (is_alphanumeric(text.bytes[at])) continue;
        if (text.bytes[at] == 0 || strchr(others, text.bytes[at]) == NULL) return false;
    }
    return true;
}

// "192.168.5.4": four numbers and nothing else.
static bool is_address(struct span text) {
    uint32_t dots = 0, digits = 0;
    for (size_t at = 0; at < text.size; at++) {
        if (text.bytes[at] == '.') {
            if (digits == 0) return false;
            digits = 0;
            dots++;
        } else if (is_digit(text.bytes[at]) && digits < 3) {
            digits++;
        } else {
            return false;
        }
    }
    return dots == 3 && digits > 0;
}

bool trail_check_name(struct api_call *call, struct span name) {
    static const char code[] = "InvalidTrailNameException";
    if (name.size == 0) return api_refuse(call, code, "Trail name cannot be blank!");
    if (name.size < TRAIL_CHECK_NAME_MIN) {
        return api_refuse(call, code,
                          "Trail name too short. Minimum allowed length: %d characters. Specified "
                          "name length: %zu characters.",
                          TRAIL_CHECK_NAME_MIN, name.size);
    }
    if (name.size > TRAIL_CHECK_NAME_MAX) {
        return api_refuse(call, code,
                          "Trail name too long. Maximum allowed length: %d characters. Specified "
                          "name length: %zu characters.",
                          TRAIL_CHECK_NAME_MAX, name.size);
    }
    if (!is_alphanumeric(name.bytes[0])) {
        return api_refuse(call, code, "Trail name must starts with a letter or number.");
    }
    if (!is_alphanumeric(name.bytes[name.size - 1])) {
        return api_refuse(call, code, "Trail name must ends with a letter or number.");
    }
    if (!is_made_of(name, "._-")) {
        return api_refuse(call, code,
                          "Trail name or ARN can only contain uppercase letters, lowercase "
                          "letters, numbers, periods (.), hyphens (-), and underscores (_).");
    }
    for (size_t at = 1; at < name.size; at++) {
        if (is_alphanumeric(name.bytes[at]) || is_alphanumeric(name.bytes[at - 1])) continue;
        return api_refuse(call, code,
                          "Trail name cannot have two adjacent periods, hyphens or underscores.");
    }
    if (is_address(name)) {
        return api_refuse(call, code, "Trail name cannot be in IP address format.");
    }
    return true;
}

bool trail_check_bucket(struct api_call *call, struct span bucket) {
    bool is_good = bucket.size >= BUCKET_MIN && bucket.size <= BUCKET_MAX && !is_address(bucket);
    for (size_t at = 0; is_good && at < bucket.size; at++) {
        uint8_t byte = bucket.bytes[at];
        bool is_end = at == 0 || at + 1 == bucket.size;
        bool is_dot = byte == '.' && !is_end && bucket.bytes[at - 1] != '.';
        is_good = is_lower(byte) || is_digit(byte) || is_dot || (byte == '-' && !is_end);
    }
    if (is_good) return true;
    return api_refuse(call, "InvalidS3BucketNameException",
                      "Bucket name %.*s is not valid: it must have 3 to 63 lowercase letters, "
                      "numbers, periods and hyphens, and begin and end with a letter or number.",
                      (int)(bucket.size < 100 ? bucket.size : 100), (const char *)bucket.bytes);
}

// Whether a part of a prefix is what accounts' folders stand in: files behind it would look like
// another account's, to readers of the bucket too.
static bool has_accounts_folder(struct span prefix) {
    while (prefix.size > 0) {
        size_t at = span_find(prefix, '/');
        if (span_is(span_of(prefix.bytes, at), "AWSLogs")) return true;
        prefix = at < prefix.size ? span_from(prefix, at + 1) : (struct span){NULL, 0};
    }
    return false;
}

bool trail_check_prefix(struct api_call *call, struct span prefix) {
    bool is_good = !has_accounts_folder(prefix) && (prefix.size == 0 || prefix.bytes[0] != '/');
    size_t length = 0;
    for (size_t at = 0; at < prefix.size; at++) {
        length += (prefix.bytes[at] & 0xC0) != 0x80;
        is_good = is_good && prefix.bytes[at] >= 0x20;
    }
    // In a folder, parts are names of folders; a bucket may become one.
    if (call->world->objects != NULL && prefix.size > 0) {
        is_good = is_good && objects_is_key(prefix);
    }
    if (is_good && length <= TRAIL_CHECK_PREFIX_MAX) return true;
    return api_refuse(call, "InvalidS3PrefixException",
                      "S3 prefix is not valid: it must have at most %d characters and must not "
                      "begin or end with a slash, nor have a part that is empty, begins with a "
                      "period or is AWSLogs.",
                      TRAIL_CHECK_PREFIX_MAX);
}

bool trail_check_bucket_exists(struct api_call *call, struct span bucket) {
    struct fault fault;
    bool found = false;
    const struct objects *objects = call->world->objects;
    if (objects == NULL) return true;
    if (!objects_find_bucket(objects, bucket, &found, &fault)) {
        return api_refuse_fault(call, &fault);
    }
    if (found) return true;
    if (call->world->buckets == NULL) {
        return api_refuse(
            call, "S3BucketDoesNotExistException",
            "S3 bucket %.*s does not exist! Make it in the store that the collector's "
            "delivery.s3 names, or correct the name.",
            SPAN_PRINT(bucket));
    }
    return api_refuse(call, "S3BucketDoesNotExistException",
                      "S3 bucket %.*s does not exist! On the collector's machine make the folder "
                      "%s/%.*s, which its user can write, or correct the name.",
                      SPAN_PRINT(bucket), call->world->buckets->root, SPAN_PRINT(bucket));
}

bool trail_check_split(struct span text, struct arn *arn) {
    if (text.size > TRAIL_CHECK_ARN_MAX || !span_starts(text, SPAN_LITERAL("arn:"))) return false;
    struct span *const parts[] = {&arn->partition, &arn->service, &arn->region, &arn->account};
    struct span rest = span_from(text, 4);
    for (uint32_t index = 0; index < 4; index++) {
        size_t colon = span_find(rest, ':');
        if (colon == rest.size) return false;
        *parts[index] = span_of(rest.bytes, colon);
        rest = span_from(rest, colon + 1);
    }
    arn->resource = rest;
    return rest.size > 0 && span_starts(arn->partition, SPAN_LITERAL("aws")) &&
           arn->service.size > 0;
}

bool trail_check_topic(struct api_call *call, struct span topic) {
    if (topic.size == 0) return true;
    struct span name = topic;
    struct arn arn;
    bool is_good = true;
    if (span_starts(topic, SPAN_LITERAL("arn:"))) {
        is_good = trail_check_split(topic, &arn) && span_is(arn.service, "sns") &&
                  arn.region.size > 0 && arn.account.size > 0;
        name = is_good ? arn.resource : topic;
    }
    is_good = is_good && name.size <= TRAIL_CHECK_TOPIC_MAX && is_made_of(name, "_-");
    if (is_good) return true;
    return api_refuse(call, "InvalidSnsTopicNameException",
                      "SNS Topic name is not valid: it must be the ARN of a topic that is no FIFO "
                      "topic, or have at most %d letters, numbers, hyphens and underscores.",
                      TRAIL_CHECK_TOPIC_MAX);
}

// "12345678-1234-...", or "mrk-" and 32 hex digits.
static bool is_key_id(struct span id) {
    // Either has 36 characters.
    return id.size == 36 && is_made_of(id, "-");
}

bool trail_check_key(struct api_call *call, struct span account, struct span region,
                     struct span key, struct span *arn) {
    *arn = (struct span){NULL, 0};
    if (key.size == 0) return true;
    struct arn parts = {.region = region};
    struct span resource = key;
    bool is_good = true;
    bool is_arn = span_starts(key, SPAN_LITERAL("arn:"));
    if (is_arn) {
        is_good = trail_check_split(key, &parts) && span_is(parts.service, "kms") &&
                  parts.account.size > 0;
        resource = is_good ? parts.resource : key;
    }
    struct span alias = SPAN_LITERAL("alias/"), id = SPAN_LITERAL("key/");
    bool is_alias = span_starts(resource, alias) && resource.size > alias.size &&
                    is_made_of(span_from(resource, alias.size), "/_-");
    bool is_key = is_arn ? span_starts(resource, id) && is_key_id(span_from(resource, id.size))
                         : is_key_id(resource);
    if (!is_good || (!is_alias && !is_key)) {
        return api_refuse(call, "InvalidKmsKeyIdException",
                          "KMS key %.*s is not valid: it must be a key's id or ARN, or an alias or "
                          "its ARN.",
                          (int)(key.size < 100 ? key.size : 100), (const char *)key.bytes);
    }
    if (!span_equal(parts.region, region)) {
        return api_refuse(call, "KmsKeyNotFoundException",
                          "KMS key %.*s is not in the trail's region %.*s.", SPAN_PRINT(key),
                          SPAN_PRINT(region));
    }
    if (is_arn) {
        *arn = key;
        return true;
    }
    const char *text = arena_print(call->arena, "arn:%s:kms:%.*s:%.*s:%s%.*s",
                                   trail_document_partition(region), SPAN_PRINT(region),
                                   SPAN_PRINT(account), is_alias ? "" : "key/", SPAN_PRINT(key));
    if (text != NULL) {
        *arn = span_text(text);
        return true;
    }
    struct fault fault;
    fault_set(&fault, FAULT_FULL, "no memory for an ARN");
    return api_refuse_fault(call, &fault);
}

bool trail_check_logs(struct api_call *call, struct span group, struct span role) {
    static const char group_code[] = "InvalidCloudWatchLogsLogGroupArnException";
    static const char role_code[] = "InvalidCloudWatchLogsRoleArnException";
    if (group.size == 0 && role.size == 0) return true;
    if (role.size == 0) {
        return api_refuse(call, role_code, "You must specify a role ARN as well as a log group.");
    }
    if (group.size == 0) {
        return api_refuse(call, group_code, "You must specify a log group as well as a role ARN.");
    }
    struct arn arn;
    if (!trail_check_split(group, &arn) || !span_is(arn.service, "logs") || arn.region.size == 0 ||
        arn.account.size == 0 || !span_starts(arn.resource, SPAN_LITERAL("log-group:")) ||
        !span_ends(arn.resource, SPAN_LITERAL(":*")) || arn.resource.size <= 12) {
        return api_refuse(call, group_code,
                          "CloudTrail cannot validate the specified log group ARN: it must be like "
                          "arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*.");
    }
    if (!trail_check_split(role, &arn) || !span_is(arn.service, "iam") || arn.account.size == 0 ||
        !span_starts(arn.resource, SPAN_LITERAL("role/")) || arn.resource.size <= 5) {
        return api_refuse(call, role_code,
                          "CloudTrail cannot validate the specified role ARN: it must be like "
                          "arn:aws:iam::ACCOUNT:role/NAME.");
    }
    return true;
}
