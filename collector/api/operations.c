#include "collector/api/operations.h"

// All of CloudTrail's, and of other services what tools around CloudTrail call.
const struct operation operations_table[] = {
    {"cloudtrail", "AddTags", true, NULL},
    {"cloudtrail", "CancelQuery", false, NULL},
    {"cloudtrail", "CreateChannel", true, NULL},
    {"cloudtrail", "CreateDashboard", true, NULL},
    {"cloudtrail", "CreateEventDataStore", true, NULL},
    {"cloudtrail", "CreateTrail", true, NULL},
    {"cloudtrail", "DeleteChannel", true, NULL},
    {"cloudtrail", "DeleteDashboard", true, NULL},
    {"cloudtrail", "DeleteEventDataStore", true, NULL},
    {"cloudtrail", "DeleteResourcePolicy", true, NULL},
    {"cloudtrail", "DeleteTrail", true, NULL},
    {"cloudtrail", "DeregisterOrganizationDelegatedAdmin", true, NULL},
    {"cloudtrail", "DescribeQuery", false, NULL},
    {"cloudtrail", "DescribeTrails", false, NULL},
    {"cloudtrail", "DisableFederation", true, NULL},
    {"cloudtrail", "EnableFederation", true, NULL},
    {"cloudtrail", "GenerateQuery", false, NULL},
    {"cloudtrail", "GetChannel", false, NULL},
    {"cloudtrail", "GetDashboard", false, NULL},
    {"cloudtrail", "GetEventConfiguration", false, NULL},
    {"cloudtrail", "GetEventDataStore", false, NULL},
    {"cloudtrail", "GetEventSelectors", false, NULL},
    {"cloudtrail", "GetImport", false, NULL},
    {"cloudtrail", "GetInsightSelectors", false, NULL},
    {"cloudtrail", "GetQueryResults", false, NULL},
    {"cloudtrail", "GetResourcePolicy", false, NULL},
    {"cloudtrail", "GetTrail", false, NULL},
    {"cloudtrail", "GetTrailStatus", false, NULL},
    {"cloudtrail", "ListChannels", false, NULL},
    {"cloudtrail", "ListDashboards", false, NULL},
    {"cloudtrail", "ListEventDataStores", false, NULL},
    {"cloudtrail", "ListImportFailures", false, NULL},
    {"cloudtrail", "ListImports", false, NULL},
    {"cloudtrail", "ListInsightsData", false, NULL},
    {"cloudtrail", "ListInsightsMetricData", false, NULL},
    {"cloudtrail", "ListPublicKeys", false, NULL},
    {"cloudtrail", "ListQueries", false, NULL},
    {"cloudtrail", "ListTags", false, NULL},
    {"cloudtrail", "ListTrails", false, NULL},
    {"cloudtrail", "LookupEvents", false, NULL},
    {"cloudtrail", "PutEventConfiguration", true, NULL},
    {"cloudtrail", "PutEventSelectors", true, NULL},
    {"cloudtrail", "PutInsightSelectors", true, NULL},
    {"cloudtrail", "PutResourcePolicy", true, NULL},
    {"cloudtrail", "RegisterOrganizationDelegatedAdmin", true, NULL},
    {"cloudtrail", "RemoveTags", true, NULL},
    {"cloudtrail", "RestoreEventDataStore", true, NULL},
    {"cloudtrail", "SearchSampleQueries", false, NULL},
    {"cloudtrail", "StartDashboardRefresh", true, NULL},
    {"cloudtrail", "StartEventDataStoreIngestion", true, NULL},
    {"cloudtrail", "StartImport", true, NULL},
    {"cloudtrail", "StartLogging", true, NULL},
    {"cloudtrail", "StartQuery", false, NULL},
    {"cloudtrail", "StopEventDataStoreIngestion", true, NULL},
    {"cloudtrail", "StopImport", true, NULL},
    {"cloudtrail", "StopLogging", true, NULL},
    {"cloudtrail", "UpdateChannel", true, NULL},
    {"cloudtrail", "UpdateDashboard", true, NULL},
    {"cloudtrail", "UpdateEventDataStore", true, NULL},
    {"cloudtrail", "UpdateTrail", true, NULL},
    {"organizations", "DescribeOrganization", false, NULL},
    {"organizations", "ListAccounts", false, NULL},
    {"sts", "GetCallerIdentity", false, NULL},
};
const uint32_t operations_count = sizeof operations_table / sizeof operations_table[0];

const struct operation *operations_find(struct span service, struct span name) {
    for (uint32_t index = 0; index < operations_count; index++) {
        const struct operation *operation = &operations_table[index];
        if (span_is(name, operation->name) && span_is(service, operation->service)) {
            return operation;
        }
    }
    return NULL;
}

const char *operations_version(const struct operation *operation) {
    if (span_is(SPAN_LITERAL("organizations"), operation->service)) return "2016-11-28";
    if (span_is(SPAN_LITERAL("sts"), operation->service)) return "2011-06-15";
    return "2013-11-01";
}
