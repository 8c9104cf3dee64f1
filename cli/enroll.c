// enroll.c: orgtrail enroll, the arguments of bundle_write.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/certificate.h"
#include "base/clock.h"
#include "base/files.h"
#include "cli/bundle.h"
#include "cli/command.h"
#include "cli/issued.h"
#include "cli/organization.h"
#include "cli/regions.h"
#include "cli/renewal.h"
#include "cli/retirement.h"
#include "cli/validity.h"

enum {
    OPTION_ORGANIZATION = 256,
    OPTION_ALL,
    OPTION_SERVER,
    OPTION_CSR,
    OPTION_DAYS,
    OPTION_TAR,
    OPTION_SPOOL,
    OPTION_ADD,
    OPTION_RENEW,
    OPTION_KEEP_KEY,
    OPTION_RETIRE,
    CSR_SIZE_MAX = 64 * 1024,  // a request is about 1 KiB
};

struct options {
    const char *directory;
    const char *csr_path;
    struct bundle_plan plan;
    struct bundle_source sources[BUNDLE_SOURCES_MAX];
    bool is_organization;
    bool is_all;
    bool is_server;
    bool is_add;
    bool is_renewal;
    const char *bundle;   // to renew, if it was given
    const char *retired;  // who is gone for good
    struct renewal_plan renewal;
};

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "Whom the certificate speaks for (one of):", 1},
    {"account", 'a', "ID", 0, "one account", 1},
    {"organization", OPTION_ORGANIZATION, 0, 0, "every account: reads an organization's bucket", 1},
    {"all", OPTION_ALL, 0, 0, "a bundle for every account of the roster that has none yet", 1},
    {"server", OPTION_SERVER, 0, 0, "the collector itself: a new certificate and key", 1},
    {0, 0, 0, 0, "Closer:", 2},
    {"region", 'r', "REGION", 0, "only this region of the account", 2},
    {"agent", 'g', "NAME", 0, "which of several agents", 2},
    {"add", OPTION_ADD, 0, 0, "add the account to the roster if it is not there", 2},
    {0, 0, 0, 0, "The bundle:", 3},
    {"collector", 'c', "HOST[:PORT]", 0, "where this agent reaches the collector", 3},
    {"source", 's', "[NAME=]KIND:PATH", 0,
     "what it reads: directory:PATH or tail:PATH, a relative one from here; may be repeated", 3},
    {"spool", OPTION_SPOOL, "DIR", 0, "where its events wait (\"spool\" beside its config)", 3},
    {"csr", OPTION_CSR, "FILE", 0, "sign this request: the key stays where it is", 3},
    {"days", OPTION_DAYS, "N", 0,
     "validity of the certificate (397); 12h, 15m and 90s are less than a day", 3},
    {"out", 'O', "DIR", 0, "the folder to write bundles into (DIR/agents)", 3},
    {"tar", OPTION_TAR, 0, 0, "write NAME.tar instead of a folder, also with --renew", 3},
    {"renew", OPTION_RENEW, "BUNDLE", OPTION_ARG_OPTIONAL,
     "a new certificate and key for an agent that is enrolled: the bundle of this folder, or that "
     "of --account and the others; with --all of each. Where the folder is gone, a NAME.tar",
     3},
    {"keep-key", OPTION_KEEP_KEY, 0, 0, "renew the certificate only", 3},
    {"retire", OPTION_RETIRE, "NAME", 0,
     "an agent that is gone for good: its bundle goes, and it is renewed no more. NAME is "
     "spiffe://... or its bundle's",
     3},
    {0},
};

// A path counts from where the user stands, not from agent.yaml; "-" is standard input.
static const char *place_source(const char *path, uint32_t index, struct argp_state *state) {
    static char places[BUNDLE_SOURCES_MAX][ORGANIZATION_PATH_SIZE];
    char here[ORGANIZATION_PATH_SIZE];
    if (path[0] == '/' || strcmp(path, "-") == 0) return path;
    if (strncmp(path, "./", 2) == 0) path += 2;
    int size = -1;
    if (getcwd(here, sizeof here) != NULL)
        size = snprintf(places[index], sizeof places[index], "%s/%s", here, path);
    if (size < 0 || (size_t)size >= sizeof places[index])
        argp_error(state, "--source: path \"%s\" must begin with /", path);
    return places[index];
}

// "[NAME=]KIND:PATH", cut in place.
static void add_source(struct options *options, char *text, struct argp_state *state) {
    static char names[BUNDLE_SOURCES_MAX][16];
    uint32_t index = options->plan.sources_count;
    if (index == BUNDLE_SOURCES_MAX) argp_error(state, "more than %d sources", BUNDLE_SOURCES_MAX);
    char *colon = strchr(text, ':');
    if (colon == NULL || colon[1] == 0) {
        argp_error(state, "--source \"%s\": must be KIND:PATH", text);
        return;
    }
    *colon = 0;
    char *equals = strchr(text, '=');
    const char *kind = equals != NULL ? equals + 1 : text;
    if (equals != NULL) *equals = 0;
    if (strcmp(kind, "directory") != 0 && strcmp(kind, "tail") != 0)
        argp_error(state, "--source: kind \"%s\" must be directory or tail", kind);
    snprintf(names[index], sizeof names[index], "%s%u", kind, index + 1);
    options->sources[index] = (struct bundle_source){
        .name = equals != NULL && text[0] != 0 ? text : names[index],
        .kind = kind,
        .path = place_source(colon + 1, index, state),
        .is_placed = colon[1] != '/' && strcmp(colon + 1, "-") != 0,
    };
    options->plan.sources_count++;
}

static void check_options(const struct options *options, struct argp_state *state) {
    const struct bundle_plan *plan = &options->plan;
    int targets = (plan->identity.account != NULL) + options->is_organization + options->is_all +
                  options->is_server + (options->bundle != NULL) + (options->retired != NULL);
    if (options->directory == NULL) argp_error(state, "which organization? DIR is missing");
    if (targets != 1)
        argp_error(state,
                   "one of --account, --organization, --all, --server, --renew=BUNDLE, --retire");
    if (options->retired != NULL && options->is_renewal)
        argp_error(state, "--retire is the end of an agent: no --renew");
    if (options->renewal.keeps_key && !options->is_renewal)
        argp_error(state, "--keep-key is for --renew");
    if (plan->identity.region != NULL && plan->identity.account == NULL)
        argp_error(state, "--region needs --account");
    if (options->is_add && plan->identity.account == NULL)
        argp_error(state, "--add needs --account");
    if (options->csr_path != NULL && (options->is_all || options->is_server))
        argp_error(state, "--csr signs one agent's request: it needs --account or --organization");
    if (plan->is_tar && options->bundle != NULL)
        argp_error(state,
                   "--renew=BUNDLE renews a folder in place: --tar is for --account and "
                   "the others");
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    struct bundle_plan *plan = &options->plan;
    switch (key) {
        case 'a':
            plan->identity.account = argument;
            return 0;
        case 'r':
            plan->identity.region = argument;
            return 0;
        case 'g':
            plan->identity.agent = argument;
            return 0;
        case 'c':
            plan->collector = argument;
            return 0;
        case 's':
            add_source(options, argument, state);
            return 0;
        case 'O':
            plan->out = argument;
            return 0;
        case OPTION_ORGANIZATION:
            options->is_organization = true;
            return 0;
        case OPTION_ALL:
            options->is_all = true;
            return 0;
        case OPTION_SERVER:
            options->is_server = true;
            return 0;
        case OPTION_CSR:
            options->csr_path = argument;
            return 0;
        case OPTION_DAYS:
            plan->valid_s = validity_parse(argument, state);
            return 0;
        case OPTION_SPOOL:
            plan->spool = argument;
            return 0;
        case OPTION_TAR:
            plan->is_tar = true;
            return 0;
        case OPTION_ADD:
            options->is_add = true;
            return 0;
        case OPTION_RENEW:
            options->is_renewal = true;
            options->bundle = argument;
            return 0;
        case OPTION_KEEP_KEY:
            options->renewal.keeps_key = true;
            return 0;
        case OPTION_RETIRE:
            options->retired = argument;
            return 0;
        case ARGP_KEY_ARG:
            if (options->directory != NULL) argp_error(state, "one folder only: \"%s\"", argument);
            options->directory = argument;
            return 0;
        case ARGP_KEY_END:
            check_options(options, state);
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// One renewal of several.
struct renewing {
    const struct options *options;
    const struct organization *organization;
    int64_t now_s;
    uint32_t count;
};

static struct renewal_plan plan_renewal(const struct options *options) {
    struct renewal_plan plan = options->renewal;
    plan.valid_s = options->plan.valid_s;
    plan.csr = options->plan.csr;
    return plan;
}

static void print_renewed(struct renewing *renewing, const char *path, const char *uri) {
    char validity[VALIDITY_SIZE];
    renewing->count++;
    printf("%s  %s, %s\n", path, uri, validity_print(renewing->options->plan.valid_s, validity));
}

static bool renew(void *user, const char *bundle, struct fault *fault) {
    struct renewing *renewing = user;
    const struct options *options = renewing->options;
    struct renewal_plan plan = plan_renewal(options);
    char uri[BUNDLE_URI_SIZE];
    if (!renewal_write(options->directory, renewing->organization, bundle, &plan, renewing->now_s,
                       uri, fault)) {
        return false;
    }
    print_renewed(renewing, bundle, uri);
    return true;
}

// The folder of a bundle, if it is there and to be renewed in place.
static bool find_folder(const struct options *options, const char *name,
                        char path[ORGANIZATION_PATH_SIZE], bool *is_there, struct fault *fault) {
    char certificate[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    *is_there = false;
    return organization_path(options->plan.out, name, path, fault) &&
           organization_path(path, "agent.pem", certificate, fault) &&
           (options->plan.is_tar ||
            files_find(files_system(), certificate, is_there, &entry, fault));
}

// Of an agent that was enrolled: its folder in place, otherwise a tar file.
static bool renew_issued(void *user, const char *name, struct fault *fault) {
    struct renewing *renewing = user;
    const struct options *options = renewing->options;
    struct renewal_plan plan = plan_renewal(options);
    char path[ORGANIZATION_PATH_SIZE];
    char uri[BUNDLE_URI_SIZE];
    bool is_folder = false;
    if (!find_folder(options, name, path, &is_folder, fault)) return false;
    // --all has been there already.
    if (is_folder) return options->is_all || renew(user, path, fault);
    if (!renewal_write_tar(options->directory, renewing->organization, options->plan.out, name,
                           &plan, renewing->now_s, path, uri, fault)) {
        return false;
    }
    print_renewed(renewing, path, uri);
    return true;
}

static bool renew_all(struct renewing *renewing, struct fault *fault) {
    const struct options *options = renewing->options;
    if (!options->plan.is_tar && !renewal_list(options->plan.out, renew, renewing, fault))
        return false;
    if (!issued_list(options->directory, renew_issued, renewing, fault)) return false;
    if (renewing->count == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "nothing to renew: %s/issued has no certificate and %s no bundle; agents "
                         "enrolled from now on are known there, others are enrolled again",
                         options->directory, options->plan.out);
    }
    printf("%u %s in %s\n", renewing->count, renewing->count == 1 ? "bundle" : "bundles",
           options->plan.out);
    return true;
}

static bool renew_any(const struct options *options, const struct organization *organization,
                      int64_t now_s, struct fault *fault) {
    struct renewing renewing = {options, organization, now_s, 0};
    char name[BUNDLE_NAME_SIZE];
    if (options->is_all) return renew_all(&renewing, fault);
    if (options->bundle != NULL) return renew(&renewing, options->bundle, fault);
    return bundle_print_name(&options->plan.identity, name, fault) &&
           renew_issued(&renewing, name, fault);
}

// What agent.yaml reads that the user did not write as it stands there, or at all.
static void print_sources(const struct bundle_plan *plan) {
    if (plan->sources_count == 0) {
        printf(
            "  no --source: before the agent starts set \"sources\" in agent.yaml, where "
            "/var/lib/orgtrail/cloudtrail holds the place\n");
    }
    for (uint32_t index = 0; index < plan->sources_count; index++) {
        if (plan->sources[index].is_placed)
            printf("  reads %s on the agent's machine\n", plan->sources[index].path);
    }
}

static bool enroll_one(const struct options *options, const struct organization *organization,
                       const struct bundle_plan *plan, int64_t now_s, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    char uri[BUNDLE_URI_SIZE];
    if (!bundle_write(options->directory, organization, plan, now_s, path, fault)) return false;
    if (!bundle_print_uri(organization->settings->organization.id, &plan->identity, uri, fault))
        return false;
    char validity[VALIDITY_SIZE];
    printf("%s  %s, %s\n", path, uri, validity_print(plan->valid_s, validity));
    if (plan->csr.size > 0) printf("  put the key that made the request there as agent.key\n");
    if (!options->is_all) print_sources(plan);
    return true;
}

static bool enroll_account(const struct options *options, struct organization *organization,
                           int64_t now_s, struct fault *fault) {
    const char *account = options->plan.identity.account;
    if (!names_check_account("account", account, fault)) return false;
    bool is_aws = account[strspn(account, "0123456789")] == 0;
    bool is_listed = settings_find_account(organization->settings, account) != NULL;
    if (!is_listed && options->is_add) {
        const struct organization_account added = {.id = account};
        if (!organization_add_account(options->directory, &added, fault)) return false;
        printf("added account %s to %s/collector/collector.yaml\n", account, options->directory);
    } else if (!is_listed) {
        return fault_set(
            fault, FAULT_INPUT,
            "account %.64s is not in the roster%s: use --add, or add below \"accounts:\" "
            "in %s/collector/collector.yaml the line\n    - {id: \"%.64s\", name: "
            "\"%.64s\"}",
            account, is_aws ? "" : ", and no AWS account, which has 12 digits. If it is meant so",
            options->directory, account, account);
    }
    if (!enroll_one(options, organization, &options->plan, now_s, fault)) return false;
    const char *region = options->plan.identity.region;
    if (region != NULL) regions_warn(organization->settings, region);
    return true;
}

static bool is_enrolled(const struct options *options, const struct bundle_identity *identity,
                        bool *is_there, struct fault *fault) {
    char name[BUNDLE_NAME_SIZE];
    return bundle_print_name(identity, name, fault) &&
           issued_find(options->directory, name, is_there, fault);
}

// Agents that are enrolled are left alone, so that it can be said again after the roster has grown.
static bool enroll_all(const struct options *options, const struct organization *organization,
                       int64_t now_s, struct fault *fault) {
    const struct settings_roster *roster = &organization->settings->roster;
    unsigned made = 0;
    for (unsigned index = 0; index < roster->accounts_count; index++) {
        struct bundle_plan plan = options->plan;
        plan.identity.account = roster->accounts[index].id;
        char path[ORGANIZATION_PATH_SIZE];
        bool is_there = false;
        if (!bundle_find(&plan, path, &is_there, fault)) return false;
        // Its tar file has been brought to the agent and removed.
        if (!is_there && !is_enrolled(options, &plan.identity, &is_there, fault)) return false;
        if (is_there) continue;
        if (!enroll_one(options, organization, &plan, now_s, fault)) {
            return fault_add(fault, "account %u of %u", index + 1, roster->accounts_count);
        }
        made++;
    }
    printf("%u of %u %s; the others have theirs already\n", made, roster->accounts_count,
           roster->accounts_count == 1 ? "account" : "accounts");
    if (made > 0) print_sources(&options->plan);
    return true;
}

// Says too what else there is to do about one that is gone: on the collector's machine.
static bool retire(const struct options *options, int64_t now_s, struct fault *fault) {
    struct retirement retired;
    char end[TIME_TEXT_SIZE];
    if (!retirement_write(options->directory, options->plan.out, options->retired, &retired, fault))
        return false;
    time_print(retired.facts.not_after_s, end);
    printf("retired %s: \"enroll --renew\" and \"ca --finish\" pass it over\n", retired.facts.uri);
    if (retired.is_folder_left) {
        printf("  %s holds more than a bundle, perhaps a spool: look at it, then remove it\n",
               retired.folder);
    }
    printf("On the collector's machine:\n");
    if (retired.facts.not_after_s > now_s) {
        printf("  orgtrail deny add %s retired  # its certificate is good until %s\n",
               retired.facts.uri, end);
    }
    printf("  orgtrail agent forget %s  # it is told as silent no more; its events stay\n",
           retired.facts.uri);
    return true;
}

// What a CA signs is good as long as the CA is.
static bool cap_validity(struct options *options, int64_t now_s, struct fault *fault) {
    struct buffer certificate, key;
    struct certificate_facts ca;
    buffer_init(&certificate, CSR_SIZE_MAX);
    buffer_init(&key, CSR_SIZE_MAX);
    bool is_good = organization_read_ca(options->directory, &certificate, &key, fault) &&
                   certificate_read(buffer_span(&certificate), &ca, fault);
    buffer_done(&certificate);
    buffer_done(&key);
    if (!is_good) return false;
    char end[TIME_TEXT_SIZE];
    char wanted[VALIDITY_SIZE];
    time_print(ca.not_after_s, end);
    if (ca.not_after_s <= now_s) {
        return fault_set(fault, FAULT_INPUT,
                         "the CA that signs expired at %s: \"orgtrail ca %s --replace\" first", end,
                         options->directory);
    }
    if (options->plan.valid_s <= ca.not_after_s - now_s) return true;
    fprintf(stderr,
            "WARNING: not good for %s: the CA that signs ends at %s, and certificates with it; "
            "\"orgtrail ca %s --replace\" makes a new one\n",
            validity_print(options->plan.valid_s, wanted), end, options->directory);
    options->plan.valid_s = ca.not_after_s - now_s;
    return true;
}

static bool enroll_any(struct options *options, struct buffer *csr,
                       struct organization *organization, int64_t now_s, struct fault *fault) {
    if (options->retired == NULL && !cap_validity(options, now_s, fault)) return false;
    if (options->is_server) {
        if (!organization_renew_collector(options->directory, organization, options->plan.valid_s,
                                          now_s, fault)) {
            return false;
        }
        char validity[VALIDITY_SIZE];
        char end[TIME_TEXT_SIZE];
        time_print(now_s + options->plan.valid_s, end);
        printf("%s/collector/collector.pem renewed, %s, until %s: send the collector SIGHUP\n",
               options->directory, validity_print(options->plan.valid_s, validity), end);
        return true;
    }
    if (options->csr_path != NULL) {
        if (!files_read_whole(files_system(), options->csr_path, CSR_SIZE_MAX, csr, fault))
            return false;
        if (csr->size == 0) return fault_set(fault, FAULT_INPUT, "%s is empty", options->csr_path);
        options->plan.csr = buffer_span(csr);
    }
    char agents[ORGANIZATION_PATH_SIZE];
    if (options->plan.out == NULL) {
        if (!organization_path(options->directory, "agents", agents, fault)) return false;
        options->plan.out = agents;
    }
    if (options->retired != NULL) return retire(options, now_s, fault);
    if (!files_make_directory(files_system(), options->plan.out, fault)) return false;
    if (options->is_renewal) return renew_any(options, organization, now_s, fault);
    if (options->is_all) return enroll_all(options, organization, now_s, fault);
    if (options->is_organization)
        return enroll_one(options, organization, &options->plan, now_s, fault);
    return enroll_account(options, organization, now_s, fault);
}

int enroll_run(int argc, char **argv) {
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "DIR",
        .doc =
            "Makes what an agent needs: ca.pem, agent.pem, agent.key and agent.yaml, in a "
            "folder or a tar file, for the organization that \"orgtrail init\" made in DIR.",
    };
    static struct options options = {
        .plan = {.valid_s = ORGANIZATION_CERTIFICATE_DAYS * CERTIFICATE_DAY_S}};
    options.plan.sources = options.sources;
    argp_parse(&argp, argc, argv, 0, NULL, &options);

    struct fault fault = {0};
    struct organization *organization = NULL;
    if (!organization_load(options.directory, &organization, &fault))
        return command_fail(argv[0], &fault);
    struct buffer csr;
    buffer_init(&csr, CSR_SIZE_MAX);
    int64_t now_s = clock_system()->now_ms(clock_system()->context) / 1000;
    bool is_good = enroll_any(&options, &csr, organization, now_s, &fault);
    buffer_done(&csr);
    organization_destroy(organization);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
