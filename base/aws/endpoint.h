// endpoint.h: where a service of AWS, or one that speaks like it, is reached.

#pragma once

#include <stdbool.h>

#include "base/fault.h"

enum { ENDPOINT_HOST_SIZE = 320 };  // bytes with the final zero

struct endpoint {
    bool is_tls;
    char host[ENDPOINT_HOST_SIZE];  // with the port, if it is not the scheme's own
};

// Reads "https://host[:port]" with nothing behind it. FAULT_INPUT.
MUST_CHECK bool endpoint_read(const char *text, struct endpoint *endpoint, struct fault *fault);

// AWS's own of a service in a region: "logs.eu-central-1.amazonaws.com".
void endpoint_of_aws(const char *service, const char *region, struct endpoint *endpoint);
