// s3.h: objects of S3, and of stores that speak like it: put, head, get, list.
//
// Requests are signed by base/aws/sigv4. Nothing is tried again here: a fault's kind says whether
// that is of use, and s3_failure what the store said. A fault's text begins with the store's code.
// What a call lends (bytes, metadata) lasts until the next call. Threads: one at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/aws/s3_answer.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/http_client.h"
#include "base/span.h"

enum {
    S3_SINGLE_SIZE_MAX = 16 * 1024 * 1024,  // larger objects are put in parts
    S3_PART_SIZE = 8 * 1024 * 1024,         // of each part but the last
    S3_PARTS_MAX = 10000,                   // S3's own
    S3_METADATA_MAX = 16,                   // of an object
    S3_PAGE_SIZE_MAX = 8 * 1024 * 1024,     // bytes of an answer in XML
};

struct s3;

enum s3_style {
    S3_STYLE_AUTO,     // virtual for AWS unless the bucket's name has dots, path elsewhere
    S3_STYLE_PATH,     // https://endpoint/bucket/key
    S3_STYLE_VIRTUAL,  // https://bucket.endpoint/key
};

struct s3_options {
    const char *endpoint;  // "https://minio.example.com:9000"; NULL: AWS's of the region
    const char *region;    // NULL: us-east-1
    enum s3_style style;
    const char *credentials_file;  // read again when it changes; NULL: from the environment, once
    const char *profile;           // of the file; NULL: default
    uint32_t pause_ms;             // of a pool, before a call's second attempt; 0: S3_POOL_PAUSE_MS
    struct http_client_options http;
    const struct clock *clock;
    const struct files *files;
};

enum s3_encryption {
    S3_ENCRYPTION_NONE,  // what the bucket does by itself
    S3_ENCRYPTION_S3,    // SSE-S3
    S3_ENCRYPTION_KMS,   // SSE-KMS
};

struct s3_metadata {
    const char *name;   // without x-amz-meta-
    const char *value;  // printable ASCII
};

struct s3_put {
    const char *bucket;
    const char *key;
    struct span bytes;
    const char *content_type;      // NULL: none
    const char *content_encoding;  // NULL: none
    const struct s3_metadata *metadata;
    uint32_t metadata_count;  // at most S3_METADATA_MAX
    enum s3_encryption encryption;
    const char *kms_key;  // id, ARN or alias; NULL: the account's own for S3
    const char *acl;      // "bucket-owner-full-control"; NULL: none
    bool is_first;  // S3_ERROR_EXISTS if there is such an object (stores without this replace)
};

// What a store says of an object.
struct s3_object {
    bool exists;  // the rest is nothing if not
    uint64_t size;
    bool has_sha256;  // the store keeps it, and the object was not put in parts
    uint8_t sha256[SHA256_SIZE];
    char etag[S3_ETAG_SIZE];  // without quotes; "" if it was told none
};

// A client; opens no connection. The options' texts are copied. FAULT_INPUT and FAULT_DENIED for
// settings that are wrong and credentials that cannot be read.
MUST_CHECK bool s3_create(const struct s3_options *options, struct s3 **s3, struct fault *fault);

// Frees it, and its secret with it. NULL is allowed.
void s3_destroy(struct s3 *s3);

// What the store said to the last call that failed; error is S3_ERROR_NONE if no answer came, or
// the call did not fail.
const struct s3_failure *s3_failure(const struct s3 *s3);

// Whether a bucket is there, and its region. A bucket of a region other than ours is a fault with
// S3_ERROR_REGION with most stores. Needs s3:GetBucketLocation.
MUST_CHECK bool s3_find_bucket(struct s3 *s3, const char *bucket, bool *exists,
                               char region[S3_REGION_SIZE], struct fault *fault);

// Puts an object, with its SHA-256 for the store to compare; in parts if it is large, and what was
// put of these is given up if one fails. True: the store says it has it.
MUST_CHECK bool s3_put(struct s3 *s3, const struct s3_put *put, struct fault *fault);

// What is known of an object without reading it. A missing bucket looks like a missing object.
MUST_CHECK bool s3_head(struct s3 *s3, const char *bucket, const char *key,
                        struct s3_object *object, struct fault *fault);

// Reads an object of at most size_max bytes; bytes are lent. FAULT_FULL if it is larger; a missing
// one is no fault.
MUST_CHECK bool s3_get(struct s3 *s3, const char *bucket, const char *key, uint64_t size_max,
                       struct s3_object *object, struct span *bytes, struct fault *fault);

// Reads at most size bytes of an object from an offset on; bytes are lent, and fewer only at its
// end. object->size is the whole object's. Of a store without ranges an object of at most size
// bytes can be read. FAULT_INPUT if the offset is behind the end.
MUST_CHECK bool s3_get_range(struct s3 *s3, const char *bucket, const char *key, uint64_t offset,
                             uint64_t size, struct s3_object *object, struct span *bytes,
                             struct fault *fault);

// A metadata value of the object that s3_head or s3_get has just found; lent. False: none.
bool s3_find_metadata(const struct s3 *s3, const char *name, struct span *value);

// Calls on_object for each object whose key begins with the prefix and comes behind `after` (NULL:
// all), in order of the keys' bytes, page by page, until it returns false. on_object calls nothing
// of this client.
MUST_CHECK bool s3_list(struct s3 *s3, const char *bucket, const char *prefix, const char *after,
                        bool (*on_object)(void *user, const struct s3_entry *entry), void *user,
                        struct fault *fault);

// The same of what stands directly below a prefix that is empty or ends in a slash: its objects,
// and each folder once. Each kind is in order, not both together.
MUST_CHECK bool s3_list_folder(struct s3 *s3, const char *bucket, const char *prefix,
                               const char *after,
                               bool (*on_entry)(void *user, const struct s3_entry *entry),
                               void *user, struct fault *fault);
