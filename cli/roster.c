// roster.c: orgtrail roster import, accounts out of AWS Organizations' own list into the roster.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/files.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/organization.h"
#include "cli/settings.h"

enum {
    OPTION_CONFIG = 256,
    OPTION_DRY_RUN,
    FILE_SIZE_MAX = 64 << 20,    // 100,000 accounts of 400 bytes
    ARENA_SIZE_MAX = 128 << 20,  // what is kept of them
};

struct options {
    const char *config;
    const char *file;
    bool has_action;
    bool is_dry_run;
};

// The accounts of the list against those of the roster.
struct merge {
    const struct settings *settings;
    struct arena *arena;
    struct organization_account *added;
    uint32_t added_count;
    bool *is_listed;  // by place in the roster
    uint32_t known_count;
    uint32_t closed_count;
};

static const struct argp_option argument_options[] = {
    {"config", OPTION_CONFIG, "FILE", 0, "the collector.yaml whose roster is meant (needed)", 0},
    {"dry-run", OPTION_DRY_RUN, 0, 0, "only show what would change", 0},
    {0},
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case OPTION_CONFIG:
            options->config = argument;
            return 0;
        case OPTION_DRY_RUN:
            options->is_dry_run = true;
            return 0;
        case ARGP_KEY_ARG:
            if (!options->has_action) {
                if (strcmp(argument, "import") != 0)
                    argp_error(state, "unknown: \"roster %s\"; there is import", argument);
                options->has_action = true;
            } else if (options->file == NULL) {
                options->file = argument;
            } else {
                argp_error(state, "one file only: \"%s\" is too much", argument);
            }
            return 0;
        case ARGP_KEY_END:
            if (!options->has_action) argp_error(state, "what? there is import");
            if (options->file == NULL)
                argp_error(state, "import: give the output of aws organizations list-accounts");
            if (options->config == NULL) argp_error(state, "--config=FILE is needed");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static uint32_t find_account(const struct settings *settings, struct span id) {
    for (uint32_t index = 0; index < settings->roster.accounts_count; index++) {
        if (span_is(id, settings->roster.accounts[index].id)) return index;
    }
    return settings->roster.accounts_count;
}

static bool is_added(const struct merge *merge, struct span id) {
    for (uint32_t index = 0; index < merge->added_count; index++) {
        if (span_is(id, merge->added[index].id)) return true;
    }
    return false;
}

static bool take_account(struct merge *merge, const struct yyjson_val *account, uint32_t number,
                         struct fault *fault) {
    struct span id = json_member_string(account, SPAN_LITERAL("Id"));
    struct span name = json_member_string(account, SPAN_LITERAL("Name"));
    struct span status = json_member_string(account, SPAN_LITERAL("Status"));
    if (id.size == 0) return fault_set(fault, FAULT_INPUT, "account %u has no \"Id\"", number);
    uint32_t place = find_account(merge->settings, id);
    if (place < merge->settings->roster.accounts_count) {
        merge->is_listed[place] = true;
        merge->known_count++;
        return true;
    }
    // A closed account sends nothing any more.
    if (status.size > 0 && !span_is(status, "ACTIVE")) {
        merge->closed_count++;
        return true;
    }
    if (is_added(merge, id)) return true;
    struct organization_account *added = &merge->added[merge->added_count];
    added->id = arena_copy_text(merge->arena, id);
    added->name = name.size > 0 ? arena_copy_text(merge->arena, name) : added->id;
    if (added->id == NULL || added->name == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    if (!names_check_account("account", added->id, fault)) return false;
    merge->added_count++;
    return true;
}

static bool take_accounts(struct merge *merge, const struct yyjson_val *root, struct fault *fault) {
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("Accounts"));
    if (!yyjson_is_arr(list)) {
        return fault_set(fault, FAULT_INPUT,
                         "no list \"Accounts\": give the JSON that \"aws organizations "
                         "list-accounts\" prints");
    }
    size_t count = yyjson_arr_size(list);
    merge->added = arena_allocate_array(merge->arena, count + 1, sizeof *merge->added);
    merge->is_listed = arena_allocate_array(
        merge->arena, merge->settings->roster.accounts_count + 1, sizeof *merge->is_listed);
    if (merge->added == NULL || merge->is_listed == NULL)
        return fault_set(fault, FAULT_FULL, "no memory");
    size_t index, max;
    yyjson_val *account;
    yyjson_arr_foreach(list, index, max, account) {
        if (!take_account(merge, account, (uint32_t)index + 1, fault)) return false;
    }
    return true;
}

static void print_merge(const struct merge *merge, bool is_dry_run) {
    uint32_t missing_count = 0;
    for (uint32_t index = 0; index < merge->added_count; index++) {
        printf("+ %s  %s\n", merge->added[index].id, merge->added[index].name);
    }
    for (uint32_t index = 0; index < merge->settings->roster.accounts_count; index++) {
        if (merge->is_listed[index]) continue;
        missing_count++;
        printf("? %s  is in the roster and not in the list: it stays\n",
               merge->settings->roster.accounts[index].id);
    }
    printf("%u %s, %u known, %u closed and left out, %u not in the list%s\n", merge->added_count,
           is_dry_run ? "would be added" : "added", merge->known_count, merge->closed_count,
           missing_count,
           is_dry_run || merge->added_count == 0
               ? ""
               : "; the collector takes them with: orgtrail reload");
}

static bool import(const struct options *options, struct merge *merge, struct span text,
                   struct fault *fault) {
    const struct yyjson_val *root = NULL;
    struct json_reader *reader = json_reader_create();
    if (reader == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_good = json_read(reader, text, &root, fault) && take_accounts(merge, root, fault);
    json_reader_destroy(reader);
    if (!is_good) return fault_add(fault, "%s", options->file);
    if (!options->is_dry_run && merge->added_count > 0) {
        is_good =
            organization_add_accounts(options->config, merge->added, merge->added_count, fault);
    }
    if (is_good) print_merge(merge, options->is_dry_run);
    return is_good;
}

static bool run(const struct options *options, struct fault *fault) {
    struct settings *settings = NULL;
    struct buffer text;
    const char *file = strcmp(options->file, "-") == 0 ? "/dev/stdin" : options->file;
    buffer_init(&text, FILE_SIZE_MAX);
    struct arena *arena = arena_create(ARENA_SIZE_MAX);
    bool is_good = arena != NULL || fault_set(fault, FAULT_FULL, "no memory");
    is_good = is_good && settings_load(options->config, &settings, fault) &&
              files_read_whole(files_system(), file, FILE_SIZE_MAX, &text, fault);
    if (is_good) {
        struct merge merge = {.settings = settings, .arena = arena};
        is_good = import(options, &merge, buffer_span(&text), fault);
    }
    settings_destroy(settings);
    buffer_done(&text);
    arena_destroy(arena);
    return is_good;
}

int roster_run(int argc, char **argv) {
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "import FILE",
        .doc =
            "Adds the accounts that \"aws organizations list-accounts\" printed to the roster in "
            "a collector.yaml, whose other lines stay as they are. FILE may be - for standard "
            "input. Nothing is ever taken out; what the list lacks is named.",
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    return run(&options, &fault) ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
