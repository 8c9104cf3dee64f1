// The calls on buckets and objects.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aws/s3.h"
#include "base/aws/s3_internal.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "base/percent.h"

// Bucket and key before a fault's text would hide the store's code, which comes first: they are
// put behind it.
static bool name_object(struct fault *fault, const char *bucket, const char *key) {
    char text[FAULT_TEXT_SIZE];
    snprintf(text, sizeof text, "%s", fault->text);
    return fault_set(fault, fault->kind, "%.380s: s3://%s/%s", text, bucket, key);
}

bool s3_find_bucket(struct s3 *s3, const char *bucket, bool *exists, char region[S3_REGION_SIZE],
                    struct fault *fault) {
    const struct s3_call call = {.method = "GET", .bucket = bucket, .query = "location="};
    struct s3_headers headers;
    bool is_missing = false;
    s3_headers_init(&headers);
    bool is_good = s3_send(s3, &call, &headers, &is_missing, fault);
    s3_headers_done(&headers);
    if (!is_good) return name_object(fault, bucket, "");
    char read[S3_REGION_SIZE] = "";
    struct span body = buffer_span(&s3->answer.body);
    if (!is_missing && !s3_answer_read_location(body, read, fault)) {
        return name_object(fault, bucket, "");
    }
    *exists = !is_missing;
    memcpy(region, read, sizeof read);
    return true;
}

// ---- put

static void add_text(struct s3_headers *headers, const char *name, const char *value) {
    if (value != NULL) s3_headers_add(headers, name, span_text(value));
}

void s3_put_headers(const struct s3_put *put, struct s3_headers *headers) {
    add_text(headers, "Content-Type", put->content_type);
    add_text(headers, "Content-Encoding", put->content_encoding);
    add_text(headers, "x-amz-acl", put->acl);
    if (put->encryption == S3_ENCRYPTION_S3) {
        add_text(headers, "x-amz-server-side-encryption", "AES256");
    } else if (put->encryption == S3_ENCRYPTION_KMS) {
        add_text(headers, "x-amz-server-side-encryption", "aws:kms");
        add_text(headers, "x-amz-server-side-encryption-aws-kms-key-id", put->kms_key);
    }
    // The names stand one behind the other in memory that does not move any more.
    if (buffer_reserve(&headers->texts, S3_METADATA_MAX * 128) == NULL) return;
    for (uint32_t index = 0; index < put->metadata_count; index++) {
        size_t begin = headers->texts.size;
        buffer_print(&headers->texts, "x-amz-meta-%.100s", put->metadata[index].name);
        buffer_append_byte(&headers->texts, 0);
        s3_headers_add(headers, (const char *)headers->texts.bytes + begin,
                       span_text(put->metadata[index].value));
    }
}

bool s3_print_checksum(struct span bytes, char text[S3_CHECKSUM_SIZE], struct fault *fault) {
    struct buffer coded;
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&bytes, 1, digest);
    buffer_init(&coded, S3_CHECKSUM_SIZE);
    crypto_append_base64(&coded, span_of(digest, sizeof digest));
    bool is_good = !buffer_overflowed(&coded) && coded.size == S3_CHECKSUM_SIZE - 1;
    if (is_good) {
        memcpy(text, coded.bytes, coded.size);
        text[coded.size] = 0;
    }
    buffer_done(&coded);
    return is_good || fault_set(fault, FAULT_FULL, "no memory for a checksum");
}

static bool parse_checksum(struct span text, uint8_t digest[SHA256_SIZE]) {
    struct buffer bytes;
    buffer_init(&bytes, 2 * S3_CHECKSUM_SIZE);
    bool is_good = text.size == S3_CHECKSUM_SIZE - 1 && crypto_parse_base64(text, &bytes) &&
                   bytes.size == SHA256_SIZE;
    if (is_good) memcpy(digest, bytes.bytes, SHA256_SIZE);
    buffer_done(&bytes);
    return is_good;
}

static bool put_whole(struct s3 *s3, const struct s3_put *put, struct fault *fault) {
    const struct s3_call call = {
        .method = "PUT", .bucket = put->bucket, .key = put->key, .query = "", .body = put->bytes};
    struct s3_headers headers;
    char checksum[S3_CHECKSUM_SIZE];
    if (!s3_print_checksum(put->bytes, checksum, fault)) return false;
    s3_headers_init(&headers);
    s3_put_headers(put, &headers);
    s3_headers_add(&headers, "x-amz-checksum-sha256", span_text(checksum));
    s3_headers_add(&headers, "x-amz-sdk-checksum-algorithm", SPAN_LITERAL("SHA256"));
    if (put->is_first) s3_headers_add(&headers, "If-None-Match", SPAN_LITERAL("*"));
    bool is_good = s3_send(s3, &call, &headers, NULL, fault);
    s3_headers_done(&headers);
    return is_good;
}

bool s3_put(struct s3 *s3, const struct s3_put *put, struct fault *fault) {
    if (put->metadata_count > S3_METADATA_MAX) {
        return fault_set(fault, FAULT_INPUT, "an object has at most %d values of metadata",
                         S3_METADATA_MAX);
    }
    bool is_good = put->bytes.size > S3_SINGLE_SIZE_MAX ? s3_put_parts(s3, put, fault)
                                                        : put_whole(s3, put, fault);
    return is_good || name_object(fault, put->bucket, put->key);
}

// ---- head and get

static bool take_size(const struct s3 *s3, uint64_t *size) {
    struct span text;
    uint64_t value = 0;
    if (!http_client_find(&s3->answer, "content-length", &text)) return false;
    if (text.size == 0 || text.size > 18) return false;
    for (size_t index = 0; index < text.size; index++) {
        if (text.bytes[index] < '0' || text.bytes[index] > '9') return false;
        value = value * 10 + (text.bytes[index] - '0');
    }
    *size = value;
    return true;
}

// What the answer's headers say of the object. The checksum of an object in parts is one of parts'
// checksums: its ETag ends in their number, and so does its checksum, but not with every store.
static void take_object(const struct s3 *s3, struct s3_object *object) {
    struct span text;
    if (http_client_find(&s3->answer, "etag", &text)) {
        bool is_quoted = text.size >= 2 && text.bytes[0] == '"' && text.bytes[text.size - 1] == '"';
        if (is_quoted) text = span_of(text.bytes + 1, text.size - 2);
        if (text.size < sizeof object->etag) memcpy(object->etag, text.bytes, text.size);
    }
    if (strchr(object->etag, '-') != NULL) return;
    if (http_client_find(&s3->answer, "x-amz-checksum-sha256", &text)) {
        object->has_sha256 = parse_checksum(text, object->sha256);
    }
}

// range: NULL: all of it.
static bool ask(struct s3 *s3, const struct s3_call *call, const char *range,
                struct s3_object *object, struct fault *fault) {
    struct s3_headers headers;
    bool is_missing = false;
    *object = (struct s3_object){0};
    s3_headers_init(&headers);
    if (range == NULL) {
        s3_headers_add(&headers, "x-amz-checksum-mode", SPAN_LITERAL("ENABLED"));
    } else {
        s3_headers_add(&headers, "Range", span_text(range));
    }
    bool is_good = s3_send(s3, call, &headers, &is_missing, fault);
    s3_headers_done(&headers);
    if (!is_good) return name_object(fault, call->bucket, call->key);
    object->exists = !is_missing;
    if (object->exists) take_object(s3, object);
    return true;
}

bool s3_head(struct s3 *s3, const char *bucket, const char *key, struct s3_object *object,
             struct fault *fault) {
    const struct s3_call call = {.method = "HEAD", .bucket = bucket, .key = key, .query = ""};
    struct s3_object read;
    if (!ask(s3, &call, NULL, &read, fault)) return false;
    if (read.exists && !take_size(s3, &read.size)) {
        return fault_set(fault, FAULT_RETRY, "the answer has no size: s3://%s/%s", bucket, key);
    }
    *object = read;
    return true;
}

// Whether it is the bucket that is missing, not only the object.
static bool lacks_bucket(const struct s3 *s3) {
    struct s3_failure failure;
    s3_answer_read_failure(404, buffer_span(&s3->answer.body), &failure);
    return failure.error == S3_ERROR_NO_BUCKET;
}

bool s3_get(struct s3 *s3, const char *bucket, const char *key, uint64_t size_max,
            struct s3_object *object, struct span *bytes, struct fault *fault) {
    // An error's body needs room too.
    const struct s3_call call = {.method = "GET",
                                 .bucket = bucket,
                                 .key = key,
                                 .query = "",
                                 .answer_size_max = size_max > 65536 ? size_max : 65536};
    struct s3_object read;
    if (!ask(s3, &call, NULL, &read, fault)) return false;
    struct span body = buffer_span(&s3->answer.body);
    if (read.exists && body.size > size_max) {
        return fault_set(fault, FAULT_FULL, "larger than %llu bytes: s3://%s/%s",
                         (unsigned long long)size_max, bucket, key);
    }
    if (!read.exists && lacks_bucket(s3)) {
        return s3_refuse(s3, fault) || name_object(fault, bucket, key);
    }
    read.size = body.size;
    *object = read;
    *bytes = read.exists ? body : (struct span){NULL, 0};
    return true;
}

// "bytes 0-99/1234": where what came begins, and the size of the whole.
static bool take_range(const struct s3 *s3, uint64_t *offset, uint64_t *size) {
    struct span text;
    char copy[96];
    unsigned long long from, to, all;
    if (!http_client_find(&s3->answer, "content-range", &text)) return false;
    snprintf(copy, sizeof copy, "%.*s", SPAN_PRINT(text));
    if (sscanf(copy, "bytes %19llu-%19llu/%19llu", &from, &to, &all) != 3) return false;
    *offset = from;
    *size = all;
    return from <= to && to < all && to - from + 1 == s3->answer.body.size;
}

bool s3_get_range(struct s3 *s3, const char *bucket, const char *key, uint64_t offset,
                  uint64_t size, struct s3_object *object, struct span *bytes,
                  struct fault *fault) {
    const struct s3_call call = {.method = "GET",
                                 .bucket = bucket,
                                 .key = key,
                                 .query = "",
                                 .answer_size_max = size > 65536 ? size : 65536};
    struct s3_object read;
    char range[64];
    uint64_t from = 0;
    snprintf(range, sizeof range, "bytes=%" PRIu64 "-%" PRIu64, offset, offset + size - 1);
    if (!ask(s3, &call, range, &read, fault)) return false;
    struct span body = buffer_span(&s3->answer.body);
    if (!read.exists && lacks_bucket(s3)) {
        return s3_refuse(s3, fault) || name_object(fault, bucket, key);
    }
    if (read.exists && s3->answer.status == 206) {
        if (!take_range(s3, &from, &read.size) || from != offset || body.size > size) {
            return fault_set(fault, FAULT_RETRY, "the answer is another range: s3://%s/%s", bucket,
                             key);
        }
    } else if (read.exists) {
        // The store gave all of it.
        read.size = body.size;
        if (offset > body.size)
            return fault_set(fault, FAULT_INPUT, "it is shorter: s3://%s/%s", bucket, key);
        body = span_from(body, offset);
        if (body.size > size) body.size = size;
    }
    *object = read;
    *bytes = read.exists ? body : (struct span){NULL, 0};
    return true;
}

bool s3_find_metadata(const struct s3 *s3, const char *name, struct span *value) {
    char header[128];
    snprintf(header, sizeof header, "x-amz-meta-%.100s", name);
    return http_client_find(&s3->answer, header, value);
}

// ---- list

static bool list_page(struct s3 *s3, const char *bucket, const char *query,
                      bool (*on_object)(void *user, const struct s3_entry *entry), void *user,
                      struct s3_page *page, struct fault *fault) {
    const struct s3_call call = {.method = "GET", .bucket = bucket, .query = query};
    struct s3_headers headers;
    s3_headers_init(&headers);
    bool is_good = s3_send(s3, &call, &headers, NULL, fault);
    s3_headers_done(&headers);
    return is_good &&
           s3_answer_read_page(buffer_span(&s3->answer.body), on_object, user, page, fault);
}

static void append_parameter(struct buffer *query, const char *name, const char *value) {
    if (value == NULL || value[0] == 0) return;
    buffer_print(query, "%s%s=", query->size > 0 ? "&" : "", name);
    percent_append(query, span_text(value), false);
}

static bool list(struct s3 *s3, const char *bucket, const char *prefix, const char *after,
                 const char *delimiter, bool (*on_object)(void *user, const struct s3_entry *entry),
                 void *user, struct fault *fault) {
    struct s3_page page = {0};
    struct s3_page *before = malloc(sizeof *before);
    struct buffer query;
    if (before == NULL) return fault_set(fault, FAULT_FULL, "no memory for a list of objects");
    *before = page;
    buffer_init(&query, S3_URL_SIZE);
    bool is_good = true;
    while (is_good && !page.is_last) {
        buffer_reset(&query);
        append_parameter(&query, "continuation-token", page.token);
        append_parameter(&query, "delimiter", delimiter);
        append_parameter(&query, "encoding-type", "url");
        append_parameter(&query, "list-type", "2");
        append_parameter(&query, "prefix", prefix);
        // The token knows where the list began.
        if (page.token[0] == 0) append_parameter(&query, "start-after", after);
        buffer_append_byte(&query, 0);
        *before = page;
        is_good = buffer_overflowed(&query) ? fault_set(fault, FAULT_INPUT, "a prefix is too long")
                                            : list_page(s3, bucket, (const char *)query.bytes,
                                                        on_object, user, &page, fault);
        if (is_good && !page.is_last && strcmp(page.token, before->token) == 0) {
            is_good = fault_set(fault, FAULT_RETRY, "the list does not go on");
        }
    }
    buffer_done(&query);
    free(before);
    return is_good || name_object(fault, bucket, prefix == NULL ? "" : prefix);
}

bool s3_list(struct s3 *s3, const char *bucket, const char *prefix, const char *after,
             bool (*on_object)(void *user, const struct s3_entry *entry), void *user,
             struct fault *fault) {
    return list(s3, bucket, prefix, after, NULL, on_object, user, fault);
}

bool s3_list_folder(struct s3 *s3, const char *bucket, const char *prefix, const char *after,
                    bool (*on_entry)(void *user, const struct s3_entry *entry), void *user,
                    struct fault *fault) {
    return list(s3, bucket, prefix, after, "/", on_entry, user, fault);
}
