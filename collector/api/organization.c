#include "collector/api/organization.h"

#include <stdio.h>

enum { ARN_SIZE = 512, ACCOUNT_DIGITS_MIN = 12, ACCOUNT_DIGITS_MAX = 16 };

static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

// ---- delegated administrators

// The list as it is, and whether it has the account.
static bool read_delegates(struct api_call *call, struct span account,
                           const struct yyjson_val **list, bool *has) {
    struct span text;
    *list = NULL;
    *has = false;
    if (!api_get(call, SPAN_LITERAL(API_DELEGATES), &text)) return false;
    if (text.size > 0 && !api_read_json(call, text, list)) return false;
    for (size_t index = 0; index < yyjson_arr_size(unconst(*list)); index++) {
        *has = *has || span_equal(json_string(yyjson_arr_get(unconst(*list), index)), account);
    }
    return true;
}

// Puts the list without one account and with another; either may be empty.
static bool write_delegates(struct api_call *call, const struct yyjson_val *list, struct span less,
                            struct span more) {
    struct buffer text;
    buffer_init(&text, API_DOCUMENT_SIZE_MAX);
    struct json_writer writer = json_writer_begin(&text);
    uint32_t count = 0;
    json_write_list(&writer, NULL);
    for (size_t index = 0; index < yyjson_arr_size(unconst(list)); index++) {
        struct span account = json_string(yyjson_arr_get(unconst(list), index));
        if (span_equal(account, less)) continue;
        json_write_string(&writer, NULL, account);
        count++;
    }
    if (more.size > 0) {
        json_write_string(&writer, NULL, more);
        count++;
    }
    json_write_end(&writer);
    bool is_good = api_put(call, SPAN_LITERAL(API_DELEGATES),
                           count > 0 ? buffer_span(&text) : (struct span){NULL, 0});
    buffer_done(&text);
    return is_good;
}

// The account that is meant, of a caller who may say so.
static bool read_account(struct api_call *call, const char *member, struct span *account) {
    bool sees;
    if (!api_sees_organization(call, &sees)) return false;
    if (!sees || !api_is_management(call)) {
        return api_refuse(call, "NotOrganizationManagementAccountException",
                          "The account making the request, %.*s, is not the organization's "
                          "management account.",
                          SPAN_PRINT(call->request->caller.account));
    }
    *account = SPAN_LITERAL("");
    if (!api_string(call, call->input, member, account)) return false;
    bool is_good = account->size >= ACCOUNT_DIGITS_MIN && account->size <= ACCOUNT_DIGITS_MAX;
    for (size_t at = 0; at < account->size; at++) {
        is_good = is_good && account->bytes[at] >= '0' && account->bytes[at] <= '9';
    }
    // A private cloud's accounts need not be digits.
    if (is_good || roster_find(call->roster, *account) != NULL) return true;
    return api_refuse(call, "InvalidParameterException", "%s must be the id of an account.",
                      member);
}

bool organization_run_register(struct api_call *call) {
    struct span account;
    const struct yyjson_val *list;
    bool has;
    if (!read_account(call, "MemberAccountId", &account)) return false;
    if (span_is(account, call->world->place.account)) {
        return api_refuse(call, "CannotDelegateManagementAccountException",
                          "The management account of an organization cannot be registered as the "
                          "CloudTrail delegated administrator.");
    }
    if (roster_find(call->roster, account) == NULL) {
        return api_refuse(call, "AccountNotFoundException",
                          "Account %.*s was not found, or is not part of the organization.",
                          SPAN_PRINT(account));
    }
    if (!read_delegates(call, account, &list, &has)) return false;
    if (has) {
        return api_refuse(call, "AccountRegisteredException",
                          "Account %.*s is already registered as a CloudTrail delegated "
                          "administrator.",
                          SPAN_PRINT(account));
    }
    if (yyjson_arr_size(unconst(list)) >= ORGANIZATION_DELEGATES_MAX) {
        return api_refuse(call, "DelegatedAdminAccountLimitExceededException",
                          "The maximum number of CloudTrail delegated administrators is reached: "
                          "%d.",
                          ORGANIZATION_DELEGATES_MAX);
    }
    return write_delegates(call, list, (struct span){NULL, 0}, account);
}

bool organization_run_deregister(struct api_call *call) {
    struct span account;
    const struct yyjson_val *list;
    bool has;
    if (!read_account(call, "DelegatedAdminAccountId", &account)) return false;
    if (!read_delegates(call, account, &list, &has)) return false;
    // One that has left the organization can still be removed.
    if (has) return write_delegates(call, list, account, (struct span){NULL, 0});
    if (roster_find(call->roster, account) == NULL) {
        return api_refuse(call, "AccountNotFoundException",
                          "Account %.*s was not found, or is not part of the organization.",
                          SPAN_PRINT(account));
    }
    return api_refuse(call, "AccountNotRegisteredException",
                      "Account %.*s is not registered as a CloudTrail delegated administrator.",
                      SPAN_PRINT(account));
}

// ---- organizations

static void write_arn(struct api_call *call, const char *name, const char *kind, const char *id) {
    const struct api_world *world = call->world;
    char text[ARN_SIZE];
    snprintf(text, sizeof text, "arn:aws:organizations::%s:%s/%s%s%s", world->place.account, kind,
             world->organization, id == NULL ? "" : "/", id == NULL ? "" : id);
    json_write_string(call->output, name, span_text(text));
}

bool organization_run_describe(struct api_call *call) {
    const struct api_world *world = call->world;
    json_write_object(call->output, "Organization");
    json_write_string(call->output, "Id", span_text(world->organization));
    write_arn(call, "Arn", "organization", NULL);
    json_write_string(call->output, "FeatureSet", SPAN_LITERAL("ALL"));
    json_write_string(call->output, "MasterAccountId", span_text(world->place.account));
    write_arn(call, "MasterAccountArn", "account", world->place.account);
    json_write_list(call->output, "AvailablePolicyTypes");
    json_write_end(call->output);
    json_write_end(call->output);
    return true;
}

static void write_account(struct api_call *call, const char *member, const char *id,
                          const char *name) {
    json_write_object(call->output, member);
    json_write_string(call->output, "Id", span_text(id));
    write_arn(call, "Arn", "account", id);
    json_write_string(call->output, "Name", span_text(name == NULL ? id : name));
    json_write_string(call->output, "Status", SPAN_LITERAL("ACTIVE"));
    json_write_string(call->output, "State", SPAN_LITERAL("ACTIVE"));
    json_write_end(call->output);
}

// Accounts in order: the management account first if the roster does not list it. NULL behind the
// last one.
static const char *get_account(const struct api_call *call, uint32_t index, const char **name) {
    const char *management = call->world->place.account;
    uint32_t added = roster_find(call->roster, span_text(management)) == NULL;
    *name = NULL;
    if (index < added) return management;
    if (index - added >= roster_count(call->roster)) return NULL;
    const struct roster_account *account = roster_get(call->roster, index - added);
    *name = account->name;
    return account->id;
}

static bool may_list(struct api_call *call) {
    bool sees;
    if (!api_sees_organization(call, &sees)) return false;
    if (sees) return true;
    return api_refuse(call, "AccessDeniedException",
                      "You don't have permissions to access this resource.");
}

// The token is the id of the account that comes next: accounts may come and go between two pages.
bool organization_run_list_accounts(struct api_call *call) {
    struct span token = {NULL, 0};
    int64_t page = ORGANIZATION_PAGE_MAX;
    if (!may_list(call) || !api_string(call, call->input, "NextToken", &token) ||
        !api_integer(call, call->input, "MaxResults", &page)) {
        return false;
    }
    if (page < 1 || page > ORGANIZATION_PAGE_MAX) {
        return api_refuse(call, "InvalidInputException", "MaxResults must be 1 to %d.",
                          ORGANIZATION_PAGE_MAX);
    }
    const char *id, *name;
    uint32_t index = 0;
    if (token.bytes != NULL) {
        while ((id = get_account(call, index, &name)) != NULL && !span_is(token, id)) index++;
        if (id == NULL) {
            return api_refuse(call, "InvalidInputException",
                              "You provided an invalid NextToken: begin again without one.");
        }
    }
    json_write_list(call->output, "Accounts");
    for (; page > 0 && (id = get_account(call, index, &name)) != NULL; index++, page--) {
        write_account(call, NULL, id, name);
    }
    json_write_end(call->output);
    id = get_account(call, index, &name);
    if (id != NULL) json_write_string(call->output, "NextToken", span_text(id));
    return true;
}

bool organization_run_describe_account(struct api_call *call) {
    struct span id = SPAN_LITERAL("");
    if (!may_list(call) || !api_string(call, call->input, "AccountId", &id)) return false;
    const struct roster_account *account = roster_find(call->roster, id);
    if (account != NULL || span_is(id, call->world->place.account)) {
        write_account(call, "Account", account != NULL ? account->id : call->world->place.account,
                      account != NULL ? account->name : NULL);
        return true;
    }
    return api_refuse(call, "AccountNotFoundException",
                      "You specified an account that doesn't exist.");
}

// ---- sts

bool organization_run_caller(struct api_call *call) {
    const struct api_caller *caller = &call->request->caller;
    char arn[ARN_SIZE];
    snprintf(arn, sizeof arn, "arn:aws:iam::%.*s:user/%.*s", SPAN_PRINT(caller->account),
             SPAN_PRINT(caller->name));
    json_write_string(call->output, "UserId", caller->key_id);
    json_write_string(call->output, "Account", caller->account);
    json_write_string(call->output, "Arn", span_text(arn));
    return true;
}
