// intake_internal.h: a stream's state, for intake.c, which takes in, and intake_send.c, which
// answers.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "collector/admit/grant.h"
#include "collector/intake/intake.h"

enum {
    MESSAGE_OUT_SIZE_MAX = 16 * 1024,  // bytes of a message of ours; real ones have under 300
};

enum state {
    AWAITS_HELLO,
    AWAITS_WELCOME,  // Hello is in append's hands
    OPEN,
};

// What is to be sent as soon as the wire is free.
struct due {
    bool welcome;
    bool throttle;
    bool ack;
    bool drain;
};

struct intake {
    const struct intake_settings *settings;
    struct intake_link link;
    char uri[TRAIL_URI_SIZE];
    struct grant grant;

    enum state state;
    bool is_closing;    // link.close was called
    bool is_closed;     // intake_closed was called
    bool is_paused;     // the last answer to a message was false
    bool is_throttled;  // the agent's quarantine is full
    bool is_draining;   // the collector stops
    bool is_leaving;    // the agent said Goodbye
    bool is_final;      // and that it does not come back
    bool is_sending;    // a message is on its way
    bool is_clock_off;  // the agent's clock, as told in the trail
    struct due due;
    struct buffer output;
    struct vitals *vitals;

    // The stream as it is received, ahead of what is durable.
    uint8_t stream_id[TRAIL_STREAM_ID_SIZE];
    uint32_t slot;
    uint64_t session;
    uint64_t expected;
    bool chain_is_known;
    uint8_t chain[TRAIL_CHAIN_SIZE];

    // The stream as it is durable.
    uint64_t durable_seq;
    uint8_t durable_chain[TRAIL_CHAIN_SIZE];
    uint64_t duplicates;
    uint64_t quarantined;

    uint64_t batches;        // made in this session
    uint32_t outstanding;    // batches in append's hands
    uint64_t queued_weight;  // of these
    struct buffer waiting;   // a message that came when there was no room: it is not read yet

    // All by the monotonic clock.
    int64_t begun_ms;
    int64_t heard_ms;
    int64_t sent_ms;
    int64_t submitted_ms;

    int64_t skew_ms;  // how far the agent's clock is behind, as it was measured last
};

// By the settings' clock.
int64_t intake_monotonic_ms(const struct intake *intake);
int64_t intake_now_ms(const struct intake *intake);

// Says to the link, once, that the stream ends.
void intake_end(struct intake *intake, enum fault_kind kind, const char *text);

// Sends the most urgent of what is due, if the wire is free; ends the stream when all is said.
void intake_send_due(struct intake *intake);
