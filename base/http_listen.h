// http_listen.h: the listening socket of an HTTP server, made from an address as text.
//
// Our own, because libmicrohttpd does not say why it could not make one.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

// Listens on "127.0.0.1:80" or "[::1]:80"; port 0 is any free one, and *port says which. The caller
// closes the descriptor. Faults as http_server_start.
MUST_CHECK bool http_listen_open(const char *listen_text, int *descriptor, uint16_t *port,
                                 struct fault *fault);
