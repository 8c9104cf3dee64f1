// digest.h: CloudTrail's digest files: their names and texts, and what is signed of them.
//
// A digest says which log files of one account and region a trail delivered in a time, with the
// hash of each, and names the digest before it with its hash and signature: a chain, to which
// hours without files belong too. The stock verifier walks it. Hashes are of texts before
// compression. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "base/span.h"
#include "event/file.h"

enum {
    DIGEST_SIGNATURE_TEXT_SIZE = 2 * CRYPTO_RSA_SIGNATURE_SIZE + 1,  // hex and a final zero
    DIGEST_TEXT_SIZE_MAX = 64 * 1024 * 1024,                         // bytes
};

#define DIGEST_SIGNATURE_ALGORITHM "SHA256withRSA"

// Whose digest it is.
struct digest_place {
    struct span organization;  // "o-..."; empty: the layout of a single account's trail
    struct span account;
    struct span region;
    struct span trail;        // its name
    struct span home_region;  // the trail's
};

// A log file that it names.
struct digest_file {
    struct span bucket;
    struct span object;
    struct span hash;  // lower-case hex
    int64_t newest_s;  // eventTimes
    int64_t oldest_s;
};

// The digest before this one; a bucket of no bytes: there is none, a chain begins.
struct digest_previous {
    struct span bucket;
    struct span object;
    struct span hash;       // lower-case hex, of its text
    struct span signature;  // lower-case hex
};

struct digest {
    struct digest_place place;
    struct span bucket;
    struct span object;  // its name with the trail's prefix
    struct span fingerprint;
    int64_t start_s;
    int64_t end_s;
    struct digest_previous previous;
    const struct digest_file *files;
    uint32_t files_count;
};

// Prints the name without the trail's prefix:
// AWSLogs/[o-ORG/]ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOME_YYYYMMDDTHHMMSSZ[_backfill].json.gz
// by the digest's end.
void digest_print_name(const struct digest_place *place, int64_t end_s, bool is_backfill,
                       char name[FILE_NAME_SIZE]);

// Appends the text, which is hashed and compressed as it is.
void digest_print(const struct digest *digest, struct buffer *text);

// Appends what is signed: end, bucket and object, hash of the text, the signature before it.
void digest_print_signed(const struct digest *digest, const uint8_t hash[SHA256_SIZE],
                         struct buffer *text);
