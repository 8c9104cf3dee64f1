// organization.h: what the organization answers of itself: delegated administrators, accounts, who
// calls.
//
// From the configuration's roster, which the management account belongs to even if it is not
// listed.

#pragma once

#include "collector/api/api.h"

enum {
    ORGANIZATION_DELEGATES_MAX = 3,
    ORGANIZATION_PAGE_MAX = 20,  // accounts of one answer
};

// CloudTrail's RegisterOrganizationDelegatedAdmin and DeregisterOrganizationDelegatedAdmin.
bool organization_run_register(struct api_call *call);
bool organization_run_deregister(struct api_call *call);

// Organizations' DescribeOrganization, ListAccounts and DescribeAccount.
bool organization_run_describe(struct api_call *call);
bool organization_run_list_accounts(struct api_call *call);
bool organization_run_describe_account(struct api_call *call);

// STS's GetCallerIdentity.
bool organization_run_caller(struct api_call *call);
