// traffic.h: CloudTrail events without end, the same ones for the same seed.
//
// Follows tests/data/model.json: accounts, regions, operations, principals, sizes, errors, copies
// of global-service events and resends are drawn from it by a counter-based generator; the texts
// are real records (tests/data) with account, region, times, ids, principals and tokens replaced,
// or padded ones where no real record of the operation exists.
//
// A shard is one (account, region). Event i of a shard depends on the seed, the shard and i alone,
// so a shard can be made alone and gives the same records; all shards together are merged in the
// order of time. Events come at an even rate and not in the model's bursts. Made for benches too:
// over 400,000 events a second and core. One thread per struct traffic.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum { TRAFFIC_SEED = 20260101 };

struct traffic;

struct traffic_options {
    const char *directory;  // with model.json and the records: tests/data
    uint64_t seed;          // 0: TRAFFIC_SEED
    uint32_t accounts;      // 0: 100
    int64_t start_s;        // eventTime of the first event, since the Unix epoch
    double rate;            // events per second of eventTime, of the whole organization; 0: 1,000
    int32_t account;        // only this account (index), or -1 for all
    int32_t region;         // only this region (index), or -1 for all
    bool repeats;           // with copies of global events by other agents, and resends
};

// One record and who reports it. Spans live until the next event.
struct traffic_event {
    struct span record;
    struct span account;
    struct span region;        // awsRegion
    struct span agent_region;  // of the agent that reports it: differs for global events
    uint32_t account_index;
    uint32_t agent_region_index;
    int64_t event_time_s;
    bool is_repeat;  // its bytes came before
    bool is_global;
};

// Reads the model and the templates. FAULT_INPUT names what is missing.
MUST_CHECK bool traffic_create(const struct traffic_options *options, struct traffic **traffic,
                               struct fault *fault);

// Frees it. NULL is allowed.
void traffic_destroy(struct traffic *traffic);

// The next event; there is always one.
void traffic_next(struct traffic *traffic, struct traffic_event *event);

// How many there are; their indexes count from 0.
uint32_t traffic_accounts(const struct traffic *traffic);
uint32_t traffic_regions(const struct traffic *traffic);

// The 12 digits of an account, the name of a region. Live as long as the traffic.
struct span traffic_account_id(const struct traffic *traffic, uint32_t account);
struct span traffic_region_name(const struct traffic *traffic, uint32_t region);
