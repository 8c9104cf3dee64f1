#include "tests/sim/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BREAK_MS_MAX = 3000 };  // until a side learns of a break

struct wire_message {
    struct wire_message *next;
    int64_t due_ms;
    size_t size;
    uint8_t bytes[];
};

static void push(struct wire *wire, struct wire_lane *lane, struct span message) {
    struct wire_message *made = malloc(sizeof *made + message.size);
    assert(made != NULL);
    made->next = NULL;
    made->size = message.size;
    made->due_ms =
        wire->timeline->now_ms + (int64_t)timeline_draw(wire->timeline, wire->delay_ms + 1);
    memcpy(made->bytes, message.bytes, message.size);
    if (lane->last == NULL) {
        lane->first = made;
    } else {
        if (made->due_ms < lane->last->due_ms) made->due_ms = lane->last->due_ms;
        lane->last->next = made;
    }
    lane->last = made;
}

static struct wire_message *pop(struct wire_lane *lane) {
    struct wire_message *first = lane->first;
    lane->first = first->next;
    if (lane->first == NULL) lane->last = NULL;
    return first;
}

// Drops what is under way but for the first `keep` messages.
static void cut(struct wire *wire, struct wire_lane *lane, uint64_t keep) {
    struct wire_lane kept = {NULL, NULL};
    while (lane->first != NULL) {
        struct wire_message *message = pop(lane);
        if (keep == 0) {
            wire->lost++;
            free(message);
            continue;
        }
        keep--;
        message->next = NULL;
        if (kept.last == NULL) {
            kept.first = message;
        } else {
            kept.last->next = message;
        }
        kept.last = message;
    }
    *lane = kept;
}

struct connection *wire_connect(struct wire *wire, void *agent) {
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX; index++) {
        struct connection *connection = &wire->connections[index];
        if (connection->in_use) continue;
        *connection = (struct connection){
            .in_use = true,
            .agent = agent,
            .open_at_ms = wire->timeline->now_ms + 1 +
                          (int64_t)timeline_draw(wire->timeline, wire->delay_ms + 1),
            .agent_sent_at_ms = -1,
            .collector_sent_at_ms = -1,
            .agent_close_at_ms = INT64_MAX,
            .collector_close_at_ms = INT64_MAX,
        };
        return connection;
    }
    return NULL;
}

bool wire_send_up(struct wire *wire, struct connection *connection, struct span message) {
    if (connection->agent == NULL || connection->agent_sent_at_ms >= 0) return false;
    // What is sent into a broken connection is lost and nobody says so.
    if (connection->collector_close_at_ms == INT64_MAX) push(wire, &connection->up, message);
    connection->agent_sent_at_ms =
        wire->timeline->now_ms + (int64_t)timeline_draw(wire->timeline, wire->delay_ms + 1);
    return true;
}

bool wire_send_down(struct wire *wire, struct connection *connection, struct span message) {
    if (connection->session == NULL || connection->collector_sent_at_ms >= 0) return false;
    if (connection->agent != NULL && connection->agent_close_at_ms == INT64_MAX) {
        push(wire, &connection->down, message);
    }
    connection->collector_sent_at_ms =
        wire->timeline->now_ms + (int64_t)timeline_draw(wire->timeline, wire->delay_ms + 1);
    return true;
}

void wire_break(struct wire *wire, struct connection *connection, const struct fault *reason) {
    int64_t now = wire->timeline->now_ms;
    if (connection->agent_close_at_ms != INT64_MAX) return;
    connection->reason = *reason;
    if (reason->kind == FAULT_NONE) {
        fault_set(&connection->reason, FAULT_RETRY, "connection reset (simulated)");
    }
    connection->agent_close_at_ms = now + (int64_t)timeline_draw(wire->timeline, BREAK_MS_MAX);
    connection->collector_close_at_ms = now + (int64_t)timeline_draw(wire->timeline, BREAK_MS_MAX);
    cut(wire, &connection->up, timeline_draw(wire->timeline, 4));
    cut(wire, &connection->down, timeline_draw(wire->timeline, 4));
}

static void release_if_over(struct wire *wire, struct connection *connection) {
    bool collector_over =
        connection->session == NULL && (connection->is_accepted || connection->agent == NULL);
    if (connection->agent != NULL || !collector_over) return;
    cut(wire, &connection->up, 0);
    cut(wire, &connection->down, 0);
    connection->in_use = false;
}

void wire_forget_agent(struct wire *wire, const void *agent) {
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX; index++) {
        struct connection *connection = &wire->connections[index];
        if (!connection->in_use || connection->agent != agent) continue;
        struct fault reason = {.kind = FAULT_NONE};
        wire_break(wire, connection, &reason);
        connection->agent = NULL;
        release_if_over(wire, connection);
    }
}

void wire_forget_sessions(struct wire *wire) {
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX; index++) {
        struct connection *connection = &wire->connections[index];
        if (!connection->in_use) continue;
        struct fault reason = {.kind = FAULT_NONE};
        wire_break(wire, connection, &reason);
        cut(wire, &connection->up, 0);
        connection->session = NULL;
        connection->is_accepted = true;
        release_if_over(wire, connection);
    }
}

static void open_connection(struct wire *wire, struct connection *connection) {
    struct fault fault = {.kind = FAULT_NONE};
    connection->is_accepted = true;
    connection->session = wire->sides.accept(wire->context, connection->agent, connection, &fault);
    if (connection->session == NULL) {
        connection->reason = fault;
        connection->agent_close_at_ms = wire->timeline->now_ms + 1;
        return;
    }
    wire->sides.agent_connected(connection->agent);
}

static void deliver(struct wire *wire, struct connection *connection) {
    int64_t now = wire->timeline->now_ms;
    while (connection->session != NULL && !connection->is_paused && connection->up.first != NULL &&
           connection->up.first->due_ms <= now) {
        struct wire_message *message = pop(&connection->up);
        bool go_on = wire->sides.session_message(connection->session,
                                                 span_of(message->bytes, message->size));
        if (!go_on) connection->is_paused = true;
        wire->messages++;
        free(message);
    }
    while (connection->agent != NULL && connection->down.first != NULL &&
           connection->down.first->due_ms <= now) {
        struct wire_message *message = pop(&connection->down);
        wire->sides.agent_message(connection->agent, span_of(message->bytes, message->size));
        wire->messages++;
        free(message);
    }
}

static void tell_sent(struct wire *wire, struct connection *connection) {
    int64_t now = wire->timeline->now_ms;
    if (connection->agent != NULL && connection->agent_sent_at_ms >= 0 &&
        connection->agent_sent_at_ms <= now) {
        connection->agent_sent_at_ms = -1;
        wire->sides.agent_sent(connection->agent);
    }
    if (connection->session != NULL && connection->collector_sent_at_ms >= 0 &&
        connection->collector_sent_at_ms <= now) {
        connection->collector_sent_at_ms = -1;
        wire->sides.session_sent(connection->session);
    }
}

static void tell_closed(struct wire *wire, struct connection *connection) {
    int64_t now = wire->timeline->now_ms;
    if (connection->agent != NULL && connection->agent_close_at_ms <= now) {
        void *agent = connection->agent;
        connection->agent = NULL;
        wire->sides.agent_closed(agent, &connection->reason);
    }
    if (connection->session != NULL && connection->collector_close_at_ms <= now) {
        void *session = connection->session;
        connection->session = NULL;
        wire->sides.session_closed(session);
    }
}

void wire_step(struct wire *wire) {
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX; index++) {
        struct connection *connection = &wire->connections[index];
        if (!connection->in_use) continue;
        if (!connection->is_accepted && connection->agent != NULL &&
            connection->open_at_ms <= wire->timeline->now_ms &&
            connection->agent_close_at_ms == INT64_MAX) {
            open_connection(wire, connection);
        }
        deliver(wire, connection);
        tell_sent(wire, connection);
        tell_closed(wire, connection);
        release_if_over(wire, connection);
    }
}

void wire_done(struct wire *wire) {
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX; index++) {
        cut(wire, &wire->connections[index].up, 0);
        cut(wire, &wire->connections[index].down, 0);
        wire->connections[index].in_use = false;
    }
}
