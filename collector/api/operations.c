#include "collector/api/operations.h"

#include "collector/api/lookup_events.h"
#include "collector/api/organization.h"
#include "collector/api/public_keys.h"
#include "collector/api/selectors_operations.h"
#include "collector/api/session.h"
#include "collector/api/tags.h"
#include "collector/api/trails_operations.h"

// All of CloudTrail's, and of other services what tools around CloudTrail call.
const struct operation operations_table[] = {
    {"cloudtrail", "AddTags", true, tags_run_add},
    {"cloudtrail", "CancelQuery", false, NULL},
    {"cloudtrail", "CreateChannel", true, NULL},
    {"cloudtrail", "CreateDashboard", true, NULL},
    {"cloudtrail", "CreateEventDataStore", true, NULL},
    {"cloudtrail", "CreateTrail", true, trails_run_create},
    {"cloudtrail", "DeleteChannel", true, NULL},
    {"cloudtrail", "DeleteDashboard", true, NULL},
    {"cloudtrail", "DeleteEventDataStore", true, NULL},
    {"cloudtrail", "DeleteResourcePolicy", true, NULL},
    {"cloudtrail", "DeleteTrail", true, trails_run_delete},
    {"cloudtrail", "DeregisterOrganizationDelegatedAdmin", true, organization_run_deregister},
    {"cloudtrail", "DescribeQuery", false, NULL},
    {"cloudtrail", "DescribeTrails", false, trails_run_describe},
    {"cloudtrail", "DisableFederation", true, NULL},
    {"cloudtrail", "EnableFederation", true, NULL},
    {"cloudtrail", "GenerateQuery", false, NULL},
    {"cloudtrail", "GetChannel", false, NULL},
    {"cloudtrail", "GetDashboard", false, NULL},
    {"cloudtrail", "GetEventConfiguration", false, NULL},
    {"cloudtrail", "GetEventDataStore", false, NULL},
    {"cloudtrail", "GetEventSelectors", false, selectors_run_get},
    {"cloudtrail", "GetImport", false, NULL},
    {"cloudtrail", "GetInsightSelectors", false, selectors_run_get_insights},
    {"cloudtrail", "GetQueryResults", false, NULL},
    {"cloudtrail", "GetResourcePolicy", false, NULL},
    {"cloudtrail", "GetTrail", false, trails_run_get},
    {"cloudtrail", "GetTrailStatus", false, trails_run_status},
    {"cloudtrail", "ListChannels", false, NULL},
    {"cloudtrail", "ListDashboards", false, NULL},
    {"cloudtrail", "ListEventDataStores", false, NULL},
    {"cloudtrail", "ListImportFailures", false, NULL},
    {"cloudtrail", "ListImports", false, NULL},
    {"cloudtrail", "ListInsightsData", false, NULL},
    {"cloudtrail", "ListInsightsMetricData", false, NULL},
    {"cloudtrail", "ListPublicKeys", false, public_keys_run_list},
    {"cloudtrail", "ListQueries", false, NULL},
    {"cloudtrail", "ListTags", false, tags_run_list},
    {"cloudtrail", "ListTrails", false, trails_run_list},
    {"cloudtrail", "LookupEvents", false, lookup_events_run},
    {"cloudtrail", "PutEventConfiguration", true, NULL},
    {"cloudtrail", "PutEventSelectors", true, selectors_run_put},
    {"cloudtrail", "PutInsightSelectors", true, selectors_run_put_insights},
    {"cloudtrail", "PutResourcePolicy", true, NULL},
    {"cloudtrail", "RegisterOrganizationDelegatedAdmin", true, organization_run_register},
    {"cloudtrail", "RemoveTags", true, tags_run_remove},
    {"cloudtrail", "RestoreEventDataStore", true, NULL},
    {"cloudtrail", "SearchSampleQueries", false, NULL},
    {"cloudtrail", "StartDashboardRefresh", true, NULL},
    {"cloudtrail", "StartEventDataStoreIngestion", true, NULL},
    {"cloudtrail", "StartImport", true, NULL},
    {"cloudtrail", "StartLogging", true, trails_run_start},
    {"cloudtrail", "StartQuery", false, NULL},
    {"cloudtrail", "StopEventDataStoreIngestion", true, NULL},
    {"cloudtrail", "StopImport", true, NULL},
    {"cloudtrail", "StopLogging", true, trails_run_stop},
    {"cloudtrail", "UpdateChannel", true, NULL},
    {"cloudtrail", "UpdateDashboard", true, NULL},
    {"cloudtrail", "UpdateEventDataStore", true, NULL},
    {"cloudtrail", "UpdateTrail", true, trails_run_update},
    {"organizations", "DescribeAccount", false, organization_run_describe_account},
    {"organizations", "DescribeOrganization", false, organization_run_describe},
    {"organizations", "ListAccounts", false, organization_run_list_accounts},
    {"sts", "GetCallerIdentity", false, organization_run_caller},
    {"sts", "GetSessionToken", false, session_run_token},
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
