// issued.h: whom the organization enrolled: DIR/issued/NAME.pem, the last certificate of each.
//
// A bundle travels to its agent and is removed here, above all one in a tar file. What stays is the
// certificate, which is public: it says the agent's name and end, and which CA signed it. A line
// "# key: elsewhere" before it says that the key was never here. NAME is the bundle's. An
// agent that is retired is taken out (retirement.h). One thread.

#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum { ISSUED_NAME_SIZE = 256 };  // of a bundle's name, with the final zero

// The bundle's name of a certificate's URI. FAULT_INPUT if it has none.
MUST_CHECK bool issued_print_name(const char *uri, char name[ISSUED_NAME_SIZE],
                                  struct fault *fault);

// Keeps a certificate in place of the one before. FAULT_INPUT if NAME is another URI's, as account
// "a" in region "b" and account "a" with agent "b" have one; FAULT_IO, FAULT_FULL.
MUST_CHECK bool issued_write(const char *directory, const char *uri, struct span certificate,
                             bool is_key_elsewhere, struct fault *fault);

// Whether one is kept. FAULT_IO.
MUST_CHECK bool issued_find(const char *directory, const char *name, bool *is_there,
                            struct fault *fault);

// Appends the certificate that is kept, and tells where its key is. FAULT_INPUT if there is none.
MUST_CHECK bool issued_read(const char *directory, const char *name, struct buffer *certificate,
                            bool *is_key_elsewhere, struct fault *fault);

// Takes one away; one that is not there is no failure. FAULT_IO.
MUST_CHECK bool issued_remove(const char *directory, const char *name, struct fault *fault);

// Calls on_name for each until it returns false, which it does with the fault set.
MUST_CHECK bool issued_list(const char *directory,
                            bool (*on_name)(void *user, const char *name, struct fault *fault),
                            void *user, struct fault *fault);
