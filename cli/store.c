#include "cli/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/organization.h"
#include "cli/settings.h"

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

// The folder of the store, into resolved if a config names it.
static bool find_directory(const struct store_choice *choice, char *resolved, size_t resolved_size,
                           const char **directory, struct fault *fault) {
    const char *found = choice->directory;
    if (found == NULL && choice->config != NULL) {
        struct settings *settings = NULL;
        if (!settings_load(choice->config, &settings, fault)) return false;
        bool is_good =
            settings_store_directory(settings, choice->config, resolved, resolved_size, fault);
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

bool store_open(const struct store_choice *choice, struct trail_reader **reader,
                struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory;
    return find_directory(choice, resolved, sizeof resolved, &directory, fault) &&
           trail_reader_open(directory, reader, fault);
}

bool store_find_socket(const struct store_choice *choice, char *text, size_t text_size,
                       struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory = "";
    int size;
    if (choice->socket != NULL) {
        size = snprintf(text, text_size, "%s", choice->socket);
    } else if (choice->directory == NULL && choice->config != NULL) {
        struct settings *settings = NULL;
        if (!settings_load(choice->config, &settings, fault)) return false;
        bool is_good = settings_control_path(settings, choice->config, text, text_size, fault);
        settings_destroy(settings);
        return is_good;
    } else {
        if (!find_directory(choice, resolved, sizeof resolved, &directory, fault)) return false;
        size = snprintf(text, text_size, "%s/control.sock", directory);
    }
    if (size >= 0 && (size_t)size < text_size) return true;
    return fault_set(fault, FAULT_INPUT, "the path of the control socket is too long");
}
