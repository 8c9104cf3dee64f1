// main.c: finds the subcommand and runs it.

#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/hint.h"
#include "query/format.h"

static int help_run(int argc, char **argv);
static int version_run(int argc, char **argv);

static const struct command commands[] = {
    {"init", init_run, "make an organization: CA, collector certificate, config, roster"},
    {"enroll", enroll_run, "make an agent's bundle: certificate, key and config"},
    {"ca", ca_run, "show or replace the organization's CA"},
    {"keys", keys_run, "access keys of the API: create, list, disable, enable, delete"},
    {"deny", deny_run, "refuse certificates that are good: add, remove, list"},
    {"lookup", lookup_run, "look events up"},
    {"tail", tail_run, "show events as they arrive"},
    {"export", export_run, "write the consolidated trail of a time range as files"},
    {"import", import_run, "bring an archive of CloudTrail's files into the trail"},
    {"verify", verify_command_run,
     "check what trails delivered: signatures, hashes, nothing missing"},
    {"status", status_run, "show how the trail stands"},
    {"agent", agent_run, "show how the agent on this machine is; forget one that is gone"},
    {"quarantine", quarantine_run, "show what was refused and why, retry or discard it"},
    {"follower", follower_run, "show who reads the trail to its end, drop one that is no more"},
    {"roster", roster_run, "add accounts to the roster"},
    {"reload", reload_run, "have the collector read roster and certificates again"},
    {"store", store_run, "check the store, or take over one of an older format"},
    {"backup", backup_run, "copy the store while it is written"},
    {"restore", restore_run, "put the store back as a backup has it"},
    {"version", version_run, "print the version"},
    {"help", help_run, "print this, or the help of a command"},
};

enum { COMMANDS_COUNT = sizeof commands / sizeof commands[0] };

static const struct command *find_command(const char *name) {
    for (size_t index = 0; index < COMMANDS_COUNT; index++) {
        if (strcmp(commands[index].name, name) == 0) return &commands[index];
    }
    return NULL;
}

static void print_usage(FILE *file) {
    fputs("usage: orgtrail COMMAND [ARGUMENT...]\n\n", file);
    for (size_t index = 0; index < COMMANDS_COUNT; index++) {
        fprintf(file, "  %-12s %s\n", commands[index].name, commands[index].help);
    }
    fputs("\n\"orgtrail COMMAND --help\" lists the options of a command.\n", file);
}

static int fail_unknown(const char *name) {
    const struct command *nearest = NULL;
    // Half of a word in error is no typing error.
    size_t nearest_distance = strlen(name) / 2 + 1;
    for (size_t index = 0; index < COMMANDS_COUNT; index++) {
        uint32_t distance = hint_distance(span_text(name), commands[index].name);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = &commands[index];
        }
    }
    fprintf(stderr, "orgtrail: unknown command \"%s\"", name);
    if (nearest != NULL) fprintf(stderr, ": did you mean \"%s\"?", nearest->name);
    fputs("\nTry \"orgtrail help\".\n", stderr);
    return 2;
}

static int run_command(const struct command *command, int argc, char **argv) {
    char name[64];
    int size = snprintf(name, sizeof name, "orgtrail %s", command->name);
    assert(size > 0 && (size_t)size < sizeof name);
    argv[0] = name;
    return command->run(argc, argv);
}

static int help_run(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stdout);
        return command_finish(argv[0]);
    }
    const struct command *command = find_command(argv[1]);
    if (command == NULL) return fail_unknown(argv[1]);
    if (command->run == help_run || command->run == version_run) {
        printf("orgtrail %s: %s\n", command->name, command->help);
        return command_finish(argv[0]);
    }
    char help[] = "--help";
    char *arguments[] = {argv[0], help, NULL};
    return run_command(command, 2, arguments);
}

static int version_run(int argc, char **argv) {
    (void)argc;
    puts("orgtrail " VERSION_TEXT);
    return command_finish(argv[0]);
}

int command_fail(const char *name, const struct fault *fault) {
    assert(fault->kind != FAULT_NONE);
    fflush(stdout);
    // Texts may quote foreign bytes: none of them reaches the terminal raw.
    struct buffer text;
    buffer_init(&text, 8 * FAULT_TEXT_SIZE);
    const char *line = fault->text;
    do {
        size_t size = strcspn(line, "\n");
        if (size > 0) format_cell(span_of(line, size), UINT32_MAX, false, &text);
        buffer_append_byte(&text, '\n');
        line += size;
    } while (*line++ == '\n');
    fprintf(stderr, "%s: %.*s", name, (int)text.size, (const char *)text.bytes);
    buffer_done(&text);
    return fault_exit_code(fault->kind);
}

int command_finish(const char *name) {
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return 0;
    if (errno == EPIPE) return 0;  // whoever read has seen enough: "orgtrail lookup | head"
    fprintf(stderr, "%s: write the answer: %s\n", name, strerror(errno));
    return 1;
}

uint32_t command_width(uint32_t width) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    unsigned long wanted = columns != NULL ? strtoul(columns, NULL, 10) : 0;
    return wanted > 0 && wanted <= FORMAT_WIDTH_MAX ? (uint32_t)wanted : width;
}

int main(int argc, char **argv) {
    // Argument errors are input errors; argp's own code would be 64.
    argp_err_exit_status = 2;
    setlocale(LC_CTYPE, "C.UTF-8");  // widths of characters; terminals are UTF-8
    signal(SIGPIPE, SIG_IGN);
    umask(027);
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "-?") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    const struct command *command = find_command(name);
    if (command == NULL) return fail_unknown(name);
    return run_command(command, argc - 1, argv + 1);
}
