#include "tests/sim/seed.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/run.h"

enum { CHAOS_STEPS = 1500 };

// What a seed makes of a run. Some runs are calm in one respect, so that the others show.
static struct run_options draw_options(uint64_t seed, bool verbose, const char *directory) {
    struct timeline chance;
    timeline_init(&chance, seed ^ 0x5eed);
    struct run_options options = {
        .seed = seed,
        .verbose = verbose,
        .directory = directory,
        .stations = 1 + (uint32_t)timeline_draw(&chance, 4),
        .events = 100 + timeline_draw(&chance, 400),
        .spool_size = timeline_happens(&chance, 500) ? 128 * 1024 : 16 * 1024 * 1024,
        .store_size = timeline_happens(&chance, 200) ? 2 * 1024 * 1024 : 0,
        .station_crashes = (uint32_t)timeline_draw(&chance, 20),
        .center_crashes = (uint32_t)timeline_draw(&chance, 20),
        .breaks = (uint32_t)timeline_draw(&chance, 60),
        .file_faults = timeline_happens(&chance, 300) ? 10 : 0,
        .clock_jumps = timeline_happens(&chance, 300) ? 5 : 0,
        .drops_days = timeline_happens(&chance, 400),
        .clones = timeline_happens(&chance, 200) ? 2 : 0,
        .roll_backs = timeline_happens(&chance, 250) ? 3 : 0,
        .damages = timeline_happens(&chance, 250) ? 4 : 0,
        .full_disks = timeline_happens(&chance, 200) ? 3 : 0,
        .restores = timeline_happens(&chance, 250) ? 3 : 0,
        .rewinds = timeline_happens(&chance, 500),
    };
    return options;
}

bool seed_run(uint64_t seed, bool verbose, const char *directory, struct fault *fault) {
    struct run run;
    struct run_options options = draw_options(seed, verbose, directory);
    bool good = run_begin(&run, &options, fault);
    for (uint32_t step = 0; good && step < CHAOS_STEPS; step++) good = run_step(&run, fault);
    good = good && run_finish(&run, fault);
    if (verbose && good) {
        struct ledger_totals totals;
        ledger_count(run.ledger, &totals);
        const struct run_counts *counts = &run.counts;
        printf("steps %" PRIu64 " messages %" PRIu64 " lost %" PRIu64 " accepted %" PRIu64
               " stored %" PRIu64 " own %" PRIu64 " quarantined %" PRIu64 " duplicates %" PRIu64
               " expired %" PRIu64 " dropped %" PRIu64 " gaps %" PRIu64
               "; excused: damaged %" PRIu64 " dropped %" PRIu64 " told %" PRIu64
               " released %" PRIu64 "; full steps %" PRIu64 " collector crashes %" PRIu64
               " restores %" PRIu32 " clones %" PRIu64 " rollbacks %" PRIu64 " offline %" PRIu64
               " damages %" PRIu64 " full disks %" PRIu64 "\n",
               run.steps, run.wire.messages, run.wire.lost, totals.accepted, totals.stored,
               totals.own, totals.quarantined, totals.duplicates, totals.expired, totals.dropped,
               totals.gaps, totals.excused[LEDGER_DAMAGED], totals.excused[LEDGER_DROPPED],
               totals.excused[LEDGER_TOLD], totals.excused[LEDGER_RELEASED], counts->full,
               counts->center_crashes, run.restores, counts->clones, counts->roll_backs,
               counts->offline, counts->damages, counts->full_disks);
    }
    if (!good) fault_add(fault, "seed %" PRIu64 " step %" PRIu64, seed, run.steps);
    run_end(&run);
    return good;
}
