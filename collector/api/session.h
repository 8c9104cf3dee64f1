// session.h: temporary credentials: what GetSessionToken gives out, and whose they are.
//
// A session has an id and a secret of its own, and a token that says which key asked for it, when,
// and until when. The token is sealed with a key made out of secret.key and comes with each
// request: nothing of a session is stored. It may do what its key may do by then, and nothing when
// that is disabled or no more.

#pragma once

#include "base/aws/sigv4.h"
#include "collector/api/api.h"
#include "collector/api/keys.h"

enum {
    SESSION_SECONDS_MIN = 900,  // STS's own limits
    SESSION_SECONDS_MAX = 129600,
    SESSION_SECONDS_DEFAULT = 43200,
    SESSION_PLAIN_SIZE = 8 + 8 + KEYS_ID_SIZE + KEYS_SECRET_SIZE,
    SESSION_TOKEN_SIZE = 2 * (SESSION_PLAIN_SIZE + CRYPTO_SEAL_MORE),  // hex digits
};

enum session_verdict {
    SESSION_GOOD,
    SESSION_UNKNOWN,  // no such key, or a token that is none of ours or of another id
    SESSION_EXPIRED,
    SESSION_NO_MEMORY,
};

// The key that a request claims to be signed with, usable or not: one of the table or, if there is
// a token, the one that its session came from, with the session's secret. *issued_ms is when the
// session began, 0 if it is none. What is found lies in the arena. Nothing of the signature is
// verified.
enum session_verdict session_find(struct keys *keys, const struct sigv4_claim *claim,
                                  int64_t now_ms, struct arena *arena, struct keys_facts *key,
                                  int64_t *issued_ms, struct fault *fault);

// STS's GetSessionToken.
bool session_run_token(struct api_call *call);
