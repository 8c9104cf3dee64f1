// fuzz.h: the entry that libFuzzer and the replay of a corpus call.

#pragma once

#include <stddef.h>
#include <stdint.h>

// Feeds one input to a parser of foreign bytes. Crashes, asserts and sanitizer reports are what it
// is for; whether the parser accepts the input is not. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
