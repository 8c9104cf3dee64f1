#include "collector/api/trails.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/trail/trail_types.h"

static bool refuse_memory(struct api_call *call) {
    struct fault fault;
    fault_set(&fault, FAULT_FULL, "no memory for a trail");
    return api_refuse_fault(call, &fault);
}

// The name of a trail's document. NULL: the call is refused.
static const char *document_of(struct api_call *call, struct span account, struct span region,
                               struct span name) {
    char document[TRAIL_NAME_SIZE_MAX + 1];
    trail_document_name(account, region, name, document);
    char *text = arena_copy_text(call->arena, span_text(document));
    if (text == NULL) (void)refuse_memory(call);
    return text;
}

// Whether it can be the name of an account in a document's name.
static bool is_account(struct span account) {
    return account.size > 0 && account.size <= 64 && span_find(account, '/') == account.size;
}

// ---- a document's form

static bool read_document(struct api_call *call, struct span text, struct trail *trail) {
    const struct yyjson_val *root;
    if (!api_read_json(call, text, &root)) return false;
    *trail = trail_document_read(root);
    return tags_add(call, json_member(root, SPAN_LITERAL("tags")), &trail->tags);
}

static void write_document(const struct trail *trail, struct buffer *buffer) {
    struct json_writer writer = json_writer_begin(buffer);
    const struct {
        const char *name;
        struct span value;
    } texts[] = {
        {"account", trail->account},       {"region", trail->region},       {"name", trail->name},
        {"bucket", trail->bucket},         {"prefix", trail->prefix},       {"topic", trail->topic},
        {"logs_group", trail->logs_group}, {"logs_role", trail->logs_role}, {"key", trail->key},
    };
    json_write_object(&writer, NULL);
    json_write_integer(&writer, "version", (int64_t)trail->version);
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        if (texts[index].value.size > 0) {
            json_write_string(&writer, texts[index].name, texts[index].value);
        }
    }
    json_write_bool(&writer, "global", trail->is_global);
    json_write_bool(&writer, "multi_region", trail->is_multi_region);
    json_write_bool(&writer, "organization", trail->is_organization);
    json_write_bool(&writer, "validated", trail->is_validated);
    json_write_bool(&writer, "recursive", trail->is_recursive);
    json_write_bool(&writer, "logging", trail->is_logging);
    json_write_integer(&writer, "created_ms", trail->created_ms);
    json_write_integer(&writer, "changed_ms", trail->changed_ms);
    json_write_integer(&writer, "started_ms", trail->started_ms);
    json_write_integer(&writer, "stopped_ms", trail->stopped_ms);
    if (trail->logs_ms != 0) json_write_integer(&writer, "logs_ms", trail->logs_ms);
    if (trail->advanced != NULL) json_write_value(&writer, "advanced", trail->advanced);
    if (trail->basic != NULL) json_write_value(&writer, "basic", trail->basic);
    if (trail->insights != NULL) json_write_value(&writer, "insights", trail->insights);
    tags_write(&trail->tags, &writer, "tags");
    json_write_end(&writer);
}

bool trails_put(struct api_call *call, struct trail *trail) {
    assert(trail->account.size > 0 && trail->region.size > 0 && trail->name.size > 0);
    const char *document = document_of(call, trail->account, trail->region, trail->name);
    if (document == NULL) return false;
    trail->version++;
    trail->changed_ms = call->request->now_ms;
    struct buffer buffer;
    buffer_init(&buffer, API_DOCUMENT_SIZE_MAX);
    write_document(trail, &buffer);
    bool is_good = buffer_overflowed(&buffer)
                       ? api_refuse(call, "InvalidParameterException",
                                    "Selectors and tags of a trail have more than %d bytes in all.",
                                    API_DOCUMENT_SIZE_MAX)
                       : api_put(call, span_text(document), buffer_span(&buffer));
    buffer_done(&buffer);
    return is_good;
}

bool trails_remove(struct api_call *call, const struct trail *trail) {
    const char *document = document_of(call, trail->account, trail->region, trail->name);
    return document != NULL && api_put(call, span_text(document), (struct span){NULL, 0});
}

bool trails_lock(struct api_call *call, struct span account) {
    const char *document = arena_print(call->arena, "api/trails/%.*s", SPAN_PRINT(account));
    if (document == NULL) return refuse_memory(call);
    struct span value;
    if (!api_get(call, span_text(document), &value)) return false;
    // A count of changes: another value each time is all it is for.
    uint64_t count = 0;
    for (size_t at = 0; at < value.size; at++) count = count * 10 + value.bytes[at] - '0';
    const char *next = arena_print(call->arena, "%" PRIu64, count + 1);
    if (next == NULL) return refuse_memory(call);
    return api_put(call, span_text(document), span_text(next));
}

// ---- finding

// Fills in the trail of these, if there is one.
static bool read_trail(struct api_call *call, struct span account, struct span region,
                       struct span name, struct trail *trail, bool *found) {
    *found = false;
    if (!is_account(account)) return true;
    const char *document = document_of(call, account, region, name);
    struct span text;
    if (document == NULL || !api_get(call, span_text(document), &text)) return false;
    if (text.size == 0) return true;
    struct trail read;
    if (!read_document(call, text, &read)) return false;
    // Two names of one hash: not seen, and not written either.
    if (!span_equal(read.name, name) || !span_equal(read.region, region)) {
        return api_refuse(call, "ConflictException", "Choose another name for the trail.");
    }
    *trail = read;
    *found = true;
    return true;
}

bool trails_are_open(const struct api_call *call) {
    const struct api_caller *caller = &call->request->caller;
    for (uint32_t index = 0; index < caller->accounts_count; index++) {
        if (span_equal(caller->accounts[index], caller->account)) return true;
    }
    return caller->accounts_count == 0;
}

bool trails_find(struct api_call *call, struct span name, struct trail *trail, bool *found) {
    const struct api_request *request = call->request;
    if (!span_starts(name, SPAN_LITERAL("arn:"))) {
        if (!trail_check_name(call, name) ||
            !read_trail(call, request->caller.account, request->region, name, trail, found)) {
            return false;
        }
        *found = *found && (trails_are_open(call) || trail->is_organization);
        return true;
    }
    struct arn arn;
    struct span prefix = SPAN_LITERAL("trail/");
    bool is_good = trail_check_split(name, &arn) && span_is(arn.service, "cloudtrail") &&
                   span_starts(arn.resource, prefix) && arn.region.size > 0 &&
                   span_is(arn.partition, trail_document_partition(arn.region));
    if (!is_good) {
        return api_refuse(call, "CloudTrailARNInvalidException", "%.*s is no ARN of a trail.",
                          (int)(name.size < 300 ? name.size : 300), (const char *)name.bytes);
    }
    struct span rest = span_from(arn.resource, prefix.size);
    if (!trail_check_name(call, rest)) return false;
    if (!read_trail(call, arn.account, arn.region, rest, trail, found)) return false;
    // Another account's trail is seen if it is the organization's.
    bool is_own = span_equal(arn.account, request->caller.account);
    if (*found && (!is_own || !trails_are_open(call))) {
        *found = trail->is_organization && span_is(arn.account, call->world->place.account);
    }
    return true;
}

bool trails_get(struct api_call *call, const char *member, struct trail *trail) {
    struct span name = {NULL, 0};
    bool found;
    if (!api_string(call, call->input, member, &name) || !trails_find(call, name, trail, &found)) {
        return false;
    }
    if (found) return true;
    struct span account = call->request->caller.account;
    if (span_starts(name, SPAN_LITERAL("arn:"))) {
        return api_refuse(call, "TrailNotFoundException", "Unknown trail: %.*s for the user: %.*s",
                          SPAN_PRINT(name), SPAN_PRINT(account));
    }
    struct span region = call->request->region;
    return api_refuse(call, "TrailNotFoundException",
                      "Unknown trail: arn:%s:cloudtrail:%.*s:%.*s:trail/%.*s for the user: %.*s",
                      trail_document_partition(region), SPAN_PRINT(region), SPAN_PRINT(account),
                      SPAN_PRINT(name), SPAN_PRINT(account));
}

bool trails_may_change(struct api_call *call, const struct trail *trail) {
    bool is_own = span_equal(trail->account, call->request->caller.account);
    bool sees = true;
    // Whoever may act for the organization: its management account, and those it has delegated.
    if (trail->is_organization && !api_sees_organization(call, &sees)) return false;
    if (!sees || (!is_own && !trail->is_organization)) {
        return api_refuse(call, "NotOrganizationMasterAccountException",
                          "Account %.*s is not the management account of the organization, nor its "
                          "delegated administrator: it cannot change trail %.*s.",
                          SPAN_PRINT(call->request->caller.account), SPAN_PRINT(trail->name));
    }
    if (span_equal(trail->region, call->request->region)) return true;
    return api_refuse(call, "InvalidHomeRegionException",
                      "Trail %.*s was created in region %.*s: it can be changed from there only.",
                      SPAN_PRINT(trail->name), SPAN_PRINT(trail->region));
}

bool trails_is_shadow(const struct api_call *call, const struct trail *trail) {
    return !span_equal(trail->account, call->request->caller.account) ||
           !span_equal(trail->region, call->request->region);
}

bool trails_is_in(const struct api_call *call, const struct trail *trail) {
    return trail->is_multi_region || span_equal(trail->region, call->request->region);
}

// ---- listing

struct listing {
    struct api_call *call;
    struct trails *trails;
    uint32_t capacity;
    bool only_organization;
    bool is_good;
};

static bool grow(struct listing *listing) {
    struct trails *trails = listing->trails;
    if (trails->count < listing->capacity) return true;
    uint32_t larger = listing->capacity == 0 ? 8 : 2 * listing->capacity;
    struct trail *items = arena_allocate_array(listing->call->arena, larger, sizeof *items);
    if (items == NULL) return refuse_memory(listing->call);
    if (trails->count > 0) memcpy(items, trails->items, trails->count * sizeof *items);
    trails->items = items;
    listing->capacity = larger;
    return true;
}

static bool on_document(void *user, struct span name, struct span value) {
    struct listing *listing = user;
    struct span copy;
    (void)name;
    listing->is_good = grow(listing) && (arena_copy(listing->call->arena, value, &copy) ||
                                         refuse_memory(listing->call));
    if (!listing->is_good) return false;
    struct trail *trail = &listing->trails->items[listing->trails->count];
    listing->is_good = read_document(listing->call, copy, trail);
    if (!listing->is_good) return false;
    if (!listing->only_organization || trail->is_organization) listing->trails->count++;
    return true;
}

static bool list_account(struct listing *listing, struct span account) {
    if (!is_account(account)) return true;
    const char *prefix =
        arena_print(listing->call->arena, TRAIL_DOCUMENTS "%.*s/", SPAN_PRINT(account));
    if (prefix == NULL) return refuse_memory(listing->call);
    return api_visit(listing->call, span_text(prefix), on_document, listing) && listing->is_good;
}

static int compare(const void *left, const void *right) {
    const struct trail *one = left, *other = right;
    int order = span_compare(one->name, other->name);
    return order != 0 ? order : span_compare(one->region, other->region);
}

bool trails_list(struct api_call *call, struct trails *trails) {
    *trails = (struct trails){NULL, 0};
    struct listing listing = {.call = call, .trails = trails, .is_good = true};
    bool is_open = trails_are_open(call);
    if (is_open && !list_account(&listing, call->request->caller.account)) return false;
    listing.only_organization = true;
    if ((!is_open || !api_is_management(call)) &&
        !list_account(&listing, span_text(call->world->place.account))) {
        return false;
    }
    if (trails->count > 0) qsort(trails->items, trails->count, sizeof *trails->items, compare);
    return true;
}

bool trails_list_account(struct api_call *call, struct span account, struct trails *trails) {
    *trails = (struct trails){NULL, 0};
    struct listing listing = {.call = call, .trails = trails, .is_good = true};
    return list_account(&listing, account);
}

// ---- parts

const char *trails_arn(struct api_call *call, const struct trail *trail) {
    char *text = arena_print(call->arena, "arn:%s:cloudtrail:%.*s:%.*s:trail/%.*s",
                             trail_document_partition(trail->region), SPAN_PRINT(trail->region),
                             SPAN_PRINT(trail->account), SPAN_PRINT(trail->name));
    if (text == NULL) (void)refuse_memory(call);
    return text;
}

bool trails_selectors(struct api_call *call, const struct trail *trail, struct selector_set *set) {
    struct fault fault;
    return trail_document_selectors(trail, call->arena, set, &fault) ||
           api_refuse_fault(call, &fault);
}
