#include "collector/api/buckets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/percent.h"
#include "base/xml.h"
#include "collector/api/api_internal.h"
#include "collector/api/buckets_internal.h"
#include "collector/api/session.h"

enum { DATE_SIZE = 40 };

#define XML_TYPE "application/xml"

// ---- answers

void bucket_append_time(struct buffer *output, int64_t ns) {
    char text[TIME_TEXT_SIZE];
    time_print_ms(ns / 1000000, text);
    buffer_append_text(output, text);
}

void bucket_print_tag(const struct files_entry *entry, char tag[BUCKET_TAG_SIZE]) {
    const uint64_t facts[] = {entry->size, (uint64_t)entry->modified_ns, entry->inode};
    uint64_t one = hash_plain(span_of(facts, sizeof facts));
    uint64_t other = hash_plain(span_of(&one, sizeof one));
    // With a dash it is no MD5, as for objects of several parts.
    snprintf(tag, BUCKET_TAG_SIZE, "\"%016" PRIx64 "%016" PRIx64 "-1\"", one, other);
}

bool bucket_refuse(struct bucket_call *call, uint32_t status, const char *code,
                   const char *message) {
    struct http_response *response = call->response;
    buffer_reset(&response->body);
    response->status = status;
    response->content_type = XML_TYPE;
    call->code = code;
    call->outcome = status >= 500 ? GATEWAY_FAILED : GATEWAY_REFUSED;
    if (span_is(call->request->wire.method, "HEAD")) {
        response->is_head_only = true;
        response->head_size = 0;
        return false;
    }
    buffer_print(&response->body,
                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>",
                 code);
    xml_append(&response->body, span_text(message));
    buffer_append_text(&response->body, "</Message><Resource>");
    xml_append(&response->body, call->request->wire.path);
    buffer_print(&response->body, "</Resource><RequestId>%s</RequestId></Error>\n",
                 call->request_id);
    return false;
}

void bucket_append_owner(const struct bucket_call *call) {
    struct buffer *body = &call->response->body;
    buffer_append_text(body, "<Owner><ID>");
    xml_append(body, span_text(call->buckets->owner));
    buffer_append_text(body, "</ID></Owner>");
}

static bool refuse_memory(struct bucket_call *call) {
    return bucket_refuse(call, 503, "ServiceUnavailable", "There is no memory for this now.");
}

static bool turn_away(struct bucket_call *call, const char *code, const char *message,
                      struct span key_id) {
    const struct buckets *buckets = call->buckets;
    buckets->on_refused(buckets->context, code, key_id, call->request->source);
    (void)bucket_refuse(call, 403, code, message);
    call->outcome = GATEWAY_UNAUTHENTICATED;
    return false;
}

// A fault of the file system.
static bool refuse_fault(struct bucket_call *call, const struct fault *fault) {
    switch (fault->kind) {
        case FAULT_INPUT:
            return bucket_refuse(call, 404, "NoSuchKey", "The specified key does not exist.");
        case FAULT_DENIED:
            return bucket_refuse(call, 403, "AccessDenied", "The collector may not read it.");
        case FAULT_RETRY:
        case FAULT_FULL:
            return bucket_refuse(call, 503, "SlowDown", "Please reduce your request rate.");
        default:
            return bucket_refuse(call, 500, "InternalError", "The file cannot be read.");
    }
}

// ---- who asks

static bool authenticate(struct bucket_call *call) {
    struct fault fault;
    struct sigv4_claim claim;
    int64_t issued_ms;
    const struct buckets *buckets = call->buckets;
    const struct sigv4_request *wire = &call->request->wire;
    enum sigv4_verdict verdict = sigv4_read(wire, &claim, &fault);
    if (verdict == SIGV4_MISSING) {
        return turn_away(call, "AccessDenied", "Access Denied", (struct span){NULL, 0});
    }
    if (verdict != SIGV4_GOOD || !span_is(claim.service, "s3")) {
        return bucket_refuse(call, 400, "AuthorizationHeaderMalformed",
                             verdict != SIGV4_GOOD ? fault.text : "The scope's service is not s3.");
    }
    int64_t now_ms = buckets->clock->now_ms(buckets->clock->context);
    enum session_verdict found =
        session_find(buckets->keys, &claim, now_ms, call->arena, &call->key, &issued_ms, &fault);
    if (found == SESSION_NO_MEMORY) return refuse_memory(call);
    if (found == SESSION_EXPIRED) {
        return turn_away(call, "ExpiredToken", "The provided token has expired.", claim.key_id);
    }
    if (found == SESSION_UNKNOWN || call->key.is_disabled || call->key.is_unreadable) {
        return turn_away(call, "InvalidAccessKeyId",
                         "The AWS Access Key Id you provided does not exist in our records.",
                         claim.key_id);
    }
    if (claim.token.bytes != NULL) call->session_id = claim.key_id;
    verdict = sigv4_verify(wire, &claim, call->key.secret, now_ms, &fault);
    if (verdict == SIGV4_GOOD) return true;
    if (verdict == SIGV4_NO_MEMORY) return refuse_memory(call);
    bool is_late = strncmp(fault.text, "Signature ", 10) == 0;
    return turn_away(call, is_late ? "RequestTimeTooSkewed" : "SignatureDoesNotMatch", fault.text,
                     claim.key_id);
}

static bool find_view(struct bucket_call *call) {
    struct fault fault;
    if (!api_is_privileged(call->worker, call->key.account, call->arena, &call->is_privileged,
                           &fault)) {
        return bucket_refuse(call, 503, "ServiceUnavailable", "The store cannot be read now.");
    }
    call->sees_all = call->is_privileged && call->key.accounts_count == 0;
    return true;
}

static bool sees_account(const struct bucket_call *call, struct span account) {
    const struct keys_facts *key = &call->key;
    bool is_listed = key->accounts_count == 0;
    for (uint32_t index = 0; index < key->accounts_count; index++) {
        is_listed = is_listed || span_equal(key->accounts[index], account);
    }
    return is_listed && (call->is_privileged || span_equal(account, key->account));
}

// The next part of a path.
static struct span cut_part(struct span *rest) {
    size_t at = span_find(*rest, '/');
    struct span part = span_of(rest->bytes, at);
    *rest = at < rest->size ? span_from(*rest, at + 1) : (struct span){NULL, 0};
    return part;
}

// Cuts the account's folder, and what is before it, off a key. Empty: there is none.
static struct span cut_account(struct span *key) {
    while (key->size > 0 && !span_is(cut_part(key), "AWSLogs")) continue;
    struct span account = cut_part(key);
    return span_starts(account, SPAN_LITERAL("o-")) ? cut_part(key) : account;
}

bool bucket_sees(const struct bucket_call *call, struct span key) {
    if (call->sees_all) return true;
    struct span account = cut_account(&key);
    // A file in the account's folder, not a file of its name.
    return account.size > 0 && key.size > 0 && sees_account(call, account);
}

bool bucket_sees_folder(const struct bucket_call *call, struct span folder) {
    struct span account = cut_account(&folder);
    return call->sees_all || account.size == 0 || sees_account(call, account);
}

// ---- what is asked

// Decodes %XX, and in a query '+'.
static bool decode(struct bucket_call *call, struct span text, bool is_query, struct span *plain) {
    uint8_t *to = arena_allocate(call->arena, text.size);
    size_t size = 0;
    if (to == NULL) return refuse_memory(call);
    for (size_t at = 0; at < text.size;) {
        bool is_blank = is_query && text.bytes[at] == '+';
        uint8_t byte;
        (void)percent_next(text, &at, &byte);
        to[size++] = is_blank ? ' ' : byte;
    }
    *plain = span_of(to, size);
    return true;
}

bool bucket_parameter(struct bucket_call *call, const char *name, bool *found, struct span *value) {
    struct span query = call->request->wire.query;
    *found = false;
    while (query.size > 0 && !*found) {
        size_t end = span_find(query, '&');
        struct span pair = span_of(query.bytes, end);
        query = end < query.size ? span_from(query, end + 1) : (struct span){NULL, 0};
        size_t at = span_find(pair, '=');
        if (!span_is(span_of(pair.bytes, at), name)) continue;
        struct span given = at < pair.size ? span_from(pair, at + 1) : (struct span){NULL, 0};
        if (!decode(call, given, true, value)) return false;
        *found = true;
    }
    return true;
}

static bool read_path(struct bucket_call *call) {
    struct span path;
    if (!decode(call, call->request->wire.path, false, &path)) return false;
    if (path.size == 0 || path.bytes[0] != '/') {
        return bucket_refuse(call, 400, "InvalidURI", "Couldn't parse the specified URI.");
    }
    path = span_from(path, 1);
    call->bucket = cut_part(&path);
    call->object = path;
    return true;
}

static bool is_head(const struct bucket_call *call) {
    return span_is(call->request->wire.method, "HEAD");
}

// ---- one object

static struct span find_header(const struct bucket_call *call, struct span name) {
    struct span value = {NULL, 0};
    (void)sigv4_find_header(&call->request->wire, name, &value);
    return value;
}

static bool is_number(const char *text, uint64_t *number, const char **end) {
    if (*text < '0' || *text > '9') return false;
    char *after;
    *number = strtoull(text, &after, 10);
    *end = after;
    return true;
}

// Reads "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-LAST". *is_range false: all is wanted, which
// is also what other forms get. False: nothing of it is there.
static bool read_range(struct span header, uint64_t size, bool *is_range, uint64_t *first,
                       uint64_t *count) {
    char text[64];
    uint64_t last = size == 0 ? 0 : size - 1;
    const char *at = text;
    *is_range = false;
    *first = 0;
    *count = size;
    if (!span_starts(header, SPAN_LITERAL("bytes=")) || header.size >= sizeof text) return true;
    snprintf(text, sizeof text, "%.*s", SPAN_PRINT(span_from(header, 6)));
    bool has_first = is_number(at, first, &at);
    if (*at != '-') return true;
    uint64_t given = 0;
    bool has_last = is_number(at + 1, &given, &at);
    if (!has_last) at++;
    if (*at != 0 || (!has_first && !has_last)) return true;
    *is_range = true;
    if (!has_first) {
        if (given == 0 || size == 0) return false;
        *first = given >= size ? 0 : size - given;
    } else {
        if (*first >= size || (has_last && given < *first)) return false;
        if (has_last && given < last) last = given;
    }
    *count = last - *first + 1;
    return true;
}

static void print_date(int64_t ns, char text[DATE_SIZE]) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t moment = (time_t)(ns / 1000000000);
    struct tm parts = {0};
    (void)gmtime_r(&moment, &parts);
    snprintf(text, DATE_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[parts.tm_wday],
             parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
             parts.tm_sec);
}

// The object's metadata as headers; their names live as long as the answer's arena.
static bool add_metadata(struct bucket_call *call) {
    static const struct {
        const char *name;
        const char *header;
    } known[] = {
        {"signature", "x-amz-meta-signature"},
        {"signature-algorithm", "x-amz-meta-signature-algorithm"},
        {"backfill-generation-timestamp", "x-amz-meta-backfill-generation-timestamp"},
    };
    struct fault fault;
    struct buffer json;
    const struct yyjson_val *root = NULL;
    const struct object_name name = {call->bucket, call->object};
    buffer_init(&json, OBJECTS_METADATA_SIZE_MAX);
    bool is_good =
        objects_directory_metadata(call->buckets->directory, &name, &json, &fault) &&
        (json.size == 0 || json_read_into(call->arena, buffer_span(&json), &root, &fault));
    for (size_t index = 0; is_good && index < sizeof known / sizeof known[0]; index++) {
        struct span value = json_member_string(root, span_text(known[index].name));
        const char *text = value.size == 0 ? NULL : arena_copy_text(call->arena, value);
        if (text != NULL) http_response_add(call->response, known[index].header, text);
    }
    buffer_done(&json);
    // A side file that somebody damaged is none: whoever verifies sees it.
    return is_good || fault.kind == FAULT_INPUT || refuse_fault(call, &fault);
}

static bool read_body(struct bucket_call *call, const char *path, uint64_t first, uint64_t count) {
    struct fault fault;
    int handle = -1;
    size_t got = 0;
    const struct files *files = call->buckets->directory->files;
    if (count > BUCKETS_BODY_SIZE_MAX) {
        return bucket_refuse(call, 400, "EntityTooLarge",
                             "Read an object of this size in ranges of at most 60 MiB.");
    }
    uint8_t *to = buffer_reserve(&call->response->body, count);
    if (to == NULL && count > 0) return refuse_memory(call);
    if (!files_open(files, path, FILES_READ, &handle, &fault)) return refuse_fault(call, &fault);
    bool is_good = files_read_at(files, handle, first, to, count, &got, &fault);
    files_close(files, handle);
    if (!is_good) return refuse_fault(call, &fault);
    if (got != count) return bucket_refuse(call, 503, "SlowDown", "The file is being replaced.");
    call->response->body.size = count;
    return true;
}

static bool check_tags(struct bucket_call *call, const char *tag) {
    struct span match = find_header(call, SPAN_LITERAL("if-match")),
                none = find_header(call, SPAN_LITERAL("if-none-match"));
    struct span bare = span_of(tag + 1, strlen(tag) - 2);
    if (match.size > 0 && !span_is(match, tag) && !span_equal(match, bare) &&
        !span_is(match, "*")) {
        return bucket_refuse(call, 412, "PreconditionFailed",
                             "At least one of the pre-conditions you specified did not hold");
    }
    if (none.size > 0 && (span_is(none, tag) || span_equal(none, bare) || span_is(none, "*"))) {
        call->response->status = 304;
        http_response_add(call->response, "ETag", tag);
        return false;
    }
    return true;
}

static bool answer_object(struct bucket_call *call) {
    struct fault fault;
    struct files_entry entry = {0};
    char path[OBJECTS_PATH_SIZE], tag[BUCKET_TAG_SIZE], date[DATE_SIZE], range[80];
    bool exists = false, is_range;
    uint64_t first, count;
    struct http_response *response = call->response;
    const struct objects_directory *directory = call->buckets->directory;
    if (!bucket_sees(call, call->object) ||
        !objects_directory_path(directory, call->bucket, call->object, path)) {
        return bucket_refuse(call, 404, "NoSuchKey", "The specified key does not exist.");
    }
    if (!files_find(directory->files, path, &exists, &entry, &fault)) {
        return refuse_fault(call, &fault);
    }
    if (!exists || entry.is_directory) {
        return bucket_refuse(call, 404, "NoSuchKey", "The specified key does not exist.");
    }
    bucket_print_tag(&entry, tag);
    print_date(entry.modified_ns, date);
    if (!check_tags(call, tag)) return false;
    if (!read_range(find_header(call, SPAN_LITERAL("range")), entry.size, &is_range, &first,
                    &count)) {
        return bucket_refuse(call, 416, "InvalidRange", "The requested range is not satisfiable");
    }
    if (is_head(call)) {
        response->is_head_only = true;
        response->head_size = count;
    } else if (!read_body(call, path, first, count)) {
        return false;
    }
    if (is_range) {
        snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
                 first + count - 1, entry.size);
        response->status = 206;
        http_response_add(response, "Content-Range", range);
    }
    bool is_packed = span_ends(call->object, SPAN_LITERAL(".json.gz"));
    response->content_type = is_packed ? "application/json" : "binary/octet-stream";
    if (is_packed) http_response_add(response, "Content-Encoding", "gzip");
    http_response_add(response, "ETag", tag);
    http_response_add(response, "Last-Modified", date);
    http_response_add(response, "Accept-Ranges", "bytes");
    return add_metadata(call);
}

// ---- buckets

static bool answer_location(struct bucket_call *call) {
    struct buffer *body = &call->response->body;
    call->response->content_type = XML_TYPE;
    buffer_append_text(body,
                       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LocationConstraint "
                       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    // The oldest region has no name there.
    if (strcmp(call->buckets->region, "us-east-1") != 0) {
        xml_append(body, span_text(call->buckets->region));
    }
    buffer_append_text(body, "</LocationConstraint>\n");
    return true;
}

static bool check_bucket(struct bucket_call *call) {
    struct fault fault;
    bool found = false;
    const struct objects objects =
        objects_in_directory((struct objects_directory *)(uintptr_t)call->buckets->directory);
    if (!objects_find_bucket(&objects, call->bucket, &found, &fault)) {
        return refuse_fault(call, &fault);
    }
    http_response_add(call->response, "x-amz-bucket-region", call->buckets->region);
    call->has_bucket = found;
    return found || bucket_refuse(call, 404, "NoSuchBucket", "The specified bucket does not exist");
}

static bool answer_bucket(struct bucket_call *call) {
    // What may be asked of a bucket beside its objects.
    static const char *const others[] = {"acl",         "policy",     "versioning", "uploads",
                                         "versions",    "tagging",    "cors",       "lifecycle",
                                         "logging",     "encryption", "website",    "notification",
                                         "replication", "object-lock"};
    struct span value;
    bool found;
    if (is_head(call)) {
        call->response->is_head_only = true;
        call->response->content_type = XML_TYPE;
        return true;
    }
    if (!bucket_parameter(call, "location", &found, &value)) return false;
    if (found) call->operation = "GetBucketLocation";
    if (found) return answer_location(call);
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        if (!bucket_parameter(call, others[index], &found, &value)) return false;
        if (found) {
            call->operation = "GetBucket";
            return bucket_refuse(call, 501, "NotImplemented",
                                 "Buckets are read here, and nothing else.");
        }
    }
    return bucket_list_objects(call);
}

// What is asked for, as far as the path says.
static const char *name_operation(const struct bucket_call *call) {
    if (call->bucket.size == 0) return "ListBuckets";
    if (call->object.size == 0) return is_head(call) ? "HeadBucket" : "ListObjects";
    return is_head(call) ? "HeadObject" : "GetObject";
}

static bool answer(struct bucket_call *call) {
    struct span method = call->request->wire.method;
    // Before anything is verified: bodies are signed in more ways than are understood here.
    if (!span_is(method, "GET") && !span_is(method, "HEAD")) {
        return bucket_refuse(call, 405, "MethodNotAllowed",
                             "The specified method is not allowed against this resource.");
    }
    if (call->buckets->directory == NULL) {
        return bucket_refuse(
            call, 501, "NotImplemented",
            "No trail delivers to a folder of this collector (its settings have no "
            "delivery.directory): it has no buckets.");
    }
    if (!read_path(call) || !authenticate(call)) return false;
    call->operation = name_operation(call);
    if (!find_view(call)) return false;
    if (call->bucket.size == 0) return bucket_list_all(call);
    if (!check_bucket(call)) return false;
    return call->object.size == 0 ? answer_bucket(call) : answer_object(call);
}

// What is not told is not answered.
static void tell(struct bucket_call *call) {
    const struct buckets *buckets = call->buckets;
    const struct bucket_read read = {
        .operation = call->operation,
        .key = &call->key,
        .session_id = call->session_id,
        .bucket = call->has_bucket ? call->bucket : (struct span){NULL, 0},
        .object = call->has_bucket ? call->object : (struct span){NULL, 0},
        .code = call->code,
        .source = call->request->source,
        .user_agent = find_header(call, SPAN_LITERAL("user-agent")),
    };
    if (buckets->on_read(buckets->context, &read)) return;
    // Those of the answer that there will not be; the first is the request's id.
    call->response->headers_count = 1;
    (void)bucket_refuse(call, 503, "SlowDown", "Too many reads wait to be recorded.");
}

enum gateway_outcome buckets_run(const struct buckets *buckets, struct api_worker *worker,
                                 struct arena *arena, const struct gateway_request *request,
                                 const char *request_id, struct http_response *response) {
    struct bucket_call call = {
        .buckets = buckets,
        .worker = worker,
        .arena = arena,
        .request = request,
        .request_id = request_id,
        .response = response,
        .outcome = GATEWAY_ANSWERED,
    };
    arena_reset(arena);
    http_response_add(response, "x-amz-request-id", request_id);
    (void)answer(&call);
    if (call.operation != NULL) tell(&call);
    return call.outcome;
}
