// agent.h: the whole agent: sources, spool and uplink over gRPC, one turn at a time.
//
// One thread owns it and calls agent_step over and over; each turn reads, syncs, sends, and waits
// for the network or the sources, at most AGENT_WAIT_MS. rpc_init was called before.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent_config.h"
#include "agent/gather.h"
#include "agent/spool.h"
#include "agent/uplink.h"
#include "base/fault.h"
#include "base/files.h"

enum {
    AGENT_WAIT_MS = 500,          // of one turn at most, so that signals are seen
    AGENT_SAVE_MS = 5000,         // between two saves of what is acknowledged
    AGENT_CERTIFICATE_DAYS = 30,  // warn so long before ours expires
};

struct agent;

struct agent_options {
    const struct agent_config *config;  // borrowed for the agent's life
    bool once;                          // read what is there, wait until it is acknowledged
    gather_on_notice *on_notice;        // told of each notice (gather_listen), or NULL
    void *user;                         // for on_notice
    const struct files *archive;        // where directory sources read; NULL: the system's files
};

// What happened so far.
struct agent_status {
    uint64_t records;  // taken from the sources
    uint64_t notices;
    uint64_t left_out;              // records that the event selectors do not select
    bool is_full;                   // the spool or its disk
    bool has_ended;                 // no source will ever give anything
    bool is_done;                   // and everything is acknowledged
    int64_t certificate_expires_s;  // since the Unix epoch
    struct spool_facts spool;
    struct uplink_status uplink;
};

// Checks what the settings name: certificates and key, event selectors, the spool's folder (made if
// only its last part is missing), the sources' folders. Missing sources are only warned about, on
// standard error. FAULT_INPUT, FAULT_DENIED and others say what to do.
MUST_CHECK bool agent_check(const struct agent_config *config, struct fault *fault);

// Opens spool and sources and makes the client. FAULT_RETRY if another agent has the spool, and all
// that agent_check finds.
MUST_CHECK bool agent_create(const struct agent_options *options, struct agent **agent,
                             struct fault *fault);

// Saves what it can and closes everything. NULL is allowed.
void agent_destroy(struct agent *agent);

// Does one turn. A fault ends the process: FAULT_IO and FAULT_CORRUPT of the spool (FAULT_IO
// too where its folder has gone); with `once` also what only people can mend (FAULT_DENIED,
// FAULT_INPUT).
MUST_CHECK bool agent_step(struct agent *agent, struct fault *fault);

// Says goodbye, if somebody is there to say it to, while agent_step goes on.
void agent_stop(struct agent *agent, const char *reason);
// Whether the goodbye is said.
bool agent_is_stopped(const struct agent *agent);

// Reads the certificates again. While a stream is open they are tried beside it first. The old ones
// stay if the new ones are no good or the collector refuses them, and so does a stream that would
// show the same certificate again.
void agent_reload(struct agent *agent);

// What happened so far.
void agent_describe(const struct agent *agent, struct agent_status *status);

// Looks at one source: false if there is none with this index.
bool agent_describe_source(struct agent *agent, uint32_t index, const char **name,
                           struct source_status *status);
