// refused_choice.h: which quarantine entries a command is about: by key, reason, agent, account and
// time of the last refusal. All conditions must hold; keys are alternatives.

#pragma once

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "storage/trail/trail_reader.h"

enum {
    REFUSED_CHOICE_KEYS_MAX = 256,  // on one command line
    REFUSED_CHOICE_KEY_SIZE_MIN = 6,
};

struct refused_choice {
    const char *keys[REFUSED_CHOICE_KEYS_MAX];  // hex, or the beginning of it
    uint32_t keys_count;
    const char *reason;
    const char *agent;    // a certificate's URI, or a part of it
    const char *account;  // the record says it, or its agent's certificate
    const char *since;    // as written
    const char *until;
    int64_t since_s;  // set by refused_choice_check
    int64_t until_s;
    struct json_reader *json;  // the caller's, to look for accounts; needed with `account`
};

// The options of it, as a child of a command's argp. Its input is a refused_choice.
extern const struct argp refused_choice_argp;

// Whether a text can be a key or the beginning of one.
bool refused_choice_is_key(const char *text);

// Reads the times. FAULT_INPUT.
MUST_CHECK bool refused_choice_check(struct refused_choice *choice, int64_t now_s,
                                     struct fault *fault);

// Whether any condition was given.
bool refused_choice_is_any(const struct refused_choice *choice);

// Appends the conditions, but for keys, for people: reason "future", agent "web".
void refused_choice_print(const struct refused_choice *choice, struct buffer *output);

// Whether an entry of this agent is chosen.
bool refused_choice_has(const struct refused_choice *choice, const struct trail_quarantined *entry,
                        struct span agent);
