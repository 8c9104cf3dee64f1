#include "base/aws/s3.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aws/s3_internal.h"
#include "base/aws/sigv4.h"
#include "base/crypto.h"
#include "base/percent.h"

// ---- life

static bool fill(struct s3 *s3, const struct s3_options *options, struct fault *fault) {
    const char *region = options->region == NULL ? "us-east-1" : options->region;
    if (!credentials_source_init(options->files, options->credentials_file, options->profile,
                                 &s3->source, fault)) {
        return false;
    }
    if (!s3_answer_take_region(span_text(region), s3->region)) {
        return fault_set(fault, FAULT_INPUT, "region \"%s\": write it like eu-central-1", region);
    }
    if (options->endpoint == NULL) {
        endpoint_of_aws("s3", s3->region, &s3->endpoint);
        s3->is_aws = true;
    } else if (!endpoint_read(options->endpoint, &s3->endpoint, fault)) {
        return false;
    }
    s3->style = options->style;
    s3->clock = options->clock;
    return credentials_source_read(&s3->source, fault) &&
           http_client_create(&options->http, &s3->http, fault);
}

bool s3_create(const struct s3_options *options, struct s3 **s3, struct fault *fault) {
    struct s3 *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a client of S3");
    http_client_answer_init(&made->answer, S3_PAGE_SIZE_MAX);
    if (!fill(made, options, fault)) {
        s3_destroy(made);
        return false;
    }
    *s3 = made;
    return true;
}

void s3_destroy(struct s3 *s3) {
    if (s3 == NULL) return;
    http_client_destroy(s3->http);
    http_client_answer_done(&s3->answer);
    credentials_source_done(&s3->source);
    free(s3);
}

const struct s3_failure *s3_failure(const struct s3 *s3) {
    return &s3->failure;
}

// ---- headers

void s3_headers_init(struct s3_headers *headers) {
    headers->count = 0;
    buffer_init(&headers->texts, (size_t)S3_HEADERS_MAX * S3_VALUE_SIZE);
}

void s3_headers_done(struct s3_headers *headers) {
    buffer_done(&headers->texts);
}

void s3_headers_add(struct s3_headers *headers, const char *name, struct span value) {
    assert(headers->count < S3_HEADERS_MAX);
    headers->list[headers->count++] = (struct http_client_header){span_text(name), value};
}

// ---- one request

static bool check_names(const char *bucket, const char *key, struct fault *fault) {
    size_t size = strlen(bucket);
    size_t good =
        strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    if (size < 3 || size > 255 || good != size || bucket[0] == '.' || bucket[0] == '-') {
        return fault_set(fault, FAULT_INPUT, "\"%.64s\" is not a bucket's name", bucket);
    }
    size_t key_size = key == NULL ? 1 : strlen(key);
    if (key_size == 0 || key_size > S3_KEY_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "a key has 1 to %d bytes", S3_KEY_SIZE_MAX);
    }
    return true;
}

struct target {
    char host[ENDPOINT_HOST_SIZE + 256];
    struct buffer path;  // encoded
};

static bool is_virtual(const struct s3 *s3, const char *bucket) {
    if (s3->style != S3_STYLE_AUTO) return s3->style == S3_STYLE_VIRTUAL;
    // The certificate of *.s3.REGION.amazonaws.com covers no further dots.
    return s3->is_aws && strchr(bucket, '.') == NULL;
}

static void find_target(const struct s3 *s3, const struct s3_call *call, struct target *target) {
    buffer_append_byte(&target->path, '/');
    if (is_virtual(s3, call->bucket)) {
        snprintf(target->host, sizeof target->host, "%s.%s", call->bucket, s3->endpoint.host);
    } else {
        snprintf(target->host, sizeof target->host, "%s", s3->endpoint.host);
        buffer_append_text(&target->path, call->bucket);
        if (call->key != NULL) buffer_append_byte(&target->path, '/');
    }
    if (call->key != NULL) percent_append(&target->path, span_text(call->key), true);
}

struct signing {
    char time[SIGV4_TIME_SIZE];
    char hash[SHA256_HEX_SIZE];
    struct buffer authorization;
};

// Adds the headers that every request has, and the signature over all of them.
static bool sign(struct s3 *s3, const struct s3_call *call, const struct target *target,
                 struct s3_headers *headers, struct signing *signing, struct fault *fault) {
    const struct credentials *credentials = &s3->source.credentials;
    struct sigv4_header signed_headers[S3_HEADERS_MAX];
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&call->body, 1, digest);
    crypto_print_hex(span_of(digest, sizeof digest), signing->hash);
    sigv4_print_time(s3->clock->now_ms(s3->clock->context), signing->time);
    s3_headers_add(headers, "Host", span_text(target->host));
    s3_headers_add(headers, "x-amz-date", span_text(signing->time));
    s3_headers_add(headers, "x-amz-content-sha256", span_text(signing->hash));
    if (credentials->token[0] != 0) {
        s3_headers_add(headers, "x-amz-security-token", span_text(credentials->token));
    }
    for (uint32_t index = 0; index < headers->count; index++) {
        signed_headers[index] =
            (struct sigv4_header){headers->list[index].name, headers->list[index].value};
    }
    const struct sigv4_request request = {.method = span_text(call->method),
                                          .path = buffer_span(&target->path),
                                          .query = span_text(call->query),
                                          .headers = signed_headers,
                                          .headers_count = headers->count,
                                          .body = call->body};
    const struct sigv4_signer signer = {span_text(credentials->key_id),
                                        span_text(credentials->secret), span_text(s3->region),
                                        SPAN_LITERAL("s3")};
    if (!sigv4_sign(&request, &signer, &signing->authorization, fault)) return false;
    s3_headers_add(headers, "Authorization", buffer_span(&signing->authorization));
    return true;
}

static bool send_to(struct s3 *s3, const struct s3_call *call, const struct target *target,
                    struct s3_headers *headers, struct fault *fault) {
    char url[S3_URL_SIZE];
    struct signing signing;
    int size = snprintf(url, sizeof url, "%s://%s%.*s%s%s", s3->endpoint.is_tls ? "https" : "http",
                        target->host, SPAN_PRINT(buffer_span(&target->path)),
                        call->query[0] != 0 ? "?" : "", call->query);
    if (buffer_overflowed(&target->path) || size < 0 || (size_t)size >= sizeof url) {
        return fault_set(fault, FAULT_INPUT, "a key or prefix is too long");
    }
    buffer_init(&signing.authorization, 16 * 1024);
    bool is_good = sign(s3, call, target, headers, &signing, fault);
    if (is_good) {
        const struct http_client_call http = {.method = call->method,
                                              .url = url,
                                              .headers = headers->list,
                                              .headers_count = headers->count,
                                              .body = call->body};
        is_good = http_client_send(s3->http, &http, &s3->answer, fault);
    }
    buffer_done(&signing.authorization);
    return is_good;
}

bool s3_refuse(struct s3 *s3, struct fault *fault) {
    struct span region;
    s3_answer_read_failure(s3->answer.status, buffer_span(&s3->answer.body), &s3->failure);
    if (s3->failure.region[0] == 0 && s3->failure.error == S3_ERROR_REGION &&
        http_client_find(&s3->answer, "x-amz-bucket-region", &region)) {
        (void)s3_answer_take_region(region, s3->failure.region);
    }
    return s3_answer_explain(&s3->failure, fault);
}

bool s3_send(struct s3 *s3, const struct s3_call *call, struct s3_headers *headers,
             bool *is_missing, struct fault *fault) {
    s3->failure = (struct s3_failure){0};
    if (!check_names(call->bucket, call->key, fault) ||
        !credentials_source_read(&s3->source, fault))
        return false;
    // The limit holds for this answer, whatever room the one before had.
    buffer_done(&s3->answer.body);
    buffer_init(&s3->answer.body,
                call->answer_size_max > 0 ? call->answer_size_max : S3_PAGE_SIZE_MAX);
    struct target target;
    buffer_init(&target.path, S3_URL_SIZE);
    find_target(s3, call, &target);
    bool is_good = !buffer_overflowed(&headers->texts)
                       ? send_to(s3, call, &target, headers, fault)
                       : fault_set(fault, FAULT_FULL, "headers are too large");
    buffer_done(&target.path);
    if (!is_good) return false;
    uint32_t status = s3->answer.status;
    if (is_missing != NULL) *is_missing = status == 404;
    if (status == 404 && is_missing != NULL) return true;
    return (status >= 200 && status < 300) || s3_refuse(s3, fault);
}
