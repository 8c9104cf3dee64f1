// digest_read.h: digest files as somebody else wrote them: names, texts, signatures.
//
// Nothing in them is believed before its signature is found good, and the text of a good one says
// what its writer meant, no more. The stock verifier wants fewer members; AWS writes all of these.
// Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "event/digest.h"

enum {
    DIGEST_FILES_MAX = 200000,  // log files of one digest; AWS's have a few hundred at most
};

// What a digest's name says, without the folder's part in front of it.
struct digest_name {
    struct span account;
    struct span region;
    struct span trail;
    struct span home_region;
    int64_t end_s;
    bool is_backfill;
};

struct digest_text {
    struct digest digest;  // of `place` the account alone; times of files are 0 where absent
    struct span end;       // digestEndTime as it stands there, which is what was signed
};

// Takes the last part of an object's key apart:
// ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOME_YYYYMMDDTHHMMSSZ[_backfill].json.gz. False: it is no
// digest's name. The spans lie in it.
bool digest_parse_name(struct span name, struct digest_name *parsed);

// Reads the time at the place of "YYYYMMDDThhmm[ss]Z" in a name. False: it is none.
bool digest_parse_time(struct span text, int64_t *seconds);

// Reads a text of at most DIGEST_TEXT_SIZE_MAX bytes. What is read lies in the reader and the
// arena, until the next use of the reader. FAULT_INPUT: "digestEndTime is absent or no text";
// FAULT_FULL if the arena is full.
MUST_CHECK bool digest_read(struct json_reader *reader, struct arena *arena, struct span text,
                            struct digest_text *read, struct fault *fault);

// Appends what is signed of a digest whose text has this hash.
void digest_print_claim(const struct digest_text *read, const uint8_t hash[SHA256_SIZE],
                        struct buffer *claim);

// Whether the signature, hex, is that of the claim by the key whose public half this is.
bool digest_is_signed(struct span claim, struct span signature_hex, struct span public_der);
