// api_fixture.h: an organization with documents in memory, to call operations in.
//
// The management account is 111111111111, home eu-central-1; 222222222222 and 333333333333 are
// members. The caller is an administrator of the management account in eu-central-1 until a test
// says otherwise. Failures end the test.

#pragma once

#include "collector/api/keys.h"
#include "collector/api/operations.h"

enum { API_FIXTURE_DOCUMENTS_MAX = 256 };

struct api_fixture_document {
    char *name;
    char *value;
};

struct api_fixture {
    struct api_world world;
    struct roster_live roster;
    struct roster *accounts;
    struct keys *keys;  // none in it
    struct random random;
    uint64_t seed;
    struct api_fixture_document documents[API_FIXTURE_DOCUMENTS_MAX];  // in order of name
    uint32_t documents_count;
    uint32_t changes;  // commits so far
    struct api_worker *worker;

    struct api_caller caller;           // of the next call
    const struct operation *operation;  // NULL: as the table says
    const char *region;
    int64_t now_ms;

    // Called before each commit, if not NULL: another change that comes in between.
    void (*before_change)(struct api_fixture *fixture);
    enum fault_kind change_fault;  // the next commit fails so

    struct api_answer answer;  // of the last call
    char *body;                // of the last call
    char *event;               // of the last call, stored or not
};

// Makes it, and frees it.
void api_fixture_init(struct api_fixture *fixture);
void api_fixture_done(struct api_fixture *fixture);

// Calls an operation of CloudTrail with parameters in JSON and returns the answer's body with a
// final zero, until the next call.
const char *api_fixture_call(struct api_fixture *fixture, const char *operation, const char *input);

// The same for another service.
const char *api_fixture_call_of(struct api_fixture *fixture, const char *service,
                                const char *operation, const char *input);

// Calls and expects an error of this name; returns its message.
const char *api_fixture_refused(struct api_fixture *fixture, const char *code,
                                const char *operation, const char *input);

// A document, or NULL.
const char *api_fixture_get(const struct api_fixture *fixture, const char *name);

// Puts a document; NULL removes it.
void api_fixture_put(struct api_fixture *fixture, const char *name, const char *value);
