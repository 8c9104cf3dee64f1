// sim: runs the simulator for one seed or many. A seed that fails is named with the command that
// repeats it.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/seed.h"

enum { JOBS = 2 };  // seeds at a time

static const char usage[] =
    "usage: sim [--seed=N] [--seeds=COUNT] [--verbose] [--directory=DIR]\n"
    "  --seed=N         the first seed (1)\n"
    "  --seeds=COUNT    how many seeds from there (1)\n"
    "  --verbose        tell what happens\n"
    "  --directory=DIR  for the trail's files (/dev/shm, else $TEST_TMPDIR, else /tmp)\n";

struct request {
    uint64_t seed;
    uint64_t seeds;
    bool verbose;
    const char *directory;
};

// A seed under way.
struct running {
    pid_t child;
    uint64_t seed;
};

static bool take_option(const char *argument, struct request *request) {
    char *end = NULL;
    if (strncmp(argument, "--seed=", 7) == 0) {
        request->seed = strtoull(argument + 7, &end, 10);
        return end != argument + 7 && *end == 0;
    }
    if (strncmp(argument, "--seeds=", 8) == 0) {
        request->seeds = strtoull(argument + 8, &end, 10);
        return end != argument + 8 && *end == 0;
    }
    if (strncmp(argument, "--directory=", 12) == 0) {
        request->directory = argument + 12;
        return true;
    }
    request->verbose = strcmp(argument, "--verbose") == 0;
    return request->verbose;
}

static const char *find_directory(void) {
    struct stat found;
    if (stat("/dev/shm", &found) == 0 && S_ISDIR(found.st_mode)) return "/dev/shm";
    const char *folder = getenv("TEST_TMPDIR");
    return folder != NULL ? folder : "/tmp";
}

// Runs a seed in a process of its own, so that an assert ends that one alone. Returns its id.
static pid_t begin_seed(const struct request *request, uint64_t seed) {
    fflush(stdout);
    pid_t child = fork();
    if (child != 0) return child;
    struct fault fault = {.kind = FAULT_NONE};
    if (request->verbose) printf("seed %" PRIu64 "\n", seed);
    bool good = seed_run(seed, request->verbose, request->directory, &fault);
    if (!good) printf("FAILED %s\n", fault.text);
    fflush(stdout);
    _exit(good ? 0 : 1);
}

// Waits for one of the seeds under way. Returns whether it was good.
static bool end_seed(struct running *running) {
    int status = 0;
    pid_t child = wait(&status);
    for (uint32_t index = 0; index < JOBS; index++) {
        if (running[index].child != child) continue;
        running[index].child = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
        if (WIFSIGNALED(status)) {
            printf("FAILED seed %" PRIu64 ": ended by signal %d\n", running[index].seed,
                   WTERMSIG(status));
        }
        printf("  repeat: bazel run //tests/sim -- --seed=%" PRIu64 " --verbose\n",
               running[index].seed);
        return false;
    }
    printf("FAILED: cannot start or wait for a process\n");
    return false;
}

static uint64_t run_seeds(const struct request *request) {
    struct running running[JOBS] = {{0, 0}};
    uint64_t failed = 0;
    for (uint64_t done = 0; done < request->seeds; done++) {
        uint32_t slot = (uint32_t)(done % JOBS);
        if (done >= JOBS) {
            failed += !end_seed(running);
            for (slot = 0; running[slot].child != 0; slot++) {
                if (slot == JOBS - 1) break;
            }
        }
        running[slot].seed = request->seed + done;
        running[slot].child = begin_seed(request, running[slot].seed);
    }
    for (uint32_t index = 0; index < JOBS; index++) {
        if (index < request->seeds) failed += !end_seed(running);
    }
    return failed;
}

int main(int argc, char **argv) {
    struct request request = {.seed = 1, .seeds = 1, .directory = find_directory()};
    for (int index = 1; index < argc; index++) {
        if (take_option(argv[index], &request)) continue;
        fprintf(stderr, "sim: cannot use \"%s\"\n%s", argv[index], usage);
        return 2;
    }
    uint64_t failed = run_seeds(&request);
    printf("%" PRIu64 " seeds passed, %" PRIu64 " failed\n", request.seeds - failed, failed);
    return failed == 0 ? 0 : 1;
}
