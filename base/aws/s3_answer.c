#include "base/aws/s3_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/xml.h"

// ---- errors

struct meaning {
    const char *code;
    enum s3_error error;
    enum fault_kind kind;
    const char *advice;
};

#define NO_BUCKET_ADVICE "make the bucket, or correct its name"
#define DENIED_ADVICE \
    "allow it to this access key, in the policy of its user and of the bucket (docs/trails.md)"
#define KEY_ID_ADVICE "the store does not know the access key: check the credentials"
#define TOKEN_ADVICE "the session token has expired: put a new one into the credentials file"
#define REGION_ADVICE \
    "the bucket is in another region: set the region, and its endpoint if one is set"
#define BUSY_ADVICE "the store is busy: it is tried again"
#define DAMAGED_ADVICE "the body did not arrive as it was sent: it is tried again"
#define FULL_ADVICE "the store has no room: make room or raise the quota"
#define KMS_ADVICE \
    "the KMS key cannot be used: enable it and allow kms:GenerateDataKey and kms:Decrypt"

static const struct meaning MEANINGS[] = {
    {"NoSuchBucket", S3_ERROR_NO_BUCKET, FAULT_INPUT, NO_BUCKET_ADVICE},
    {"NoSuchKey", S3_ERROR_NO_KEY, FAULT_INPUT, "there is no such object"},
    {"AccessDenied", S3_ERROR_DENIED, FAULT_DENIED, DENIED_ADVICE},
    {"AllAccessDisabled", S3_ERROR_DENIED, FAULT_DENIED, DENIED_ADVICE},
    {"AccessControlListNotSupported", S3_ERROR_DENIED, FAULT_DENIED,
     "the bucket takes no ACLs: leave out the acl setting"},
    {"InvalidAccessKeyId", S3_ERROR_KEY_ID, FAULT_DENIED, KEY_ID_ADVICE},
    {"InvalidClientTokenId", S3_ERROR_KEY_ID, FAULT_DENIED, KEY_ID_ADVICE},
    {"SignatureDoesNotMatch", S3_ERROR_SIGNATURE, FAULT_DENIED,
     "the secret is not the access key's, or something between changes requests"},
    {"ExpiredToken", S3_ERROR_TOKEN, FAULT_DENIED, TOKEN_ADVICE},
    {"InvalidToken", S3_ERROR_TOKEN, FAULT_DENIED, TOKEN_ADVICE},
    {"TokenRefreshRequired", S3_ERROR_TOKEN, FAULT_DENIED, TOKEN_ADVICE},
    {"PermanentRedirect", S3_ERROR_REGION, FAULT_INPUT, REGION_ADVICE},
    {"TemporaryRedirect", S3_ERROR_REGION, FAULT_INPUT, REGION_ADVICE},
    {"AuthorizationHeaderMalformed", S3_ERROR_REGION, FAULT_INPUT, REGION_ADVICE},
    {"IllegalLocationConstraintException", S3_ERROR_REGION, FAULT_INPUT, REGION_ADVICE},
    {"RequestTimeTooSkewed", S3_ERROR_CLOCK, FAULT_RETRY,
     "this machine's clock and the store's differ by more than 15 minutes: set the clock"},
    {"SlowDown", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"ServiceUnavailable", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"InternalError", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"RequestTimeout", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"Throttling", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"ThrottlingException", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"RequestLimitExceeded", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"OperationAborted", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"ConditionalRequestConflict", S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE},
    {"NoSuchUpload", S3_ERROR_BUSY, FAULT_RETRY, "the upload was aborted: it is begun again"},
    {"PreconditionFailed", S3_ERROR_EXISTS, FAULT_INPUT, "there is such an object already"},
    {"BadDigest", S3_ERROR_DAMAGED, FAULT_RETRY, DAMAGED_ADVICE},
    {"IncompleteBody", S3_ERROR_DAMAGED, FAULT_RETRY, DAMAGED_ADVICE},
    {"XAmzContentSHA256Mismatch", S3_ERROR_DAMAGED, FAULT_RETRY, DAMAGED_ADVICE},
    {"XAmzContentChecksumMismatch", S3_ERROR_DAMAGED, FAULT_RETRY, DAMAGED_ADVICE},
    {"QuotaExceeded", S3_ERROR_FULL, FAULT_FULL, FULL_ADVICE},
    {"XMinioStorageFull", S3_ERROR_FULL, FAULT_FULL, FULL_ADVICE},
    {"XMinioAdminBucketQuotaExceeded", S3_ERROR_FULL, FAULT_FULL, FULL_ADVICE},
    {"NotImplemented", S3_ERROR_MISSING, FAULT_INPUT,
     "the store does not have what was asked for: leave out encryption or acl"},
};

// What a status says when the code says nothing to us.
static struct meaning meaning_of_status(uint32_t status) {
    struct meaning meaning = {NULL, S3_ERROR_OTHER, FAULT_INPUT, NULL};
    if (status >= 300 && status < 400) {
        meaning = (struct meaning){NULL, S3_ERROR_REGION, FAULT_INPUT, REGION_ADVICE};
    } else if (status == 401 || status == 403) {
        meaning = (struct meaning){NULL, S3_ERROR_DENIED, FAULT_DENIED, DENIED_ADVICE};
    } else if (status == 404) {
        meaning = (struct meaning){NULL, S3_ERROR_NO_KEY, FAULT_INPUT, "there is none"};
    } else if (status == 412) {
        meaning = (struct meaning){NULL, S3_ERROR_EXISTS, FAULT_INPUT, NULL};
    } else if (status == 507) {
        meaning = (struct meaning){NULL, S3_ERROR_FULL, FAULT_FULL, FULL_ADVICE};
    } else if (status == 408 || status == 409 || status == 429 || status >= 500) {
        meaning = (struct meaning){NULL, S3_ERROR_BUSY, FAULT_RETRY, BUSY_ADVICE};
    }
    return meaning;
}

static struct meaning find_meaning(const struct s3_failure *failure) {
    for (size_t index = 0; index < sizeof MEANINGS / sizeof MEANINGS[0]; index++) {
        if (strcmp(failure->code, MEANINGS[index].code) == 0) return MEANINGS[index];
    }
    if (strncmp(failure->code, "KMS.", 4) == 0) {
        return (struct meaning){NULL, S3_ERROR_KMS, FAULT_DENIED, KMS_ADVICE};
    }
    return meaning_of_status(failure->status);
}

// What is shown to people is printable, and cut to its room.
static void take_printable(struct span from, char *text, size_t text_size) {
    size_t size = from.size < text_size - 1 ? from.size : text_size - 1;
    for (size_t index = 0; index < size; index++) {
        uint8_t byte = from.bytes[index];
        text[index] = byte >= ' ' && byte <= '~' ? (char)byte : '?';
    }
    text[size] = 0;
}

bool s3_answer_take_region(struct span text, char region[S3_REGION_SIZE]) {
    if (text.size == 0 || text.size >= S3_REGION_SIZE) return false;
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        bool is_good = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-';
        if (!is_good) return false;
    }
    memcpy(region, text.bytes, text.size);
    region[text.size] = 0;
    return true;
}

static bool on_error_element(void *user, const char *path, struct span text) {
    struct s3_failure *failure = user;
    if (strcmp(path, "Error/Code") == 0) {
        take_printable(text, failure->code, sizeof failure->code);
    } else if (strcmp(path, "Error/Message") == 0) {
        take_printable(text, failure->message, sizeof failure->message);
    } else if (strcmp(path, "Error/Region") == 0) {
        (void)s3_answer_take_region(text, failure->region);
    }
    return true;
}

void s3_answer_read_failure(uint32_t status, struct span body, struct s3_failure *failure) {
    struct fault ignored;
    *failure = (struct s3_failure){.status = status};
    // What a proxy or a half-dead store sends is no XML; its status is what there is.
    if (!xml_read(body, on_error_element, failure, &ignored)) failure->message[0] = 0;
    if (failure->code[0] == 0) snprintf(failure->code, sizeof failure->code, "HTTP %u", status);
    failure->error = find_meaning(failure).error;
}

static bool note_root(void *user, const char *path, struct span text) {
    bool *is_error = user;
    (void)text;
    *is_error = strncmp(path, "Error", 5) == 0 && (path[5] == 0 || path[5] == '/');
    return false;
}

bool s3_answer_is_error(struct span body) {
    bool is_error = false;
    struct fault ignored;
    return xml_read(body, note_root, &is_error, &ignored) && is_error;
}

bool s3_answer_explain(const struct s3_failure *failure, struct fault *fault) {
    struct meaning meaning = find_meaning(failure);
    const char *said = failure->message;
    if (meaning.error == S3_ERROR_REGION && failure->region[0] != 0) {
        return fault_set(fault, meaning.kind,
                         "%s: the bucket is in %s: set that region, and its endpoint if one is set",
                         failure->code, failure->region);
    }
    if (meaning.advice == NULL) {
        return fault_set(fault, meaning.kind, "%s: %s", failure->code,
                         said[0] != 0 ? said : "the store refused without a reason");
    }
    return fault_set(fault, meaning.kind, "%s: %s%s%s%s", failure->code, meaning.advice,
                     said[0] != 0 ? " (\"" : "", said, said[0] != 0 ? "\")" : "");
}

// ---- lists

static int hex_value(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

// What encoding-type=url made of a key. It only gets shorter.
static size_t decode(struct span text, uint8_t *bytes) {
    size_t size = 0;
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        bool is_escape = byte == '%' && index + 2 < text.size &&
                         hex_value(text.bytes[index + 1]) >= 0 &&
                         hex_value(text.bytes[index + 2]) >= 0;
        if (is_escape) {
            byte =
                (uint8_t)(hex_value(text.bytes[index + 1]) * 16 + hex_value(text.bytes[index + 2]));
            index += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        bytes[size++] = byte;
    }
    return size;
}

static bool take_number(struct span text, uint64_t *number) {
    uint64_t value = 0;
    if (text.size == 0 || text.size > 18) return false;
    for (size_t index = 0; index < text.size; index++) {
        if (text.bytes[index] < '0' || text.bytes[index] > '9') return false;
        value = value * 10 + (text.bytes[index] - '0');
    }
    *number = value;
    return true;
}

static bool take_text(struct span from, char *text, size_t text_size) {
    if (from.size >= text_size || (from.size > 0 && memchr(from.bytes, 0, from.size) != NULL)) {
        return false;
    }
    if (from.size > 0) memcpy(text, from.bytes, from.size);
    text[from.size] = 0;
    return true;
}

// The page's head: some stores put it before the objects, some behind.
struct page_head {
    struct s3_page *page;
    bool is_page;
    bool is_encoded;
    bool is_bad;
};

static bool on_head_element(void *user, const char *path, struct span text) {
    struct page_head *head = user;
    if (strcmp(path, "ListBucketResult") == 0) {
        head->is_page = true;
    } else if (strcmp(path, "ListBucketResult/IsTruncated") == 0) {
        head->page->is_last = !span_is(text, "true");
    } else if (strcmp(path, "ListBucketResult/NextContinuationToken") == 0) {
        head->is_bad = !take_text(text, head->page->token, sizeof head->page->token);
    } else if (strcmp(path, "ListBucketResult/EncodingType") == 0) {
        head->is_encoded = span_is(text, "url");
    }
    return !head->is_bad;
}

struct page_objects {
    bool (*on_object)(void *user, const struct s3_entry *entry);
    void *user;
    bool is_encoded;
    bool is_stopped;
    const char *problem;  // static; NULL: none
    bool has_key;
    bool has_size;
    struct s3_entry entry;
    uint8_t key[3 * S3_KEY_SIZE_MAX];
    char etag[S3_ETAG_SIZE];
};

static void take_key(struct page_objects *objects, struct span text) {
    // A key in the page is at most three times as long as it is.
    if (text.size > sizeof objects->key) {
        objects->problem = "a key is too long";
        return;
    }
    size_t size = text.size;
    if (objects->is_encoded) {
        size = decode(text, objects->key);
    } else if (size > 0) {
        memcpy(objects->key, text.bytes, size);
    }
    if (size == 0 || size > S3_KEY_SIZE_MAX) objects->problem = "a key is empty or too long";
    objects->entry.key = span_of(objects->key, size);
    objects->has_key = true;
}

static void give_entry(struct page_objects *objects) {
    if (objects->problem == NULL) {
        objects->is_stopped = !objects->on_object(objects->user, &objects->entry);
    }
    objects->has_key = false;
    objects->has_size = false;
    objects->entry = (struct s3_entry){0};
}

static void take_etag(struct page_objects *objects, struct span text) {
    if (text.size >= 2 && text.bytes[0] == '"' && text.bytes[text.size - 1] == '"') {
        text = span_of(text.bytes + 1, text.size - 2);
    }
    take_printable(text, objects->etag, sizeof objects->etag);
    objects->entry.etag = span_text(objects->etag);
}

static bool on_object_element(void *user, const char *path, struct span text) {
    struct page_objects *objects = user;
    struct fault ignored;
    if (strcmp(path, "ListBucketResult/Contents/Key") == 0) {
        take_key(objects, text);
    } else if (strcmp(path, "ListBucketResult/Contents/Size") == 0) {
        objects->has_size = take_number(text, &objects->entry.size);
    } else if (strcmp(path, "ListBucketResult/Contents/ETag") == 0) {
        take_etag(objects, text);
    } else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0) {
        (void)!time_parse(text, &objects->entry.modified, &ignored);
    } else if (strcmp(path, "ListBucketResult/Contents") == 0) {
        if (!objects->has_key || !objects->has_size) objects->problem = "an object lacks its size";
        give_entry(objects);
    } else if (strcmp(path, "ListBucketResult/CommonPrefixes/Prefix") == 0) {
        take_key(objects, text);
        objects->entry.is_folder = true;
        give_entry(objects);
    }
    return objects->problem == NULL && !objects->is_stopped;
}

bool s3_answer_read_page(struct span body,
                         bool (*on_object)(void *user, const struct s3_entry *entry), void *user,
                         struct s3_page *page, struct fault *fault) {
    struct s3_page read = {.is_last = true};
    struct page_head head = {.page = &read};
    if (!xml_read(body, on_head_element, &head, fault)) return fault_add(fault, "list of objects");
    if (!head.is_page || head.is_bad || (!read.is_last && read.token[0] == 0)) {
        return fault_set(fault, FAULT_INPUT,
                         "list of objects: it is none, or does not say how it "
                         "goes on");
    }
    struct page_objects objects = {
        .on_object = on_object, .user = user, .is_encoded = head.is_encoded};
    if (!xml_read(body, on_object_element, &objects, fault)) {
        return fault_add(fault, "list of objects");
    }
    if (objects.problem != NULL) {
        return fault_set(fault, FAULT_INPUT, "list of objects: %s", objects.problem);
    }
    read.is_last = read.is_last || objects.is_stopped;
    *page = read;
    return true;
}

// ---- single values

struct value {
    const char *path;
    char *text;
    size_t text_size;
    bool is_found;
};

static bool on_value(void *user, const char *path, struct span text) {
    struct value *value = user;
    if (strcmp(path, value->path) != 0) return true;
    value->is_found = take_text(text, value->text, value->text_size);
    return false;
}

bool s3_answer_read_upload(struct span body, char id[S3_UPLOAD_ID_SIZE], struct fault *fault) {
    char read[S3_UPLOAD_ID_SIZE];
    struct value value = {"InitiateMultipartUploadResult/UploadId", read, sizeof read, false};
    if (!xml_read(body, on_value, &value, fault)) return fault_add(fault, "upload in parts");
    if (!value.is_found || read[0] == 0) {
        return fault_set(fault, FAULT_INPUT, "upload in parts: the answer has no id");
    }
    memcpy(id, read, sizeof read);
    return true;
}

bool s3_answer_read_location(struct span body, char region[S3_REGION_SIZE], struct fault *fault) {
    char read[S3_REGION_SIZE];
    struct value value = {"LocationConstraint", read, sizeof read, false};
    if (!xml_read(body, on_value, &value, fault)) return fault_add(fault, "location");
    const char *name = read[0] == 0 ? "us-east-1" : strcmp(read, "EU") == 0 ? "eu-west-1" : read;
    if (!value.is_found || !s3_answer_take_region(span_text(name), region)) {
        return fault_set(fault, FAULT_INPUT, "location: the answer has none");
    }
    return true;
}
