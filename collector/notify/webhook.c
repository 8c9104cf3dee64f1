// A webhook: POST over HTTPS, signed as "Standard Webhooks" has it, so that receivers find a
// library.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/http_client.h"
#include "collector/notify/sender_internal.h"

enum { OTHERS_MODE = 07, SIGNATURES_SIZE = 256 };

struct webhook {
    struct sender_options options;
    struct http_client *http;
    struct http_client_answer answer;
};

// The file is read each time, so that a secret is replaced while the collector runs.
static bool read_secrets(const struct webhook *webhook, struct message_secrets *secrets,
                         struct fault *fault) {
    const struct files *files = webhook->options.files;
    const char *path = webhook->options.target->secret;
    bool exists = false;
    struct files_entry entry = {0};
    if (!files_find(files, path, &exists, &entry, fault)) return false;
    if (!exists) return fault_set(fault, FAULT_INPUT, "%s: there is no such file", path);
    if ((entry.mode & OTHERS_MODE) != 0) {
        return fault_set(fault, FAULT_DENIED,
                         "%s: every user of this machine can read it: chmod 600 it", path);
    }
    struct buffer text;
    buffer_init(&text, MESSAGE_SECRETS_FILE_MAX);
    bool is_good =
        files_read_whole(files, path, MESSAGE_SECRETS_FILE_MAX, &text, fault) &&
        (message_read_secrets(buffer_span(&text), secrets, fault) || fault_add(fault, "%s", path));
    if (text.bytes != NULL) explicit_bzero(text.bytes, text.size);
    buffer_done(&text);
    return is_good;
}

static bool post(struct webhook *webhook, const struct message *message, struct span time,
                 struct span signatures, struct fault *fault) {
    const struct http_client_header headers[] = {
        {SPAN_LITERAL("Content-Type"), SPAN_LITERAL("application/json")},
        {SPAN_LITERAL("webhook-id"), span_text(message->id)},
        {SPAN_LITERAL("webhook-timestamp"), time},
        {SPAN_LITERAL("webhook-signature"), signatures},
    };
    const struct http_client_call call = {
        .method = "POST",
        .url = webhook->options.target->address,
        .headers = headers,
        .headers_count = sizeof headers / sizeof headers[0],
        .body = message->text,
    };
    if (!http_client_send(webhook->http, &call, &webhook->answer, fault)) {
        return sender_name_fault(fault);
    }
    uint32_t status = webhook->answer.status;
    if (status >= 200 && status < 300) return true;
    // What the answer says is a stranger's, and may come from behind a redirect: it is not shown.
    return fault_set(fault, FAULT_RETRY, "HTTP %u: the webhook %s", status,
                     status >= 300 && status < 400 ? "is elsewhere, and redirects are not followed"
                                                   : "did not take it");
}

static bool send(void *context, const struct message *message, struct fault *fault) {
    struct webhook *webhook = context;
    const struct clock *clock = webhook->options.clock;
    struct message_secrets secrets;
    if (!read_secrets(webhook, &secrets, fault)) return fault_add(fault, "WrongSettings");
    int64_t time_s = clock->now_ms(clock->context) / 1000;
    char time[32];
    struct buffer signatures;
    snprintf(time, sizeof time, "%" PRId64, time_s);
    buffer_init(&signatures, SIGNATURES_SIZE);
    message_sign(&secrets, message, time_s, &signatures);
    explicit_bzero(&secrets, sizeof secrets);
    bool is_good = buffer_overflowed(&signatures)
                       ? fault_set(fault, FAULT_FULL, "NoMemory: for a signature")
                       : post(webhook, message, span_text(time), buffer_span(&signatures), fault);
    buffer_done(&signatures);
    return is_good;
}

static void destroy(void *context) {
    struct webhook *webhook = context;
    http_client_destroy(webhook->http);
    http_client_answer_done(&webhook->answer);
    free(webhook);
}

bool sender_create_webhook(const struct sender_options *options, struct sender *sender,
                           struct fault *fault) {
    struct webhook *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a webhook");
    const struct target *target = options->target;
    const struct http_client_options http = {
        .ca_file = target->service.ca,
        .proxy = target->service.proxy,
        .connect_ms = SENDER_CONNECT_MS,
        .call_ms = SENDER_CALL_MS,
        .is_guarded = !target->allows_private,
        .is_stopped = options->stop,
    };
    made->options = *options;
    http_client_answer_init(&made->answer, SENDER_ANSWER_SIZE_MAX);
    struct message_secrets secrets;
    bool is_good =
        read_secrets(made, &secrets, fault) && http_client_create(&http, &made->http, fault);
    explicit_bzero(&secrets, sizeof secrets);
    if (!is_good) {
        destroy(made);
        return fault_add(fault, "WrongSettings");
    }
    *sender = (struct sender){send, destroy, made};
    return true;
}
