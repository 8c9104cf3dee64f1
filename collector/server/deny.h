// deny.h: the deny list: who may have no stream although the certificate is good.
//
//   # A serial number, one name, or a name and all below it; the rest of a line is for people.
//   4f3a0c7d91e2b8a64f3a0c7d91e2b8a6  stolen with its machine
//   spiffe://o-abc/account/222222222222/agent/web
//   spiffe://o-abc/account/333333333333/*
//
// Serial numbers are hex, as "openssl x509 -serial" or the collector's log print them; case, colons
// and leading zeros do not matter. A list is a value: it changes by being made anew. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    DENY_ENTRIES_MAX = 4096,      // each stream that opens is compared with all
    DENY_SIZE_MAX = 1024 * 1024,  // bytes of the file
    DENY_ENTRY_SIZE = 260,        // of an entry, with the final zero
    DENY_SERIAL_DIGITS_MIN = 24,  // 16 random bytes are hardly ever shorter without their zeros
    DENY_NOTE_SIZE_MAX = 200,     // bytes of what deny_add writes behind an entry
};

struct deny;

// Reads a list; an empty text is an empty list. The caller destroys it. FAULT_INPUT: "line 3: ...".
MUST_CHECK bool deny_parse(struct span text, struct deny **deny, struct fault *fault);

// NULL is allowed.
void deny_destroy(struct deny *deny);

// The entry that denies a certificate, or NULL. It lives as long as the list.
const char *deny_find(const struct deny *deny, const char *uri, const char *serial);

// Its entries, in their order; NULL behind the last one.
const char *deny_entry(const struct deny *deny, uint32_t index);

// The text that it was read from.
struct span deny_text(const struct deny *deny);

// Whether an entry can match a certificate of the organization, which deny_parse does not ask: a
// serial number of DENY_SERIAL_DIGITS_MIN digits, a name as grant.h has it, or what such a name
// begins with and a star. FAULT_INPUT.
MUST_CHECK bool deny_check_entry(const char *entry, const char *organization, struct fault *fault);

// Appends the list's text with one more entry, and a note unless it is empty. FAULT_INPUT: it is
// no entry, stands there already, or does not fit.
MUST_CHECK bool deny_print_added(const struct deny *deny, const char *entry, const char *note,
                                 struct buffer *text, struct fault *fault);

// Appends the list's text without one entry. FAULT_INPUT: it does not stand there.
MUST_CHECK bool deny_print_removed(const struct deny *deny, const char *entry, struct buffer *text,
                                   struct fault *fault);
