// keys.c: orgtrail keys, the access keys of the API, over the collector's control socket.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/store.h"

enum { ACCOUNTS_MAX = 256, OPTION_ACCOUNT = 256, OPTION_ROLE, OPTION_ONLY, OPTION_JSON };

struct options {
    struct store_choice choice;
    const char *action;
    const char *subject;  // a name, or a key's id
    const char *account;
    const char *role;
    char *accounts[ACCOUNTS_MAX];
    uint32_t accounts_count;
    bool is_json;
};

static bool is_action(const struct options *options, const char *action) {
    return options->action != NULL && strcmp(options->action, action) == 0;
}

static void check_options(const struct options *options, struct argp_state *state) {
    static const char *const actions[] = {"create", "list", "disable", "enable", "delete"};
    bool is_known = false;
    for (size_t index = 0; index < sizeof actions / sizeof actions[0]; index++) {
        is_known = is_known || is_action(options, actions[index]);
    }
    if (options->action == NULL) {
        argp_error(state, "what? there is create, list, disable, enable and delete");
    } else if (!is_known) {
        argp_error(state, "unknown: \"keys %s\"; there is create, list, disable, enable and delete",
                   options->action);
    } else if (is_action(options, "create") && options->subject == NULL) {
        argp_error(state, "a key needs a name, for people and for the trail: keys create NAME");
    } else if (!is_action(options, "list") && options->subject == NULL) {
        argp_error(state, "which key? its id begins with AKIA");
    } else if (is_action(options, "list") && options->subject != NULL) {
        argp_error(state, "\"%s\" is too much", options->subject);
    }
    bool has_more = options->account != NULL || options->role != NULL ||
                    options->accounts_count > 0 || options->is_json;
    if (has_more && !is_action(options, "create"))
        argp_error(state, "--account, --role, --only and --json are of keys create");
}

// Cuts "A,B" in place.
static void add_accounts(struct options *options, char *text, struct argp_state *state) {
    while (text != NULL) {
        char *comma = strchr(text, ',');
        if (comma != NULL) *comma = 0;
        if (options->accounts_count == ACCOUNTS_MAX) {
            argp_error(state, "--only: at most %d accounts", ACCOUNTS_MAX);
            return;
        }
        options->accounts[options->accounts_count++] = text;
        text = comma == NULL ? NULL : comma + 1;
    }
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->choice;
            state->child_inputs[1] = &options->choice;
            return 0;
        case OPTION_ACCOUNT:
            options->account = argument;
            return 0;
        case OPTION_ROLE:
            options->role = argument;
            return 0;
        case OPTION_ONLY:
            add_accounts(options, argument, state);
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case ARGP_KEY_ARG:
            if (state->arg_num == 0) {
                options->action = argument;
            } else if (state->arg_num == 1) {
                options->subject = argument;
            } else {
                argp_error(state, "\"%s\" is too much", argument);
            }
            return 0;
        case ARGP_KEY_END:
            check_options(options, state);
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// Those that it is narrowed to; "-" for none.
static void print_accounts(const Orgtrail__V1__Key *key, FILE *stream) {
    if (key->n_accounts == 0) fputs("-", stream);
    for (size_t index = 0; index < key->n_accounts; index++) {
        fprintf(stream, "%s%s", index > 0 ? "," : "", key->accounts[index]);
    }
}

static const char *find_state(const Orgtrail__V1__Key *key) {
    if (key->is_unreadable) return "unreadable";
    return key->is_disabled ? "disabled" : "enabled";
}

static bool on_list(void *user, struct span bytes) {
    uint32_t *count = user;
    Orgtrail__V1__KeyReply *reply = orgtrail__v1__key_reply__unpack(NULL, bytes.size, bytes.bytes);
    if (reply == NULL) return false;
    for (size_t index = 0; index < reply->n_keys; index++) {
        const Orgtrail__V1__Key *key = reply->keys[index];
        char created[TIME_TEXT_SIZE];
        time_print(key->created_ms / 1000, created);
        if ((*count)++ == 0) {
            printf("%-20s  %-10s  %-5s  %-12s  %-20s  %-16s  %s\n", "ID", "STATE", "ROLE",
                   "ACCOUNT", "CREATED", "NAME", "ONLY");
        }
        printf("%-20s  %-10s  %-5s  %-12s  %-20s  %-16s  ", key->id, find_state(key), key->role,
               key->account, created, key->name);
        print_accounts(key, stdout);
        putchar('\n');
    }
    orgtrail__v1__key_reply__free_unpacked(reply, NULL);
    return true;
}

static bool run_list(const struct options *options, struct fault *fault) {
    uint32_t count = 0;
    Orgtrail__V1__KeyListRequest request = ORGTRAIL__V1__KEY_LIST_REQUEST__INIT;
    if (!control_ask(&options->choice, "KeyList", &request.base, on_list, &count, fault)) {
        return false;
    }
    fflush(stdout);
    if (count == 0) fputs("there are no access keys: orgtrail keys create NAME\n", stderr);
    return true;
}

static bool ask_one(const struct options *options, const char *method,
                    const ProtobufCMessage *request, Orgtrail__V1__KeyReply **reply,
                    struct fault *fault) {
    ProtobufCMessage *message = NULL;
    if (!control_ask_one(&options->choice, method, request, &orgtrail__v1__key_reply__descriptor,
                         &message, fault)) {
        return false;
    }
    *reply = (Orgtrail__V1__KeyReply *)message;
    if ((*reply)->n_keys == 1) return true;
    protobuf_c_message_free_unpacked(message, NULL);
    return fault_set(fault, FAULT_CORRUPT, "the collector's answer has no key");
}

static void print_created(const struct options *options, const Orgtrail__V1__KeyReply *reply) {
    const Orgtrail__V1__Key *key = reply->keys[0];
    if (options->is_json) {
        // Of letters that need no escapes; as "aws iam create-access-key" prints it.
        printf(
            "{\"AccessKey\":{\"UserName\":\"%s\",\"AccessKeyId\":\"%s\",\"Status\":\"Active\","
            "\"SecretAccessKey\":\"%s\"}}\n",
            key->name, key->id, reply->secret);
        return;
    }
    printf("aws_access_key_id = %s\naws_secret_access_key = %s\n", key->id, reply->secret);
    fflush(stdout);
    fprintf(stderr, "The secret is shown this once. role %s, account %s: sees ", key->role,
            key->account);
    if (key->n_accounts == 0 && reply->is_management) {
        fputs("the whole organization\n", stderr);
    } else if (key->n_accounts == 0) {
        fprintf(stderr, "account %s only, unless that is a delegated administrator\n",
                key->account);
    } else {
        print_accounts(key, stderr);
        fputs(" only, as far as its account may see them\n", stderr);
    }
}

static bool run_create(const struct options *options, struct fault *fault) {
    Orgtrail__V1__KeyReply *reply;
    Orgtrail__V1__KeyCreateRequest request = ORGTRAIL__V1__KEY_CREATE_REQUEST__INIT;
    request.name = (char *)(uintptr_t)options->subject;
    request.role = (char *)(uintptr_t)(options->role == NULL ? "read" : options->role);
    if (options->account != NULL) request.account = (char *)(uintptr_t)options->account;
    request.accounts = (char **)(uintptr_t)options->accounts;
    request.n_accounts = options->accounts_count;
    if (!ask_one(options, "KeyCreate", &request.base, &reply, fault)) return false;
    print_created(options, reply);
    for (size_t index = 0; index < reply->n_unlisted; index++) {
        fprintf(stderr, "warning: account %s is not in the roster\n", reply->unlisted[index]);
    }
    orgtrail__v1__key_reply__free_unpacked(reply, NULL);
    return true;
}

static bool run_change(const struct options *options, struct fault *fault) {
    Orgtrail__V1__KeyReply *reply;
    Orgtrail__V1__KeyChangeRequest request = ORGTRAIL__V1__KEY_CHANGE_REQUEST__INIT;
    request.id = (char *)(uintptr_t)options->subject;
    request.change = ORGTRAIL__V1__KEY_CHANGE_REQUEST__CHANGE__DISABLE;
    if (is_action(options, "enable"))
        request.change = ORGTRAIL__V1__KEY_CHANGE_REQUEST__CHANGE__ENABLE;
    if (is_action(options, "delete"))
        request.change = ORGTRAIL__V1__KEY_CHANGE_REQUEST__CHANGE__DELETE;
    if (!ask_one(options, "KeyChange", &request.base, &reply, fault)) return false;
    printf("%s %s: %s\n", reply->keys[0]->id, reply->keys[0]->name,
           is_action(options, "delete") ? "deleted" : find_state(reply->keys[0]));
    orgtrail__v1__key_reply__free_unpacked(reply, NULL);
    return true;
}

int keys_run(int argc, char **argv) {
    static const struct argp_option argument_options[] = {
        {"account", OPTION_ACCOUNT, "ID", 0,
         "create: the account that the caller belongs to (the management account)", 0},
        {"role", OPTION_ROLE, "ROLE", 0, "create: read (default) or admin, which may change trails",
         0},
        {"only", OPTION_ONLY, "ID[,ID...]", 0,
         "create: of what its account may see, only these accounts", 0},
        {"json", OPTION_JSON, NULL, 0, "create: print the key as JSON", 0},
        {0},
    };
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "create NAME\nlist\ndisable ID\nenable ID\ndelete ID",
        .doc =
            "Access keys of the collector's API. A key of the management account sees the whole "
            "organization, one of a member account that account. The secret is shown when the key "
            "is made, and never again.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    bool is_good = is_action(&options, "create") ? run_create(&options, &fault)
                   : is_action(&options, "list") ? run_list(&options, &fault)
                                                 : run_change(&options, &fault);
    if (!is_good) return command_fail(argv[0], &fault);
    return command_finish(argv[0]);
}
