#include "cli/verified.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "query/format.h"

// Foreign bytes never reach the terminal raw.
static void add_cell(struct buffer *text, struct span cell) {
    format_cell(cell, UINT32_MAX, false, text);
}

static const char *weight_name(enum finding_weight weight) {
    switch (weight) {
        case FINDING_FAULT:
            return "fault";
        case FINDING_UNCHECKED:
            return "unchecked";
        case FINDING_NOTE:
            break;
    }
    return "note";
}

static const struct findings *findings_at(const struct verification *verification, uint32_t index) {
    bool is_general = index == verification->results_count;
    return is_general ? &verification->general : &verification->results[index]->findings;
}

// ---- text

static void print_time_range(const struct finding *finding, struct buffer *text) {
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    time_print(finding->from_s, from);
    time_print(finding->to_s, to);
    if (finding->from_s > 0 && finding->to_s > 0) {
        buffer_print(text, "    time: %s to %s\n", from, to);
    } else if (finding->to_s > 0) {
        buffer_print(text, "    time: %s\n", to);
    }
}

static void print_finding(const struct finding *finding, struct buffer *text) {
    if (finding->bucket.size > 0) {
        buffer_append_text(text, "    s3://");
        add_cell(text, finding->bucket);
        buffer_append_byte(text, '/');
        add_cell(text, finding->object);
        buffer_append_byte(text, '\n');
    }
    print_time_range(finding, text);
    buffer_append_text(text, "    ");
    add_cell(text, span_text(finding->detail));
    buffer_append_byte(text, '\n');
}

static void print_head(const struct finding *finding, uint64_t total, bool has_colour,
                       struct buffer *text) {
    enum finding_weight weight = finding_weigh(finding->kind);
    const char *colour = weight == FINDING_FAULT ? "\x1b[1;31m" : "\x1b[1;33m";
    static const char *const words[] = {"FAULT", "UNCHECKED", "NOTE"};
    if (has_colour) buffer_append_text(text, colour);
    buffer_append_text(text, words[weight]);
    if (has_colour) buffer_append_text(text, "\x1b[0m");
    buffer_print(text, " %s", finding_title(finding->kind));
    if (total > 1) buffer_print(text, " (%" PRIu64 ")", total);
    if (finding->account.size > 0) {
        buffer_append_text(text, ": account ");
        add_cell(text, finding->account);
        buffer_append_text(text, ", region ");
        add_cell(text, finding->region);
    }
    buffer_print(text, "\n  %s\n", finding_meaning(finding->kind));
}

// The findings of one region, kind by kind.
static void print_findings(const struct findings *findings, bool has_colour, struct buffer *text) {
    for (int kind = 0; kind < FINDING_KINDS_COUNT; kind++) {
        uint64_t total = findings->totals[kind];
        uint64_t shown = 0;
        struct span trail = {NULL, 0};
        for (uint32_t index = 0; index < findings->count && shown < VERIFIED_SHOWN_MAX; index++) {
            const struct finding *finding = &findings->list[index];
            if (finding->kind != (enum finding_kind)kind) continue;
            if (shown++ == 0) print_head(finding, total, has_colour, text);
            if (finding->trail.size > 0 && !span_equal(trail, finding->trail)) {
                buffer_append_text(text, "    trail: ");
                add_cell(text, finding->trail);
                buffer_append_byte(text, '\n');
                trail = finding->trail;
            }
            print_finding(finding, text);
        }
        if (total > shown)
            buffer_print(text, "    and %" PRIu64 " more of this kind here: --json has them\n",
                         total - shown);
    }
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_share(const char *what, uint64_t good, uint64_t all, struct buffer *text) {
    if (all == 0) return;
    buffer_print(text, "%" PRIu64 " of %" PRIu64 " %s good", good, all, what);
    if (good < all) buffer_print(text, ", %" PRIu64 " not", all - good);
    buffer_append_byte(text, '\n');
}

static void print_range(const struct verified_request *request, struct buffer *text) {
    char from[TIME_TEXT_SIZE], to[TIME_TEXT_SIZE];
    time_print(request->from_s, from);
    time_print(request->to_s < request->now_s ? request->to_s : request->now_s, to);
    buffer_append_text(text, request->from_s == 0 ? "from the beginning" : "from ");
    if (request->from_s > 0) buffer_append_text(text, from);
    buffer_print(text, " to %s", to);
}

void verified_print(const struct verification *verification, const struct verified_request *request,
                    struct buffer *text) {
    const struct walk_counts *counts = &verification->counts;
    for (uint32_t index = 0; index <= verification->results_count; index++)
        print_findings(findings_at(verification, index), request->has_colour, text);
    buffer_append_text(text, "Verified ");
    add_cell(text, span_text(request->folder));
    buffer_append_text(text, ", ");
    print_range(request, text);
    buffer_print(text, ": %" PRIu32 " account%s, %" PRIu32 " region%s, %" PRIu32 " chain%s\n",
                 verification->accounts, plural(verification->accounts), verification->regions,
                 plural(verification->regions), verification->chains, plural(verification->chains));
    print_share("digests", counts->digests_good, counts->digests, text);
    print_share("backfill digests", counts->backfills_good, counts->backfills, text);
    print_share("log files", counts->logs_good, counts->logs, text);
    if (request->has_records)
        buffer_print(text, "%" PRIu64 " record%s compared with the store\n", request->records,
                     plural(request->records));
    if (counts->waiting > 0)
        buffer_print(text, "%" PRIu64 " newer log file%s for %s digest\n", counts->waiting,
                     counts->waiting == 1 ? " waits" : "s wait",
                     counts->waiting == 1 ? "its" : "their");
    if (verification->faults > 0) {
        buffer_print(text, "NOT WHOLE: %" PRIu64 " fault%s\n", verification->faults,
                     plural(verification->faults));
    } else if (verification->unchecked > 0) {
        buffer_print(text, "NOT ALL CHECKED: of %" PRIu64 " thing%s nothing can be said\n",
                     verification->unchecked, plural(verification->unchecked));
    } else {
        buffer_append_text(text, "Whole\n");
    }
}

// ---- JSON

static void write_time(struct json_writer *writer, const char *name, int64_t seconds) {
    char text[TIME_TEXT_SIZE];
    if (seconds <= 0 || seconds == INT64_MAX) return;
    time_print(seconds, text);
    json_write_string(writer, name, span_text(text));
}

static void write_text(struct json_writer *writer, const char *name, struct span text) {
    if (text.size > 0) json_write_string(writer, name, text);
}

static void write_finding(struct json_writer *writer, const struct finding *finding) {
    json_write_object(writer, NULL);
    json_write_string(writer, "kind", span_text(finding_name(finding->kind)));
    json_write_string(writer, "weight", span_text(weight_name(finding_weigh(finding->kind))));
    write_text(writer, "account", finding->account);
    write_text(writer, "region", finding->region);
    write_text(writer, "trail", finding->trail);
    write_text(writer, "bucket", finding->bucket);
    write_text(writer, "object", finding->object);
    write_time(writer, "from", finding->from_s);
    write_time(writer, "to", finding->to_s);
    json_write_integer(writer, "count", (int64_t)finding->count);
    json_write_string(writer, "title", span_text(finding_title(finding->kind)));
    json_write_string(writer, "detail", span_text(finding->detail));
    json_write_string(writer, "meaning", span_text(finding_meaning(finding->kind)));
    json_write_end(writer);
}

static void write_chain(struct json_writer *writer, const struct walk_chain *chain) {
    json_write_object(writer, NULL);
    json_write_string(writer, "account", chain->account);
    json_write_string(writer, "region", chain->region);
    json_write_string(writer, "trail", chain->trail);
    json_write_string(writer, "homeRegion", chain->home_region);
    json_write_bool(writer, "backfill", chain->is_backfill);
    json_write_integer(writer, "digests", (int64_t)chain->digests);
    json_write_integer(writer, "logFiles", (int64_t)chain->logs);
    write_time(writer, "from", chain->from_s);
    json_write_object(writer, "last");
    write_time(writer, "end", chain->to_s);
    write_text(writer, "bucket", chain->bucket);
    write_text(writer, "object", chain->object);
    write_text(writer, "hash", span_text(chain->hash));
    json_write_end(writer);
    json_write_end(writer);
}

static void write_counts(struct json_writer *writer, const struct verification *verification) {
    const struct walk_counts *counts = &verification->counts;
    const struct {
        const char *name;
        uint64_t value;
    } members[] = {
        {"accounts", verification->accounts},
        {"regions", verification->regions},
        {"chains", verification->chains},
        {"digests", counts->digests},
        {"digestsGood", counts->digests_good},
        {"backfillDigests", counts->backfills},
        {"backfillDigestsGood", counts->backfills_good},
        {"logFiles", counts->logs},
        {"logFilesGood", counts->logs_good},
        {"logFilesWaiting", counts->waiting},
        {"logBytes", counts->logs_size},
        {"faults", verification->faults},
        {"unchecked", verification->unchecked},
    };
    json_write_object(writer, "counts");
    for (size_t index = 0; index < sizeof members / sizeof members[0]; index++)
        json_write_integer(writer, members[index].name, (int64_t)members[index].value);
    json_write_end(writer);
    json_write_object(writer, "found");
    for (int kind = 0; kind < FINDING_KINDS_COUNT; kind++) {
        uint64_t total = verification->totals[kind];
        if (total > 0)
            json_write_integer(writer, finding_name((enum finding_kind)kind), (int64_t)total);
    }
    json_write_end(writer);
}

void verified_print_json(const struct verification *verification,
                         const struct verified_request *request, struct buffer *text) {
    struct json_writer writer = json_writer_begin(text);
    bool is_whole = verification->faults == 0 && verification->unchecked == 0;
    json_write_object(&writer, NULL);
    json_write_integer(&writer, "version", 1);
    json_write_bool(&writer, "whole", is_whole);
    json_write_string(&writer, "folder", span_text(request->folder));
    write_time(&writer, "at", request->now_s);
    write_time(&writer, "from", request->from_s);
    write_time(&writer, "to", request->to_s);
    write_counts(&writer, verification);
    if (request->has_records)
        json_write_integer(&writer, "recordsCompared", (int64_t)request->records);
    json_write_bool(&writer, "findingsCut", verification->is_cut);
    json_write_list(&writer, "findings");
    for (uint32_t index = 0; index <= verification->results_count; index++) {
        const struct findings *findings = findings_at(verification, index);
        for (uint32_t at = 0; at < findings->count; at++)
            write_finding(&writer, &findings->list[at]);
    }
    json_write_end(&writer);
    json_write_list(&writer, "chains");
    for (uint32_t index = 0; index < verification->results_count; index++) {
        const struct walk_result *result = verification->results[index];
        for (uint32_t at = 0; at < result->chains_count; at++)
            write_chain(&writer, &result->chains[at]);
    }
    json_write_end(&writer);
    json_write_end(&writer);
    buffer_append_byte(text, '\n');
}
