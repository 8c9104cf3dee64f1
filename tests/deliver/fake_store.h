// fake_store.h: a store of one bucket that speaks as much of S3 as deliveries do, over a real
// connection, and fails at the request it is told.
//
// Signatures are not looked at: tests/s3/failing.py does that. Threads: the store has its own; the
// functions are called by one thread at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum fake_store_failure {
    FAKE_STORE_REFUSES,       // connections, until it is mended
    FAKE_STORE_UNAVAILABLE,   // 503, once
    FAKE_STORE_IS_DOWN,       // 503, until it is mended
    FAKE_STORE_SLOWS_DOWN,    // 503 SlowDown, once
    FAKE_STORE_CUTS_REQUEST,  // the connection ends in the request, once
    FAKE_STORE_CUTS_ANSWER,   // it is done, and the connection ends in the answer, once
    FAKE_STORE_IS_LATE,       // it is done, and the connection ends before the answer, once
    FAKE_STORE_LIES,          // says it has put what it has not, or lacks what it has, once
    FAKE_STORE_ALTERS,        // the object is another of the same size from then on, once
    FAKE_STORE_CLIENT_DIES,   // before the request is done; nothing is done until it is mended
    FAKE_STORE_CLIENT_DIED,   // after it was done; nothing is done until it is mended
    FAKE_STORE_FAILURES,
};

struct fake_store;

struct fake_store_object {
    char key[1024];
    uint8_t *bytes;
    size_t size;
    char signature[1024];  // of the metadata
};

// A store that listens on 127.0.0.1. Ends the test if it cannot.
struct fake_store *fake_store_create(bool has_checksums, bool has_conditions);

// Ends it. No client is connected.
void fake_store_destroy(struct fake_store *store);

// "http://127.0.0.1:PORT"
const char *fake_store_endpoint(const struct fake_store *store);

// Removes all objects. Nobody calls meanwhile.
void fake_store_empty(struct fake_store *store);

// The nth request from now on (1: the next) fails in this way; 0: none.
void fake_store_fail(struct fake_store *store, uint64_t nth, enum fake_store_failure failure);

// Whether the failure that was asked for has happened.
bool fake_store_has_failed(struct fake_store *store);

// A failure that lasts ends. A step of the client has failed: refused connections are known so.
void fake_store_mend(struct fake_store *store);

// The object of this number from 0 on, or NULL. Lent until the store is emptied.
const struct fake_store_object *fake_store_object(const struct fake_store *store, uint32_t index);
