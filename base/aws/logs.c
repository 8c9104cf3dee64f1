#include "base/aws/logs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

enum {
    PAUSE_MS = 100,
    CODE_SIZE = 64,
    MESSAGE_SIZE = 160,
    SEQUENCE_ATTEMPTS = 3,  // of a batch whose token is not the expected one
    // Every byte of a message may need six in JSON; a record's own are mostly one or two.
    EVENTS_SIZE_MAX = 6 * LOGS_BATCH_SIZE_MAX + 64 * LOGS_BATCH_EVENTS_MAX,
    BODY_SIZE_MAX = EVENTS_SIZE_MAX + 4096,
};

struct logs {
    struct caller *caller;
    const struct clock *clock;
    struct json_reader *json;
    struct buffer body;
    char code[CODE_SIZE];                 // of the last refusal
    char message[MESSAGE_SIZE];           // printable ASCII
    char token[LOGS_TOKEN_SIZE_MAX + 1];  // that the store expects next
};

// ---- life

bool logs_create(const struct caller_options *options, struct logs **logs, struct fault *fault) {
    struct logs *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a client");
    made->clock = options->clock;
    made->json = json_reader_create();
    buffer_init(&made->body, BODY_SIZE_MAX);
    bool is_good = made->json != NULL || fault_set(fault, FAULT_FULL, "no memory for a client");
    if (!is_good || !caller_create(options, &made->caller, fault)) {
        logs_destroy(made);
        return false;
    }
    *logs = made;
    return true;
}

void logs_destroy(struct logs *logs) {
    if (logs == NULL) return;
    caller_destroy(logs->caller);
    json_reader_destroy(logs->json);
    buffer_done(&logs->body);
    free(logs);
}

bool logs_lacks_group(const struct logs *logs) {
    return strcmp(logs->code, "ResourceNotFoundException") == 0;
}

// ---- batches

void logs_batch_init(struct logs_batch *batch) {
    *batch = (struct logs_batch){.count = 0};
    buffer_init(&batch->events, EVENTS_SIZE_MAX);
}

void logs_batch_done(struct logs_batch *batch) {
    buffer_done(&batch->events);
}

void logs_batch_begin(struct logs_batch *batch, int64_t time_ms) {
    buffer_reset(&batch->events);
    batch->writer = json_writer_begin(&batch->events);
    json_write_list(&batch->writer, NULL);
    batch->time_ms = time_ms;
    batch->size = 0;
    batch->count = 0;
}

bool logs_batch_add(struct logs_batch *batch, struct span message) {
    assert(message.size <= LOGS_EVENT_SIZE_MAX);
    uint64_t size = batch->size + message.size + LOGS_EVENT_SIZE_MORE;
    if (size > LOGS_BATCH_SIZE_MAX || batch->count == LOGS_BATCH_EVENTS_MAX) return false;
    json_write_object(&batch->writer, NULL);
    json_write_integer(&batch->writer, "timestamp", batch->time_ms);
    json_write_string(&batch->writer, "message", message);
    json_write_end(&batch->writer);
    batch->size = size;
    batch->count++;
    return true;
}

// ---- what the store says

static const struct {
    const char *code;
    enum fault_kind kind;
    const char *advice;
} REFUSALS[] = {
    {"ResourceNotFoundException", FAULT_INPUT, "make the log group"},
    {"AccessDeniedException", FAULT_DENIED, "allow logs:CreateLogStream and logs:PutLogEvents"},
    {"UnrecognizedClientException", FAULT_DENIED, "correct the key in the credentials file"},
    {"InvalidClientTokenId", FAULT_DENIED, "correct the key in the credentials file"},
    {"InvalidSignatureException", FAULT_DENIED,
     "correct the secret in the credentials file, or the clock"},
    {"SignatureDoesNotMatch", FAULT_DENIED, "correct the secret in the credentials file"},
    {"ExpiredTokenException", FAULT_DENIED, "renew the session token"},
    {"RequestExpired", FAULT_DENIED, "set the clock of the collector's machine"},
    {"ThrottlingException", FAULT_RETRY, "it is tried again"},
    {"Throttling", FAULT_RETRY, "it is tried again"},
    {"TooManyRequestsException", FAULT_RETRY, "it is tried again"},
    {"LimitExceededException", FAULT_RETRY, "it is tried again"},
    {"ServiceUnavailableException", FAULT_RETRY, "it is tried again"},
    {"OperationAbortedException", FAULT_RETRY, "it is tried again"},
    {"InternalFailure", FAULT_RETRY, "it is tried again"},
    {"InvalidParameterException", FAULT_INPUT,
     "if the store takes smaller events only, set delivery.logs.event_size_max"},
};

// Takes printable ASCII of a stranger's text.
static void take_text(struct span text, char *into, size_t into_size) {
    size_t size = 0;
    for (size_t index = 0; index < text.size && size + 1 < into_size; index++) {
        uint8_t byte = text.bytes[index];
        into[size++] = byte >= ' ' && byte <= '~' ? (char)byte : '?';
    }
    into[size] = 0;
}

// "com.amazonaws.logs#ThrottlingException:http://..." is ThrottlingException.
static struct span bare_code(struct span code) {
    size_t sharp = span_find(code, '#');
    if (sharp < code.size) code = span_from(code, sharp + 1);
    return span_of(code.bytes, span_find(code, ':'));
}

// Keeps what an answer with an error says, whatever its body is.
static void read_refusal(struct logs *logs, const struct http_client_answer *answer) {
    struct fault ignored;
    struct span code = {NULL, 0}, message = {NULL, 0}, token = {NULL, 0};
    const struct yyjson_val *root;
    if (json_read(logs->json, buffer_span(&answer->body), &root, &ignored)) {
        code = json_member_string(root, SPAN_LITERAL("__type"));
        message = json_member_string(root, SPAN_LITERAL("message"));
        if (message.size == 0) message = json_member_string(root, SPAN_LITERAL("Message"));
        token = json_member_string(root, SPAN_LITERAL("expectedSequenceToken"));
    }
    if (code.size == 0) (void)http_client_find(answer, "x-amzn-errortype", &code);
    take_text(bare_code(code), logs->code, sizeof logs->code);
    if (logs->code[0] == 0) snprintf(logs->code, sizeof logs->code, "HTTP %u", answer->status);
    take_text(message, logs->message, sizeof logs->message);
    take_text(token.size <= LOGS_TOKEN_SIZE_MAX ? token : (struct span){NULL, 0}, logs->token,
              sizeof logs->token);
}

static bool refuse(struct logs *logs, uint32_t status, struct fault *fault) {
    const char *colon = logs->message[0] != 0 ? ": " : "";
    for (size_t index = 0; index < sizeof REFUSALS / sizeof REFUSALS[0]; index++) {
        if (strcmp(logs->code, REFUSALS[index].code) != 0) continue;
        return fault_set(fault, REFUSALS[index].kind, "%s: %s%s%s", logs->code,
                         REFUSALS[index].advice, colon, logs->message);
    }
    if (status == 401 || status == 403) {
        return fault_set(fault, FAULT_DENIED,
                         "%s: correct the key in the credentials file, or allow "
                         "logs:CreateLogStream and logs:PutLogEvents%s%s",
                         logs->code, colon, logs->message);
    }
    bool is_busy = status >= 500 || status == 429;
    return fault_set(fault, is_busy ? FAULT_RETRY : FAULT_INPUT, "%s%s%s", logs->code, colon,
                     logs->message);
}

// Whether events from this member's index on, or up to it, were refused.
static uint32_t count_refused(const struct yyjson_val *info, const char *name, bool is_from,
                              uint32_t count) {
    const struct yyjson_val *value = json_member(info, span_text(name));
    if (value == NULL || !yyjson_is_num((yyjson_val *)(uintptr_t)value)) return 0;
    int64_t index = yyjson_get_sint((yyjson_val *)(uintptr_t)value);
    if (index < 0 || index > count) return 0;
    return is_from ? count - (uint32_t)index : (uint32_t)index;
}

static void read_refused(struct logs *logs, const struct http_client_answer *answer, uint32_t count,
                         struct logs_refused *refused) {
    struct fault ignored;
    const struct yyjson_val *root;
    *refused = (struct logs_refused){0};
    if (!json_read(logs->json, buffer_span(&answer->body), &root, &ignored)) return;
    const struct yyjson_val *info = json_member(root, SPAN_LITERAL("rejectedLogEventsInfo"));
    refused->too_new = count_refused(info, "tooNewLogEventStartIndex", true, count);
    refused->too_old = count_refused(info, "tooOldLogEventEndIndex", false, count);
    refused->expired = count_refused(info, "expiredLogEventEndIndex", false, count);
}

// ---- calls

// Sends the body. An answer that is an error is a fault, and logs->code has its code.
static bool send(struct logs *logs, const char *target, const struct http_client_answer **answer,
                 struct fault *fault) {
    const struct caller_call call = {target, "application/x-amz-json-1.1",
                                     buffer_span(&logs->body)};
    logs->code[0] = 0;
    if (buffer_overflowed(&logs->body)) {
        return fault_set(fault, FAULT_FULL, "NoMemory: for a batch of events");
    }
    if (!caller_send(logs->caller, &call, answer, fault)) {
        bool is_away = fault->kind == FAULT_RETRY;
        return fault_add(fault, is_away ? "Unreachable" : "WrongSettings");
    }
    if ((*answer)->status >= 200 && (*answer)->status < 300) return true;
    read_refusal(logs, *answer);
    return refuse(logs, (*answer)->status, fault);
}

static bool is_refused_as(const struct logs *logs, const char *code) {
    return strcmp(logs->code, code) == 0;
}

static void begin_body(struct logs *logs, struct json_writer *writer, const char *group,
                       const char *stream) {
    buffer_reset(&logs->body);
    *writer = json_writer_begin(&logs->body);
    json_write_object(writer, NULL);
    json_write_string(writer, "logGroupName", span_text(group));
    json_write_string(writer, "logStreamName", span_text(stream));
}

// Makes a stream; one that is there is as good.
static bool create_stream(struct logs *logs, const char *group, const char *stream,
                          struct fault *fault) {
    struct json_writer writer;
    const struct http_client_answer *answer;
    begin_body(logs, &writer, group, stream);
    json_write_end(&writer);
    if (send(logs, "Logs_20140328.CreateLogStream", &answer, fault)) return true;
    return is_refused_as(logs, "ResourceAlreadyExistsException");
}

// One attempt. A store that still keeps sequence tokens tells the one that it expects; what it says
// it has already it has.
static bool put_once(struct logs *logs, const char *group, const char *stream,
                     struct logs_batch *batch, struct logs_refused *refused, struct fault *fault) {
    const struct http_client_answer *answer;
    bool is_made = false;
    char token[LOGS_TOKEN_SIZE_MAX + 1] = "";
    for (uint32_t count = 0; count < SEQUENCE_ATTEMPTS;) {
        struct json_writer writer;
        begin_body(logs, &writer, group, stream);
        if (token[0] != 0) json_write_string(&writer, "sequenceToken", span_text(token));
        json_write_raw(&writer, "logEvents", buffer_span(&batch->events));
        json_write_end(&writer);
        if (send(logs, "Logs_20140328.PutLogEvents", &answer, fault)) {
            read_refused(logs, answer, batch->count, refused);
            return true;
        }
        if (is_refused_as(logs, "DataAlreadyAcceptedException")) {
            *refused = (struct logs_refused){0};
            return true;
        }
        if (is_refused_as(logs, "ResourceNotFoundException") && !is_made) {
            // The stream, or the group: to make the stream shows which.
            if (!create_stream(logs, group, stream, fault)) return false;
            is_made = true;
            continue;
        }
        if (!is_refused_as(logs, "InvalidSequenceTokenException")) return false;
        memcpy(token, logs->token, sizeof token);
        fault->kind = FAULT_RETRY;
        count++;
    }
    return false;
}

bool logs_put(struct logs *logs, const char *group, const char *stream, struct logs_batch *batch,
              struct logs_refused *refused, struct fault *fault) {
    assert(batch->count > 0);
    json_write_end(&batch->writer);
    if (buffer_overflowed(&batch->events)) {
        return fault_set(fault, FAULT_FULL, "NoMemory: for a batch of events");
    }
    bool is_good = false;
    bool is_over = false;
    for (uint32_t count = 0; !is_over && count < LOGS_ATTEMPTS; count++) {
        int64_t begin_ms = logs->clock->monotonic_ms(logs->clock->context);
        const struct timespec pause = {.tv_nsec = count * PAUSE_MS * 1000000L};
        if (count > 0) (void)nanosleep(&pause, NULL);
        is_good = put_once(logs, group, stream, batch, refused, fault);
        int64_t took_ms = logs->clock->monotonic_ms(logs->clock->context) - begin_ms;
        // What never got an answer may have been taken: only what was refused is sent again here.
        bool is_refused = logs->code[0] != 0;
        is_over = is_good || fault->kind != FAULT_RETRY || !is_refused || took_ms > LOGS_QUICK_MS;
    }
    // Batches are large, and come now and then.
    buffer_done(&logs->body);
    buffer_init(&logs->body, BODY_SIZE_MAX);
    return is_good;
}
