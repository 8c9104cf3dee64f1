// ca.c: orgtrail ca, the arguments of authority.h.

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/authority.h"
#include "cli/command.h"
#include "cli/validity.h"

enum { OPTION_REPLACE = 256, OPTION_FINISH, OPTION_FORCE, OPTION_DAYS };

struct options {
    const char *directory;
    int64_t valid_s;
    bool is_replace;
    bool is_finish;
    bool is_forced;
};

static const struct argp_option argument_options[] = {
    {"replace", OPTION_REPLACE, 0, 0, "make a new CA; both are accepted from then on", 0},
    {"finish", OPTION_FINISH, 0, 0, "accept the new one only", 0},
    {"force", OPTION_FORCE, 0, 0, "finish although agents have certificates of the old one", 0},
    {"days", OPTION_DAYS, "N", 0, "validity of the new CA (3650)", 0},
    {0},
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case OPTION_REPLACE:
            options->is_replace = true;
            return 0;
        case OPTION_FINISH:
            options->is_finish = true;
            return 0;
        case OPTION_FORCE:
            options->is_forced = true;
            return 0;
        case OPTION_DAYS:
            options->valid_s = validity_parse(argument, state);
            return 0;
        case ARGP_KEY_ARG:
            if (options->directory != NULL) argp_error(state, "one folder only: \"%s\"", argument);
            options->directory = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->directory == NULL) argp_error(state, "which organization? DIR is missing");
            if (options->is_replace && options->is_finish)
                argp_error(state, "--replace begins and --finish ends: one at a time");
            if (options->is_forced && !options->is_finish)
                argp_error(state, "--force is for --finish");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static void print_authority(const struct authority *authority) {
    for (uint32_t index = 0; index < authority->cas_count; index++) {
        const struct certificate_facts *ca = &authority->cas[index];
        char time[TIME_TEXT_SIZE];
        time_print(ca->not_after_s, time);
        printf("%-9s %s, serial %s, until %s\n", index == 0 ? "signs" : "accepted", ca->common_name,
               ca->serial, time);
    }
    printf("the collector's certificate is of %s\n",
           authority->is_collector_new ? "the CA that signs" : "the old CA");
    printf("%u of %u agents enrolled here have a certificate of the CA that signs\n",
           authority->agents - authority->agents_old, authority->agents);
    if (authority->agents_old > 0) printf("of the old CA: %s\n", authority->names_old);
}

static void print_next(const char *directory) {
    printf(
        "Both CAs are accepted once the collector reads its files again. Next, in this order:\n"
        "  1. systemctl reload orgtrail-collector\n"
        "  2. orgtrail enroll %s --all --renew\n"
        "     bring agent.pem, agent.key and ca.pem of each bundle to its agent, and there:\n"
        "     systemctl reload orgtrail-agent\n"
        "  3. orgtrail enroll %s --server && systemctl reload orgtrail-collector\n"
        "  4. orgtrail ca %s --finish && systemctl reload orgtrail-collector\n",
        directory, directory, directory);
}

static bool run(const struct options *options, const struct organization *organization,
                int64_t now_s, struct fault *fault) {
    struct authority authority;
    if (options->is_replace) {
        if (!authority_replace(options->directory, organization, options->valid_s, now_s, fault)) {
            return false;
        }
        print_next(options->directory);
        return true;
    }
    if (options->is_finish &&
        !authority_finish(options->directory, options->is_forced, now_s, fault)) {
        return false;
    }
    if (!authority_look(options->directory, now_s, &authority, fault)) return false;
    print_authority(&authority);
    if (options->is_finish) {
        printf(
            "Reload the collector: agents that show a certificate of the old CA are refused "
            "from then on.\n");
    }
    return true;
}

int ca_run(int argc, char **argv) {
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "DIR",
        .doc =
            "Shows the CAs of the organization in DIR, or replaces the one that signs: --replace "
            "makes a new one beside it and says what to do; --finish takes the old one away.",
    };
    struct options options = {.valid_s = ORGANIZATION_CA_DAYS * (int64_t)CERTIFICATE_DAY_S};
    struct fault fault = {0};
    struct organization *organization = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (!organization_load(options.directory, &organization, &fault)) {
        return command_fail(argv[0], &fault);
    }
    int64_t now_s = clock_system()->now_ms(clock_system()->context) / 1000;
    bool is_good = run(&options, organization, now_s, &fault);
    organization_destroy(organization);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
