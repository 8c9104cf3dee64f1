// operate.h: the methods of the service Control: what an operator may ask of this collector.
//
// Each answers from what it is given or hands its call on; the socket's worker never waits. A new
// method is a function and a row in the table of operate.c.

#pragma once

#include <stdint.h>

#include "base/queue.h"
#include "collector/admit/roster_live.h"
#include "collector/api/service.h"
#include "collector/control/control.h"
#include "collector/server/reload.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"

enum { OPERATE_RELOADS_MAX = 16 };  // calls that wait for one reload

// What methods work on; lives longer than the socket.
struct operate {
    struct server *server;
    struct reload *reload;
    const struct settings *settings;
    struct roster_live *roster;
    struct service *service;  // NULL: there is no API
    struct queue *reloads;    // of struct control_call, for main
    int64_t started_ms;       // since the Unix epoch
    uint64_t free_min;        // bytes that stay free on the store's disk
};

// The table for control_start; its context is a struct operate.
extern const struct control_method operate_methods[];
extern const uint32_t operate_methods_count;

// What a reload changed, or why there was none, for a call taken out of `reloads`.
struct roster_changes;
void operate_end_reload(struct control_call *call, const struct roster_changes *changes,
                        const struct fault *fault);
