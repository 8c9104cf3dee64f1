// block_bench: what blocks cost and take on generated traffic.

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/gzip.h"
#include "event/attribute.h"
#include "event/record.h"
#include "storage/block/block.h"
#include "tests/kit/traffic.h"

enum {
    BLOCKS_MAX = 4096,
    ARENA_SIZE = 512 * 1024 * 1024,
    START_S = 1767225600,
    PASSES = 20,  // over the blocks when columns are scanned
};

struct bench {
    uint32_t rows;
    uint32_t blocks;
    bool measure_gzip;
    bool encode_only;
    struct traffic *traffic;
    struct json_reader *reader;
    struct arena *arena;
    struct block_scratch *scratch;
    struct dictionary *dictionary;
    uint8_t secret[HASH_SECRET_SIZE];
    struct buffer bytes[BLOCKS_MAX];
    struct block opened[BLOCKS_MAX];
    uint64_t text_size;
    uint64_t gzip_size;
    uint64_t chunk_size;
    uint64_t sections[BLOCK_SECTIONS];
    double read_s;
    double encode_s;
    double chunk_s;
    double encode_best_s;  // of one block
    struct buffer lines;
};

static double cpu_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void stop(const struct fault *fault) {
    fprintf(stderr, "block_bench: %s\n", fault->text);
    exit(1);
}

// Reads the next events into rows.
static void make_rows(struct bench *bench, struct block_row *rows, uint64_t sequence) {
    struct fault fault;
    for (uint32_t index = 0; index < bench->rows; index++) {
        struct traffic_event event;
        struct span text, account;
        struct record record;
        enum record_refusal refusal;
        traffic_next(bench->traffic, &event);
        bool copied = arena_copy(bench->arena, event.record, &text);
        copied = copied && arena_copy(bench->arena, event.account, &account);
        assert(copied);
        double begin = cpu_s();
        if (!record_read(bench->reader, bench->arena, text, &record, &refusal, &fault)) {
            stop(&fault);
        }
        rows[index] = (struct block_row){
            .sequence = sequence + index,
            .key = key_of(&record, account),
            .agent = event.account_index + 2,
            .received_ms = (event.event_time_s + 5 + index / 500) * 1000,
            .text = text,
        };
        rows[index].attributes =
            attribute_extract(&record, account, bench->arena, &rows[index].attributes_count);
        assert(rows[index].attributes != NULL);
        bench->read_s += cpu_s() - begin;
        // What borrows from the reader must outlive its next read.
        struct attribute *attributes = (struct attribute *)(uintptr_t)rows[index].attributes;
        for (uint32_t number = 0; number < rows[index].attributes_count; number++) {
            copied = arena_copy(bench->arena, attributes[number].value, &attributes[number].value);
            assert(copied);
        }
        copied = arena_copy(bench->arena, record_display_user(&record), &rows[index].user);
        assert(copied);
        bench->text_size += text.size;
        if (bench->measure_gzip) {
            buffer_append(&bench->lines, text);
            buffer_append_byte(&bench->lines, '\n');
        }
    }
}

static void encode_block(struct bench *bench, uint32_t number, struct block_row *rows) {
    struct fault fault;
    struct block_summary summary;
    struct buffer chunk;
    buffer_init(&chunk, (size_t)1 << 30);
    buffer_init(&bench->bytes[number], (size_t)1 << 30);
    double begin = cpu_s();
    if (!block_encode(bench->scratch, bench->dictionary, bench->secret, rows, bench->rows,
                      &bench->bytes[number], &summary, &fault)) {
        stop(&fault);
    }
    double encoded = cpu_s();
    if (!dictionary_take_pending(bench->dictionary, &chunk, &fault)) stop(&fault);
    dictionary_keep(bench->dictionary);
    bench->chunk_s += cpu_s() - encoded;
    bench->encode_s += encoded - begin;
    if (number == 0 || encoded - begin < bench->encode_best_s) {
        bench->encode_best_s = encoded - begin;
    }
    bench->chunk_size += chunk.size;
    buffer_done(&chunk);
    struct block *block = &bench->opened[number];
    if (!block_open(buffer_span(&bench->bytes[number]), true, block, &fault)) stop(&fault);
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        bench->sections[section] += block->sections[section].size;
    }
}

static void print_sizes(const struct bench *bench) {
    static const char *const names[BLOCK_SECTIONS] = {
        "frames", "postings", "fingerprints", "arrivals", "ids", "columns", "texts"};
    double events = (double)bench->rows * bench->blocks;
    double all = 0;
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        all += (double)bench->sections[section];
        printf("  %-13s %7.2f B/event\n", names[section],
               (double)bench->sections[section] / events);
    }
    all += (double)bench->chunk_size;
    printf("  %-13s %7.2f B/event\n", "dictionary", (double)bench->chunk_size / events);
    printf("  %-13s %7.2f B/event of %.0f text\n", "all", all / events,
           (double)bench->text_size / events);
    if (bench->measure_gzip) {
        printf("  %-13s %7.2f B/event, all is %.3f of it\n", "gzip -6",
               (double)bench->gzip_size / events, all / (double)bench->gzip_size);
    }
    printf("encode %.2f us/event, best block %.2f; dictionary chunk %.2f; read and extract %.2f\n",
           bench->encode_s / events * 1e6, bench->encode_best_s / bench->rows * 1e6,
           bench->chunk_s / events * 1e6, bench->read_s / events * 1e6);
}

// Counts events by one kind, with times: two columns.
static void scan_columns(struct bench *bench, enum attribute_kind kind) {
    struct fault fault;
    static uint32_t counts[65536];
    uint64_t events = 0;
    int64_t newest = 0;
    double begin = cpu_s();
    for (uint32_t pass = 0; pass < PASSES; pass++) {
        for (uint32_t number = 0; number < bench->blocks; number++) {
            const struct block *block = &bench->opened[number];
            for (uint32_t frame = 0; frame < block->frames; frame++) {
                struct block_columns columns;
                struct block_kind values;
                if (!block_read_columns(block, bench->scratch, frame, 0, &columns, &fault)) {
                    stop(&fault);
                }
                if (!block_read_kind(block, bench->scratch, frame, kind, &values, &fault)) {
                    stop(&fault);
                }
                for (uint32_t row = 0; row < columns.rows; row++) {
                    if (columns.time_s[row] > newest) newest = columns.time_s[row];
                    uint32_t at = row == 0 ? 0 : values.end[row - 1];
                    for (; at < values.end[row]; at++) counts[values.hash[at] & 0xffff]++;
                }
                events += columns.rows;
            }
        }
    }
    printf("scan of times and kind %-2u %6.1f M events/s\n", kind,
           (double)events / (cpu_s() - begin) / 1e6);
}

static void rebuild(struct bench *bench) {
    struct fault fault;
    struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
    uint64_t events = 0, size = 0, frames = 0;
    const uint64_t all[2] = {UINT64_MAX, UINT64_MAX};
    double begin = cpu_s();
    for (uint32_t number = 0; number < bench->blocks; number++) {
        const struct block *block = &bench->opened[number];
        for (uint32_t frame = 0; frame < block->frames; frame++) {
            if (!block_read_texts(block, bench->scratch, bench->dictionary, frame, all, texts,
                                  accounts, &fault)) {
                stop(&fault);
            }
            uint32_t rows = block_frame_rows(block, frame);
            for (uint32_t row = 0; row < rows; row++) size += texts[row].size;
            events += rows;
        }
    }
    double took = cpu_s() - begin;
    assert(size == bench->text_size);
    printf("rebuild all texts %.2f M events/s\n", (double)events / took / 1e6);
    begin = cpu_s();
    for (uint32_t number = 0; number < bench->blocks; number++) {
        const struct block *block = &bench->opened[number];
        for (uint32_t frame = 0; frame < block->frames; frame++, frames++) {
            uint32_t row = (uint32_t)(frames * 61 % block_frame_rows(block, frame));
            uint64_t one[2] = {0};
            one[row / 64] = (uint64_t)1 << row % 64;
            if (!block_read_texts(block, bench->scratch, bench->dictionary, frame, one, texts,
                                  accounts, &fault)) {
                stop(&fault);
            }
        }
    }
    printf("rebuild one row of a frame %.1f us\n", (cpu_s() - begin) / (double)frames * 1e6);
}

// How long the index of all blocks takes to say no.
static void search(struct bench *bench) {
    uint64_t found = 0;
    double begin = cpu_s();
    for (uint32_t hash = 0; hash < 1000; hash++) {
        for (uint32_t number = 0; number < bench->blocks; number++) {
            found += block_find_attribute(&bench->opened[number], hash * 0x9E3779B9u) != 0;
        }
    }
    double took = cpu_s() - begin;
    printf("attribute search %.0f ns a block (%" PRIu64 " found)\n",
           took / 1000 / bench->blocks * 1e9, found);
    begin = cpu_s();
    found = 0;
    for (uint32_t hash = 0; hash < 1000; hash++) {
        for (uint32_t number = 0; number < bench->blocks; number++) {
            found += block_may_hold_id(&bench->opened[number], hash * 0x9E3779B9u);
        }
    }
    printf("id search %.0f ns a block (%" PRIu64 " found)\n",
           (cpu_s() - begin) / 1000 / bench->blocks * 1e9, found);
    struct buffer group;
    struct fault fault;
    buffer_init(&group, (size_t)1 << 30);
    uint32_t count = bench->blocks < 64 ? bench->blocks : 64;
    begin = cpu_s();
    if (!block_group_encode(bench->opened, count, &group, &fault)) stop(&fault);
    printf("group of %u blocks %.2f B/event, %.3f us/event\n", count,
           (double)group.size / count / bench->rows, (cpu_s() - begin) / count / bench->rows * 1e6);
    buffer_done(&group);
}

static void run(struct bench *bench) {
    struct fault fault;
    struct block_row *rows = calloc(bench->rows, sizeof *rows);
    assert(rows != NULL);
    for (uint32_t number = 0; number < bench->blocks; number++) {
        arena_reset(bench->arena);
        make_rows(bench, rows, 1 + (uint64_t)number * bench->rows);
        encode_block(bench, number, rows);
    }
    free(rows);
    if (bench->measure_gzip) {
        struct buffer packed;
        buffer_init(&packed, SIZE_MAX);
        if (!gzip_write(buffer_span(&bench->lines), 6, &packed, &fault)) stop(&fault);
        bench->gzip_size = packed.size;
        buffer_done(&packed);
    }
    print_sizes(bench);
    if (bench->encode_only) return;
    scan_columns(bench, ATTRIBUTE_EVENT_NAME);
    scan_columns(bench, ATTRIBUTE_USER_NAME);
    scan_columns(bench, ATTRIBUTE_SOURCE_IP);
    rebuild(bench);
    search(bench);
    printf("texts that did not come back: %" PRIu64 "\n", block_scratch_mismatches(bench->scratch));
}

int main(int arguments_count, char **arguments) {
    if (arguments_count < 2) {
        fprintf(stderr, "usage: block_bench DATA [BLOCKS [ROWS [encode|gzip|verify]]]\n");
        return 2;
    }
    static struct bench bench;
    struct fault fault;
    const char *mode = arguments_count > 4 ? arguments[4] : "";
    bench.blocks = arguments_count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 50;
    bench.rows = arguments_count > 3 ? (uint32_t)strtoul(arguments[3], NULL, 10) : 4000;
    bench.measure_gzip = strcmp(mode, "gzip") == 0;
    bench.encode_only = strcmp(mode, "encode") == 0;
    assert(bench.blocks > 0 && bench.blocks <= BLOCKS_MAX);
    assert(bench.rows > 0 && bench.rows <= BLOCK_ROWS_MAX);
    struct traffic_options options = {
        .directory = arguments[1], .start_s = START_S, .account = -1, .region = -1};
    if (!traffic_create(&options, &bench.traffic, &fault)) stop(&fault);
    bench.reader = json_reader_create();
    bench.arena = arena_create(ARENA_SIZE);
    bench.scratch = block_scratch_create();
    bench.dictionary = dictionary_create(1);
    assert(bench.reader != NULL && bench.arena != NULL);
    assert(bench.scratch != NULL && bench.dictionary != NULL);
    buffer_init(&bench.lines, SIZE_MAX);
    if (strcmp(mode, "verify") == 0) block_scratch_verify(bench.scratch, 1);
    run(&bench);
    for (uint32_t number = 0; number < bench.blocks; number++) buffer_done(&bench.bytes[number]);
    buffer_done(&bench.lines);
    dictionary_destroy(bench.dictionary);
    block_scratch_destroy(bench.scratch);
    arena_destroy(bench.arena);
    json_reader_destroy(bench.reader);
    traffic_destroy(bench.traffic);
    return 0;
}
