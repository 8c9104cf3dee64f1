// gate.h: who may have a stream now: by the accepted CAs, the dates and the deny list.
//
// TLS asks the same of a certificate once, when a connection begins, and the gate for the deny
// list; all of the gate is asked when a stream opens and again while it lives. A gate is a value
// and is replaced as a whole: the CAs are read when it is made, not with each question. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/certificate_check.h"
#include "base/fault.h"
#include "base/span.h"
#include "collector/server/deny.h"

struct gate;

// A peer as its certificate says; borrowed.
struct gate_peer {
    const char *uri;
    const char *serial;
    struct span chain;  // PEM, its own certificate first
};

// Makes a gate of a CA text and the collector's own certificate, which are copied, and a deny list,
// which it owns from then on, also on failure. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool gate_create(struct span ca, struct span own, struct deny *deny, struct gate **gate,
                            struct fault *fault);

// NULL is allowed.
void gate_destroy(struct gate *gate);

// The deny list alone. FAULT_DENIED.
MUST_CHECK bool gate_check_denied(const struct gate *gate, const char *uri, const char *serial,
                                  struct fault *fault);

// FAULT_DENIED: what the agent is told, and its operator can act on.
MUST_CHECK bool gate_check(const struct gate *gate, const struct gate_peer *peer, int64_t now_s,
                           struct fault *fault);

// When a CA expires next after now_s: the answers for those it signed change then. INT64_MAX: none.
int64_t gate_changes_s(const struct gate *gate, int64_t now_s);

// The accepted CAs.
const struct certificate_facts *gate_cas(const struct gate *gate, uint32_t *count);

// The collector's own certificate.
const struct certificate_facts *gate_own(const struct gate *gate);
