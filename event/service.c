#include "event/service.h"

#include <stddef.h>

struct home {
    const char *region_prefix;
    const char *home;
};

// AWS partitions by the beginning of their region names, and the region that records their global
// services' events. The first that fits counts.
static const struct home homes[] = {
    {"us-gov-", "us-gov-west-1"}, {"cn-", "cn-north-1"}, {"us-east-", "us-east-1"},
    {"us-west-", "us-east-1"},    {"eu-", "us-east-1"},  {"ap-", "us-east-1"},
    {"sa-", "us-east-1"},         {"ca-", "us-east-1"},  {"me-", "us-east-1"},
    {"af-", "us-east-1"},         {"il-", "us-east-1"},  {"mx-", "us-east-1"},
};

// Services without regions, by eventSource. Those that AWS records elsewhere than in the
// partition's home (Global Accelerator and Network Manager: us-west-2) are regional for us: nothing
// is re-homed.
static const char *const global_services[] = {
    "account.amazonaws.com",        "aws-marketplace.amazonaws.com",
    "billing.amazonaws.com",        "billingconsole.amazonaws.com",
    "budgets.amazonaws.com",        "ce.amazonaws.com",
    "cloudfront.amazonaws.com",     "cur.amazonaws.com",
    "health.amazonaws.com",         "iam.amazonaws.com",
    "organizations.amazonaws.com",  "payments.amazonaws.com",
    "pricing.amazonaws.com",        "route53.amazonaws.com",
    "route53domains.amazonaws.com", "shield.amazonaws.com",
    "support.amazonaws.com",        "tax.amazonaws.com",
    "trustedadvisor.amazonaws.com", "waf.amazonaws.com",
};

struct span service_home_region(struct span region) {
    for (size_t index = 0; index < sizeof homes / sizeof homes[0]; index++) {
        if (span_starts(region, span_text(homes[index].region_prefix))) {
            return span_text(homes[index].home);
        }
    }
    return region;
}

// STS answers at a global endpoint (recorded at home) and at regional ones: RequestDetails says
// which, and in older records the host header "sts.REGION.amazonaws.com" does.
static bool is_regional_sts(const struct service_facts *facts) {
    if (span_is(facts->endpoint_type, "regional")) return true;
    if (span_is(facts->endpoint_type, "global")) return false;
    return span_starts(facts->host_header, SPAN_LITERAL("sts.")) &&
           !span_starts(facts->host_header, SPAN_LITERAL("sts.amazonaws.com"));
}

bool service_is_global(const struct service_facts *facts) {
    if (facts->region.size == 0) return false;
    if (!span_equal(facts->region, service_home_region(facts->region))) return false;
    if (span_is(facts->event_source, "signin.amazonaws.com")) return true;
    if (span_is(facts->event_source, "sts.amazonaws.com")) return !is_regional_sts(facts);
    for (size_t index = 0; index < sizeof global_services / sizeof global_services[0]; index++) {
        if (span_is(facts->event_source, global_services[index])) return true;
    }
    return false;
}
