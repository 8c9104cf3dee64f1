// wire.h: the network between agents and the collector, simulated.
//
// Each connection is a pair of lanes of whole messages that arrive late but in order, as TCP gives
// them. When a connection breaks, each side learns of it at its own time, and until then messages
// under way still arrive, or do not: a new connection of the same agent may be up while the
// collector still reads the old one.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "tests/sim/timeline.h"

enum { WIRE_CONNECTIONS_MAX = 64 };

struct wire_message;

struct wire_lane {
    struct wire_message *first;
    struct wire_message *last;
};

struct connection {
    bool in_use;
    bool is_accepted;   // the collector has decided about it
    bool is_paused;     // the collector does not read
    uint32_t restores;  // of the collector's trail when it accepted
    void *agent;        // NULL once the agent knows that it is over, or is gone
    void *session;      // the collector's; NULL before it is accepted and once it is over
    int64_t open_at_ms;
    struct wire_lane up;
    struct wire_lane down;
    int64_t agent_sent_at_ms;      // when the agent may send the next message; -1: nothing sent
    int64_t collector_sent_at_ms;  // the same for the collector
    int64_t agent_close_at_ms;     // when it learns that it is over; INT64_MAX: not yet known
    int64_t collector_close_at_ms;
    struct fault reason;  // what the agent is told
};

// What the two sides do. Called from wire_step alone.
struct wire_sides {
    void (*agent_connected)(void *agent);
    void (*agent_message)(void *agent, struct span message);
    void (*agent_sent)(void *agent);
    void (*agent_closed)(void *agent, const struct fault *reason);
    // The session of a new connection, or NULL with a fault if it is refused.
    void *(*accept)(void *context, void *agent, struct connection *connection, struct fault *fault);
    // False: read no more until the connection is resumed.
    bool (*session_message)(void *session, struct span message);
    void (*session_sent)(void *session);
    void (*session_closed)(void *session);
};

struct wire {
    struct timeline *timeline;
    struct wire_sides sides;
    void *context;      // of accept
    uint32_t delay_ms;  // a message takes up to this long
    uint64_t messages;  // delivered, of all connections
    uint64_t lost;      // under way when a connection broke
    struct connection connections[WIRE_CONNECTIONS_MAX];
};

// An agent begins a connection: agent_connected or agent_closed follows. NULL: none is free.
struct connection *wire_connect(struct wire *wire, void *agent);

// Sends a message up or down. agent_sent or session_sent follows. False: the last one is still on
// its way, or this side is closed.
bool wire_send_up(struct wire *wire, struct connection *connection, struct span message);
bool wire_send_down(struct wire *wire, struct connection *connection, struct span message);

// Breaks a connection: some of what is under way is lost, and the two sides learn of it at
// different times. A reason of FAULT_NONE becomes one of a network.
void wire_break(struct wire *wire, struct connection *connection, const struct fault *reason);

// The agent has crashed: it will hear nothing more of its connections.
void wire_forget_agent(struct wire *wire, const void *agent);

// The collector has crashed: its sessions are gone, the agents learn of it.
void wire_forget_sessions(struct wire *wire);

// Delivers what is due now.
void wire_step(struct wire *wire);

// Frees what is under way.
void wire_done(struct wire *wire);
