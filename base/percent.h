// percent.h: percent-encoding, as URIs, forms and S3's keys have it (RFC 3986, section 2). Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

// Whether a byte stands for itself everywhere: letters, digits and "-._~".
bool percent_is_unreserved(uint8_t byte);

// Appends the text with all other bytes as %XX, in upper case; '/' stands if it is kept.
void percent_append(struct buffer *output, struct span text, bool keeps_slash);

// Takes the byte at *at, which is below text.size, and moves on, behind all of a %XX. False: a '%'
// without two hex digits behind it; *byte is the '%'.
bool percent_next(struct span text, size_t *at, uint8_t *byte);
