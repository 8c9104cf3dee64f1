// api.h: AWS's API as orgtrail answers it: one call, the operation that runs it, its answer.
//
// An operation is a function and a row in the table of operations.c. It gets a struct api_call: who
// asks for what, decoded and authorised already. It checks the input, reads documents, writes the
// members of its answer and puts documents; then it returns true. Or it refuses with api_refuse.
//
// It changes nothing itself. What it has put is made durable after it returned, in one commit with
// the call's own event, and only if every document it read with api_get is still as it was;
// otherwise the operation is run again on what is there now. So an operation has no effect besides
// its call, and may be written as if it were alone.
//
// Everything an operation allocates lies in the call's arena; spans that it gets live as long as
// the call. Each worker thread has one struct api_worker and runs one call at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/random.h"
#include "base/span.h"
#include "collector/admit/roster_live.h"
#include "collector/append/append_documents.h"
#include "collector/notes/own_event.h"

enum {
    API_TOKEN_KEY_SIZE = 32,
    API_INPUT_SIZE_MAX = 256 * 1024,         // bytes of a request's body
    API_OUTPUT_SIZE_MAX = 32 * 1024 * 1024,  // bytes of an answer
    API_DOCUMENT_SIZE_MAX = 256 * 1024,      // bytes of one document's value
    API_ARENA_SIZE_MAX = 64 * 1024 * 1024,   // bytes of one call
    API_DEPTH_MAX = 32,                      // of a request's structures and lists
    API_ATTEMPTS_MAX = 8,                    // while others change what the call has read
    API_MESSAGE_SIZE = 512,                  // bytes of an error's text with the final zero
    API_CODE_SIZE = 64,                      // bytes of an error's name with the final zero
};

// What a key may do.
enum api_role {
    API_READ,   // operations that change nothing
    API_ADMIN,  // all
};

// Who calls. All borrowed for the length of the call.
struct api_caller {
    struct span key_id;   // "AKIA…"; of a session the key that it came from
    struct span name;     // the key's, as an IAM user's: "audit"
    struct span account;  // that the caller belongs to: 12 digits
    enum api_role role;
    // What the key was narrowed to when it was made; none: what its account may see.
    const struct span *accounts;
    uint32_t accounts_count;
    struct span session_id;     // "ASIA…", or none: the call is signed with the key itself
    int64_t session_issued_ms;  // of a session
};

// A request whose signature is good.
struct api_request {
    struct span service;     // of the signature's scope: "cloudtrail", "organizations", "sts"
    struct span region;      // of the signature's scope: "eu-central-1"
    struct span operation;   // "LookupEvents"
    struct span body;        // JSON; the parameters as JSON if the service speaks AWS's query form
    const char *request_id;  // UUID
    struct span source;      // address of the client, as text
    struct span user_agent;  // as sent; may be empty
    struct api_caller caller;
    int64_t now_ms;
};

struct answers;
struct trail_reader;

// Where documents are. The collector's is the trail; tests have one in memory.
struct api_store {
    // Calls on_document for each document whose name begins so, in order of name, until it returns
    // false. The spans live as long as that call.
    bool (*read)(void *context, struct span prefix,
                 bool (*on_document)(void *user, struct span name, struct span value), void *user,
                 struct fault *fault);
    // As append_documents_submit, and waits for the end of it.
    bool (*change)(void *context, const struct append_document *documents, uint32_t documents_count,
                   const struct span *records, uint32_t records_count, bool *is_current,
                   struct fault *fault);
    // Events; NULL in tests that look none up.
    struct trail_reader *reader;
    void *context;
};

struct objects;
struct objects_directory;
struct keys;

// What all calls stand on; borrowed for the life of the workers.
struct api_world {
    const char *organization;      // its name, as the configuration has it: "o-example"
    struct own_event_place place;  // the management account and the home region
    struct roster_live *roster;
    const struct random *random;
    const uint8_t *token_key;       // API_TOKEN_KEY_SIZE bytes, for what clients bring back to us
    const struct objects *objects;  // where trails deliver to; NULL: nowhere
    const struct objects_directory *buckets;  // the same, if it is a folder
    const struct keys *keys;                  // for what sessions are sealed with
};

struct api_call {
    const struct api_world *world;
    struct trail_reader *reader;  // for events; NULL in tests that look none up
    struct answers *answers;      // of lookups, of this worker
    const struct api_request *request;
    const struct roster *roster;     // as it is now
    const struct yyjson_val *input;  // an object; yyjson's functions walk it, through base/json.h
    struct json_writer *output;      // inside the answer's object: write members
    struct arena *arena;
    struct api_worker *worker;  // for api.c alone
    bool is_again;              // set by an operation whose answer was one of `answers`
};

// ---- what an operation asks of its call

// Ends the call with an error of AWS's name and HTTP status 400; the text is AWS's message. Returns
// false.
bool api_refuse(struct api_call *call, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The same with a status of its own (403, 404, 500, 503).
bool api_refuse_status(struct api_call *call, uint32_t status, const char *code, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));

// Ends the call with what a fault of ours becomes: ServiceUnavailableException 503 for what passes,
// InternalFailureException 500 for the rest (logged; its text is not told). Returns false.
bool api_refuse_fault(struct api_call *call, const struct fault *fault);

// Members of the input. Absent or null: true and the output untouched. Another type:
// SerializationException and false. Lists and objects are walked with base/json.h and yyjson.
MUST_CHECK bool api_string(struct api_call *call, const struct yyjson_val *object, const char *name,
                           struct span *value);
MUST_CHECK bool api_bool(struct api_call *call, const struct yyjson_val *object, const char *name,
                         bool *value);
MUST_CHECK bool api_integer(struct api_call *call, const struct yyjson_val *object,
                            const char *name, int64_t *value);

// The same for a number of epoch seconds, with a fraction or without.
MUST_CHECK bool api_time_ms(struct api_call *call, const struct yyjson_val *object,
                            const char *name, int64_t *ms);

// The same for a list.
MUST_CHECK bool api_list(struct api_call *call, const struct yyjson_val *object, const char *name,
                         const struct yyjson_val **value);

// The value of a document, empty bytes if there is none; what the call has put itself is seen. The
// call changes something only if this is still so. False: the call is refused.
MUST_CHECK bool api_get(struct api_call *call, struct span name, struct span *value);

// Puts a document in place of the one there was; no bytes: none any more. Copied. Happens when the
// operation has returned true. False: the call is refused (too large, too many).
MUST_CHECK bool api_put(struct api_call *call, struct span name, struct span value);

// Visits the documents whose name begins so, in order of name, until on_document returns false;
// what the call has put itself is not seen. Documents that come or go meanwhile keep no change
// from happening: what counts is read with api_get. False: the call is refused.
MUST_CHECK bool api_visit(struct api_call *call, struct span prefix,
                          bool (*on_document)(void *user, struct span name, struct span value),
                          void *user);

// Reads a document's value, which is JSON of our own; it lives as long as the call. False: the call
// is refused.
MUST_CHECK bool api_read_json(struct api_call *call, struct span text,
                              const struct yyjson_val **root);

// Whether the caller is of the management account.
bool api_is_management(const struct api_call *call);

// Whether the caller sees the whole organization: the management account and its delegated
// administrators do, unless their key is narrowed. False from the function: the call is refused.
MUST_CHECK bool api_sees_organization(struct api_call *call, bool *sees);

// Whether the caller may see an account: its own, or as one who sees the organization any, but none
// that its key was not narrowed to. False from the function: the call is refused.
MUST_CHECK bool api_sees_account(struct api_call *call, struct span account, bool *sees);

// Whether an account is the management account or a delegated administrator, outside of a call; the
// arena is for reading. FAULT_FULL; faults of reading the store.
MUST_CHECK bool api_is_privileged(struct api_worker *worker, struct span account,
                                  struct arena *arena, bool *is, struct fault *fault);

// The document that lists the delegated administrators: a JSON list of account ids.
#define API_DELEGATES "api/delegates"

// ---- what the server asks

struct api_worker;

// A worker; the world and the store are borrowed for its life. NULL if memory runs out.
struct api_worker *api_worker_create(const struct api_world *world, const struct api_store *store);

// Frees it. NULL is allowed.
void api_worker_destroy(struct api_worker *worker);

struct api_answer {
    uint32_t status;      // HTTP's
    struct span body;     // JSON; lives until the worker's next call
    const char *code;     // the error's name; NULL: none
    const char *message;  // the error's text; NULL: none
    struct span event;    // the call's own event, a record, if it is not stored yet; else none
    bool is_again;        // the body was made for an earlier call
};

// Runs a call from its operation's name to its answer. Waits for the disk if something changes.
// Never fails: whatever goes wrong is an answer.
void api_run(struct api_worker *worker, const struct api_request *request,
             struct api_answer *answer);
