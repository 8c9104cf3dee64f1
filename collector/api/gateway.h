// gateway.h: from an HTTP request to a call of the API and back: whose it is, what it asks.
//
// POST / in AWS's JSON 1.1 form (CloudTrail, Organizations) or in its query form (STS), signed with
// version 4. It knows no socket: http_server gives requests, tests do too. What it refuses itself
// (no key, a wrong signature, no such operation) is answered in AWS's words.
//
// Threads: any number at a time, each with a worker of its own.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/aws/sigv4.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/span.h"
#include "collector/api/api.h"
#include "collector/api/keys.h"

enum {
    GATEWAY_ID_SIZE = 37,  // bytes of a request's id with its final zero
    GATEWAY_BODY_SIZE_MAX = API_OUTPUT_SIZE_MAX + 4096,
    GATEWAY_AGENT_SIZE_MAX = 1024,  // bytes of a user agent that are kept
};

// How a call ended, for metrics.
enum gateway_outcome {
    GATEWAY_ANSWERED,
    GATEWAY_REFUSED,  // the caller's mistake
    GATEWAY_UNAUTHENTICATED,
    GATEWAY_THROTTLED,
    GATEWAY_FAILED,  // ours
    GATEWAY_OUTCOMES,
};

// What became of a lookup, for metrics.
enum gateway_lookup {
    GATEWAY_NO_LOOKUP,  // another operation, or refused
    GATEWAY_LOOKED_UP,
    GATEWAY_ANSWERED_AGAIN,  // nothing was committed since the same was asked
};

struct gateway_options {
    const struct clock *clock;
    const struct random *random;
    struct keys *keys;
    uint32_t lookups_per_second;  // LookupEvents of an account; 0: no limit
    // Takes a call's own event, a record, to be stored. False: too many wait.
    bool (*on_event)(void *context, struct span record);
    // Whether on_event takes another one.
    bool (*has_room)(void *context);
    // Somebody was not let in, or throttled: told beside metrics. key_id may be empty.
    void (*on_refused)(void *context, const char *code, struct span key_id, struct span source);
    void *context;
};

struct gateway_request {
    struct sigv4_request wire;
    struct span source;  // the client's address
};

// Spans live until the worker's next request.
struct gateway_answer {
    uint32_t status;
    const char *content_type;
    struct span body;
    char request_id[GATEWAY_ID_SIZE];
    uint32_t retry_after_ms;  // 0: no word of it
    enum gateway_outcome outcome;
    enum gateway_lookup lookup;
};

struct gateway;

// Options are borrowed for its life. NULL if memory runs out.
struct gateway *gateway_create(const struct gateway_options *options);

// Frees it. NULL is allowed.
void gateway_destroy(struct gateway *gateway);

// What one thread needs: a worker, which is borrowed. NULL if memory runs out.
struct gateway_lane;
struct gateway_lane *gateway_lane_create(struct gateway *gateway, struct api_worker *worker);
void gateway_lane_destroy(struct gateway_lane *lane);

// Answers. Never fails: whatever goes wrong is an answer.
void gateway_run(struct gateway_lane *lane, const struct gateway_request *request,
                 struct gateway_answer *answer);
