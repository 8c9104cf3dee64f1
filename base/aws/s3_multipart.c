// An object in parts: begin, put each, complete; or give it up.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aws/s3_internal.h"
#include "base/percent.h"
#include "base/xml.h"

enum { QUERY_SIZE = 3 * S3_UPLOAD_ID_SIZE + 64 };

struct upload {
    const struct s3_put *put;
    char id[S3_UPLOAD_ID_SIZE];
    struct buffer parts;  // the list that completes it
};

static bool begin(struct s3 *s3, struct upload *upload, struct fault *fault) {
    const struct s3_call call = {.method = "POST",
                                 .bucket = upload->put->bucket,
                                 .key = upload->put->key,
                                 .query = "uploads="};
    struct s3_headers headers;
    s3_headers_init(&headers);
    s3_put_headers(upload->put, &headers);
    s3_headers_add(&headers, "x-amz-checksum-algorithm", SPAN_LITERAL("SHA256"));
    bool is_good = s3_send(s3, &call, &headers, NULL, fault);
    s3_headers_done(&headers);
    return is_good && s3_answer_read_upload(buffer_span(&s3->answer.body), upload->id, fault);
}

static void append_query(struct buffer *query, const struct upload *upload, uint32_t number) {
    if (number > 0) buffer_print(query, "partNumber=%" PRIu32 "&", number);
    buffer_append_text(query, "uploadId=");
    percent_append(query, span_text(upload->id), false);
    buffer_append_byte(query, 0);
}

static bool put_part(struct s3 *s3, struct upload *upload, uint32_t number, struct span bytes,
                     struct fault *fault) {
    struct buffer query;
    struct s3_headers headers;
    char checksum[S3_CHECKSUM_SIZE];
    if (!s3_print_checksum(bytes, checksum, fault)) return false;
    buffer_init(&query, QUERY_SIZE);
    append_query(&query, upload, number);
    s3_headers_init(&headers);
    s3_headers_add(&headers, "x-amz-checksum-sha256", span_text(checksum));
    const struct s3_call call = {.method = "PUT",
                                 .bucket = upload->put->bucket,
                                 .key = upload->put->key,
                                 .query = (const char *)query.bytes,
                                 .body = bytes};
    struct span etag = {NULL, 0};
    bool is_good = (!buffer_overflowed(&query) || fault_set(fault, FAULT_FULL, "no memory")) &&
                   s3_send(s3, &call, &headers, NULL, fault);
    if (is_good && !http_client_find(&s3->answer, "etag", &etag)) {
        is_good = fault_set(fault, FAULT_RETRY, "part %" PRIu32 ": the answer has no ETag", number);
    }
    if (is_good) {
        buffer_print(&upload->parts, "<Part><PartNumber>%" PRIu32 "</PartNumber><ETag>", number);
        xml_append(&upload->parts, etag);
        buffer_print(&upload->parts, "</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", checksum);
    }
    s3_headers_done(&headers);
    buffer_done(&query);
    return is_good;
}

static bool put_all(struct s3 *s3, struct upload *upload, struct fault *fault) {
    struct span rest = upload->put->bytes;
    for (uint32_t number = 1; rest.size > 0; number++) {
        size_t size = rest.size < S3_PART_SIZE ? rest.size : S3_PART_SIZE;
        if (!put_part(s3, upload, number, span_of(rest.bytes, size), fault)) return false;
        rest = span_from(rest, size);
    }
    return true;
}

// POST with the list of parts, or DELETE.
static bool end(struct s3 *s3, const struct upload *upload, const char *method, struct span body,
                struct fault *fault) {
    struct buffer query;
    struct s3_headers headers;
    bool is_completion = body.size > 0;
    buffer_init(&query, QUERY_SIZE);
    append_query(&query, upload, 0);
    s3_headers_init(&headers);
    if (is_completion) s3_headers_add(&headers, "Content-Type", SPAN_LITERAL("application/xml"));
    if (is_completion && upload->put->is_first) {
        s3_headers_add(&headers, "If-None-Match", SPAN_LITERAL("*"));
    }
    const struct s3_call call = {.method = method,
                                 .bucket = upload->put->bucket,
                                 .key = upload->put->key,
                                 .query = (const char *)query.bytes,
                                 .body = body};
    bool is_good = (!buffer_overflowed(&query) || fault_set(fault, FAULT_FULL, "no memory")) &&
                   s3_send(s3, &call, &headers, NULL, fault);
    s3_headers_done(&headers);
    buffer_done(&query);
    return is_good;
}

static bool complete(struct s3 *s3, struct upload *upload, struct fault *fault) {
    buffer_append_text(&upload->parts, "</CompleteMultipartUpload>");
    if (buffer_overflowed(&upload->parts)) {
        return fault_set(fault, FAULT_FULL, "no memory for the list of parts");
    }
    if (!end(s3, upload, "POST", buffer_span(&upload->parts), fault)) return false;
    // S3 begins to answer 200 before it knows.
    return !s3_answer_is_error(buffer_span(&s3->answer.body)) || s3_refuse(s3, fault);
}

bool s3_put_parts(struct s3 *s3, const struct s3_put *put, struct fault *fault) {
    if (put->bytes.size > (uint64_t)S3_PART_SIZE * S3_PARTS_MAX) {
        return fault_set(fault, FAULT_INPUT, "an object has at most %d parts of %d bytes",
                         S3_PARTS_MAX, S3_PART_SIZE);
    }
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL) return fault_set(fault, FAULT_FULL, "no memory for an upload in parts");
    upload->put = put;
    buffer_init(&upload->parts, (size_t)S3_PARTS_MAX * 512);
    buffer_append_text(&upload->parts,
                       "<CompleteMultipartUpload "
                       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    bool is_good = begin(s3, upload, fault);
    if (is_good && !(put_all(s3, upload, fault) && complete(s3, upload, fault))) {
        is_good = false;
        // Parts that nobody gives up are paid for until a rule of the bucket removes them.
        struct s3_failure failure = s3->failure;
        struct fault ignored;
        (void)!end(s3, upload, "DELETE", (struct span){NULL, 0}, &ignored);
        s3->failure = failure;
    }
    buffer_done(&upload->parts);
    free(upload);
    return is_good;
}
