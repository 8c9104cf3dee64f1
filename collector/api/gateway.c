#include "collector/api/gateway.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collector/api/gateway_form.h"
#include "collector/api/gateway_rate.h"
#include "collector/api/session.h"
#include "event/record.h"

#define JSON_TYPE "application/x-amz-json-1.1"
#define FORM_TYPE "text/xml"

enum {
    LANE_SIZE_MAX = 256 * 1024,  // bytes of a request's key, and of an answer read to become XML
    OPERATION_SIZE_MAX = 64,     // bytes of a name
};

struct gateway {
    struct gateway_options options;
    struct gateway_rate *rate;  // NULL: no limit
};

struct gateway_lane {
    struct gateway *gateway;
    struct api_worker *worker;
    struct arena *arena;       // the request's key
    struct buffer body;        // of answers that are ours, or that are not JSON
    struct buffer action;      // of a form
    struct buffer parameters;  // of a form, as JSON
};

// A request on its way.
struct exchange {
    struct gateway_lane *lane;
    const struct gateway_request *request;
    struct gateway_answer *answer;
    bool is_form;
    struct sigv4_claim claim;
    struct keys_facts key;
    int64_t session_issued_ms;  // 0: no session
    struct api_request call;
};

struct gateway *gateway_create(const struct gateway_options *options) {
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) return NULL;
    gateway->options = *options;
    if (options->lookups_per_second == 0) return gateway;
    gateway->rate = gateway_rate_create(options->lookups_per_second);
    if (gateway->rate != NULL) return gateway;
    free(gateway);
    return NULL;
}

void gateway_destroy(struct gateway *gateway) {
    if (gateway == NULL) return;
    gateway_rate_destroy(gateway->rate);
    free(gateway);
}

struct gateway_lane *gateway_lane_create(struct gateway *gateway, struct api_worker *worker) {
    struct gateway_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) return NULL;
    lane->gateway = gateway;
    lane->worker = worker;
    lane->arena = arena_create(LANE_SIZE_MAX);
    buffer_init(&lane->body, GATEWAY_BODY_SIZE_MAX);
    buffer_init(&lane->action, API_INPUT_SIZE_MAX);
    buffer_init(&lane->parameters, 8 * API_INPUT_SIZE_MAX);
    if (lane->arena != NULL) return lane;
    gateway_lane_destroy(lane);
    return NULL;
}

void gateway_lane_destroy(struct gateway_lane *lane) {
    if (lane == NULL) return;
    arena_destroy(lane->arena);
    buffer_done(&lane->body);
    buffer_done(&lane->action);
    buffer_done(&lane->parameters);
    free(lane);
}

// ---- answers

// What the query form calls what JSON calls otherwise: its clients know no other names.
struct form_name {
    const char *code;
    const char *of_form;
    uint32_t status;  // 0: the same
};
static const struct form_name FORM_NAMES[] = {
    {"MissingAuthenticationTokenException", "MissingAuthenticationToken", 403},
    {"IncompleteSignatureException", "IncompleteSignature", 400},
    {"InvalidSignatureException", "SignatureDoesNotMatch", 403},
    {"UnrecognizedClientException", "InvalidClientTokenId", 403},
    {"ExpiredTokenException", "ExpiredToken", 403},
    {"AccessDeniedException", "AccessDenied", 403},
    {"ThrottlingException", "Throttling", 400},
    {"UnknownOperationException", "InvalidAction", 0},
    {"ServiceUnavailableException", "ServiceUnavailable", 503},
    {"InternalFailureException", "InternalFailure", 500},
};

static void name_for_form(const char **code, uint32_t *status) {
    for (size_t index = 0; index < sizeof FORM_NAMES / sizeof *FORM_NAMES; index++) {
        const struct form_name *name = &FORM_NAMES[index];
        if (strcmp(name->code, *code) != 0) continue;
        *code = name->of_form;
        if (name->status != 0) *status = name->status;
        return;
    }
}

// Puts an error into the answer. Returns false.
static bool refuse(struct exchange *exchange, uint32_t status, enum gateway_outcome outcome,
                   const char *code, const char *message) {
    struct gateway_answer *answer = exchange->answer;
    struct buffer *body = &exchange->lane->body;
    buffer_reset(body);
    if (exchange->is_form) {
        name_for_form(&code, &status);
        gateway_form_write_error(code, message, status >= 500, answer->request_id, body);
    } else {
        struct json_writer writer = json_writer_begin(body);
        json_write_object(&writer, NULL);
        json_write_string(&writer, "__type", span_text(code));
        json_write_string(&writer, "message", span_text(message));
        json_write_end(&writer);
    }
    answer->status = status;
    answer->outcome = outcome;
    answer->body = buffer_span(body);
    return false;
}

// A throttled call is no event of its own, or a flood would fill the trail: it is noted.
static bool throttle(struct exchange *exchange, uint32_t wait_ms, const char *message) {
    const struct gateway_options *options = &exchange->lane->gateway->options;
    static const char code[] = "ThrottlingException";
    options->on_refused(options->context, code, exchange->claim.key_id, exchange->request->source);
    exchange->answer->retry_after_ms = wait_ms;
    return refuse(exchange, 400, GATEWAY_THROTTLED, code, message);
}

// Somebody is not let in.
static bool turn_away(struct exchange *exchange, const char *code, const char *message) {
    const struct gateway_options *options = &exchange->lane->gateway->options;
    options->on_refused(options->context, code, exchange->claim.key_id, exchange->request->source);
    return refuse(exchange, 400, GATEWAY_UNAUTHENTICATED, code, message);
}

// ---- who asks

static bool turn_away_for(struct exchange *exchange, enum sigv4_verdict verdict,
                          const struct fault *fault) {
    switch (verdict) {
        case SIGV4_MISSING:
            return turn_away(exchange, "MissingAuthenticationTokenException", fault->text);
        case SIGV4_INCOMPLETE:
            return turn_away(exchange, "IncompleteSignatureException", fault->text);
        case SIGV4_WRONG:
            return turn_away(exchange, "InvalidSignatureException", fault->text);
        case SIGV4_NO_MEMORY:
        case SIGV4_GOOD:
            break;
    }
    return refuse(exchange, 503, GATEWAY_FAILED, "ServiceUnavailableException", fault->text);
}

static bool authenticate(struct exchange *exchange) {
    static const char unknown[] = "The security token included in the request is invalid.";
    static const char expired[] = "The security token included in the request is expired";
    struct fault fault;
    struct gateway_lane *lane = exchange->lane;
    const struct gateway_options *options = &lane->gateway->options;
    const struct sigv4_request *wire = &exchange->request->wire;
    enum sigv4_verdict verdict = sigv4_read(wire, &exchange->claim, &fault);
    if (verdict != SIGV4_GOOD) return turn_away_for(exchange, verdict, &fault);

    struct keys_facts *key = &exchange->key;
    int64_t now_ms = options->clock->now_ms(options->clock->context);
    enum session_verdict found = session_find(options->keys, &exchange->claim, now_ms, lane->arena,
                                              key, &exchange->session_issued_ms, &fault);
    if (found == SESSION_NO_MEMORY) {
        return refuse(exchange, 503, GATEWAY_FAILED, "ServiceUnavailableException", fault.text);
    }
    if (found == SESSION_EXPIRED) return turn_away(exchange, "ExpiredTokenException", expired);
    if (found == SESSION_UNKNOWN || key->is_disabled || key->is_unreadable) {
        return turn_away(exchange, "UnrecognizedClientException", unknown);
    }
    verdict = sigv4_verify(wire, &exchange->claim, key->secret, now_ms, &fault);
    return verdict == SIGV4_GOOD || turn_away_for(exchange, verdict, &fault);
}

// ---- what is asked

static struct span find_header(const struct sigv4_request *wire, struct span name) {
    struct span value = {NULL, 0};
    (void)sigv4_find_header(wire, name, &value);
    return value;
}

// The media type without its parameters, in any case.
static bool is_type(struct span header, const char *type) {
    header.size = span_find(header, ';');
    while (header.size > 0 && header.bytes[header.size - 1] == ' ') header.size--;
    return header.size == strlen(type) &&
           strncasecmp((const char *)header.bytes, type, header.size) == 0;
}

// The target's prefix, without the last point, and the service that it stands for.
static const struct target {
    const char *prefix;
    const char *service;
} targets[] = {
    {"com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "cloudtrail"},
    {"CloudTrail_20131101", "cloudtrail"},
    {"AWSOrganizationsV20161128", "organizations"},
};

// Names of operations are letters and digits: others are none, and stand in no event.
static bool check_operation(struct exchange *exchange) {
    struct span name = exchange->call.operation;
    bool is_good = name.size > 0 && name.size <= OPERATION_SIZE_MAX;
    for (size_t index = 0; is_good && index < name.size; index++) {
        uint8_t byte = name.bytes[index];
        is_good = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                  (byte >= '0' && byte <= '9');
    }
    if (is_good) return true;
    return refuse(exchange, 400, GATEWAY_REFUSED, "UnknownOperationException",
                  "There is no operation of that name.");
}

static bool read_target(struct exchange *exchange) {
    struct span target = find_header(&exchange->request->wire, SPAN_LITERAL("x-amz-target"));
    size_t at = target.size;
    while (at > 0 && target.bytes[at - 1] != '.') at--;
    exchange->call.operation = span_from(target, at);
    struct span prefix = span_of(target.bytes, at == 0 ? 0 : at - 1);
    for (size_t index = 0; index < sizeof targets / sizeof targets[0]; index++) {
        if (!span_is(prefix, targets[index].prefix)) continue;
        exchange->call.service = span_text(targets[index].service);
        return check_operation(exchange);
    }
    return refuse(exchange, 400, GATEWAY_REFUSED, "UnknownOperationException",
                  "X-Amz-Target names no operation of this service.");
}

static bool read_form(struct exchange *exchange) {
    struct gateway_lane *lane = exchange->lane;
    if (!gateway_form_read(exchange->request->wire.body, &lane->action, &lane->parameters)) {
        return refuse(exchange, 400, GATEWAY_REFUSED, "MissingAction", "The form names no action.");
    }
    exchange->call.operation = buffer_span(&lane->action);
    exchange->call.body = buffer_span(&lane->parameters);
    exchange->call.service = SPAN_LITERAL("sts");
    return check_operation(exchange);
}

static bool read_call(struct exchange *exchange) {
    const struct sigv4_request *wire = &exchange->request->wire;
    struct span type = find_header(wire, SPAN_LITERAL("content-type"));
    exchange->is_form = is_type(type, "application/x-www-form-urlencoded");
    exchange->answer->content_type = exchange->is_form ? FORM_TYPE : JSON_TYPE;
    if (!span_is(wire->path, "/")) {
        return refuse(exchange, 404, GATEWAY_REFUSED, "UnknownOperationException",
                      "The API is served at / only.");
    }
    if (!span_is(wire->method, "POST")) {
        return refuse(exchange, 405, GATEWAY_REFUSED, "UnknownOperationException",
                      "Calls of the API are POST requests.");
    }
    if (exchange->is_form) return read_form(exchange);
    if (!is_type(type, JSON_TYPE) && !is_type(type, "application/x-amz-json-1.0")) {
        return refuse(exchange, 400, GATEWAY_REFUSED, "SerializationException",
                      "Content-Type is not " JSON_TYPE ".");
    }
    exchange->call.body = wire->body;
    return read_target(exchange);
}

// ---- the call

static bool check_room(struct exchange *exchange) {
    struct gateway *gateway = exchange->lane->gateway;
    const struct gateway_options *options = &gateway->options;
    if (!options->has_room(options->context)) {
        return throttle(exchange, 1000, "Too many calls wait to be recorded. Try again later.");
    }
    if (gateway->rate == NULL || !span_is(exchange->call.operation, "LookupEvents")) return true;
    int64_t now_ms = options->clock->monotonic_ms(options->clock->context);
    uint32_t wait_ms = gateway_rate_take(gateway->rate, exchange->call.caller.account, now_ms);
    return wait_ms == 0 || throttle(exchange, wait_ms, "Rate exceeded");
}

static void fill_call(struct exchange *exchange) {
    const struct gateway_options *options = &exchange->lane->gateway->options;
    struct api_request *call = &exchange->call;
    const struct keys_facts *key = &exchange->key;
    call->region = exchange->claim.region;
    call->request_id = exchange->answer->request_id;
    call->source = exchange->request->source;
    call->user_agent = find_header(&exchange->request->wire, SPAN_LITERAL("user-agent"));
    if (call->user_agent.size > GATEWAY_AGENT_SIZE_MAX) {
        call->user_agent.size = GATEWAY_AGENT_SIZE_MAX;
    }
    call->now_ms = options->clock->now_ms(options->clock->context);
    call->caller = (struct api_caller){
        .key_id = key->id,
        .name = key->name,
        .account = key->account,
        .role = key->role,
        .accounts = key->accounts,
        .accounts_count = key->accounts_count,
    };
    if (exchange->claim.token.bytes == NULL) return;
    call->caller.session_id = exchange->claim.key_id;
    call->caller.session_issued_ms = exchange->session_issued_ms;
}

static enum gateway_lookup lookup_of(const struct api_request *call,
                                     const struct api_answer *answer) {
    if (answer->code != NULL || !span_is(call->operation, "LookupEvents")) return GATEWAY_NO_LOOKUP;
    return answer->is_again ? GATEWAY_ANSWERED_AGAIN : GATEWAY_LOOKED_UP;
}

static enum gateway_outcome outcome_of(const struct api_answer *answer) {
    if (answer->code == NULL) return GATEWAY_ANSWERED;
    return answer->status >= 500 ? GATEWAY_FAILED : GATEWAY_REFUSED;
}

// Turns the call's answer into the query form's.
static void write_form(struct exchange *exchange, const struct api_answer *made) {
    struct fault fault;
    struct gateway_lane *lane = exchange->lane;
    struct gateway_answer *answer = exchange->answer;
    const struct yyjson_val *members;
    buffer_reset(&lane->body);
    if (made->code != NULL) {
        const char *code = made->code;
        name_for_form(&code, &answer->status);
        gateway_form_write_error(code, made->message, answer->status >= 500, answer->request_id,
                                 &lane->body);
    } else if (json_read_into(lane->arena, made->body, &members, &fault)) {
        gateway_form_write(exchange->call.operation, members, answer->request_id, &lane->body);
    } else {
        (void)refuse(exchange, 500, GATEWAY_FAILED, "InternalFailureException",
                     "The answer is too large.");
        return;
    }
    answer->body = buffer_span(&lane->body);
}

static void run_call(struct exchange *exchange) {
    const struct gateway_options *options = &exchange->lane->gateway->options;
    struct gateway_answer *answer = exchange->answer;
    struct api_answer made;
    api_run(exchange->lane->worker, &exchange->call, &made);
    answer->status = made.status;
    answer->outcome = outcome_of(&made);
    answer->lookup = lookup_of(&exchange->call, &made);
    answer->body = made.body;
    if (exchange->is_form) write_form(exchange, &made);
    // Room was there when the call began; others may have taken it since.
    if (made.event.size > 0 && !options->on_event(options->context, made.event)) {
        (void)throttle(exchange, 1000, "Too many calls wait to be recorded. Try again later.");
    }
}

void gateway_run(struct gateway_lane *lane, const struct gateway_request *request,
                 struct gateway_answer *answer) {
    uint8_t id[OWN_EVENT_ID_SIZE];
    struct exchange exchange = {.lane = lane, .request = request, .answer = answer};
    *answer = (struct gateway_answer){.status = 200, .content_type = JSON_TYPE};
    arena_reset(lane->arena);
    own_event_make_id(lane->gateway->options.random, id);
    record_print_uuid(id, answer->request_id);
    if (!read_call(&exchange) || !authenticate(&exchange)) return;
    if (!span_equal(exchange.claim.service, exchange.call.service)) {
        (void)turn_away(&exchange, "InvalidSignatureException",
                        "Credential should be scoped to correct service.");
        return;
    }
    fill_call(&exchange);
    if (check_room(&exchange)) run_call(&exchange);
}
