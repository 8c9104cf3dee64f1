#include "base/aws/caller.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aws/credentials.h"
#include "base/aws/endpoint.h"
#include "base/aws/sigv4.h"

enum {
    NAME_SIZE = 32,
    REGION_SIZE = SIGV4_SCOPE_SIZE_MAX + 1,
    HEADERS_MAX = 6,
    AUTHORIZATION_SIZE_MAX = 16 * 1024,
};

struct caller {
    struct http_client *http;
    struct http_client_answer answer;
    struct endpoint endpoint;
    char url[ENDPOINT_HOST_SIZE + 16];
    char name[NAME_SIZE];
    char region[REGION_SIZE];
    struct credentials_source source;
    const struct clock *clock;
};

static bool is_region(const char *text) {
    size_t size = strlen(text);
    return size > 0 && size < REGION_SIZE &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

static bool fill(struct caller *caller, const struct caller_options *options, struct fault *fault) {
    if (!is_region(options->region)) {
        return fault_set(fault, FAULT_INPUT, "region \"%s\": write it like eu-central-1",
                         options->region);
    }
    snprintf(caller->name, sizeof caller->name, "%s", options->name);
    snprintf(caller->region, sizeof caller->region, "%s", options->region);
    if (options->endpoint == NULL) {
        endpoint_of_aws(options->name, options->region, &caller->endpoint);
    } else if (!endpoint_read(options->endpoint, &caller->endpoint, fault)) {
        return false;
    }
    snprintf(caller->url, sizeof caller->url, "%s://%s/",
             caller->endpoint.is_tls ? "https" : "http", caller->endpoint.host);
    caller->clock = options->clock;
    return credentials_source_init(options->files, options->credentials_file, options->profile,
                                   &caller->source, fault) &&
           credentials_source_read(&caller->source, fault) &&
           http_client_create(&options->http, &caller->http, fault);
}

bool caller_create(const struct caller_options *options, struct caller **caller,
                   struct fault *fault) {
    struct caller *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a client");
    http_client_answer_init(&made->answer, CALLER_ANSWER_SIZE_MAX);
    if (!fill(made, options, fault)) {
        caller_destroy(made);
        return false;
    }
    *caller = made;
    return true;
}

void caller_destroy(struct caller *caller) {
    if (caller == NULL) return;
    http_client_destroy(caller->http);
    http_client_answer_done(&caller->answer);
    credentials_source_done(&caller->source);
    free(caller);
}

// The headers of a call; all of them are signed.
struct headers {
    struct http_client_header list[HEADERS_MAX];
    uint32_t count;
};

static void add(struct headers *headers, const char *name, const char *value) {
    headers->list[headers->count++] =
        (struct http_client_header){span_text(name), span_text(value)};
}

static bool sign(const struct caller *caller, const struct caller_call *call,
                 struct headers *headers, struct buffer *authorization, struct fault *fault) {
    const struct credentials *credentials = &caller->source.credentials;
    struct sigv4_header list[HEADERS_MAX];
    for (uint32_t index = 0; index < headers->count; index++) {
        list[index] = (struct sigv4_header){headers->list[index].name, headers->list[index].value};
    }
    const struct sigv4_request request = {.method = SPAN_LITERAL("POST"),
                                          .path = SPAN_LITERAL("/"),
                                          .query = SPAN_LITERAL(""),
                                          .headers = list,
                                          .headers_count = headers->count,
                                          .body = call->body};
    const struct sigv4_signer signer = {span_text(credentials->key_id),
                                        span_text(credentials->secret), span_text(caller->region),
                                        span_text(caller->name)};
    if (!sigv4_sign(&request, &signer, authorization, fault)) return false;
    headers->list[headers->count++] =
        (struct http_client_header){SPAN_LITERAL("Authorization"), buffer_span(authorization)};
    return true;
}

bool caller_send(struct caller *caller, const struct caller_call *call,
                 const struct http_client_answer **answer, struct fault *fault) {
    char time[SIGV4_TIME_SIZE];
    struct buffer authorization;
    struct headers headers = {.count = 0};
    if (!credentials_source_read(&caller->source, fault)) return false;
    const struct credentials *credentials = &caller->source.credentials;
    sigv4_print_time(caller->clock->now_ms(caller->clock->context), time);
    add(&headers, "Host", caller->endpoint.host);
    add(&headers, "Content-Type", call->content_type);
    add(&headers, "X-Amz-Date", time);
    if (call->target != NULL) add(&headers, "X-Amz-Target", call->target);
    if (credentials->token[0] != 0) add(&headers, "X-Amz-Security-Token", credentials->token);
    buffer_init(&authorization, AUTHORIZATION_SIZE_MAX);
    bool is_good = sign(caller, call, &headers, &authorization, fault);
    if (is_good) {
        const struct http_client_call http = {.method = "POST",
                                              .url = caller->url,
                                              .headers = headers.list,
                                              .headers_count = headers.count,
                                              .body = call->body};
        is_good = http_client_send(caller->http, &http, &caller->answer, fault);
    }
    buffer_done(&authorization);
    if (is_good) *answer = &caller->answer;
    return is_good;
}
