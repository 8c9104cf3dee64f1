// service.h: which events belong to no region.
//
// A global service records its events in one region of its partition (its home) whatever region was
// called; before 2021-11-22 copies were delivered in every region. `is_global` is derived;
// awsRegion is never changed. Source: CloudTrail user guide, "Global service events"; table in
// service.c.

#pragma once

#include <stdbool.h>

#include "base/span.h"

// The facts that decide, all as the record has them (absent: NULL bytes).
struct service_facts {
    struct span event_source;   // "iam.amazonaws.com"
    struct span region;         // awsRegion
    struct span endpoint_type;  // additionalEventData.RequestDetails.endpointType: "regional"
    struct span host_header;    // tlsDetails.clientProvidedHostHeader
};

// Whether the event belongs to no region.
bool service_is_global(const struct service_facts *facts);

// The home region of a region's partition: us-east-1, cn-north-1 or us-gov-west-1; a region of an
// unknown partition is its own home.
struct span service_home_region(struct span region);
