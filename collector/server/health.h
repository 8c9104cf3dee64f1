// health.h: what an operator's machines ask over HTTP: /metrics and /healthz.

#pragma once

#include "base/http_server.h"
#include "collector/server/server.h"

// Answers one request; the context is the struct server.
void health_handle(void *context, const struct http_request *request,
                   struct http_response *response);
