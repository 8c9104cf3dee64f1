// What readers of a store do: pages by attribute and by id, scans, all events in order.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_reader.h"
#include "tests/bench/store_bench.h"

// Whether a measurement of this name is asked for.
static bool is_wanted(const struct bench *bench, const char *name) {
    return bench->options.only == NULL || strstr(name, bench->options.only) != NULL;
}

static int compare_doubles(const void *left, const void *right) {
    double first = *(const double *)left;
    double second = *(const double *)right;
    return (first > second) - (first < second);
}

// Times of pages in microseconds: on the wall, and of this thread alone, which tells the store from
// what else the machine does.
struct times {
    double wall[SAMPLES];
    double cpu[SAMPLES];
    uint32_t count;
    uint64_t rows;
};

// Reads a page.
static void read_page(struct trail_reader *reader, const struct trail_query *query,
                      struct times *times) {
    struct fault fault;
    struct trail_cursor *cursor = NULL;
    struct watch begin = watch_now();
    uint32_t rows = 0;
    struct trail_query page = *query;
    page.rows_hint = PAGE;
    if (!trail_cursor_open(reader, &page, &cursor, &fault)) bench_stop(&fault);
    for (bool found = true; found && rows < PAGE;) {
        struct trail_row row;
        if (!trail_cursor_next(cursor, &found, &row, &fault)) bench_stop(&fault);
        if (found) rows++;
    }
    trail_cursor_close(cursor);
    struct watch sum = {0};
    watch_add(&sum, &begin);
    times->wall[times->count] = sum.wall_s * 1e6;
    times->cpu[times->count++] = sum.cpu_s * 1e6;
    times->rows += rows;
}

static void print_times(const char *name, struct times *times) {
    uint32_t count = times->count;
    double cpu_sum = 0;
    for (uint32_t index = 0; index < count; index++) cpu_sum += times->cpu[index];
    qsort(times->wall, count, sizeof times->wall[0], compare_doubles);
    qsort(times->cpu, count, sizeof times->cpu[0], compare_doubles);
    printf(
        "%-28s p50 %6.0f us  p99 %6.0f us; CPU p50 %6.0f us  p99 %6.0f us  mean %6.0f us; %4.1f "
        "rows\n",
        name, times->wall[count / 2], times->wall[count * 99 / 100], times->cpu[count / 2],
        times->cpu[count * 99 / 100], cpu_sum / count, (double)times->rows / count);
}

static void measure_pages(struct bench *bench, struct trail_reader *reader, bool absent) {
    for (uint32_t kind = 1; kind < ATTRIBUTE_KINDS; kind++) {
        struct times times = {.count = 0};
        uint32_t count = bench->seen[kind] < SAMPLES ? (uint32_t)bench->seen[kind] : SAMPLES;
        if (count == 0) continue;
        char name[64];
        snprintf(name, sizeof name, "newest 50 by %s",
                 absent ? "absent value" : attribute_kind_name((enum attribute_kind)kind));
        if (!is_wanted(bench, name)) continue;
        for (uint32_t index = 0; index < count; index++) {
            struct attribute wanted = bench->samples[kind][index];
            char text[32];
            snprintf(text, sizeof text, "absent-%u", index);
            if (absent) wanted.value = span_text(text);
            const struct trail_query query = {
                .attributes = &wanted,
                .attributes_count = 1,
                .time_min_s = INT64_MIN,
                .time_max_s = INT64_MAX,
                .newest_first = true,
            };
            read_page(reader, &query, &times);
        }
        print_times(name, &times);
        if (absent) break;
    }
}

// As calls of the API that all differ: by what finds some event, before a moment or since one.
static void measure_findings(struct bench *bench, struct trail_reader *reader, bool before) {
    struct times times = {.count = 0};
    struct trail_facts facts;
    struct fault fault;
    const char *name = before ? "any 50 before a moment" : "any 50 since a moment";
    if (!is_wanted(bench, name)) return;
    if (!trail_reader_facts(reader, &facts, &fault)) bench_stop(&fault);
    uint64_t seconds = (uint64_t)(facts.time_max_s - facts.time_min_s) + 1;
    for (uint32_t index = 0; index < SAMPLES; index++) {
        const struct finding *finding = &bench->findings[index];
        int64_t moment_s = facts.time_min_s + (int64_t)random_below(&bench->random, seconds);
        const struct trail_query query = {
            .attributes = finding->attributes,
            .attributes_count = finding->count,
            .time_min_s = before ? INT64_MIN : moment_s,
            .time_max_s = before ? moment_s : INT64_MAX,
            .newest_first = true,
        };
        read_page(reader, &query, &times);
    }
    print_times(name, &times);
}

static void measure_ids(struct bench *bench, struct trail_reader *reader, bool with_time) {
    struct times times = {.count = 0};
    const char *name = with_time ? "by EventId and time" : "by EventId";
    if (!is_wanted(bench, name)) return;
    for (uint32_t index = 0; index < SAMPLES; index++) {
        const struct key *key = &bench->ids[index];
        const struct trail_query query = {
            .id = key->id,
            .time_min_s = with_time ? key->event_time_s : INT64_MIN,
            .time_max_s = with_time ? key->event_time_s : INT64_MAX,
            .newest_first = true,
        };
        read_page(reader, &query, &times);
    }
    print_times(name, &times);
}

struct counting {
    uint64_t rows;
    uint64_t sum;
};

static bool count_columns(void *user, const struct block_columns *columns) {
    struct counting *counting = user;
    counting->rows += columns->rows;
    for (uint32_t row = 0; row < columns->rows; row++)
        counting->sum += (uint64_t)columns->time_s[row];
    return true;
}

static bool count_kind(void *user, const struct block_columns *columns,
                       const struct block_kind *kind) {
    struct counting *counting = user;
    counting->rows += columns->rows;
    for (uint32_t at = 0; kind->rows > 0 && at < kind->end[kind->rows - 1]; at++)
        counting->sum += kind->hash[at];
    return true;
}

static void measure_scan_kind(struct trail_reader *reader, enum attribute_kind kind) {
    struct fault fault;
    struct counting counting = {0};
    struct watch watch = {0};
    struct watch begin = watch_now();
    if (!trail_reader_scan_kind(reader, INT64_MIN, INT64_MAX, kind, count_kind, &counting, &fault))
        bench_stop(&fault);
    watch_add(&watch, &begin);
    char name[64];
    snprintf(name, sizeof name, "scan of time and %s", attribute_kind_name(kind));
    printf("%-28s %.1f M events/s CPU\n", name, (double)counting.rows / watch.cpu_s / 1e6);
}

static bool count_row(void *user, const struct trail_row *row) {
    struct counting *counting = user;
    counting->rows++;
    counting->sum += row->text.size;
    return counting->rows < 1000000;
}

static void measure_scans(struct trail_reader *reader) {
    struct fault fault;
    static const struct {
        const char *name;
        uint32_t which;
    } scans[] = {{"scan of time", 0}, {"scan of attributes", BLOCK_COLUMN_ATTRIBUTES}};
    for (size_t index = 0; index < sizeof scans / sizeof scans[0]; index++) {
        struct counting counting = {0};
        struct watch watch = {0};
        struct watch begin = watch_now();
        if (!trail_reader_scan(reader, INT64_MIN, INT64_MAX, scans[index].which, count_columns,
                               &counting, &fault)) {
            bench_stop(&fault);
        }
        watch_add(&watch, &begin);
        printf("%-28s %.1f M events/s CPU\n", scans[index].name,
               (double)counting.rows / watch.cpu_s / 1e6);
    }
    measure_scan_kind(reader, ATTRIBUTE_EVENT_NAME);
    measure_scan_kind(reader, ATTRIBUTE_USER_NAME);
    measure_scan_kind(reader, ATTRIBUTE_SOURCE_IP);
}

static void measure_following(struct trail_reader *reader) {
    struct fault fault;
    struct counting counting = {0};
    struct watch watch = {0};
    struct watch begin = watch_now();
    uint64_t last = 0;
    if (!trail_reader_follow(reader, 0, count_row, &counting, &last, &fault)) bench_stop(&fault);
    watch_add(&watch, &begin);
    printf("%-28s %.0f k events/s CPU, %.0f MB/s of text\n", "follow from the first",
           (double)counting.rows / watch.cpu_s / 1e3, (double)counting.sum / watch.cpu_s / 1e6);
}

static void measure_ordered(struct trail_reader *reader) {
    struct fault fault;
    struct counting counting = {0};
    struct watch watch = {0};
    struct watch begin = watch_now();
    const struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(reader, &query, &cursor, &fault)) bench_stop(&fault);
    bool found = true;
    struct trail_row row;
    while (found) {
        if (!trail_cursor_next(cursor, &found, &row, &fault)) bench_stop(&fault);
        if (found && !count_row(&counting, &row)) break;
    }
    trail_cursor_close(cursor);
    watch_add(&watch, &begin);
    printf("%-28s %.0f k events/s CPU, %.0f MB/s of text\n", "all in order of time",
           (double)counting.rows / watch.cpu_s / 1e3, (double)counting.sum / watch.cpu_s / 1e6);
}

// Takes samples from the row given, and ends.
static bool sample_row(void *user, const struct trail_row *row) {
    struct bench *bench = user;
    struct fault fault;
    struct record record;
    enum record_refusal refusal;
    arena_reset(bench->record);
    if (!record_read(bench->json, bench->record, row->text, &record, &refusal, &fault))
        bench_stop(&fault);
    bench_take_samples(bench, &record, span_of(row->key.account, row->key.account_size),
                       bench->samples_taken++);
    return false;
}

// Takes samples of a store that is there, each event with the same chance.
static void sample_store(struct bench *bench) {
    struct fault fault;
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    if (!trail_reader_open(bench->options.directory, &reader, &fault)) bench_stop(&fault);
    if (!trail_reader_facts(reader, &facts, &fault)) bench_stop(&fault);
    for (uint32_t count = 0; count < 20 * SAMPLES && facts.sequence_last > 0; count++) {
        uint64_t last = 0;
        uint64_t after = random_below(&bench->random, facts.sequence_last);
        if (!trail_reader_follow(reader, after, sample_row, bench, &last, &fault))
            bench_stop(&fault);
    }
    trail_reader_close(reader);
}

// Bytes of this process's own memory: the store's pages are not among them.
static double own_memory_mb(void) {
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) kilobytes = strtod(line + 8, NULL);
    }
    fclose(file);
    return kilobytes / 1024;
}

// What a new process pays for its first page, and the memory that it takes.
static void measure_first_pages(struct bench *bench, enum attribute_kind kind) {
    enum { READERS = 20 };
    struct times times = {.count = 0};
    double memory_mb = 0;
    char name[64];
    snprintf(name, sizeof name, "first 50 by %s", attribute_kind_name(kind));
    if (!is_wanted(bench, name)) return;
    for (uint32_t index = 0; index < READERS && index < bench->seen[kind]; index++) {
        struct fault fault;
        struct trail_reader *reader = NULL;
        const struct trail_query query = {
            .attributes = &bench->samples[kind][index],
            .attributes_count = 1,
            .time_min_s = INT64_MIN,
            .time_max_s = INT64_MAX,
            .newest_first = true,
        };
        double before_mb = own_memory_mb();
        if (!trail_reader_open(bench->options.directory, &reader, &fault)) bench_stop(&fault);
        read_page(reader, &query, &times);
        double after_mb = own_memory_mb();
        if (after_mb - before_mb > memory_mb) memory_mb = after_mb - before_mb;
        trail_reader_close(reader);
    }
    if (times.count == 0) return;
    print_times(name, &times);
    printf("%-28s %.1f MB at most\n", "memory of that", memory_mb);
}

void bench_measure_reads(struct bench *bench) {
    struct fault fault;
    struct trail_reader *reader = NULL;
    if (bench->options.only_read) sample_store(bench);
    measure_first_pages(bench, ATTRIBUTE_USER_NAME);
    measure_first_pages(bench, ATTRIBUTE_EVENT_NAME);
    double begin = watch_now().wall_s;
    if (!trail_reader_open(bench->options.directory, &reader, &fault)) bench_stop(&fault);
    const struct trail_query newest = {
        .time_min_s = INT64_MIN, .time_max_s = INT64_MAX, .newest_first = true};
    struct times first = {.count = 0};
    read_page(reader, &newest, &first);
    printf("%-28s %.1f ms\n", "open and first page", (watch_now().wall_s - begin) * 1e3);
    measure_pages(bench, reader, false);
    measure_pages(bench, reader, true);
    measure_findings(bench, reader, false);
    measure_findings(bench, reader, true);
    measure_ids(bench, reader, true);
    measure_ids(bench, reader, false);
    printf("%-28s %.1f MB\n", "memory after lookups", own_memory_mb());
    if (is_wanted(bench, "scan")) measure_scans(reader);
    if (is_wanted(bench, "follow")) measure_following(reader);
    if (is_wanted(bench, "order")) measure_ordered(reader);
    printf("%-28s %.1f MB\n", "memory after scans", own_memory_mb());
    trail_reader_close(reader);
}
