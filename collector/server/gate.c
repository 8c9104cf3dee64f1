#include "collector/server/gate.h"

#include <stdlib.h>

struct gate {
    struct certificate_cas *accepted;
    struct certificate_facts cas[CERTIFICATE_CAS_MAX];
    uint32_t cas_count;
    struct certificate_facts own;
    struct deny *deny;
};

bool gate_create(struct span ca, struct span own, struct deny *deny, struct gate **gate,
                 struct fault *fault) {
    struct gate *made = calloc(1, sizeof *made);
    if (made == NULL) {
        deny_destroy(deny);
        return fault_set(fault, FAULT_FULL, "no memory for the accepted CAs");
    }
    made->deny = deny;
    bool is_good = certificate_read_cas(ca, made->cas, &made->cas_count, fault) &&
                   certificate_cas_create(ca, &made->accepted, fault) &&
                   certificate_read(own, &made->own, fault);
    if (!is_good) {
        gate_destroy(made);
        return false;
    }
    *gate = made;
    return true;
}

void gate_destroy(struct gate *gate) {
    if (gate == NULL) return;
    certificate_cas_destroy(gate->accepted);
    deny_destroy(gate->deny);
    free(gate);
}

bool gate_check_denied(const struct gate *gate, const char *uri, const char *serial,
                       struct fault *fault) {
    const char *entry = deny_find(gate->deny, uri, serial);
    if (entry == NULL) return true;
    return fault_set(fault, FAULT_DENIED,
                     "the collector's deny list has %s: whoever runs the collector takes it "
                     "off the list (\"orgtrail deny remove\") or enrolls this agent anew",
                     entry);
}

bool gate_check(const struct gate *gate, const struct gate_peer *peer, int64_t now_s,
                struct fault *fault) {
    if (!gate_check_denied(gate, peer->uri, peer->serial, fault)) return false;
    struct fault reason;
    if (certificate_cas_check(gate->accepted, peer->chain, CERTIFICATE_CLIENT, now_s, &reason)) {
        return true;
    }
    return fault_set(fault, FAULT_DENIED,
                     "the collector refuses this agent's certificate: %s; renew it with "
                     "\"orgtrail enroll --renew\"",
                     reason.text);
}

int64_t gate_changes_s(const struct gate *gate, int64_t now_s) {
    int64_t next_s = INT64_MAX;
    for (uint32_t index = 0; index < gate->cas_count; index++) {
        int64_t end_s = gate->cas[index].not_after_s;
        if (end_s > now_s && end_s < next_s) next_s = end_s;
    }
    return next_s;
}

const struct certificate_facts *gate_cas(const struct gate *gate, uint32_t *count) {
    *count = gate->cas_count;
    return gate->cas;
}

const struct certificate_facts *gate_own(const struct gate *gate) {
    return &gate->own;
}
