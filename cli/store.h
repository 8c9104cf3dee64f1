// store.h: which store a command reads, as its arguments and the environment say.
//
// In this order: the argument or --store, a collector's config (--config), ORGTRAIL_STORE, the
// config where Debian's packages have it.

#pragma once

#include <argp.h>
#include <stdbool.h>

#include "base/fault.h"
#include "storage/trail/trail_reader.h"

// What the arguments said of the store.
struct store_choice {
    const char *directory;  // argument or --store
    const char *config;     // --config
    const char *socket;     // --socket
};

enum {
    STORE_OPTION_STORE = 1001,
    STORE_OPTION_CONFIG,
    STORE_OPTION_SOCKET,
};

// The options --store and --config, as a child of a command's argp. Its input is a store_choice.
extern const struct argp store_argp;

enum { STORE_PATH_SIZE = 4096 };

// The folder of the chosen store. FAULT_INPUT if none is chosen.
MUST_CHECK bool store_find(const struct store_choice *choice, char path[STORE_PATH_SIZE],
                           struct fault *fault);

// Opens the chosen store for reading. FAULT_INPUT if none is chosen; as trail_reader_open.
MUST_CHECK bool store_open(const struct store_choice *choice, struct trail_reader **reader,
                           struct fault *fault);

// Tells on standard error that retention dropped events from time_min_s on, if it did. As
// trail_reader_facts.
MUST_CHECK bool store_tell_dropped(struct trail_reader *reader, int64_t time_min_s,
                                   struct fault *fault);

// The option --socket, beside those of store_argp: where the collector that keeps the store is
// spoken to. Its input is the same store_choice.
extern const struct argp store_socket_argp;

// Whether it is said that a collector keeps the store: by settings or --socket. A folder alone may
// be a copy that nobody keeps.
bool store_has_collector(const struct store_choice *choice);

// The path of that collector's control socket, into text: --socket, or what the config says, or
// control.sock in the store's folder. FAULT_INPUT if nothing says.
MUST_CHECK bool store_find_socket(const struct store_choice *choice, char *text, size_t text_size,
                                  struct fault *fault);
