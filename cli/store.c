#include "cli/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/denied.h"
#include "cli/organization.h"
#include "cli/settings.h"

// Where Debian's packages have it.
#define CONFIG_DEFAULT "/etc/orgtrail/collector/collector.yaml"

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct store_choice *choice = state->input;
    switch (key) {
        case STORE_OPTION_STORE:
            choice->directory = argument;
            return 0;
        case STORE_OPTION_CONFIG:
            choice->config = argument;
            return 0;
        case STORE_OPTION_SOCKET:
            choice->socket = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "Which store:", 90},
    {"store", STORE_OPTION_STORE, "DIR", 0, "the store's folder (or set ORGTRAIL_STORE)", 90},
    {"config", STORE_OPTION_CONFIG, "FILE", 0, "the collector.yaml that names it", 90},
    {0},
};

static const struct argp_option socket_options[] = {
    {"socket", STORE_OPTION_SOCKET, "FILE", 0,
     "the collector's control socket; control.sock in the store's folder unless set", 90},
    {0},
};

const struct argp store_argp = {.options = argument_options, .parser = parse_argument};
const struct argp store_socket_argp = {.options = socket_options, .parser = parse_argument};

// Tells whom a settings file keeps out who lets them in.
static bool add_advice(const char *config, struct fault *fault) {
    if (fault->kind != FAULT_DENIED) return false;
    char advice[256];
    denied_describe(config, advice, sizeof advice);
    return fault_set(fault, FAULT_DENIED, "%s: Permission denied%s", config, advice);
}

// The config that says where the store is; NULL if something else does, or nothing.
static const char *find_config(const struct store_choice *choice) {
    if (choice->directory != NULL || choice->config != NULL) return choice->config;
    const char *store = getenv("ORGTRAIL_STORE");
    if (store != NULL && store[0] != 0) return NULL;
    bool is_there = access(CONFIG_DEFAULT, F_OK) == 0 || errno == EACCES;
    return is_there ? CONFIG_DEFAULT : NULL;
}

// Somebody new may give what is looked for where the store's folder belongs.
static bool check_is_there(const char *directory, struct fault *fault) {
    struct stat status;
    if (stat(directory, &status) == 0) {
        return S_ISDIR(status.st_mode) ||
               fault_set(fault, FAULT_INPUT, "no store in %s: it is no folder", directory);
    }
    if (errno != ENOENT && errno != ENOTDIR) return true;
    if (strchr(directory, '/') != NULL)
        return fault_set(fault, FAULT_INPUT, "no store in %s: there is no such folder", directory);
    return fault_set(fault, FAULT_INPUT,
                     "no store in %s: there is no such folder. The argument is the store's folder; "
                     "what to look for are options, as --event-name=ConsoleLogin",
                     directory);
}

// The folder of the store, into resolved if a config names it.
static bool find_directory(const struct store_choice *choice, char *resolved, size_t resolved_size,
                           const char **directory, struct fault *fault) {
    const char *found = choice->directory;
    const char *config = find_config(choice);
    if (found == NULL && config != NULL) {
        struct settings *settings = NULL;
        if (!settings_load(config, &settings, fault)) return add_advice(config, fault);
        bool is_good = settings_store_directory(settings, config, resolved, resolved_size, fault);
        settings_destroy(settings);
        if (!is_good) return false;
        found = resolved;
    }
    if (found == NULL) found = getenv("ORGTRAIL_STORE");
    if (found == NULL || found[0] == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "which store? Give its folder, --config collector.yaml, or set "
                         "ORGTRAIL_STORE");
    }
    *directory = found;
    return true;
}

bool store_find(const struct store_choice *choice, char path[STORE_PATH_SIZE],
                struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory;
    if (!find_directory(choice, resolved, sizeof resolved, &directory, fault)) return false;
    if (snprintf(path, STORE_PATH_SIZE, "%s", directory) < STORE_PATH_SIZE) return true;
    return fault_set(fault, FAULT_INPUT, "the path of the store is too long");
}

bool store_open(const struct store_choice *choice, struct trail_reader **reader,
                struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory;
    return find_directory(choice, resolved, sizeof resolved, &directory, fault) &&
           check_is_there(directory, fault) && trail_reader_open(directory, reader, fault);
}

bool store_tell_dropped(struct trail_reader *reader, int64_t time_min_s, struct fault *fault) {
    struct trail_facts facts;
    char day[TIME_TEXT_SIZE];
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    if (facts.retained_from_s == 0 || time_min_s >= facts.retained_from_s) return true;
    time_print(facts.retained_from_s, day);
    fprintf(stderr,
            "Events before %.10s were dropped by retention (the collector's retention_days).\n",
            day);
    return true;
}

bool store_has_collector(const struct store_choice *choice) {
    return choice->socket != NULL || (choice->directory == NULL && find_config(choice) != NULL);
}

bool store_find_socket(const struct store_choice *choice, char *text, size_t text_size,
                       struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory = "";
    const char *config = find_config(choice);
    int size;
    if (choice->socket != NULL) {
        size = snprintf(text, text_size, "%s", choice->socket);
    } else if (choice->directory == NULL && config != NULL) {
        struct settings *settings = NULL;
        if (!settings_load(config, &settings, fault)) return add_advice(config, fault);
        bool is_good = settings_control_path(settings, config, text, text_size, fault);
        settings_destroy(settings);
        return is_good;
    } else {
        if (!find_directory(choice, resolved, sizeof resolved, &directory, fault) ||
            !check_is_there(directory, fault))
            return false;
        size = snprintf(text, text_size, "%s/control.sock", directory);
    }
    if (size >= 0 && (size_t)size < text_size) return true;
    return fault_set(fault, FAULT_INPUT, "the path of the control socket is too long");
}
