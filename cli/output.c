#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum {
    OPTION_OUTPUT = 3001,
    OPTION_PROVENANCE,
    FLUSH_SIZE = 64 * 1024,
    BUFFER_SIZE_MAX = 16 * 1024 * 1024,  // one event of 1 MiB, escaped as JSON's longest escapes
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct output *output = state->input;
    switch (key) {
        case OPTION_OUTPUT:
            if (strcmp(argument, "table") == 0) {
                output->form = OUTPUT_TABLE;
            } else if (strcmp(argument, "json") == 0) {
                output->form = OUTPUT_JSON;
            } else if (strcmp(argument, "ndjson") == 0) {
                output->form = OUTPUT_NDJSON;
            } else {
                argp_error(state, "--output \"%s\": must be table, json or ndjson", argument);
            }
            return 0;
        case OPTION_PROVENANCE:
            output->has_provenance = true;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "How they are shown:", 60},
    {"output", OPTION_OUTPUT, "FORM", 0, "table (default), json or ndjson (records verbatim)", 60},
    {"provenance", OPTION_PROVENANCE, 0, 0, "also sequence number, agent and time of arrival", 60},
    {0},
};

const struct argp output_argp = {.options = argument_options, .parser = parse_argument};

void output_begin(struct output *output, struct trail_reader *reader, bool is_live) {
    bool is_terminal = isatty(STDOUT_FILENO) == 1;
    const char *no_colour = getenv("NO_COLOR");
    output->reader = reader;
    output->is_live = is_live;
    output->count = 0;
    output->table = (struct format_table){
        .width = command_width(FORMAT_WIDTH_DEFAULT),
        .has_colour = is_terminal && (no_colour == NULL || no_colour[0] == 0),
        .has_provenance = output->has_provenance,
    };
    buffer_init(&output->buffer, BUFFER_SIZE_MAX);
    if (output->form == OUTPUT_JSON) format_json_begin(&output->buffer);
    // An answer without events is empty: the head comes with the first.
    if (output->form == OUTPUT_TABLE && is_live) format_table_head(&output->table, &output->buffer);
}

bool output_flush(struct output *output) {
    struct span bytes = buffer_span(&output->buffer);
    bool is_written = bytes.size == 0 || fwrite(bytes.bytes, 1, bytes.size, stdout) == bytes.size;
    buffer_reset(&output->buffer);
    is_written = is_written && fflush(stdout) == 0;
    output->is_unread |= !is_written && errno == EPIPE;
    return is_written;
}

bool output_event(struct output *output, const struct record *record, const struct trail_row *row,
                  struct fault *fault) {
    struct format_provenance provenance = {.is_wanted = output->has_provenance};
    if (provenance.is_wanted &&
        !trail_reader_agent(output->reader, row->agent, &provenance.agent, fault)) {
        return false;
    }
    switch (output->form) {
        case OUTPUT_TABLE:
            if (output->count == 0 && !output->is_live)
                format_table_head(&output->table, &output->buffer);
            format_table_row(&output->table, record, row, &provenance, &output->buffer);
            break;
        case OUTPUT_JSON:
            format_json_event(record, row, &provenance, output->count == 0, &output->buffer);
            break;
        case OUTPUT_NDJSON:
            format_line(row, &provenance, &output->buffer);
            break;
    }
    output->count++;
    if (buffer_overflowed(&output->buffer)) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_due = output->is_live || output->buffer.size >= FLUSH_SIZE;
    if (!is_due || output_flush(output)) return true;
    return fault_set_errno(fault, FAULT_IO, errno, "write the answer");
}

void output_end(struct output *output, const char *token) {
    if (output->form == OUTPUT_JSON) format_json_end(token, &output->buffer);
    (void)output_flush(output);  // command_finish reports what could not be written
    buffer_done(&output->buffer);
    if (token[0] == 0 || output->form == OUTPUT_JSON) return;
    fprintf(stderr, "There is more: the same command with --page %s\n", token);
}
