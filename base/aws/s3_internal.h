// s3_internal.h: one signed request of the S3 client.

#pragma once

#include "base/aws/credentials.h"
#include "base/aws/endpoint.h"
#include "base/aws/s3.h"

enum {
    S3_HEADERS_MAX = 40,   // of a request: ours, an object's and its metadata
    S3_VALUE_SIZE = 2300,  // of one header's value
    S3_URL_SIZE = 16 * 1024,
    S3_CHECKSUM_SIZE = 45,  // SHA-256 in base64, with its final zero
};

struct s3 {
    struct http_client *http;
    struct http_client_answer answer;
    struct endpoint endpoint;
    bool is_aws;
    char region[S3_REGION_SIZE];
    enum s3_style style;
    struct credentials_source source;
    const struct clock *clock;
    struct s3_failure failure;
};

struct s3_headers {
    struct http_client_header list[S3_HEADERS_MAX];
    uint32_t count;
    struct buffer texts;  // of values that were printed; has its room from the start
};

struct s3_call {
    const char *method;
    const char *bucket;
    const char *key;    // NULL: the bucket
    const char *query;  // encoded; "" if none
    struct span body;
    uint64_t answer_size_max;
};

// An empty list. The caller ends it with s3_headers_done.
void s3_headers_init(struct s3_headers *headers);

// Frees what was printed.
void s3_headers_done(struct s3_headers *headers);

// Adds a header; name and value outlive the list.
void s3_headers_add(struct s3_headers *headers, const char *name, struct span value);

// Signs and sends; headers are those of the object, host, date and hash are added here. Any status
// but 2xx is a fault with s3->failure set, unless it is 404 and is_missing is not NULL: then that
// says so. The answer is in s3->answer.
MUST_CHECK bool s3_send(struct s3 *s3, const struct s3_call *call, struct s3_headers *headers,
                        bool *is_missing, struct fault *fault);

// Keeps what the store said in s3->failure and explains it. Returns false.
bool s3_refuse(struct s3 *s3, struct fault *fault);

// Adds the headers that make an object what it is: type, encoding, metadata, encryption, ACL.
void s3_put_headers(const struct s3_put *put, struct s3_headers *headers);

// Prints the SHA-256 of bytes as x-amz-checksum-sha256 has it.
MUST_CHECK bool s3_print_checksum(struct span bytes, char text[S3_CHECKSUM_SIZE],
                                  struct fault *fault);

// Puts an object in parts.
MUST_CHECK bool s3_put_parts(struct s3 *s3, const struct s3_put *put, struct fault *fault);
