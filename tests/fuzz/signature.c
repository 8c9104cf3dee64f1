// Requests of the AWS API as they come from the wire: the Authorization header, and what is signed.
//
// The input's lines are headers; behind an empty line stands the body. The first line is method,
// path and query.

#include <assert.h>
#include <string.h>

#include "base/aws/sigv4.h"
#include "tests/fuzz/fuzz.h"

static struct span take(struct span *text, uint8_t end) {
    size_t at = span_find(*text, end);
    struct span part = span_of(text->bytes, at);
    *text = at < text->size ? span_from(*text, at + 1) : (struct span){NULL, 0};
    return part;
}

static void try_request(const uint8_t *data, size_t size, struct span service) {
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct span text = span_of(data, size);
    struct span line = take(&text, '\n');
    struct sigv4_request request = {.headers = headers};
    request.method = take(&line, ' ');
    request.path = take(&line, '?');
    request.query = line;
    while (text.size > 0 && request.headers_count + 1 < SIGV4_HEADERS_MAX) {
        line = take(&text, '\n');
        if (line.size == 0) break;
        struct span name = take(&line, ':');
        headers[request.headers_count++] = (struct sigv4_header){name, line};
    }
    request.body = text;

    struct fault fault;
    struct sigv4_claim claim;
    const struct span secret = SPAN_LITERAL("a secret that signed none of the corpus");
    if (sigv4_read(&request, &claim, &fault) == SIGV4_GOOD) {
        assert(claim.key_id.size > 0 && claim.region.size > 0 && claim.service.size > 0);
        // Nobody can guess a signature.
        assert(sigv4_verify(&request, &claim, secret, INT64_C(1440938160000), &fault) !=
               SIGV4_GOOD);
    }
    // What we sign ourselves is good.
    const struct sigv4_signer signer = {SPAN_LITERAL("AKIDEXAMPLE"), secret, SPAN_LITERAL("r"),
                                        service};
    struct buffer authorization;
    buffer_init(&authorization, SIGV4_CANONICAL_SIZE_MAX);
    if (sigv4_sign(&request, &signer, &authorization, &fault)) {
        headers[request.headers_count++] =
            (struct sigv4_header){SPAN_LITERAL("authorization"), buffer_span(&authorization)};
        if (sigv4_read(&request, &claim, &fault) == SIGV4_GOOD) {
            enum sigv4_verdict verdict =
                sigv4_verify(&request, &claim, secret, INT64_C(1440938160000), &fault);
            assert(verdict == SIGV4_GOOD || fault.text[0] != 0);
        }
    }
    buffer_done(&authorization);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_request(data, size, SPAN_LITERAL("s"));
    try_request(data, size, SPAN_LITERAL("s3"));
    return 0;
}
