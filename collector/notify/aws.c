// Topics of SNS and queues of SQS.

#include <stdio.h>
#include <stdlib.h>

#include "base/aws/caller.h"
#include "base/json_writer.h"
#include "base/percent.h"
#include "collector/notify/answer.h"
#include "collector/notify/sender_internal.h"

enum {
    BODY_SIZE_MAX = 4 * MESSAGE_SIZE_MAX,  // a form has three bytes for some
    ENDPOINT_SIZE = 512,
    REGION_SIZE = 65,
};

// The name of the attribute that has a message's id.
#define ID_ATTRIBUTE "orgtrail-id"

struct aws {
    const struct target *target;
    struct caller *caller;
};

// ---- what is sent

static bool is_fifo(const struct target *target) {
    return span_ends(span_text(target->address), SPAN_LITERAL(".fifo"));
}

static void append_field(struct buffer *body, const char *name, struct span value) {
    if (body->size > 0) buffer_append_byte(body, '&');
    buffer_print(body, "%s=", name);
    percent_append(body, value, false);
}

static void print_publish(const struct target *target, const struct message *message,
                          struct buffer *body) {
    append_field(body, "Action", SPAN_LITERAL("Publish"));
    append_field(body, "Version", SPAN_LITERAL("2010-03-31"));
    append_field(body, "TopicArn", span_text(target->address));
    append_field(body, "Message", message->text);
    append_field(body, "MessageAttributes.entry.1.Name", SPAN_LITERAL(ID_ATTRIBUTE));
    append_field(body, "MessageAttributes.entry.1.Value.DataType", SPAN_LITERAL("String"));
    append_field(body, "MessageAttributes.entry.1.Value.StringValue", span_text(message->id));
    if (!is_fifo(target)) return;
    append_field(body, "MessageGroupId", message->group);
    append_field(body, "MessageDeduplicationId", span_text(message->id));
}

static void print_send(const struct target *target, const struct message *message,
                       struct buffer *body) {
    struct json_writer writer = json_writer_begin(body);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "QueueUrl", span_text(target->address));
    json_write_string(&writer, "MessageBody", message->text);
    json_write_object(&writer, "MessageAttributes");
    json_write_object(&writer, ID_ATTRIBUTE);
    json_write_string(&writer, "DataType", SPAN_LITERAL("String"));
    json_write_string(&writer, "StringValue", span_text(message->id));
    json_write_end(&writer);
    json_write_end(&writer);
    if (is_fifo(target)) {
        json_write_string(&writer, "MessageGroupId", message->group);
        json_write_string(&writer, "MessageDeduplicationId", span_text(message->id));
    }
    json_write_end(&writer);
}

static bool refuse(const struct answer *answer, struct fault *fault) {
    return fault_set(fault, FAULT_RETRY, "%s: %s", answer->code,
                     answer->message[0] != 0 ? answer->message : "the target did not take it");
}

static bool send(void *context, const struct message *message, struct fault *fault) {
    struct aws *aws = context;
    const struct http_client_answer *http = NULL;
    struct answer answer;
    struct buffer body;
    bool is_topic = aws->target->kind == TARGET_TOPIC;
    buffer_init(&body, BODY_SIZE_MAX);
    if (is_topic) {
        print_publish(aws->target, message, &body);
    } else {
        print_send(aws->target, message, &body);
    }
    const struct caller_call order = {
        .target = is_topic ? NULL : "AmazonSQS.SendMessage",
        .content_type = is_topic ? "application/x-www-form-urlencoded; charset=utf-8"
                                 : "application/x-amz-json-1.0",
        .body = buffer_span(&body),
    };
    bool is_good = buffer_overflowed(&body)
                       ? fault_set(fault, FAULT_FULL, "NoMemory: for a message")
                       : caller_send(aws->caller, &order, &http, fault) || sender_name_fault(fault);
    buffer_done(&body);
    if (!is_good) return false;
    answer_read(http->status, buffer_span(&http->body), &answer);
    return answer.is_taken || refuse(&answer, fault);
}

// ---- whom to

static void destroy(void *context) {
    struct aws *aws = context;
    caller_destroy(aws->caller);
    free(aws);
}

static bool create(const struct sender_options *options, const char *name, const char *endpoint,
                   const char *region, struct sender *sender, struct fault *fault) {
    struct aws *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "NoMemory: for a target");
    const struct target_service *service = &options->target->service;
    const struct caller_options caller = {
        .name = name,
        .endpoint = endpoint,
        .region = region,
        .credentials_file = service->credentials,
        .profile = service->profile,
        .http = {.ca_file = service->ca,
                 .proxy = service->proxy,
                 .connect_ms = SENDER_CONNECT_MS,
                 .call_ms = SENDER_CALL_MS,
                 .is_stopped = options->stop},
        .clock = options->clock,
        .files = options->files,
    };
    made->target = options->target;
    if (!caller_create(&caller, &made->caller, fault)) {
        free(made);
        return fault_add(fault, "WrongSettings");
    }
    *sender = (struct sender){send, destroy, made};
    return true;
}

// The part of this number of those that a sign separates, from 0 on; false: too long, or not there.
static bool take_between(const char *text, char sign, uint32_t number, char *part,
                         size_t part_size) {
    for (; number > 0 && text != NULL; number--) {
        text = strchr(text, sign);
        if (text != NULL) text++;
    }
    size_t size = text == NULL ? 0 : strcspn(text, (char[]){sign, 0});
    if (size == 0 || size >= part_size) return false;
    memcpy(part, text, size);
    part[size] = 0;
    return true;
}

bool sender_create_topic(const struct sender_options *options, struct sender *sender,
                         struct fault *fault) {
    const struct target *target = options->target;
    char region[REGION_SIZE];
    if (target->is_refused) {
        return fault_set(
            fault, FAULT_DENIED,
            "AuthorizationError: notify.sns.topics does not allow %s: add it there, or "
            "give the trail another topic",
            target->address);
    }
    // "arn:aws:sns:REGION:ACCOUNT:NAME"
    if (!take_between(target->address, ':', 3, region, sizeof region)) {
        return fault_set(fault, FAULT_INPUT, "InvalidParameter: %s is no topic's ARN",
                         target->address);
    }
    return create(options, "sns", target->service.endpoint, region, sender, fault);
}

bool sender_create_queue(const struct sender_options *options, struct sender *sender,
                         struct fault *fault) {
    const struct target *target = options->target;
    char endpoint[ENDPOINT_SIZE], region[REGION_SIZE];
    // "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME": the service is at the host.
    const char *host = strstr(target->address, "://");
    size_t size = host == NULL ? 0 : (size_t)(host + 3 - target->address) + strcspn(host + 3, "/");
    if (size == 0 || size >= sizeof endpoint) {
        return fault_set(fault, FAULT_INPUT, "WrongSettings: %s is no queue's URL",
                         target->address);
    }
    memcpy(endpoint, target->address, size);
    endpoint[size] = 0;
    const char *given = target->service.region;
    if (given == NULL && !take_between(endpoint, '.', 1, region, sizeof region)) {
        return fault_set(fault, FAULT_INPUT, "WrongSettings: of which region is %s?",
                         target->address);
    }
    return create(options, "sqs", endpoint, given == NULL ? region : given, sender, fault);
}
