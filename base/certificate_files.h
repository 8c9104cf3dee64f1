// certificate_files.h: the three files of one side of TLS, read and checked together.
//
// The same function serves --check, the start and a reload, so that what one calls good is good for
// all.

#pragma once

#include "base/buffer.h"
#include "base/certificate_check.h"
#include "base/files.h"

// Where they are.
struct certificate_paths {
    const char *ca;
    const char *certificate;
    const char *key;
};

// What they hold; owned.
struct certificate_files {
    struct buffer ca;
    struct buffer certificate;
    struct buffer key;
    struct certificate_facts facts;  // the certificate's
};

// Reads and checks them. FAULT_INPUT names the file, also of a key that every user can read;
// FAULT_IO, FAULT_DENIED and others as files_read_whole. certificate_files_done frees them; after a
// fault there is nothing to free.
MUST_CHECK bool certificate_files_read(const struct files *files,
                                       const struct certificate_paths *paths,
                                       enum certificate_use use, int64_t now_s,
                                       struct certificate_files *read, struct fault *fault);

// Frees them; the key's bytes are wiped.
void certificate_files_done(struct certificate_files *read);

// The texts, borrowed.
struct certificate_set certificate_files_set(const struct certificate_files *read);
