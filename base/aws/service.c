#include "base/aws/service.h"

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

struct service {
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

static bool fill(struct service *service, const struct service_options *options,
                 struct fault *fault) {
    if (!is_region(options->region)) {
        return fault_set(fault, FAULT_INPUT, "region \"%s\": write it like eu-central-1",
                         options->region);
    }
    snprintf(service->name, sizeof service->name, "%s", options->name);
    snprintf(service->region, sizeof service->region, "%s", options->region);
    if (options->endpoint == NULL) {
        endpoint_of_aws(options->name, options->region, &service->endpoint);
    } else if (!endpoint_read(options->endpoint, &service->endpoint, fault)) {
        return false;
    }
    snprintf(service->url, sizeof service->url, "%s://%s/",
             service->endpoint.is_tls ? "https" : "http", service->endpoint.host);
    service->clock = options->clock;
    return credentials_source_init(options->files, options->credentials_file, options->profile,
                                   &service->source, fault) &&
           credentials_source_read(&service->source, fault) &&
           http_client_create(&options->http, &service->http, fault);
}

bool service_create(const struct service_options *options, struct service **service,
                    struct fault *fault) {
    struct service *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a client");
    http_client_answer_init(&made->answer, SERVICE_ANSWER_SIZE_MAX);
    if (!fill(made, options, fault)) {
        service_destroy(made);
        return false;
    }
    *service = made;
    return true;
}

void service_destroy(struct service *service) {
    if (service == NULL) return;
    http_client_destroy(service->http);
    http_client_answer_done(&service->answer);
    credentials_source_done(&service->source);
    free(service);
}

void service_stop(struct service *service) {
    http_client_stop(service->http);
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

static bool sign(const struct service *service, const struct service_call *call,
                 struct headers *headers, struct buffer *authorization, struct fault *fault) {
    const struct credentials *credentials = &service->source.credentials;
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
                                        span_text(credentials->secret), span_text(service->region),
                                        span_text(service->name)};
    if (!sigv4_sign(&request, &signer, authorization, fault)) return false;
    headers->list[headers->count++] =
        (struct http_client_header){SPAN_LITERAL("Authorization"), buffer_span(authorization)};
    return true;
}

bool service_send(struct service *service, const struct service_call *call,
                  const struct http_client_answer **answer, struct fault *fault) {
    char time[SIGV4_TIME_SIZE];
    struct buffer authorization;
    struct headers headers = {.count = 0};
    if (!credentials_source_read(&service->source, fault)) return false;
    const struct credentials *credentials = &service->source.credentials;
    sigv4_print_time(service->clock->now_ms(service->clock->context), time);
    add(&headers, "Host", service->endpoint.host);
    add(&headers, "Content-Type", call->content_type);
    add(&headers, "X-Amz-Date", time);
    if (call->target != NULL) add(&headers, "X-Amz-Target", call->target);
    if (credentials->token[0] != 0) add(&headers, "X-Amz-Security-Token", credentials->token);
    buffer_init(&authorization, AUTHORIZATION_SIZE_MAX);
    bool is_good = sign(service, call, &headers, &authorization, fault);
    if (is_good) {
        const struct http_client_call http = {.method = "POST",
                                              .url = service->url,
                                              .headers = headers.list,
                                              .headers_count = headers.count,
                                              .body = call->body};
        is_good = http_client_send(service->http, &http, &service->answer, fault);
    }
    buffer_done(&authorization);
    if (is_good) *answer = &service->answer;
    return is_good;
}
