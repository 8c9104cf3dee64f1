#include "collector/api/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/crypto.h"
#include "base/log.h"
#include "collector/api/buckets.h"
#include "collector/api/calls.h"
#include "collector/api/gateway.h"
#include "collector/api/store.h"
#include "collector/metrics.h"
#include "collector/settings/secret.h"

enum {
    KEYS_LIST_SIZE_MAX = 8 * 1024 * 1024,  // bytes of all keys at once
    SUBJECT_SIZE_MAX = 2048,               // bytes of what is told together
};

// What one thread has.
struct seat {
    struct store *store;
    struct api_worker *worker;
    struct gateway_lane *lane;
    struct arena *arena;  // for reads of buckets
};

struct service {
    struct service_options options;
    uint8_t token_key[API_TOKEN_KEY_SIZE];
    struct keys *keys;
    struct calls *calls;
    struct gateway *gateway;
    struct seat seats[SERVICE_READERS_MAX];
    struct http_server *server;
};

// ---- keys

static bool on_document(void *user, struct span name, struct span value) {
    struct fault fault;
    struct span id = span_from(name, strlen(KEYS_DOCUMENTS));
    if (!keys_take(user, id, value, &fault)) {
        LOG(LOG_ERROR, "an access key cannot be used", (struct log_field){"id", id, 0},
            log_fault(&fault), log_kind(&fault));
    }
    return true;
}

static bool load_keys(struct service *service, struct fault *fault) {
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
    struct trail_reader *reader = NULL;
    const struct span use = SPAN_LITERAL("tokens of the API");
    const struct service_options *options = &service->options;
    if (!secret_load(options->secret_path, options->world.random, secret, fault)) return false;
    service->keys = keys_create(secret);
    crypto_hmac_sha256(span_of(secret, sizeof secret), &use, 1, service->token_key);
    crypto_wipe(secret, sizeof secret);
    if (service->keys == NULL) return fault_set(fault, FAULT_FULL, "no memory for access keys");
    bool is_good = trail_reader_open(options->store_directory, &reader, fault) &&
                   trail_reader_documents(reader, SPAN_LITERAL(KEYS_DOCUMENTS), on_document,
                                          service->keys, fault);
    trail_reader_close(reader);
    return is_good;
}

// Writes a key that an earlier version sealed as today's do. Whoever could not is told: the next
// start tries again, and the key is as good as it was.
static bool seal_again(struct service *service, const struct keys_facts *facts,
                       struct fault *fault) {
    char name[sizeof KEYS_DOCUMENTS + KEYS_ID_SIZE];
    struct buffer before, after;
    bool is_current = false;
    const struct service_options *options = &service->options;
    snprintf(name, sizeof name, KEYS_DOCUMENTS "%.*s", SPAN_PRINT(facts->id));
    buffer_init(&before, KEYS_DOCUMENT_SIZE_MAX);
    buffer_init(&after, KEYS_DOCUMENT_SIZE_MAX);
    bool is_good = keys_get_document(service->keys, facts->id, &before) ||
                   fault_set(fault, FAULT_FULL, "no memory for a key");
    is_good = is_good && keys_print(service->keys, facts, options->world.random, &after, fault);
    const struct append_document document = {span_text(name), buffer_span(&before),
                                             buffer_span(&after)};
    const struct append_documents_options change = {.documents = &document, .documents_count = 1};
    is_good = is_good && append_documents_change(options->append, &change, APPEND_DOCUMENTS_WAIT_MS,
                                                 &is_current, fault);
    // Nobody changes a key before the API has started.
    is_good = is_good && (is_current || fault_set(fault, FAULT_RETRY, "it was changed meanwhile"));
    is_good = is_good && keys_take(service->keys, facts->id, buffer_span(&after), fault);
    buffer_done(&before);
    buffer_done(&after);
    return is_good;
}

static bool seal_all_again(struct service *service, struct fault *fault) {
    struct keys_facts *list = NULL;
    uint32_t count = 0;
    struct arena *arena = arena_create(KEYS_LIST_SIZE_MAX);
    bool is_good = arena != NULL || fault_set(fault, FAULT_FULL, "no memory for the keys");
    is_good = is_good && keys_list(service->keys, arena, &list, &count, fault);
    for (uint32_t index = 0; index < count; index++) {
        struct fault own;
        if (list[index].is_earlier && !list[index].is_unreadable &&
            !seal_again(service, &list[index], &own)) {
            LOG(LOG_WARNING, "an access key of an earlier version stays as it was sealed",
                (struct log_field){"id", list[index].id, 0}, log_fault(&own), log_kind(&own));
        }
        crypto_wipe((void *)(uintptr_t)list[index].secret.bytes, list[index].secret.size);
    }
    arena_destroy(arena);
    return is_good;
}

// ---- calls

static bool on_event(void *context, struct span record) {
    struct service *service = context;
    return calls_add(service->calls, record);
}

static bool has_room(void *context) {
    struct service *service = context;
    return calls_have_room(service->calls);
}

// Told once a minute for each client and reason.
static void on_refused(void *context, const char *code, struct span key_id, struct span source) {
    struct service *service = context;
    char subject[256];
    snprintf(subject, sizeof subject, "%s %.*s", code, SPAN_PRINT(source));
    const struct own_event_detail details[] = {
        {"reason", span_text(code), 0},
        {"sourceIPAddress", source, 0},
        {"accessKeyId", key_id, 0},
    };
    // A text without bytes would be told as a number.
    uint32_t count = key_id.bytes == NULL ? 2 : 3;
    (void)notes_add(service->options.notes, "ApiCallerRefused", span_text(subject), details, count);
}

static void add_detail(struct own_event_detail *details, uint32_t *count, const char *name,
                       struct span text) {
    // A text without bytes would be told as a number.
    if (text.size > 0) details[(*count)++] = (struct own_event_detail){name, text, 0};
}

// Told once a minute for each key, client, bucket, operation and outcome; how many they were stands
// in the count, and the object is that of the last. Programs read thousands of files in a row. A
// key's sessions are told with it: it makes as many as it likes.
static bool on_read(void *context, const struct bucket_read *read) {
    struct service *service = context;
    const struct keys_facts *key = read->key;
    const char *code = read->code == NULL ? "" : read->code;
    struct own_event_detail details[NOTES_DETAILS_MAX];
    uint32_t count = 0;
    struct buffer subject;
    struct span agent = read->user_agent;
    if (agent.size > GATEWAY_AGENT_SIZE_MAX) agent.size = GATEWAY_AGENT_SIZE_MAX;
    add_detail(details, &count, "operation", span_text(read->operation));
    add_detail(details, &count, "bucketName", read->bucket);
    add_detail(details, &count, "key", read->object);
    add_detail(details, &count, "errorCode", span_text(code));
    add_detail(details, &count, "accessKeyId",
               read->session_id.size > 0 ? read->session_id : key->id);
    add_detail(details, &count, "principalId", key->id);
    add_detail(details, &count, "userName", key->name);
    add_detail(details, &count, "account", key->account);
    add_detail(details, &count, "sourceIPAddress", read->source);
    add_detail(details, &count, "userAgent", agent);
    buffer_init(&subject, SUBJECT_SIZE_MAX);
    buffer_print(&subject, "%s|%s|%.*s|%.*s|%.*s", read->operation, code, SPAN_PRINT(key->id),
                 SPAN_PRINT(read->source), SPAN_PRINT(read->bucket));
    bool is_told = !buffer_overflowed(&subject) && notes_add(service->options.notes, "BucketRead",
                                                             buffer_span(&subject), details, count);
    buffer_done(&subject);
    return is_told;
}

struct headers {
    struct sigv4_header list[SIGV4_HEADERS_MAX];
    uint32_t count;
    bool is_full;
};

static bool on_header(void *user, const char *name, const char *value) {
    struct headers *headers = user;
    headers->is_full = headers->count == SIGV4_HEADERS_MAX;
    if (headers->is_full) return false;
    headers->list[headers->count++] = (struct sigv4_header){span_text(name), span_text(value)};
    return true;
}

// A client of S3, which understands S3's errors only.
static bool is_signed_for_s3(const struct headers *headers) {
    static const char scope[] = "/s3/aws4_request";
    for (uint32_t index = 0; index < headers->count; index++) {
        struct span value = headers->list[index].value;
        struct span name = headers->list[index].name;
        bool is_it =
            name.size == 13 && strncasecmp((const char *)name.bytes, "authorization", 13) == 0;
        if (is_it && memmem(value.bytes, value.size, scope, sizeof scope - 1) != NULL) {
            return true;
        }
    }
    return false;
}

static void count_lookup(enum gateway_lookup lookup) {
    if (lookup == GATEWAY_NO_LOOKUP) return;
    bool is_again = lookup == GATEWAY_ANSWERED_AGAIN;
    metric_add(&metrics_table[METRICS_API_LOOKUPS],
               is_again ? METRICS_API_AGAIN : METRICS_API_LOOKED_UP, 1);
}

static void count_call(enum gateway_outcome outcome, int64_t took_us) {
    static const enum metrics_api_outcome outcomes[GATEWAY_OUTCOMES] = {
        [GATEWAY_ANSWERED] = METRICS_API_ANSWERED,
        [GATEWAY_REFUSED] = METRICS_API_REFUSED,
        [GATEWAY_UNAUTHENTICATED] = METRICS_API_UNAUTHENTICATED,
        [GATEWAY_THROTTLED] = METRICS_API_THROTTLED,
        [GATEWAY_FAILED] = METRICS_API_FAILED,
    };
    metric_add(&metrics_table[METRICS_API_CALLS], outcomes[outcome], 1);
    metric_observe(&metrics_table[METRICS_API_SECONDS], took_us / 10);
}

static int64_t now_us(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000;
}

// What is no POST reads a bucket.
static enum gateway_outcome read_bucket(struct service *service, struct seat *seat,
                                        const struct gateway_request *asked,
                                        struct http_response *response) {
    uint8_t id[OWN_EVENT_ID_SIZE];
    char text[RECORD_UUID_TEXT_SIZE];
    const struct service_options *options = &service->options;
    const struct buckets buckets = {
        .directory = options->world.buckets,
        .region = options->world.place.region,
        .owner = options->world.place.account,
        .keys = service->keys,
        .clock = options->clock,
        .on_refused = on_refused,
        .on_read = on_read,
        .context = service,
    };
    own_event_make_id(options->world.random, id);
    record_print_uuid(id, text);
    return buckets_run(&buckets, seat->worker, seat->arena, asked, text, response);
}

static void send_answer(const struct gateway_answer *answer, struct http_response *response) {
    char text[16];
    response->status = answer->status;
    response->content_type = answer->content_type;
    http_response_add(response, "x-amzn-RequestId", answer->request_id);
    if (answer->retry_after_ms > 0) {
        snprintf(text, sizeof text, "%u", (unsigned)answer->retry_after_ms);
        http_response_add(response, "x-amz-retry-after", text);
        snprintf(text, sizeof text, "%u", (unsigned)(answer->retry_after_ms + 999) / 1000);
        http_response_add(response, "Retry-After", text);
    }
    buffer_append(&response->body, answer->body);
}

static void handle(void *context, const struct http_request *request,
                   struct http_response *response) {
    struct service *service = context;
    char address[HTTP_ADDRESS_SIZE];
    struct headers headers = {0};
    struct gateway_answer answer;
    int64_t begun_us = now_us();
    http_request_address(request, address);
    http_request_headers(request, on_header, &headers);
    if (headers.is_full) {
        response->status = 431;
        buffer_append_text(&response->body, "There are too many headers.\n");
        return;
    }
    const struct gateway_request asked = {
        .wire = {.method = span_text(request->method),
                 .path = span_text(request->path),
                 .query = span_text(request->query),
                 .headers = headers.list,
                 .headers_count = headers.count,
                 .body = request->body},
        .source = span_text(address),
    };
    struct seat *seat = &service->seats[request->worker];
    bool is_read = service->options.world.buckets != NULL || is_signed_for_s3(&headers);
    if (is_read && strcmp(request->method, "POST") != 0) {
        count_call(read_bucket(service, seat, &asked, response), now_us() - begun_us);
        return;
    }
    gateway_run(seat->lane, &asked, &answer);
    send_answer(&answer, response);
    count_lookup(answer.lookup);
    count_call(answer.outcome, now_us() - begun_us);
}

// ---- start and stop

static bool make_seat(struct service *service, struct seat *seat, struct fault *fault) {
    const struct service_options *options = &service->options;
    if (!store_open(options->store_directory, options->append, &seat->store, fault)) return false;
    struct api_store interface = store_interface(seat->store);
    struct api_world world = options->world;
    world.token_key = service->token_key;
    world.keys = service->keys;
    seat->worker = api_worker_create(&world, &interface);
    if (seat->worker != NULL) seat->lane = gateway_lane_create(service->gateway, seat->worker);
    seat->arena = arena_create(BUCKETS_ARENA_SIZE);
    return (seat->lane != NULL && seat->arena != NULL) ||
           fault_set(fault, FAULT_FULL, "no memory for a worker");
}

static bool start_server(struct service *service, struct fault *fault) {
    const struct service_options *options = &service->options;
    const struct http_server_options server = {
        .listen = options->listen,
        .threads = SERVICE_THREADS,
        .workers = options->readers,
        .nice = SERVICE_NICE,
        .connections_max = options->connections_max,
        .body_size_max = API_INPUT_SIZE_MAX,
        .certificate = options->certificate,
        .key = options->key,
        .handle = handle,
        .context = service,
    };
    return http_server_start(&server, &service->server, fault);
}

static bool start(struct service *service, struct fault *fault) {
    const struct service_options *options = &service->options;
    if (!load_keys(service, fault) || !seal_all_again(service, fault) ||
        !calls_start(options->append, &service->calls, fault)) {
        return false;
    }
    const struct gateway_options gateway = {
        .clock = options->clock,
        .random = options->world.random,
        .keys = service->keys,
        .lookups_per_second = options->lookups_per_second,
        .on_event = on_event,
        .has_room = has_room,
        .on_refused = on_refused,
        .context = service,
    };
    service->gateway = gateway_create(&gateway);
    if (service->gateway == NULL) return fault_set(fault, FAULT_FULL, "no memory for the API");
    for (uint32_t index = 0; index < options->readers; index++) {
        if (!make_seat(service, &service->seats[index], fault)) return false;
    }
    return start_server(service, fault);
}

bool service_start(const struct service_options *options, struct service **service,
                   struct fault *fault) {
    struct service *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the API");
    made->options = *options;
    if (!start(made, fault)) {
        service_destroy(made);
        return fault_add(fault, "api");
    }
    // They were read.
    made->options.certificate = (struct span){NULL, 0};
    made->options.key = (struct span){NULL, 0};
    *service = made;
    return true;
}

void service_stop(struct service *service) {
    if (service == NULL) return;
    http_server_stop(service->server);
    service->server = NULL;
    calls_stop(service->calls);
    service->calls = NULL;
    for (uint32_t index = 0; index < SERVICE_READERS_MAX; index++) {
        struct seat *seat = &service->seats[index];
        gateway_lane_destroy(seat->lane);
        arena_destroy(seat->arena);
        api_worker_destroy(seat->worker);
        store_close(seat->store);
        *seat = (struct seat){0};
    }
}

void service_destroy(struct service *service) {
    if (service == NULL) return;
    service_stop(service);
    gateway_destroy(service->gateway);
    keys_destroy(service->keys);
    crypto_wipe(service->token_key, sizeof service->token_key);
    free(service);
}

uint16_t service_port(const struct service *service) {
    return http_server_port(service->server);
}

bool service_replace_certificate(struct service *service, struct span certificate, struct span key,
                                 struct fault *fault) {
    return http_server_replace_certificate(service->server, certificate, key, fault);
}

struct keys *service_keys(struct service *service) {
    return service->keys;
}
