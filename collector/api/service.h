// service.h: the API as it runs in the collector: its address, certificate, keys and workers.
//
// Requests come in over TLS, wait in line and are run by a few workers, each with a reader of its
// own, so that no lookup holds up intake or another connection. Started after the server whose
// writer it uses, stopped before it, and freed after it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/http_server.h"
#include "base/span.h"
#include "collector/api/api.h"
#include "collector/api/keys.h"
#include "collector/append/append.h"
#include "collector/notes/notes.h"

enum {
    SERVICE_THREADS = 2,  // that read requests and send answers
    SERVICE_NICE =
        5,  // of those that look up: a third of the writer's share where both want a core
    SERVICE_READERS_MAX = 16,
};

struct service_options {
    const char *listen;
    struct span certificate;  // PEM; copied
    struct span key;          // PEM; copied
    const char *secret_path;  // of secret.key, which is made if it is missing
    uint32_t readers;         // workers
    uint32_t connections_max;
    uint32_t lookups_per_second;  // of an account; 0: no limit
    const char *store_directory;
    struct api_world world;  // without its token key and its keys
    struct append *append;
    struct notes *notes;
    const struct clock *clock;
};

struct service;

// Starts it. What the options name is borrowed for its life. FAULT_INPUT for a bad address,
// certificate or secret.key, FAULT_DENIED if secret.key can be read by others; otherwise as
// http_server_start and trail_reader_open.
MUST_CHECK bool service_start(const struct service_options *options, struct service **service,
                              struct fault *fault);

// Ends it: calls under way are answered, their events stored. Its keys stay. NULL is allowed.
void service_stop(struct service *service);

// Frees it, stopped or not, after the writer has ended: what waits there may still change a key.
// NULL is allowed.
void service_destroy(struct service *service);

// The port it listens on.
uint16_t service_port(const struct service *service);

// Shows another certificate from now on. FAULT_INPUT: the old one stays.
MUST_CHECK bool service_replace_certificate(struct service *service, struct span certificate,
                                            struct span key, struct fault *fault);

// The keys, for those who change them.
struct keys *service_keys(struct service *service);
