// make_traffic: generated traffic as lines, or as files laid out the way CloudTrail delivers them.

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/gzip.h"
#include "base/random.h"
#include "tests/kit/traffic.h"

enum {
    PILE_SIZE_MAX = 64 * 1024 * 1024,
    PATH_SIZE = 1024,
    GZIP_LEVEL = 6,
    PACE_STEPS = 100,  // in a second
};

static const char usage[] =
    "usage: make_traffic --data DIR [options]\n"
    "  --data DIR       folder with model.json and real records (tests/data)\n"
    "  --count N        events, repeats included (1000)\n"
    "  --seed N         (20260101)\n"
    "  --accounts N     (100)\n"
    "  --account N      only this account, counted from 0\n"
    "  --region N       only this region, counted from 0\n"
    "  --start TIME     eventTime of the first event (2026-01-01T00:00:00Z)\n"
    "  --rate N         events per second of eventTime (1000)\n"
    "  --no-repeats     without copies of global events and resends\n"
    "  --files DIR      write .json.gz files into DIR/ACCOUNT/REGION, by the reporting agent;\n"
    "                   otherwise lines on standard output\n"
    "  --pace N         lines a second by the clock, and eventTimes from now on\n"
    "  --per-file N     records of one file (500)\n"
    "Prints a count of what was made on standard error.\n";

struct request {
    struct traffic_options traffic;
    const char *files;
    uint64_t count;
    uint32_t per_file;
    uint32_t pace;
};

// The records that go into the next file of one agent.
struct pile {
    struct buffer text;
    uint32_t records;
    uint32_t files;
    int64_t newest_s;
};

struct totals {
    uint64_t records;
    uint64_t repeats;
    uint64_t global;
    uint64_t bytes;
};

static int refuse(const char *what, const char *detail) {
    fprintf(stderr, "make_traffic: %s%s\n%s", what, detail, usage);
    return 2;
}

// Takes one option and its value. Returns how many arguments it used, 0 if it is none of ours.
static int take_option(char **arguments, struct request *request) {
    const char *name = arguments[0], *value = arguments[1];
    struct fault fault;
    if (strcmp(name, "--no-repeats") == 0) {
        request->traffic.repeats = false;
        return 1;
    }
    if (value == NULL) return 0;
    if (strcmp(name, "--data") == 0) {
        request->traffic.directory = value;
    } else if (strcmp(name, "--files") == 0) {
        request->files = value;
    } else if (strcmp(name, "--count") == 0) {
        request->count = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--seed") == 0) {
        request->traffic.seed = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--accounts") == 0) {
        request->traffic.accounts = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--account") == 0) {
        request->traffic.account = (int32_t)strtol(value, NULL, 10);
    } else if (strcmp(name, "--region") == 0) {
        request->traffic.region = (int32_t)strtol(value, NULL, 10);
    } else if (strcmp(name, "--rate") == 0) {
        request->traffic.rate = strtod(value, NULL);
    } else if (strcmp(name, "--pace") == 0) {
        request->pace = (uint32_t)strtoul(value, NULL, 10);
        request->traffic.rate = request->pace;
        request->traffic.start_s = time(NULL);
    } else if (strcmp(name, "--per-file") == 0) {
        request->per_file = (uint32_t)strtoul(value, NULL, 10);
    } else if (strcmp(name, "--start") == 0) {
        if (!time_parse(span_text(value), &request->traffic.start_s, &fault)) return 0;
    } else {
        return 0;
    }
    return 2;
}

static bool make_folders(const char *root, const struct traffic_event *event, char *path,
                         struct fault *fault) {
    const struct files *files = files_system();
    int size = snprintf(path, PATH_SIZE, "%s/%.*s", root, SPAN_PRINT(event->account));
    assert(size > 0 && size < PATH_SIZE / 2);
    if (!files_make_directory(files, root, fault)) return false;
    if (!files_make_directory(files, path, fault)) return false;
    snprintf(path + size, (size_t)(PATH_SIZE - size), "/%.*s", SPAN_PRINT(event->agent_region));
    return files_make_directory(files, path, fault);
}

// Delivery time is the newest event rounded up to five minutes, as in CloudTrail's names.
static void print_name(char *path, size_t size, const struct traffic_event *event,
                       const struct pile *pile) {
    char text[TIME_TEXT_SIZE];
    uint64_t state = pile->files + ((uint64_t)event->account_index << 32) +
                     ((uint64_t)event->agent_region_index << 24);
    uint64_t letters = random_splitmix64(&state);
    char unique[17];
    for (size_t index = 0; index < 16; index++) {
        unique[index] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[letters & 31];
        letters = index == 11 ? random_splitmix64(&state) : letters >> 5;
    }
    unique[16] = 0;
    time_print((pile->newest_s + 299) / 300 * 300, text);
    snprintf(path, size, "/%.*s_CloudTrail_%.*s_%.4s%.2s%.2sT%.2s%.2sZ_%s.json.gz",
             SPAN_PRINT(event->account), SPAN_PRINT(event->agent_region), text, text + 5, text + 8,
             text + 11, text + 14, unique);
}

static bool flush_pile(const char *root, const struct traffic_event *event, struct pile *pile,
                       struct fault *fault) {
    char path[PATH_SIZE];
    struct buffer packed;
    if (pile->records == 0) return true;
    if (!make_folders(root, event, path, fault)) return false;
    size_t used = strlen(path);
    print_name(path + used, PATH_SIZE - used, event, pile);
    buffer_append_text(&pile->text, "]}");
    buffer_init(&packed, PILE_SIZE_MAX);
    bool written = gzip_write(buffer_span(&pile->text), GZIP_LEVEL, &packed, fault) &&
                   files_write_whole(files_system(), path, buffer_span(&packed), 0640, fault);
    buffer_done(&packed);
    buffer_reset(&pile->text);
    pile->records = 0;
    pile->files++;
    return written;
}

static void add_to_pile(struct pile *pile, const struct traffic_event *event) {
    if (pile->text.size_max == 0) buffer_init(&pile->text, PILE_SIZE_MAX);
    buffer_append_text(&pile->text, pile->records == 0 ? "{\"Records\":[" : ",");
    buffer_append(&pile->text, event->record);
    if (pile->records == 0 || event->event_time_s > pile->newest_s) {
        pile->newest_s = event->event_time_s;
    }
    pile->records++;
}

static void count(struct totals *totals, const struct traffic_event *event) {
    totals->records++;
    totals->repeats += event->is_repeat;
    totals->global += event->is_global;
    totals->bytes += event->record.size;
}

static bool write_files(struct traffic *traffic, const struct request *request,
                        struct totals *totals, struct fault *fault) {
    uint32_t regions = traffic_regions(traffic);
    size_t piles_count = (size_t)traffic_accounts(traffic) * regions;
    struct pile *piles = calloc(piles_count, sizeof *piles);
    if (piles == NULL) return fault_set(fault, FAULT_FULL, "no memory for %zu agents", piles_count);
    bool written = true;
    for (uint64_t index = 0; written && index < request->count; index++) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        struct pile *pile = &piles[event.account_index * regions + event.agent_region_index];
        add_to_pile(pile, &event);
        count(totals, &event);
        if (pile->records >= request->per_file) {
            written = flush_pile(request->files, &event, pile, fault);
        }
    }
    for (size_t index = 0; index < piles_count; index++) {
        struct traffic_event event = {
            .account_index = (uint32_t)(index / regions),
            .agent_region_index = (uint32_t)(index % regions),
        };
        event.account = traffic_account_id(traffic, event.account_index);
        event.agent_region = traffic_region_name(traffic, event.agent_region_index);
        written = written && flush_pile(request->files, &event, &piles[index], fault);
        buffer_done(&piles[index].text);
    }
    free(piles);
    return written;
}

// Waits until the line is due, for some lines at a time.
static void wait_for(const struct timespec *begin, const struct request *request, uint64_t index) {
    if (request->pace == 0 || index % ((request->pace + PACE_STEPS - 1) / PACE_STEPS) != 0) return;
    uint64_t due_ns = (uint64_t)begin->tv_nsec + index * 1000000000 / request->pace;
    const struct timespec due = {.tv_sec = begin->tv_sec + (time_t)(due_ns / 1000000000),
                                 .tv_nsec = (long)(due_ns % 1000000000)};
    fflush(stdout);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) {
    }
}

static bool write_lines(struct traffic *traffic, const struct request *request,
                        struct totals *totals, struct fault *fault) {
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint64_t index = 0; index < request->count; index++) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        count(totals, &event);
        wait_for(&begin, request, index);
        fwrite(event.record.bytes, 1, event.record.size, stdout);
        putc('\n', stdout);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return fault_set(fault, FAULT_IO, "cannot write to standard output");
    }
    return true;
}

int main(int argc, char **argv) {
    struct request request = {
        .traffic = {.account = -1, .region = -1, .start_s = 1767225600, .repeats = true},
        .count = 1000,
        .per_file = 500,
    };
    for (int index = 1; index < argc;) {
        int used = take_option(argv + index, &request);
        if (used == 0) return refuse("cannot use this option or its value: ", argv[index]);
        index += used;
    }
    if (request.traffic.directory == NULL) return refuse("--data is missing", "");
    if (request.per_file == 0) return refuse("--per-file must be at least 1", "");

    struct fault fault = {.kind = FAULT_NONE};
    struct traffic *traffic = NULL;
    struct totals totals = {0};
    bool made = traffic_create(&request.traffic, &traffic, &fault) &&
                (request.files != NULL ? write_files(traffic, &request, &totals, &fault)
                                       : write_lines(traffic, &request, &totals, &fault));
    traffic_destroy(traffic);
    if (!made) {
        fprintf(stderr, "make_traffic: %s\n", fault.text);
        return fault_exit_code(fault.kind);
    }
    fprintf(stderr,
            "records %" PRIu64 " unique %" PRIu64 " repeats %" PRIu64 " global %" PRIu64
            " bytes %" PRIu64 "\n",
            totals.records, totals.records - totals.repeats, totals.repeats, totals.global,
            totals.bytes);
    return 0;
}
