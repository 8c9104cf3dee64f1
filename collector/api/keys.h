// keys.h: the access keys of the API: which there are, whose they are, what they may do.
//
// Each is a document of the trail; its secret stands there sealed with secret.key, so that neither
// the store nor a backup of it is enough to use it. All are kept in memory, opened. A change is
// made by whoever asked for it (append_documents.h), and taken over here once it is durable.
//
// Threads: any.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/crypto_seal.h"
#include "base/fault.h"
#include "base/random.h"
#include "base/span.h"
#include "collector/api/api.h"

enum {
    KEYS_MAX = 1024,
    KEYS_ACCOUNTS_MAX = 256,  // that one key is narrowed to
    KEYS_NAME_SIZE_MAX = 64,  // bytes of a name, as IAM allows: letters, digits and +=,.@_-
    KEYS_ID_SIZE = 20,        // bytes of "AKIA" and 16 letters
    KEYS_SECRET_SIZE = 40,    // bytes
    KEYS_DOCUMENT_SIZE_MAX = 32 * 1024,
};

#define KEYS_DOCUMENTS "api/key/"  // what the documents' names begin with

// A key. Spans live as long as the arena that they were copied into.
struct keys_facts {
    struct span id;
    struct span name;
    struct span account;
    enum api_role role;
    const struct span *accounts;  // that it is narrowed to; none: what its account may see
    uint32_t accounts_count;
    bool is_disabled;
    bool is_unreadable;  // another secret.key sealed it: it cannot be used
    bool is_earlier;     // its document is of a version whose seal did not cover is_disabled; what
                         // keys_print prints is not
    int64_t created_ms;
    struct span creator;  // who made it, a text for people
    struct span secret;
};

struct keys;

// A table without keys; it keeps a copy of the sealing key. NULL if memory runs out.
struct keys *keys_create(const uint8_t sealing_key[CRYPTO_SEAL_KEY_SIZE]);

// Frees it; secrets are wiped. NULL is allowed.
void keys_destroy(struct keys *keys);

// Copies a key into an arena. *found false if there is none of this id. FAULT_FULL if the arena is
// full.
MUST_CHECK bool keys_find(struct keys *keys, struct span id, struct arena *arena, bool *found,
                          struct keys_facts *facts, struct fault *fault);

// Copies all keys into an arena, in order of id.
MUST_CHECK bool keys_list(struct keys *keys, struct arena *arena, struct keys_facts **list,
                          uint32_t *count, struct fault *fault);

// Appends a key's document as it was taken. False if there is no such key.
MUST_CHECK bool keys_get_document(struct keys *keys, struct span id, struct buffer *document);

// Takes a document over, as it is stored now: a new key, a changed one; no bytes: it is no more.
// FAULT_CORRUPT if it is none, or of an id, name or account that no key is made with; or sealed
// with another key or for other facts (it is listed then, and cannot be used). FAULT_FULL beyond
// KEYS_MAX.
MUST_CHECK bool keys_take(struct keys *keys, struct span id, struct span document,
                          struct fault *fault);

// Makes a new key's id and secret: texts in the arena. FAULT_FULL if the arena is full.
MUST_CHECK bool keys_make(const struct random *random, struct arena *arena,
                          struct keys_facts *facts, struct fault *fault);

// The same for a session (session.h): its id begins with ASIA.
MUST_CHECK bool keys_make_session(const struct random *random, struct arena *arena,
                                  struct keys_facts *facts, struct fault *fault);

// Makes a key for another use out of the sealing key: always the same, and telling nothing of it.
void keys_derive(const struct keys *keys, struct span use, uint8_t key[CRYPTO_SEAL_KEY_SIZE]);

// Checks name, account and the accounts it is narrowed to. FAULT_INPUT.
MUST_CHECK bool keys_check(const struct keys_facts *facts, struct fault *fault);

// Prints a key as its document. FAULT_FULL if it is too large.
MUST_CHECK bool keys_print(const struct keys *keys, const struct keys_facts *facts,
                           const struct random *random, struct buffer *document,
                           struct fault *fault);

// "read" or "admin".
const char *keys_role_name(enum api_role role);

// The role of a name. False if it is none.
bool keys_find_role(struct span name, enum api_role *role);
