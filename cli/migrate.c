// migrate.c: orgtrail store migrate, a store of an older format becomes one of today's.

#include "cli/migrate.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "storage/trail/trail_migrate.h"

static void on_progress(void *user, uint64_t done, uint64_t all) {
    progress_step(user, done, all, "events");
}

int migrate_run(const char *name, const struct store_choice *choice) {
    struct fault fault = {0};
    struct progress progress;
    struct trail_migrate_result result;
    char store[STORE_PATH_SIZE];
    if (!store_find(choice, store, &fault)) return command_fail(name, &fault);
    const struct trail_migrate_options options = {
        .store = store,
        .clock = clock_system(),
        .random = random_system(),
        .on_progress = on_progress,
        .user = &progress,
    };
    progress_begin(&progress, "migrating");
    bool is_good = trail_migrate(&options, &result, &fault);
    progress_end(&progress);
    if (!is_good && fault.kind == FAULT_RETRY) fault_add(&fault, "stop the collector first");
    if (!is_good) return command_fail(name, &fault);
    if (result.is_todays) {
        printf("%s: the store has today's format: nothing to do\n", store);
        return command_finish(name);
    }
    printf("%s: migrated, %" PRIu64 " events under the numbers they had\n", store, result.events);
    if (result.aside[0] != 0) {
        printf("The old store is kept in %s: delete it when \"orgtrail store check\" is content.\n",
               result.aside);
    }
    return command_finish(name);
}
