#include "cli/store.h"

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

const struct argp store_argp = {.options = argument_options, .parser = parse_argument};

bool store_open(const struct store_choice *choice, struct trail_reader **reader,
                struct fault *fault) {
    char resolved[ORGANIZATION_PATH_SIZE];
    const char *directory = choice->directory;
    if (directory == NULL && choice->config != NULL) {
        struct settings *settings = NULL;
        if (!settings_load(choice->config, &settings, fault)) return false;
        bool is_good =
            settings_store_directory(settings, choice->config, resolved, sizeof resolved, fault);
        settings_destroy(settings);
        if (!is_good) return false;
        directory = resolved;
    }
    if (directory == NULL) directory = getenv("ORGTRAIL_STORE");
    if (directory == NULL || directory[0] == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "which store? Give its folder, --config collector.yaml, or set "
                         "ORGTRAIL_STORE");
    }
    return trail_reader_open(directory, reader, fault);
}
