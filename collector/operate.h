// operate.h: the methods of the service Control: what an operator may ask of this collector.
//
// Each answers from what it is given or hands its call on; the socket's worker never waits. A new
// method is a function in a file of its own and a row in the table of operate.c.

#pragma once

#include <stdint.h>

#include "collector/control.h"
#include "collector/reload.h"
#include "collector/server.h"
#include "collector/settings.h"

// What methods work on; lives longer than the socket.
struct operate {
    struct server *server;
    struct reload *reload;
    const struct settings *settings;
    int64_t started_ms;  // since the Unix epoch
};

// The table for control_start; its context is a struct operate.
extern const struct control_method operate_methods[];
extern const uint32_t operate_methods_count;
