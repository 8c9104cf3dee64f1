#include "base/aws/sigv4.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_seal.h"
#include "base/percent.h"

static const struct span ALGORITHM = {(const uint8_t *)"AWS4-HMAC-SHA256", 16};
static const struct span TERMINATOR = {(const uint8_t *)"aws4_request", 12};

static uint8_t lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

// Whether a header's name is this one, which is in lower case.
static bool is_named(struct span name, struct span wanted) {
    if (name.size != wanted.size) return false;
    for (size_t index = 0; index < name.size; index++) {
        if (lower(name.bytes[index]) != wanted.bytes[index]) return false;
    }
    return true;
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t';
}

static struct span trim(struct span text) {
    while (text.size > 0 && is_blank(text.bytes[0])) text = span_from(text, 1);
    while (text.size > 0 && is_blank(text.bytes[text.size - 1])) text.size--;
    return text;
}

uint32_t sigv4_find_header(const struct sigv4_request *request, struct span name,
                           struct span *value) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < request->headers_count; index++) {
        if (!is_named(request->headers[index].name, name)) continue;
        *value = trim(request->headers[index].value);
        count++;
    }
    return count;
}

// ---- the canonical request

// Takes the next part up to a separator off the text.
static struct span cut(struct span *text, uint8_t separator) {
    size_t at = span_find(*text, separator);
    struct span part = span_of(text->bytes, at);
    *text = at < text->size ? span_from(*text, at + 1) : (struct span){NULL, 0};
    return part;
}

// Path segments without ".", ".." and empty ones, each encoded once more than on the wire.
static void append_path(struct buffer *output, struct span path) {
    size_t begin = output->size;
    bool is_folder = path.size == 0 || path.bytes[path.size - 1] == '/';
    while (path.size > 0) {
        struct span part = cut(&path, '/');
        if (part.size == 0 || span_is(part, ".")) continue;
        if (span_is(part, "..")) {
            while (output->size > begin && output->bytes[output->size - 1] != '/') output->size--;
            if (output->size > begin) output->size--;
            continue;
        }
        buffer_append_byte(output, '/');
        percent_append(output, part, false);
    }
    if (is_folder || output->size == begin) buffer_append_byte(output, '/');
}

enum { PARAMETERS_MAX = 64 };

struct parameter {
    struct span name;
    struct span value;
};

static int compare_parameters(const void *left, const void *right) {
    const struct parameter *one = left;
    const struct parameter *other = right;
    int order = span_compare(one->name, other->name);
    return order != 0 ? order : span_compare(one->value, other->value);
}

// Parameters (and paths of S3) as they are sent are encoded already, by each client in its way:
// decoded and encoded again all are alike.
static struct span encode_again(struct buffer *output, struct span text, bool is_path) {
    size_t begin = output->size;
    for (size_t at = 0; at < text.size;) {
        uint8_t byte;
        (void)percent_next(text, &at, &byte);
        percent_append(output, span_of(&byte, 1), is_path);
    }
    return span_of(NULL, output->size - begin);
}

// False: too many parameters.
static bool append_query(struct buffer *output, struct span query) {
    struct parameter parameters[PARAMETERS_MAX];
    struct buffer texts;
    uint32_t count = 0;
    buffer_init(&texts, SIGV4_CANONICAL_SIZE_MAX);
    while (query.size > 0 && count < PARAMETERS_MAX) {
        struct span value = cut(&query, '&');
        struct span name = cut(&value, '=');
        parameters[count].name = encode_again(&texts, name, false);
        parameters[count++].value = encode_again(&texts, value, false);
    }
    // The texts have stopped moving: where each begins is known.
    size_t at = 0;
    for (uint32_t index = 0; index < count && !buffer_overflowed(&texts); index++) {
        parameters[index].name.bytes = span_from(buffer_span(&texts), at).bytes;
        at += parameters[index].name.size;
        parameters[index].value.bytes = span_from(buffer_span(&texts), at).bytes;
        at += parameters[index].value.size;
    }
    bool is_good = query.size == 0 && !buffer_overflowed(&texts);
    if (is_good && count > 0) qsort(parameters, count, sizeof *parameters, compare_parameters);
    for (uint32_t index = 0; is_good && index < count; index++) {
        if (index > 0) buffer_append_byte(output, '&');
        buffer_append(output, parameters[index].name);
        buffer_append_byte(output, '=');
        buffer_append(output, parameters[index].value);
    }
    buffer_done(&texts);
    return is_good;
}

// Values of one name joined by commas, blanks inside made one.
static void append_header(struct buffer *output, const struct sigv4_request *request,
                          struct span name) {
    bool is_first = true;
    buffer_append(output, name);
    buffer_append_byte(output, ':');
    for (uint32_t index = 0; index < request->headers_count; index++) {
        if (!is_named(request->headers[index].name, name)) continue;
        if (!is_first) buffer_append_byte(output, ',');
        is_first = false;
        struct span value = trim(request->headers[index].value);
        for (size_t at = 0; at < value.size; at++) {
            bool is_more = at > 0 && is_blank(value.bytes[at]) && is_blank(value.bytes[at - 1]);
            if (!is_more)
                buffer_append_byte(output, is_blank(value.bytes[at]) ? ' ' : value.bytes[at]);
        }
    }
    buffer_append_byte(output, '\n');
}

static void append_hash(struct buffer *output, struct span bytes) {
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    crypto_sha256(&bytes, 1, digest);
    crypto_print_hex(span_of(digest, sizeof digest), hex);
    buffer_append_text(output, hex);
}

// S3 takes the path as it is, encoded once, and the body's hash as the client says it.
static bool is_s3(const struct sigv4_claim *claim) {
    return span_is(claim->service, "s3");
}

static bool append_canonical(struct buffer *output, const struct sigv4_request *request,
                             const struct sigv4_claim *claim) {
    struct span names = claim->signed_headers;
    struct span said = {NULL, 0};
    buffer_append(output, request->method);
    buffer_append_byte(output, '\n');
    if (is_s3(claim)) {
        (void)encode_again(output, request->path, true);
    } else {
        append_path(output, request->path);
    }
    buffer_append_byte(output, '\n');
    if (!append_query(output, request->query)) return false;
    buffer_append_byte(output, '\n');
    while (names.size > 0) append_header(output, request, cut(&names, ';'));
    buffer_append_byte(output, '\n');
    buffer_append(output, claim->signed_headers);
    buffer_append_byte(output, '\n');
    if (is_s3(claim) &&
        sigv4_find_header(request, SPAN_LITERAL("x-amz-content-sha256"), &said) > 0) {
        buffer_append(output, said);
    } else {
        append_hash(output, request->body);
    }
    return !buffer_overflowed(output);
}

// ---- the signature

static void make_key(struct span secret, const struct sigv4_claim *claim,
                     uint8_t key[SHA256_SIZE]) {
    uint8_t first[4 + 256] = "AWS4";
    assert(secret.size <= 256);
    if (secret.size > 0) memcpy(first + 4, secret.bytes, secret.size);
    crypto_hmac_sha256(span_of(first, 4 + secret.size), &claim->date, 1, key);
    const struct span parts[] = {claim->region, claim->service, TERMINATOR};
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        crypto_hmac_sha256(span_of(key, SHA256_SIZE), &parts[index], 1, key);
    }
    crypto_wipe(first, sizeof first);
}

// False: the request is too large to be signed, or there is no memory.
static bool sign(const struct sigv4_request *request, const struct sigv4_claim *claim,
                 struct span secret, uint8_t signature[SHA256_SIZE]) {
    struct buffer text;
    uint8_t key[SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];
    buffer_init(&text, SIGV4_CANONICAL_SIZE_MAX);
    bool is_good = append_canonical(&text, request, claim);
    if (is_good) {
        struct span canonical = buffer_span(&text);
        crypto_sha256(&canonical, 1, digest);
        char hex[SHA256_HEX_SIZE];
        crypto_print_hex(span_of(digest, sizeof digest), hex);
        buffer_reset(&text);
        buffer_append(&text, ALGORITHM);
        buffer_print(&text, "\n%.*s\n%.*s/%.*s/%.*s/%.*s\n%s", SPAN_PRINT(claim->time),
                     SPAN_PRINT(claim->date), SPAN_PRINT(claim->region), SPAN_PRINT(claim->service),
                     SPAN_PRINT(TERMINATOR), hex);
        is_good = !buffer_overflowed(&text);
    }
    if (is_good) {
        struct span to_sign = buffer_span(&text);
        make_key(secret, claim, key);
        crypto_hmac_sha256(span_of(key, sizeof key), &to_sign, 1, signature);
        crypto_wipe(key, sizeof key);
    }
    buffer_done(&text);
    return is_good;
}

// ---- reading what a request claims

static enum sigv4_verdict incomplete(struct fault *fault, const char *text) {
    fault_put(fault, FAULT_INPUT, "%s", text);
    return SIGV4_INCOMPLETE;
}

static bool is_digits(struct span text) {
    for (size_t index = 0; index < text.size; index++) {
        if (text.bytes[index] < '0' || text.bytes[index] > '9') return false;
    }
    return true;
}

// Letters, digits and '-': what regions and services are made of.
static bool is_name(struct span text, size_t size_max) {
    if (text.size == 0 || text.size > size_max) return false;
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        if (!percent_is_unreserved(byte) || byte == '.' || byte == '~') return false;
    }
    return true;
}

// KEY/20231114/REGION/SERVICE/aws4_request
static bool read_credential(struct span text, struct sigv4_claim *claim) {
    claim->key_id = cut(&text, '/');
    claim->date = cut(&text, '/');
    claim->region = cut(&text, '/');
    claim->service = cut(&text, '/');
    return is_name(claim->key_id, SIGV4_KEY_ID_SIZE_MAX) && claim->date.size == 8 &&
           is_digits(claim->date) && is_name(claim->region, SIGV4_SCOPE_SIZE_MAX) &&
           is_name(claim->service, SIGV4_SCOPE_SIZE_MAX) && span_equal(text, TERMINATOR);
}

// Names in lower case, in order, each once.
static bool check_names(struct span names) {
    struct span last = {NULL, 0};
    if (names.size > 0 && names.bytes[names.size - 1] == ';') return false;
    while (names.size > 0) {
        struct span name = cut(&names, ';');
        if (name.size == 0 || span_compare(last, name) >= 0) return false;
        for (size_t index = 0; index < name.size; index++) {
            if (lower(name.bytes[index]) != name.bytes[index] || is_blank(name.bytes[index]))
                return false;
        }
        last = name;
    }
    return last.size > 0;
}

static bool is_in(struct span names, struct span wanted) {
    while (names.size > 0) {
        if (is_named(wanted, cut(&names, ';'))) return true;
    }
    return false;
}

// The three parts, in any order, each once.
static bool read_parts(struct span text, struct sigv4_claim *claim) {
    static const struct span names[] = {{(const uint8_t *)"Credential", 10},
                                        {(const uint8_t *)"SignedHeaders", 13},
                                        {(const uint8_t *)"Signature", 9}};
    struct span values[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    for (uint32_t count = 0; text.size > 0; count++) {
        struct span value = trim(cut(&text, ','));
        struct span name = cut(&value, '=');
        uint32_t which = 0;
        while (which < 3 && !span_equal(name, names[which])) which++;
        if (which == 3 || values[which].size > 0 || count >= 3) return false;
        values[which] = value;
    }
    claim->signed_headers = values[1];
    return read_credential(values[0], claim) && check_names(values[1]) &&
           crypto_parse_hex(values[2], claim->signature, sizeof claim->signature);
}

// Whether what must be signed is, and what is signed is there.
static enum sigv4_verdict check_headers(const struct sigv4_request *request,
                                        const struct sigv4_claim *claim, struct fault *fault) {
    struct span value;
    struct span names = claim->signed_headers;
    if (!is_in(names, SPAN_LITERAL("host"))) {
        return incomplete(fault, "'Host' must be a 'SignedHeader' in the AWS Authorization.");
    }
    for (uint32_t index = 0; index < request->headers_count; index++) {
        struct span name = request->headers[index].name;
        bool is_ours = name.size > 6 && is_named(span_of(name.bytes, 6), SPAN_LITERAL("x-amz-"));
        if (is_ours && !is_in(names, name)) {
            fault_put(fault, FAULT_INPUT,
                      "'%.*s' must be a 'SignedHeader' in the AWS Authorization.",
                      SPAN_PRINT(name));
            return SIGV4_INCOMPLETE;
        }
    }
    while (names.size > 0) {
        struct span name = cut(&names, ';');
        if (sigv4_find_header(request, name, &value) > 0) continue;
        fault_put(fault, FAULT_INPUT, "The signed header '%.*s' is not in the request.",
                  SPAN_PRINT(name));
        return SIGV4_INCOMPLETE;
    }
    return SIGV4_GOOD;
}

static bool is_time(struct span text) {
    return text.size == SIGV4_TIME_SIZE - 1 && is_digits(span_of(text.bytes, 8)) &&
           text.bytes[8] == 'T' && is_digits(span_of(text.bytes + 9, 6)) && text.bytes[15] == 'Z';
}

enum sigv4_verdict sigv4_read(const struct sigv4_request *request, struct sigv4_claim *claim,
                              struct fault *fault) {
    struct span text;
    *claim = (struct sigv4_claim){0};
    uint32_t count = sigv4_find_header(request, SPAN_LITERAL("authorization"), &text);
    if (count == 0) {
        fault_put(fault, FAULT_INPUT, "Missing Authentication Token");
        return SIGV4_MISSING;
    }
    if (count > 1) return incomplete(fault, "More than one Authorization header.");
    if (!span_starts(text, ALGORITHM) || text.size == ALGORITHM.size ||
        !is_blank(text.bytes[ALGORITHM.size])) {
        return incomplete(fault, "Unsupported AWS 'algorithm': AWS4-HMAC-SHA256 is wanted.");
    }
    if (!read_parts(trim(span_from(text, ALGORITHM.size)), claim)) {
        return incomplete(fault,
                          "The Authorization header is not of the form AWS4-HMAC-SHA256 "
                          "Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=NAMES, "
                          "Signature=HEX.");
    }
    if (sigv4_find_header(request, SPAN_LITERAL("x-amz-date"), &claim->time) != 1 ||
        !is_time(claim->time)) {
        return incomplete(fault,
                          "Authorization header requires existence of one 'X-Amz-Date' like "
                          "20231114T221320Z.");
    }
    if (!span_equal(span_of(claim->time.bytes, 8), claim->date)) {
        return incomplete(fault,
                          "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                          "version of date from HTTP.");
    }
    if (sigv4_find_header(request, SPAN_LITERAL("x-amz-security-token"), &claim->token) > 1) {
        return incomplete(fault, "More than one X-Amz-Security-Token header.");
    }
    if (sigv4_find_header(request, SPAN_LITERAL("host"), &text) != 1) {
        return incomplete(fault, "There must be one Host header.");
    }
    return check_headers(request, claim, fault);
}

// ---- verifying

static bool read_time(struct span text, int64_t *seconds) {
    char plain[32];
    struct fault ignored;
    const char *from = (const char *)text.bytes;
    snprintf(plain, sizeof plain, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", from, from + 4, from + 6,
             from + 9, from + 11, from + 13);
    return time_parse(span_text(plain), seconds, &ignored);
}

void sigv4_print_time(int64_t ms, char text[SIGV4_TIME_SIZE]) {
    char plain[TIME_TEXT_SIZE];
    time_print(ms / 1000, plain);
    snprintf(text, SIGV4_TIME_SIZE, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", plain, plain + 5, plain + 8,
             plain + 11, plain + 14, plain + 17);
}

// The words are those that SDKs look for when they correct their clock.
static enum sigv4_verdict check_time(struct span text, int64_t now_ms, struct fault *fault) {
    int64_t seconds;
    if (!read_time(text, &seconds)) return incomplete(fault, "X-Amz-Date is no moment.");
    int64_t difference_ms = now_ms - seconds * 1000;
    char now[SIGV4_TIME_SIZE];
    char limit[SIGV4_TIME_SIZE];
    sigv4_print_time(now_ms, now);
    if (difference_ms > SIGV4_WINDOW_MS) {
        sigv4_print_time(now_ms - SIGV4_WINDOW_MS, limit);
        fault_put(fault, FAULT_DENIED,
                  "Signature expired: %.*s is now earlier than %s (%s - 5 min.)", SPAN_PRINT(text),
                  limit, now);
        return SIGV4_WRONG;
    }
    if (difference_ms < -SIGV4_WINDOW_MS) {
        sigv4_print_time(now_ms + SIGV4_WINDOW_MS, limit);
        fault_put(fault, FAULT_DENIED,
                  "Signature not yet current: %.*s is still later than %s (%s + 5 min.)",
                  SPAN_PRINT(text), limit, now);
        return SIGV4_WRONG;
    }
    return SIGV4_GOOD;
}

// A body that is not what x-amz-content-sha256 says was changed, or is not for us. S3 wants it to
// be said, if only that it is not.
static bool is_body_as_said(const struct sigv4_request *request, const struct sigv4_claim *claim) {
    struct span said;
    uint8_t digests[2][SHA256_SIZE];
    if (sigv4_find_header(request, SPAN_LITERAL("x-amz-content-sha256"), &said) == 0) return true;
    if (is_s3(claim) && span_is(said, "UNSIGNED-PAYLOAD")) return true;
    crypto_sha256(&request->body, 1, digests[0]);
    return crypto_parse_hex(said, digests[1], sizeof digests[1]) &&
           crypto_equal(span_of(digests[0], SHA256_SIZE), span_of(digests[1], SHA256_SIZE));
}

enum sigv4_verdict sigv4_verify(const struct sigv4_request *request,
                                const struct sigv4_claim *claim, struct span secret, int64_t now_ms,
                                struct fault *fault) {
    uint8_t signature[SHA256_SIZE];
    if (!sign(request, claim, secret, signature)) {
        fault_put(fault, FAULT_FULL, "The request is too large to be verified.");
        return SIGV4_NO_MEMORY;
    }
    if (!is_body_as_said(request, claim) ||
        !crypto_equal(span_of(signature, sizeof signature),
                      span_of(claim->signature, sizeof claim->signature))) {
        fault_put(fault, FAULT_DENIED,
                  "The request signature we calculated does not match the signature you provided. "
                  "Check your AWS Secret Access Key and signing method. Consult the service "
                  "documentation for details.");
        return SIGV4_WRONG;
    }
    return check_time(claim->time, now_ms, fault);
}

// ---- signing

static int compare_names(const void *left, const void *right) {
    return span_compare(*(const struct span *)left, *(const struct span *)right);
}

// The names of all headers, in lower case, in order, each once, with ';' between.
static void append_names(struct buffer *output, const struct sigv4_request *request) {
    struct span names[SIGV4_HEADERS_MAX];
    struct buffer texts;
    buffer_init(&texts, SIGV4_CANONICAL_SIZE_MAX);
    for (uint32_t index = 0; index < request->headers_count; index++) {
        struct span name = request->headers[index].name;
        for (size_t at = 0; at < name.size; at++) {
            buffer_append_byte(&texts, lower(name.bytes[at]));
        }
    }
    output->overflowed = output->overflowed || buffer_overflowed(&texts);
    size_t at = 0;
    for (uint32_t index = 0; index < request->headers_count && !output->overflowed; index++) {
        names[index] = span_of(texts.bytes + at, request->headers[index].name.size);
        at += names[index].size;
    }
    if (!output->overflowed) {
        qsort(names, request->headers_count, sizeof *names, compare_names);
        for (uint32_t index = 0; index < request->headers_count; index++) {
            if (index > 0 && span_equal(names[index], names[index - 1])) continue;
            if (index > 0) buffer_append_byte(output, ';');
            buffer_append(output, names[index]);
        }
    }
    buffer_done(&texts);
}

bool sigv4_sign(const struct sigv4_request *request, const struct sigv4_signer *signer,
                struct buffer *authorization, struct fault *fault) {
    struct span value;
    struct sigv4_claim claim = {
        .key_id = signer->key_id, .region = signer->region, .service = signer->service};
    assert(request->headers_count <= SIGV4_HEADERS_MAX);
    if (sigv4_find_header(request, SPAN_LITERAL("x-amz-date"), &claim.time) != 1 ||
        !is_time(claim.time) || sigv4_find_header(request, SPAN_LITERAL("host"), &value) != 1) {
        return fault_set(fault, FAULT_INPUT,
                         "a request is signed with one Host and one X-Amz-Date");
    }
    claim.date = span_of(claim.time.bytes, 8);
    struct buffer names;
    uint8_t signature[SHA256_SIZE];
    buffer_init(&names, SIGV4_CANONICAL_SIZE_MAX);
    append_names(&names, request);
    claim.signed_headers = buffer_span(&names);
    bool is_good = !buffer_overflowed(&names) && sign(request, &claim, signer->secret, signature);
    if (is_good) {
        char hex[SHA256_HEX_SIZE];
        crypto_print_hex(span_of(signature, sizeof signature), hex);
        buffer_append(authorization, ALGORITHM);
        buffer_print(authorization, " Credential=%.*s/%.*s/%.*s/%.*s/%.*s, SignedHeaders=",
                     SPAN_PRINT(claim.key_id), SPAN_PRINT(claim.date), SPAN_PRINT(claim.region),
                     SPAN_PRINT(claim.service), SPAN_PRINT(TERMINATOR));
        buffer_append(authorization, claim.signed_headers);
        buffer_print(authorization, ", Signature=%s", hex);
        is_good = !buffer_overflowed(authorization);
    }
    buffer_done(&names);
    return is_good || fault_set(fault, FAULT_FULL, "a request too large to be signed");
}
