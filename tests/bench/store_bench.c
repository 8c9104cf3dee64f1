// store_bench: what the store alone does with generated traffic: how fast it takes events in, how
// much room they take, and how soon it answers. One thread, default sync, all in one run.

#include "tests/bench/store_bench.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/random.h"
#include "event/attribute.h"
#include "event/record.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"
#include "tests/kit/traffic.h"

void bench_stop(const struct fault *fault) {
    fprintf(stderr, "store_bench: %s\n", fault->text);
    exit(1);
}

static double clock_s(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct watch watch_now(void) {
    return (struct watch){clock_s(CLOCK_MONOTONIC), clock_s(CLOCK_PROCESS_CPUTIME_ID)};
}

void watch_add(struct watch *sum, const struct watch *begin) {
    struct watch now = watch_now();
    sum->wall_s += now.wall_s - begin->wall_s;
    sum->cpu_s += now.cpu_s - begin->cpu_s;
}

// Keeps values of every kind, each event with the same chance.
static void keep_attribute(struct bench *bench, const struct attribute *found,
                           struct attribute *kept) {
    struct fault fault = {FAULT_NONE, "out of memory for samples"};
    kept->kind = found->kind;
    if (!arena_copy(bench->kept, found->value, &kept->value)) bench_stop(&fault);
}

static void keep_finding(struct bench *bench, const struct attribute *found, uint32_t count,
                         struct finding *finding) {
    bool has_place = random_below(&bench->random, 2) == 0;
    finding->count = 1;
    keep_attribute(bench, &found[random_below(&bench->random, count)], &finding->attributes[0]);
    for (uint32_t index = 0; has_place && index < count && finding->count < 3; index++) {
        if (found[index].kind == ATTRIBUTE_ACCOUNT || found[index].kind == ATTRIBUTE_REGION)
            keep_attribute(bench, &found[index], &finding->attributes[finding->count++]);
    }
}

void bench_take_samples(struct bench *bench, const struct record *record, struct span account,
                        uint64_t number) {
    struct fault fault = {FAULT_NONE, "out of memory for samples"};
    uint32_t count = 0;
    const struct attribute *found = attribute_extract(record, account, bench->record, &count);
    if (found == NULL) bench_stop(&fault);
    for (uint32_t index = 0; index < count; index++) {
        enum attribute_kind kind = found[index].kind;
        uint64_t place = bench->seen[kind]++;
        if (place >= SAMPLES) place = random_below(&bench->random, bench->seen[kind]);
        if (place >= SAMPLES) continue;
        keep_attribute(bench, &found[index], &bench->samples[kind][place]);
    }
    uint64_t place = number < SAMPLES ? number : random_below(&bench->random, number + 1);
    if (place >= SAMPLES) return;
    bench->ids[place] = key_of(record, account);
    keep_finding(bench, found, count, &bench->findings[place]);
}

static void add_to_gzip(struct bench *bench, uint64_t number, struct span text) {
    struct fault fault;
    if (number / GZIP_EVENTS % GZIP_EVERY != 0) return;
    buffer_append(&bench->lines, text);
    buffer_append_byte(&bench->lines, '\n');
    if ((number + 1) % GZIP_EVENTS != 0) return;
    buffer_reset(&bench->packed);
    if (!gzip_write(buffer_span(&bench->lines), 6, &bench->packed, &fault)) bench_stop(&fault);
    bench->gzip_text_size += bench->lines.size;
    bench->gzip_size += bench->packed.size;
    buffer_reset(&bench->lines);
}

static void close_traffic(struct bench *bench) {
    for (uint32_t index = 0; index < bench->lanes_count; index++)
        traffic_destroy(bench->lanes[index].traffic);
    bench->lanes_count = 0;
    bench->given = NULL;
}

// Opens the traffic from its beginning. With late_s it is as many organizations as there are lanes,
// each of which is late by as much as it always is.
static void open_traffic(struct bench *bench) {
    struct fault fault;
    uint32_t late_s = bench->options.late_s;
    uint32_t rate = bench->options.rate;
    close_traffic(bench);
    bench->lanes_count = late_s == 0 ? 1 : LANES;
    for (uint32_t index = 0; index < bench->lanes_count; index++) {
        struct lane *lane = &bench->lanes[index];
        const struct traffic_options options = {
            .directory = bench->options.data,
            .seed = TRAFFIC_SEED + index,
            .start_s = START_S - index * late_s / LANES,
            .rate = (double)rate / bench->lanes_count,
            .accounts = bench->options.accounts,
            .account = -1,
            .region = -1,
        };
        if (!traffic_create(&options, &lane->traffic, &fault)) bench_stop(&fault);
        traffic_next(lane->traffic, &lane->next);
        lane->late_s = index * late_s / LANES;
    }
}

// The event that arrives next. Its spans live until the next call.
static const struct traffic_event *next_event(struct bench *bench) {
    if (bench->given != NULL) traffic_next(bench->given->traffic, &bench->given->next);
    struct lane *first = &bench->lanes[0];
    for (uint32_t index = 1; index < bench->lanes_count; index++) {
        struct lane *lane = &bench->lanes[index];
        if (lane->next.event_time_s + lane->late_s < first->next.event_time_s + first->late_s)
            first = lane;
    }
    bench->given = first;
    return &first->next;
}

struct offered {
    struct span text;
    struct span account;
    struct key key;
};

// Makes the events of one commit, outside of what is measured.
static void make_events(struct bench *bench, uint64_t first, uint32_t count,
                        struct offered *offered, bool measure) {
    struct fault fault = {FAULT_NONE, "out of memory for events"};
    arena_reset(bench->texts);
    for (uint32_t index = 0; index < count; index++) {
        const struct traffic_event *event = next_event(bench);
        if (!arena_copy(bench->texts, event->record, &offered[index].text) ||
            !arena_copy(bench->texts, event->account, &offered[index].account)) {
            bench_stop(&fault);
        }
        struct record record;
        enum record_refusal refusal;
        arena_reset(bench->record);
        if (!record_read(bench->json, bench->record, event->record, &record, &refusal, &fault))
            bench_stop(&fault);
        offered[index].key = key_of(&record, event->account);
        if (!measure) continue;
        bench->text_size += event->record.size;
        add_to_gzip(bench, first + index, event->record);
        if (index % 16 != 0) continue;
        bench_take_samples(bench, &record, event->account, (first + index) / 16);
    }
}

// Reads and stores them: what is measured. Returns how many were new.
static uint32_t store_events(struct bench *bench, const struct offered *offered, uint32_t count) {
    struct fault fault;
    struct trail_receipt receipt;
    if (!trail_begin(bench->trail, &fault)) bench_stop(&fault);
    for (uint32_t index = 0; index < count; index++)
        trail_expect(bench->trail, &offered[index].key);
    for (uint32_t index = 0; index < count; index++) {
        struct record record;
        enum record_refusal refusal;
        enum trail_outcome outcome;
        arena_reset(bench->record);
        if (!record_read(bench->json, bench->record, offered[index].text, &record, &refusal,
                         &fault)) {
            bench_stop(&fault);
        }
        const struct trail_entry entry = {
            .record = &record,
            .account = offered[index].account,
            .agent = TRAIL_AGENT_OWN,
            .received_ms = (record.event_time_s + 2) * 1000,
        };
        if (!trail_add(bench->trail, &entry, &outcome, &fault)) bench_stop(&fault);
    }
    if (!trail_commit(bench->trail, &receipt, &fault)) bench_stop(&fault);
    return receipt.stored;
}

static void open_trail(struct bench *bench) {
    struct fault fault;
    const struct trail_options options = {
        .directory = bench->options.directory,
        .block_rows_min = bench->options.block_rows_min,
        .tail_rows_max = bench->options.tail_rows_max,
        .window_ids = bench->options.window,
        .window_traces = bench->options.traces,
        .no_sync = bench->options.no_sync,
        .clock = clock_system(),
        .random = random_system(),
    };
    if (!trail_open(&options, &bench->trail, &fault)) bench_stop(&fault);
}

// Events of the traffic from `first` up to `events`. Returns how many were new.
static uint64_t run_events(struct bench *bench, uint32_t first, uint32_t events, bool measure,
                           struct watch *watch) {
    struct offered *offered = malloc(bench->options.commit * sizeof *offered);
    if (offered == NULL) exit(1);
    uint64_t stored = 0;
    open_traffic(bench);
    for (uint32_t index = 0; index < first; index++) (void)next_event(bench);
    for (uint32_t done = first; done < events;) {
        uint32_t count = bench->options.commit;
        if (count > events - done) count = events - done;
        make_events(bench, done, count, offered, measure);
        struct watch begin = watch_now();
        stored += store_events(bench, offered, count);
        watch_add(watch, &begin);
        done += count;
        if (measure && events >= 2000000 && done % 1000000 < count) {
            fprintf(stderr, "%u M: %.1f k events/s wall, %.1f k CPU\n", done / 1000000,
                    done / watch->wall_s / 1e3, done / watch->cpu_s / 1e3);
        }
    }
    free(offered);
    return stored;
}

static void measure_again(struct bench *bench, const char *name, uint32_t events) {
    struct watch watch = {0};
    uint64_t stored = run_events(bench, 0, events, false, &watch);
    printf("%-28s %.0f k events/s wall, %.0f k CPU, %" PRIu64 " stored\n", name,
           events / watch.wall_s / 1e3, events / watch.cpu_s / 1e3, stored);
}

static struct trail_facts read_facts(const char *directory) {
    struct fault fault;
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    if (!trail_reader_open(directory, &reader, &fault)) bench_stop(&fault);
    if (!trail_reader_facts(reader, &facts, &fault)) bench_stop(&fault);
    trail_reader_close(reader);
    return facts;
}

// Leaves a store of that many events: stores what is missing of them, and does nothing else.
static void fill(struct bench *bench) {
    struct watch watch = {0};
    struct fault fault = {.kind = FAULT_NONE};
    uint32_t events = bench->options.events;
    open_trail(bench);
    uint64_t found = read_facts(bench->options.directory).events;
    if (found > events) {
        fault_set(&fault, FAULT_INPUT, "%s has %" PRIu64 " events already, not %u",
                  bench->options.directory, found, events);
        bench_stop(&fault);
    }
    uint64_t stored = 0;
    if (found < events) stored = run_events(bench, (uint32_t)found, events, false, &watch);
    if (stored != events - found) {
        fault_set(&fault, FAULT_INPUT, "%s has events of another kind", bench->options.directory);
        bench_stop(&fault);
    }
    trail_close(bench->trail);
    printf("%-28s %u events, %" PRIu64 " of them in %.1f s, %.1f s of CPU\n", "filled", events,
           stored, watch.wall_s, watch.cpu_s);
}

static void clear_directory(const char *directory) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "writer.lock"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, names[index]);
        unlink(path);
    }
}

static void run(struct bench *bench) {
    struct watch watch = {0};
    uint32_t events = bench->options.events;
    open_trail(bench);
    run_events(bench, 0, events, true, &watch);
    // Bytes of the file that are in use; the store takes up to 32 MiB of the disk ahead of that.
    uint64_t size = read_facts(bench->options.directory).file_size;
    printf("%u events, %u per commit, %.0f bytes of text each\n", events, bench->options.commit,
           (double)bench->text_size / events);
    printf("%-28s %.1f k events/s wall, %.1f k CPU\n", "stored", events / watch.wall_s / 1e3,
           events / watch.cpu_s / 1e3);
    double gzip = bench->gzip_text_size == 0
                      ? 0
                      : (double)bench->gzip_size / (double)bench->gzip_text_size *
                            (double)bench->text_size / events;
    printf("%-28s %.1f bytes per event; gzip -6 of the same text %.1f; ratio %.3f\n", "on disk",
           (double)size / events, gzip, gzip == 0 ? 0 : (double)size / events / gzip);
    bench_measure_reads(bench);
    uint32_t again = bench->options.again < events ? bench->options.again : events;
    if (again > 0) {
        measure_again(bench, "the same again", again);
        trail_close(bench->trail);
        bench->trail = NULL;
        double begin = clock_s(CLOCK_MONOTONIC);
        open_trail(bench);
        printf("%-28s %.1f ms\n", "open for writing", (clock_s(CLOCK_MONOTONIC) - begin) * 1e3);
        measure_again(bench, "the same after reopening", again);
    }
    trail_close(bench->trail);
    if (!bench->options.keep) clear_directory(bench->options.directory);
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    uint32_t number = argument == NULL ? 0 : (uint32_t)strtoul(argument, NULL, 10);
    switch (key) {
        case 'n':
            options->events = number;
            return 0;
        case 'c':
            options->commit = number;
            return 0;
        case 'b':
            options->block_rows_min = number;
            return 0;
        case 't':
            options->tail_rows_max = number;
            return 0;
        case 'w':
            options->window = number;
            return 0;
        case 'T':
            options->traces = number;
            return 0;
        case 'l':
            options->late_s = number;
            return 0;
        case 'R':
            options->rate = number;
            return 0;
        case 'A':
            options->accounts = number;
            return 0;
        case 'a':
            options->again = number;
            return 0;
        case 'd':
            options->directory = argument;
            return 0;
        case 'D':
            options->data = argument;
            return 0;
        case 's':
            options->no_sync = true;
            return 0;
        case 'r':
            options->only_read = true;
            return 0;
        case 'k':
            options->keep = true;
            return 0;
        case 'f':
            options->only_fill = true;
            return 0;
        case 'o':
            options->only = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    static const struct argp_option known[] = {
        {"events", 'n', "N", 0, "events to store (1000000)", 0},
        {"commit", 'c', "N", 0, "events of one commit (4000)", 0},
        {"block-rows-min", 'b', "N", 0, "rows that go past the tail (the store's default)", 0},
        {"tail-rows-max", 't', "N", 0, "rows that end the waiting (the store's default)", 0},
        {"window", 'w', "N", 0, "ids of the dedupe window (the store's default)", 0},
        {"traces", 'T', "N", 0, "traces of ids before them (the store's default)", 0},
        {"late", 'l', "SECONDS", 0, "events are late by 0 to so many seconds (0)", 0},
        {"rate", 'R', "N", 0, "events of a second of eventTime (1000)", 0},
        {"accounts", 'A', "N", 0, "accounts of the organization (100)", 0},
        {"again", 'a', "N", 0, "events to offer again (200000)", 0},
        {"dir", 'd', "DIR", 0, "an empty folder for the store (one in /tmp)", 0},
        {"data", 'D', "DIR", 0, "the folder of model.json (tests/data)", 0},
        {"no-sync", 's', NULL, 0, "do not wait for the disk", 0},
        {"keep", 'k', NULL, 0, "leave the store where it is", 0},
        {"fill", 'f', NULL, 0,
         "only leave a store of the events in --dir, or what it lacks of them", 0},
        {"read", 'r', NULL, 0, "only read what a kept store holds", 0},
        {"only", 'o', "TEXT", 0, "of the reading, only what has this in its name", 0},
        {0},
    };
    const struct argp parser = {known, parse_option, NULL, "Measures the store.", NULL, NULL, NULL};
    static struct bench bench;
    char folder[] = "/tmp/store-bench-XXXXXX";
    bench.options = (struct options){
        .events = 1000000,
        .commit = 4000,
        .rate = 1000,
        .accounts = 100,
        .again = 200000,
        .data = "tests/data",
    };
    argp_parse(&parser, argc, argv, 0, NULL, &bench.options);
    bool own_folder = bench.options.directory == NULL;
    if (own_folder) bench.options.directory = mkdtemp(folder);
    bench.random_state = 1;
    bench.random = random_seeded(&bench.random_state);
    bench.json = json_reader_create();
    bench.texts = arena_create(ARENA_SIZE);
    bench.record = arena_create(MAIN_ARENA_SIZE);
    bench.kept = arena_create(ARENA_SIZE);
    buffer_init(&bench.lines, ARENA_SIZE);
    buffer_init(&bench.packed, ARENA_SIZE);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (bench.options.only_fill) {
        fill(&bench);
    } else if (bench.options.only_read) {
        bench_measure_reads(&bench);
    } else {
        run(&bench);
    }
    if (own_folder && !bench.options.keep && !bench.options.only_fill)
        rmdir(bench.options.directory);
    close_traffic(&bench);
    json_reader_destroy(bench.json);
    arena_destroy(bench.texts);
    arena_destroy(bench.record);
    arena_destroy(bench.kept);
    buffer_done(&bench.lines);
    buffer_done(&bench.packed);
    return 0;
}
