// command.h: what every subcommand of orgtrail is: a name, a function and a line of help.
//
// A command parses its arguments with argp, calls the room that knows how, and turns a fault into a
// line on standard error and an exit code. Answers go to standard output, everything else to
// standard error. Wrong arguments end with exit code 2 and a hint at --help.

#pragma once

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);  // argv[0] is "orgtrail NAME"; returns the exit code
    const char *help;
};

// The commands, one file each.
int backup_run(int argc, char **argv);
int init_run(int argc, char **argv);
int ca_run(int argc, char **argv);
int deny_run(int argc, char **argv);
int keys_run(int argc, char **argv);
int enroll_run(int argc, char **argv);
int export_run(int argc, char **argv);
int follower_run(int argc, char **argv);
int import_run(int argc, char **argv);
int lookup_run(int argc, char **argv);
int quarantine_run(int argc, char **argv);
int agent_run(int argc, char **argv);
int reload_run(int argc, char **argv);
int roster_run(int argc, char **argv);
int restore_run(int argc, char **argv);
int status_run(int argc, char **argv);
int store_run(int argc, char **argv);
int tail_run(int argc, char **argv);
int verify_command_run(int argc, char **argv);

// Prints "orgtrail NAME: TEXT" to standard error and returns the exit code of the fault's kind.
// `name` is argv[0] of the command.
int command_fail(const char *name, const struct fault *fault);

// Flushes standard output and returns 0, or says that it could not be written (a full disk behind
// a redirection must not look like success) and returns 1.
int command_finish(const char *name);

// Columns of the terminal that standard output is, else what COLUMNS says, else `width`.
uint32_t command_width(uint32_t width);
