// s3_answer.h: what S3 answers in XML: errors, pages of a list, an upload's id. Pure; the bytes are
// a stranger's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    S3_KEY_SIZE_MAX = 1024,    // bytes of an object's key
    S3_CODE_SIZE = 64,         // of an error, with its final zero
    S3_MESSAGE_SIZE = 200,     // of an error, with its final zero
    S3_REGION_SIZE = 65,       // with its final zero
    S3_TOKEN_SIZE = 4096,      // of a list that goes on, with its final zero
    S3_UPLOAD_ID_SIZE = 1024,  // with its final zero
    S3_ETAG_SIZE = 128,        // with its final zero
};

// What a refusal means for whoever asked.
enum s3_error {
    S3_ERROR_NONE,
    S3_ERROR_NO_BUCKET,
    S3_ERROR_NO_KEY,
    S3_ERROR_DENIED,     // the key may not do this
    S3_ERROR_KEY_ID,     // the store does not know the access key
    S3_ERROR_SIGNATURE,  // the secret is another
    S3_ERROR_TOKEN,      // of a key that expires: it has
    S3_ERROR_REGION,     // the bucket is elsewhere
    S3_ERROR_CLOCK,      // ours and theirs differ
    S3_ERROR_BUSY,       // slow down, try again
    S3_ERROR_EXISTS,     // a put that was to be the first is not
    S3_ERROR_DAMAGED,    // the body did not arrive as it was sent
    S3_ERROR_FULL,       // no room, or a quota
    S3_ERROR_KMS,        // the encryption key
    S3_ERROR_MISSING,    // the store does not have this feature
    S3_ERROR_OTHER,
};

struct s3_failure {
    enum s3_error error;
    uint32_t status;
    char code[S3_CODE_SIZE];        // "NoSuchBucket"; "HTTP 403" if the answer has none
    char message[S3_MESSAGE_SIZE];  // printable ASCII; "" if none
    char region[S3_REGION_SIZE];    // of S3_ERROR_REGION, if it was told
};

// Reads an answer whose status is an error, whatever its body is.
void s3_answer_read_failure(uint32_t status, struct span body, struct s3_failure *failure);

// Whether a body is an error although its status was 200 (of a completed upload).
bool s3_answer_is_error(struct span body);

// Sets the fault of a failure: its code and what to do about it. Returns false.
bool s3_answer_explain(const struct s3_failure *failure, struct fault *fault);

// Takes a region's name if it has the form of one.
bool s3_answer_take_region(struct span text, char region[S3_REGION_SIZE]);

// One object of a list, or a folder; borrowed for the call.
struct s3_entry {
    struct span key;
    bool is_folder;  // its key ends in a slash; it has nothing else
    uint64_t size;
    int64_t modified;  // seconds since the Unix epoch
    struct span etag;  // without quotes
};

struct s3_page {
    bool is_last;
    char token[S3_TOKEN_SIZE];  // of the next page
};

// Reads one page of ListObjectsV2, keys decoded; on_object may stop it with false, after which the
// page counts as the last. FAULT_INPUT if the body is no such page, or a key is too long.
MUST_CHECK bool s3_answer_read_page(struct span body,
                                    bool (*on_object)(void *user, const struct s3_entry *entry),
                                    void *user, struct s3_page *page, struct fault *fault);

// Reads the id of an upload in parts that was begun. FAULT_INPUT.
MUST_CHECK bool s3_answer_read_upload(struct span body, char id[S3_UPLOAD_ID_SIZE],
                                      struct fault *fault);

// Reads a bucket's location: us-east-1 has none, eu-west-1 an old name. FAULT_INPUT.
MUST_CHECK bool s3_answer_read_location(struct span body, char region[S3_REGION_SIZE],
                                        struct fault *fault);
