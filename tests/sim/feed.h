// feed.h: the events that simulated agents read, each made from who reads it and its place.
//
// An agent's source is a line of events, numbered from 0; its position is the number of the next
// one. The kinds are mixed so that every way an event can end is met.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

// What must become of an event that a spool accepted.
enum feed_fate {
    FEED_STORED,       // stored, in these bytes
    FEED_EITHER,       // stored in these bytes or quarantined: another agent says otherwise
    FEED_VARIANT,      // stored, in these bytes or another agent's spelling of them
    FEED_QUARANTINED,  // quarantined
};

// Which event: of an agent's main line (fork 0), or read beside it after its spool was rolled back
// or cloned.
struct feed_place {
    uint32_t agent;    // who reads it; agents of one account share some events
    uint32_t account;  // index
    uint32_t fork;
    uint64_t place;
};

struct feed_event {
    struct span record;  // or the serialized Notice
    bool is_notice;
    enum feed_fate fate;
    uint64_t identity;  // same for all copies of one event: what is stored once
    int64_t time_s;     // its eventTime; meaningless if it is always quarantined
};

enum {
    FEED_ACCOUNT_SIZE = 13,
    FEED_ACCOUNTS = 3,
    FEED_FORKS = 63,     // forks of one agent are below it
    FEED_RESTORED = 63,  // the fork of Notices that say: the collector was restored
};

// The 12 digits of an account.
void feed_account(uint32_t account, char text[FEED_ACCOUNT_SIZE]);

// Makes the event of a place: the same one each time. The record lies in the buffer.
void feed_make(uint64_t seed, const struct feed_place *place, struct buffer *buffer,
               struct feed_event *event);
