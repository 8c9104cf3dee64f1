// init.c: orgtrail init, the arguments of organization_create.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/organization.h"
#include "cli/regions.h"

struct options {
    const char *directory;
    struct organization_plan plan;
    struct organization_account *accounts;
    uint32_t accounts_count;
};

static const struct argp_option argument_options[] = {
    {"organization", 'o', "o-ID", 0, "the organization's id (required)", 0},
    {"management-account", 'm', "ID", 0, "the management account (required)", 0},
    {"name", 'n', "NAME", 0, "what people call it", 0},
    {"collector", 'c', "HOST[:PORT]", 0, "where agents reach the collector (localhost:7443)", 0},
    {"home-region", 'r', "REGION", 0, "where orgtrail's own events belong (us-east-1)", 0},
    {"store", 's', "DIR", 0, "where the trail is to lie (DIR/store of the organization)", 0},
    {"user", 'u', "NAME", 0, "who runs the collector: gets its folder and the store (you)", 0},
    {"account", 'a', "ID[=NAME]", 0, "an account of the roster; may be repeated", 0},
    {0},
};

// Cuts "ID=NAME" in place.
static void add_account(struct options *options, char *text, struct argp_state *state) {
    if (options->accounts_count == SETTINGS_ACCOUNTS_MAX) {
        argp_error(state, "more than %d accounts: list them in collector.yaml",
                   SETTINGS_ACCOUNTS_MAX);
        return;
    }
    char *equals = strchr(text, '=');
    if (equals != NULL) *equals = 0;
    options->accounts[options->accounts_count++] = (struct organization_account){
        .id = text,
        .name = equals != NULL && equals[1] != 0 ? equals + 1 : NULL,
    };
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case 'o':
            options->plan.id = argument;
            return 0;
        case 'm':
            options->plan.management_account = argument;
            return 0;
        case 'n':
            options->plan.name = argument;
            return 0;
        case 'c':
            options->plan.collector = argument;
            return 0;
        case 'r':
            options->plan.home_region = argument;
            return 0;
        case 's':
            options->plan.store = argument;
            return 0;
        case 'u':
            options->plan.user = argument;
            return 0;
        case 'a':
            add_account(options, argument, state);
            return 0;
        case ARGP_KEY_ARG:
            if (options->directory != NULL) argp_error(state, "one folder only: \"%s\"", argument);
            options->directory = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->directory == NULL) argp_error(state, "which folder? DIR is missing");
            if (options->plan.id == NULL) argp_error(state, "--organization is missing");
            if (options->plan.management_account == NULL)
                argp_error(state, "--management-account is missing");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static void print_made(const struct options *options) {
    const char *directory = options->directory;
    printf("Made organization %s in %s:\n", options->plan.id, directory);
    printf("  %s/ca/ca.key                    signs certificates: keep it from others\n",
           directory);
    printf("  %s/collector/collector.yaml     the collector's config and roster\n", directory);
    printf("  %s/collector/collector.pem      the collector's certificate, %d days\n", directory,
           ORGANIZATION_CERTIFICATE_DAYS);
    printf("  %s/collector/secret.key         seals access keys of the API\n", directory);
    printf("  %s%s/                       where the trail will lie\n",
           options->plan.store != NULL ? "" : directory,
           options->plan.store != NULL ? options->plan.store : "/store");
    printf("Next:\n");
    printf("  orgtrail-collector --config %s/collector/collector.yaml\n", directory);
    printf("  orgtrail enroll %s --account %s\n", directory, options->plan.management_account);
}

int init_run(int argc, char **argv) {
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "DIR",
        .doc =
            "Makes an organization in the folder DIR: a CA, the collector's certificate and "
            "config with the roster, and the store's folder. Nothing is overwritten.",
    };
    struct options options = {0};
    options.accounts = calloc(SETTINGS_ACCOUNTS_MAX, sizeof *options.accounts);
    struct fault fault = {0};
    if (options.accounts == NULL) {
        fault_set(&fault, FAULT_FULL, "no memory");
        return command_fail(argv[0], &fault);
    }
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    options.plan.accounts = options.accounts;
    options.plan.accounts_count = options.accounts_count;
    int64_t now_s = clock_system()->now_ms(clock_system()->context) / 1000;
    bool is_good = organization_create(options.directory, &options.plan, now_s, &fault);
    free(options.accounts);
    if (!is_good) return command_fail(argv[0], &fault);
    print_made(&options);
    if (options.plan.home_region != NULL) regions_warn(NULL, options.plan.home_region);
    return command_finish(argv[0]);
}
