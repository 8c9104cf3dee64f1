#include "event/service.h"

#include <stddef.h>

#define NAME(text) \
    { (const uint8_t *)(text), sizeof(text) - 1 }

struct home {
    struct span region_prefix;
    struct span home;
};

// AWS partitions by the beginning of their region names, and the region that records their global
// services' events. The first that fits counts.
static const struct home homes[] = {
    {NAME("us-gov-"), NAME("us-gov-west-1")}, {NAME("cn-"), NAME("cn-north-1")},
    {NAME("us-east-"), NAME("us-east-1")},    {NAME("us-west-"), NAME("us-east-1")},
    {NAME("eu-"), NAME("us-east-1")},         {NAME("ap-"), NAME("us-east-1")},
    {NAME("sa-"), NAME("us-east-1")},         {NAME("ca-"), NAME("us-east-1")},
    {NAME("me-"), NAME("us-east-1")},         {NAME("af-"), NAME("us-east-1")},
    {NAME("il-"), NAME("us-east-1")},         {NAME("mx-"), NAME("us-east-1")},
};

// Services without regions, by eventSource. Those that AWS records elsewhere than in the
// partition's home (Global Accelerator and Network Manager: us-west-2) are regional for us: nothing
// is re-homed.
static const struct span global_services[] = {
    NAME("account.amazonaws.com"),        NAME("aws-marketplace.amazonaws.com"),
    NAME("billing.amazonaws.com"),        NAME("billingconsole.amazonaws.com"),
    NAME("budgets.amazonaws.com"),        NAME("ce.amazonaws.com"),
    NAME("cloudfront.amazonaws.com"),     NAME("cur.amazonaws.com"),
    NAME("health.amazonaws.com"),         NAME("iam.amazonaws.com"),
    NAME("organizations.amazonaws.com"),  NAME("payments.amazonaws.com"),
    NAME("pricing.amazonaws.com"),        NAME("route53.amazonaws.com"),
    NAME("route53domains.amazonaws.com"), NAME("shield.amazonaws.com"),
    NAME("support.amazonaws.com"),        NAME("tax.amazonaws.com"),
    NAME("trustedadvisor.amazonaws.com"), NAME("waf.amazonaws.com"),
};

struct span service_home_region(struct span region) {
    for (size_t index = 0; index < sizeof homes / sizeof homes[0]; index++) {
        if (span_starts(region, homes[index].region_prefix)) return homes[index].home;
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

static bool has_no_region(const struct service_facts *facts) {
    if (span_is(facts->event_source, "signin.amazonaws.com")) return true;
    if (span_is(facts->event_source, "sts.amazonaws.com")) return !is_regional_sts(facts);
    for (size_t index = 0; index < sizeof global_services / sizeof global_services[0]; index++) {
        if (span_equal(facts->event_source, global_services[index])) return true;
    }
    return false;
}

bool service_is_global(const struct service_facts *facts) {
    return facts->region.size > 0 && has_no_region(facts) &&
           span_equal(facts->region, service_home_region(facts->region));
}
