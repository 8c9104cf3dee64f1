// What S3 answers: XML of a stranger, read as each of the things it may be.

#include "base/aws/s3_answer.h"

#include <assert.h>
#include <string.h>

#include "base/aws/credentials.h"
#include "tests/fuzz/fuzz.h"

static bool check_entry(void *user, const struct s3_entry *entry) {
    uint32_t *count = user;
    assert(entry->key.size > 0 && entry->key.size <= S3_KEY_SIZE_MAX);
    assert(entry->etag.size < S3_ETAG_SIZE);
    return ++*count < 100;
}

static void check_printable(const char *text, size_t size_max) {
    assert(strlen(text) < size_max);
    for (; *text != 0; text++) assert(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span body = span_of(data, size);
    struct fault fault;
    struct s3_failure failure;
    s3_answer_read_failure(size > 0 ? 200 + data[0] * 2U : 400, body, &failure);
    assert(failure.error != S3_ERROR_NONE && failure.code[0] != 0);
    check_printable(failure.code, sizeof failure.code);
    check_printable(failure.message, sizeof failure.message);
    assert(!s3_answer_explain(&failure, &fault) && fault.text[0] != 0);
    (void)s3_answer_is_error(body);

    struct s3_page page;
    uint32_t count = 0;
    if (s3_answer_read_page(body, check_entry, &count, &page, &fault)) {
        assert(page.is_last || page.token[0] != 0);
        assert(strlen(page.token) < sizeof page.token);
    }
    char id[S3_UPLOAD_ID_SIZE];
    char region[S3_REGION_SIZE];
    if (s3_answer_read_upload(body, id, &fault)) assert(id[0] != 0);
    if (s3_answer_read_location(body, region, &fault)) assert(region[0] != 0);
    struct credentials credentials;
    if (credentials_parse(body, NULL, &credentials, &fault)) assert(credentials.secret[0] != 0);
    return 0;
}
