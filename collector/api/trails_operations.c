#include "collector/api/trails_operations.h"

#include <assert.h>
#include <stdio.h>

#include "collector/api/trails.h"
#include "collector/cloudwatch/logs_state.h"
#include "collector/deliver/state.h"
#include "collector/notify/place.h"
#include "collector/notify/target.h"

enum { DESCRIBE_MAX = 20 };  // names of one DescribeTrails

// ---- the input

// A member that may be left out: bytes NULL if it is.
static bool read_text(struct api_call *call, const char *name, struct span *value, bool *is_given) {
    struct span text = {NULL, 0};
    if (!api_string(call, call->input, name, &text)) return false;
    *is_given = text.bytes != NULL;
    if (*is_given) *value = text;
    return true;
}

static bool read_flag(struct api_call *call, const char *name, bool *value, bool *is_given) {
    const struct yyjson_val *member = json_member(call->input, span_text(name));
    *is_given = member != NULL && !yyjson_is_null((yyjson_val *)(uintptr_t)member);
    return api_bool(call, call->input, name, value);
}

// What CreateTrail and UpdateTrail have in common: what is given takes the place of what was there.
static bool read_settings(struct api_call *call, struct trail *trail) {
    bool given;
    if (!read_text(call, "S3BucketName", &trail->bucket, &given)) return false;
    bool is_new_bucket = given || trail->version == 0;
    if (is_new_bucket && !trail_check_bucket(call, trail->bucket)) return false;
    if (!read_text(call, "S3KeyPrefix", &trail->prefix, &given) ||
        !trail_check_prefix(call, trail->prefix) ||
        (is_new_bucket && !trail_check_bucket_exists(call, trail->bucket)) ||
        !read_text(call, "SnsTopicName", &trail->topic, &given) ||
        !trail_check_topic(call, trail->topic)) {
        return false;
    }
    struct span key = {NULL, 0};
    if (!read_text(call, "KmsKeyId", &key, &given)) return false;
    if (given && !trail_check_key(call, trail->account, trail->region, key, &trail->key)) {
        return false;
    }
    bool had_logs = trail->logs_group.size > 0;
    if (!read_text(call, "CloudWatchLogsLogGroupArn", &trail->logs_group, &given) ||
        !read_text(call, "CloudWatchLogsRoleArn", &trail->logs_role, &given) ||
        !trail_check_logs(call, trail->logs_group, trail->logs_role)) {
        return false;
    }
    // A log group gets what comes from now on.
    if (!had_logs && trail->logs_group.size > 0) trail->logs_ms = call->request->now_ms;
    return read_flag(call, "EnableLogFileValidation", &trail->is_validated, &given) &&
           read_flag(call, "RecursiveLogging", &trail->is_recursive, &given);
}

// Regions and global services: a trail of all regions has the global services too, and one that
// changes between one region and all changes that with it.
static bool read_reach(struct api_call *call, struct trail *trail) {
    bool was_multi_region = trail->is_multi_region;
    bool given, is_global = trail->is_global;
    if (!read_flag(call, "IsMultiRegionTrail", &trail->is_multi_region, &given)) return false;
    if (trail->version > 0 && trail->is_multi_region != was_multi_region) {
        is_global = trail->is_multi_region;
    }
    if (!read_flag(call, "IncludeGlobalServiceEvents", &is_global, &given)) return false;
    if (trail->is_multi_region && !is_global) {
        return api_refuse(call, "InvalidParameterCombinationException",
                          "Multi-Region trail must include global service events.");
    }
    trail->is_global = is_global;
    return true;
}

static bool check_region(struct api_call *call) {
    struct span region = call->request->region;
    bool is_good = region.size > 0 && region.size <= 64;
    for (size_t at = 0; at < region.size; at++) {
        uint8_t byte = region.bytes[at];
        is_good = is_good &&
                  ((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-');
    }
    // Those that stand for many regions or accounts in lookups.
    static const char *const pseudo[] = {"all-regions", "account-", "organization"};
    for (size_t index = 0; index < sizeof pseudo / sizeof pseudo[0]; index++) {
        is_good = is_good && !span_starts(region, span_text(pseudo[index]));
    }
    if (is_good) return true;
    return api_refuse(call, "UnsupportedOperationException",
                      "A trail cannot be created in region %.*s.", SPAN_PRINT(region));
}

// How many of the account's trails there are in a region.
static uint32_t count_in(const struct trails *trails, struct span region, const struct trail *but) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < trails->count; index++) {
        const struct trail *trail = &trails->items[index];
        bool is_there = trail->is_multi_region || span_equal(trail->region, region);
        bool is_it = span_equal(trail->name, but->name) && span_equal(trail->region, but->region);
        count += is_there && !is_it;
    }
    return count;
}

// Five trails a region, of which one for all regions is one in each.
static bool check_count(struct api_call *call, const struct trail *trail) {
    struct trails trails;
    if (!trails_list_account(call, trail->account, &trails)) return false;
    struct span region = trail->region;
    uint32_t most = count_in(&trails, region, trail);
    for (uint32_t index = 0; trail->is_multi_region && index < trails.count; index++) {
        struct span other = trails.items[index].region;
        uint32_t count = count_in(&trails, other, trail);
        if (count <= most) continue;
        most = count;
        region = other;
    }
    if (most < TRAILS_REGION_MAX) return true;
    return api_refuse(call, "MaximumNumberOfTrailsExceededException",
                      "User: %.*s already has %d trails in %.*s.", SPAN_PRINT(trail->account),
                      TRAILS_REGION_MAX, SPAN_PRINT(region));
}

// ---- the output

static bool write_trail(struct api_call *call, const struct trail *trail, bool is_whole) {
    struct json_writer *output = call->output;
    const char *arn = trails_arn(call, trail);
    if (arn == NULL) return false;
    const struct {
        const char *name;
        struct span value;
    } texts[] = {
        {"S3KeyPrefix", trail->prefix},
        {"SnsTopicName", trail->topic},
        {"CloudWatchLogsLogGroupArn", trail->logs_group},
        {"CloudWatchLogsRoleArn", trail->logs_role},
        {"KmsKeyId", trail->key},
    };
    json_write_string(output, "Name", trail->name);
    json_write_string(output, "S3BucketName", trail->bucket);
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        if (texts[index].value.size > 0) {
            json_write_string(output, texts[index].name, texts[index].value);
        }
    }
    if (trail->topic.size > 0) {
        char arn_of_topic[TRAIL_TOPIC_SIZE];
        trail_document_topic(trail, arn_of_topic);
        json_write_string(output, "SnsTopicARN", span_text(arn_of_topic));
    }
    json_write_bool(output, "IncludeGlobalServiceEvents", trail->is_global);
    json_write_bool(output, "IsMultiRegionTrail", trail->is_multi_region);
    json_write_string(output, "TrailARN", span_text(arn));
    json_write_bool(output, "LogFileValidationEnabled", trail->is_validated);
    json_write_bool(output, "IsOrganizationTrail", trail->is_organization);
    json_write_bool(output, "RecursiveLogging", trail->is_recursive);
    if (!is_whole) return true;
    struct selector_set set;
    if (!trails_selectors(call, trail, &set)) return false;
    json_write_string(output, "HomeRegion", trail->region);
    json_write_bool(output, "HasCustomEventSelectors", !selector_is_default(&set));
    json_write_bool(output, "HasInsightSelectors", trail->insights != NULL);
    return true;
}

// ---- the operations

// Whose trail it will be: an organization trail is the management account's, whoever of those that
// may creates it.
static bool read_owner(struct api_call *call, struct trail *trail) {
    bool given, sees;
    trail->account = call->request->caller.account;
    if (!read_flag(call, "IsOrganizationTrail", &trail->is_organization, &given)) return false;
    if (!trail->is_organization && !trails_are_open(call)) {
        return api_refuse(call, "AccessDeniedException",
                          "The key is narrowed to other accounts than %.*s.",
                          SPAN_PRINT(trail->account));
    }
    if (!trail->is_organization) return true;
    if (!api_sees_organization(call, &sees)) return false;
    trail->account = span_text(call->world->place.account);
    if (sees) return true;
    return api_refuse(call, "NotOrganizationMasterAccountException",
                      "Account %.*s is not the management account of the organization, nor its "
                      "delegated administrator: it cannot create an organization trail.",
                      SPAN_PRINT(call->request->caller.account));
}

static bool check_new(struct api_call *call, const struct trail *trail) {
    struct trails trails;
    if (!trails_list_account(call, trail->account, &trails)) return false;
    for (uint32_t index = 0; index < trails.count; index++) {
        const struct trail *other = &trails.items[index];
        bool meets = trail->is_multi_region || other->is_multi_region ||
                     span_equal(other->region, trail->region);
        if (!meets || !span_equal(other->name, trail->name)) continue;
        return api_refuse(call, "TrailAlreadyExistsException",
                          "Trail %.*s already exists for customer: %.*s", SPAN_PRINT(trail->name),
                          SPAN_PRINT(trail->account));
    }
    return check_count(call, trail);
}

bool trails_run_create(struct api_call *call) {
    struct trail trail = {
        .region = call->request->region,
        .is_global = true,
        .is_recursive = true,
        .created_ms = call->request->now_ms,
    };
    const struct yyjson_val *list = NULL;
    return api_string(call, call->input, "Name", &trail.name) &&
           trail_check_name(call, trail.name) && check_region(call) && read_reach(call, &trail) &&
           read_owner(call, &trail) && read_settings(call, &trail) &&
           api_list(call, call->input, "TagsList", &list) && tags_add(call, list, &trail.tags) &&
           trails_lock(call, trail.account) && check_new(call, &trail) &&
           trails_put(call, &trail) && write_trail(call, &trail, false);
}

// An organization trail that becomes a plain one, or the other way round.
static bool read_organization(struct api_call *call, struct trail *trail) {
    bool given, sees;
    bool was = trail->is_organization;
    if (!read_flag(call, "IsOrganizationTrail", &trail->is_organization, &given)) return false;
    if (was == trail->is_organization) return true;
    if (!api_sees_organization(call, &sees)) return false;
    if (sees && span_is(trail->account, call->world->place.account)) return true;
    return api_refuse(call, "NotOrganizationMasterAccountException",
                      "Trail %.*s is not the management account's: it cannot be an organization "
                      "trail.",
                      SPAN_PRINT(trail->name));
}

bool trails_run_update(struct api_call *call) {
    struct trail trail;
    if (!trails_get(call, "Name", &trail) || !trails_may_change(call, &trail)) return false;
    bool was_multi_region = trail.is_multi_region;
    if (!read_reach(call, &trail) || !read_organization(call, &trail) ||
        !read_settings(call, &trail)) {
        return false;
    }
    if (was_multi_region != trail.is_multi_region) {
        if (!trails_lock(call, trail.account)) return false;
        if (trail.is_multi_region && !check_count(call, &trail)) return false;
    }
    return trails_put(call, &trail) && write_trail(call, &trail, false);
}

bool trails_run_delete(struct api_call *call) {
    struct trail trail;
    return trails_get(call, "Name", &trail) && trails_may_change(call, &trail) &&
           trails_lock(call, trail.account) && trails_remove(call, &trail);
}

bool trails_run_start(struct api_call *call) {
    struct trail trail;
    if (!trails_get(call, "Name", &trail) || !trails_may_change(call, &trail)) return false;
    if (trail.is_logging) return true;
    trail.is_logging = true;
    trail.started_ms = call->request->now_ms;
    return trails_put(call, &trail);
}

bool trails_run_stop(struct api_call *call) {
    struct trail trail;
    if (!trails_get(call, "Name", &trail) || !trails_may_change(call, &trail)) return false;
    if (!trail.is_logging) return true;
    trail.is_logging = false;
    trail.stopped_ms = call->request->now_ms;
    return trails_put(call, &trail);
}

bool trails_run_get(struct api_call *call) {
    struct trail trail;
    if (!trails_get(call, "Name", &trail)) return false;
    json_write_object(call->output, "Trail");
    if (!write_trail(call, &trail, true)) return false;
    json_write_end(call->output);
    return true;
}

static bool write_described(struct api_call *call, const struct trail *trail) {
    json_write_object(call->output, NULL);
    if (!write_trail(call, trail, true)) return false;
    json_write_end(call->output);
    return true;
}

// Those of the list; names that are not found are left out, as CloudTrail does.
static bool describe_named(struct api_call *call, const struct yyjson_val *list) {
    size_t count = yyjson_arr_size((yyjson_val *)(uintptr_t)list);
    if (count > DESCRIBE_MAX) {
        return api_refuse(call, "InvalidTrailNameException",
                          "trailNameList has more than %d names.", DESCRIBE_MAX);
    }
    for (size_t index = 0; index < count; index++) {
        struct trail trail;
        bool found;
        struct span name = json_string(yyjson_arr_get((yyjson_val *)(uintptr_t)list, index));
        if (!trails_find(call, name, &trail, &found)) return false;
        if (found && !write_described(call, &trail)) return false;
    }
    return true;
}

bool trails_run_describe(struct api_call *call) {
    const struct yyjson_val *list = NULL;
    bool with_shadows = true;
    struct trails trails;
    if (!api_list(call, call->input, "trailNameList", &list) ||
        !api_bool(call, call->input, "includeShadowTrails", &with_shadows)) {
        return false;
    }
    json_write_list(call->output, "trailList");
    if (yyjson_arr_size((yyjson_val *)(uintptr_t)list) > 0) {
        if (!describe_named(call, list)) return false;
    } else {
        if (!trails_list(call, &trails)) return false;
        for (uint32_t index = 0; index < trails.count; index++) {
            const struct trail *trail = &trails.items[index];
            bool is_shadow = trails_is_shadow(call, trail);
            if (!trails_is_in(call, trail) || (is_shadow && !with_shadows)) continue;
            if (!write_described(call, trail)) return false;
        }
    }
    json_write_end(call->output);
    return true;
}

bool trails_run_list(struct api_call *call) {
    struct trails trails;
    struct span token = {NULL, 0};
    if (!api_string(call, call->input, "NextToken", &token)) return false;
    if (token.size > 0) {
        return api_refuse(call, "InvalidNextTokenException",
                          "All trails are in one answer: there is no token of a next one.");
    }
    if (!trails_list(call, &trails)) return false;
    json_write_list(call->output, "Trails");
    for (uint32_t index = 0; index < trails.count; index++) {
        const struct trail *trail = &trails.items[index];
        const char *arn = trails_arn(call, trail);
        if (arn == NULL) return false;
        json_write_object(call->output, NULL);
        json_write_string(call->output, "TrailARN", span_text(arn));
        json_write_string(call->output, "Name", trail->name);
        json_write_string(call->output, "HomeRegion", trail->region);
        json_write_end(call->output);
    }
    json_write_end(call->output);
    return true;
}

// What is known of a trail's delivery, read from a document; no root: there is none.
struct finding {
    struct api_call *call;
    const struct yyjson_val *root;
    bool is_good;
};

static bool on_state(void *user, struct span name, struct span value) {
    struct finding *finding = user;
    struct fault fault;
    struct span copy;
    (void)name;
    if (!arena_copy(finding->call->arena, value, &copy)) {
        fault_set(&fault, FAULT_FULL, "no memory for a trail");
        finding->is_good = api_refuse_fault(finding->call, &fault);
        return false;
    }
    finding->is_good = api_read_json(finding->call, copy, &finding->root);
    return false;
}

static bool find_document(struct api_call *call, const char *documents, const struct trail *trail,
                          const struct yyjson_val **root) {
    char id[TRAIL_ID_SIZE];
    char name[TRAIL_NAME_SIZE_MAX + 1];
    struct finding finding = {call, NULL, true};
    trail_document_id(trail, id);
    snprintf(name, sizeof name, "%s%s", documents, id);
    if (!api_visit(call, span_text(name), on_state, &finding) || !finding.is_good) return false;
    *root = finding.root;
    return true;
}

// States as they are if there are none.
static bool find_states(struct api_call *call, const struct trail *trail, struct state *state,
                        struct logs_state *logs) {
    struct fault fault;
    const struct yyjson_val *root;
    if (!find_document(call, STATE_DOCUMENTS, trail, &root)) return false;
    if (root != NULL && !state_read(root, state, &fault)) return api_refuse_fault(call, &fault);
    if (!find_document(call, LOGS_STATE_DOCUMENTS, trail, &root)) return false;
    return root == NULL || logs_state_read(root, logs, &fault) || api_refuse_fault(call, &fault);
}

// What is known of those who are told of a trail's files, together.
struct told {
    struct api_call *call;
    int64_t attempted_ms;
    int64_t told_ms;
    char error[PLACE_ERROR_SIZE + PLACE_NAME_SIZE + 2];  // of the one that failed last
    int64_t failed_ms;
    bool is_good;
};

static bool on_place(void *user, struct span name, struct span value) {
    struct told *told = user;
    const struct yyjson_val *root;
    struct fault fault;
    struct span copy;
    struct place place;
    (void)name;
    if (!arena_copy(told->call->arena, value, &copy)) {
        fault_set(&fault, FAULT_FULL, "no memory for a trail");
        told->is_good = api_refuse_fault(told->call, &fault);
        return false;
    }
    told->is_good = api_read_json(told->call, copy, &root);
    if (told->is_good && !place_read(root, &place, &fault)) {
        told->is_good = api_refuse_fault(told->call, &fault);
    }
    if (!told->is_good) return false;
    if (place.attempted_ms > told->attempted_ms) told->attempted_ms = place.attempted_ms;
    if (place.told_ms > told->told_ms) told->told_ms = place.told_ms;
    if (place.error[0] == 0 || place.attempted_ms < told->failed_ms) return true;
    told->failed_ms = place.attempted_ms;
    // The trail's own topic needs no name: CloudTrail knows no other.
    bool is_topic = strcmp(place.name, TARGET_TOPIC_NAME) == 0;
    snprintf(told->error, sizeof told->error, "%s%s%s", is_topic ? "" : place.name,
             is_topic ? "" : ": ", place.error);
    return true;
}

static bool find_told(struct api_call *call, const struct trail *trail, struct told *told) {
    char id[TRAIL_ID_SIZE];
    char prefix[TRAIL_NAME_SIZE_MAX + 1];
    *told = (struct told){.call = call, .is_good = true};
    trail_document_id(trail, id);
    snprintf(prefix, sizeof prefix, STATE_TARGETS "%s/", id);
    return api_visit(call, span_text(prefix), on_place, told) && told->is_good;
}

static void write_moment(struct json_writer *output, const char *name, int64_t ms) {
    if (ms != 0) json_write_time_ms(output, name, ms);
}

// The same as a text that CloudTrail still writes for old clients; empty: never.
static void write_moment_text(struct json_writer *output, const char *name, int64_t ms) {
    char time[TIME_TEXT_SIZE];
    time_print(ms / 1000, time);
    json_write_string(output, name, span_text(ms != 0 ? time : ""));
}

bool trails_run_status(struct api_call *call) {
    struct trail trail;
    struct state state = {0};
    struct logs_state logs = {0};
    struct told told;
    if (!trails_get(call, "Name", &trail) || !find_states(call, &trail, &state, &logs) ||
        !find_told(call, &trail, &told)) {
        return false;
    }
    struct json_writer *output = call->output;
    json_write_bool(output, "IsLogging", trail.is_logging);
    write_moment(output, "LatestDeliveryTime", state.delivered_ms);
    if (state.error[0] != 0) {
        json_write_string(output, "LatestDeliveryError", span_text(state.error));
    }
    write_moment(output, "LatestCloudWatchLogsDeliveryTime", logs.delivered_ms);
    const char *logs_error = logs.error[0] != 0 ? logs.error : logs.note;
    if (logs_error[0] != 0) {
        json_write_string(output, "LatestCloudWatchLogsDeliveryError", span_text(logs_error));
    }
    write_moment(output, "LatestDigestDeliveryTime", state.digest_delivered_ms);
    if (state.digest_error[0] != 0) {
        json_write_string(output, "LatestDigestDeliveryError", span_text(state.digest_error));
    }
    write_moment(output, "LatestNotificationTime", told.told_ms);
    if (told.error[0] != 0) {
        json_write_string(output, "LatestNotificationError", span_text(told.error));
    }
    write_moment(output, "StartLoggingTime", trail.started_ms);
    write_moment(output, "StopLoggingTime", trail.stopped_ms);
    write_moment_text(output, "LatestDeliveryAttemptTime", state.attempted_ms);
    write_moment_text(output, "LatestNotificationAttemptTime", told.attempted_ms);
    write_moment_text(output, "LatestNotificationAttemptSucceeded", told.told_ms);
    write_moment_text(output, "LatestDeliveryAttemptSucceeded", state.delivered_ms);
    write_moment_text(output, "TimeLoggingStarted", trail.started_ms);
    write_moment_text(output, "TimeLoggingStopped", trail.stopped_ms);
    return true;
}
