// output.h: events on standard output, in the form that was asked for.

#pragma once

#include <argp.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "event/record.h"
#include "query/format.h"
#include "storage/trail/trail_reader.h"

enum output_form {
    OUTPUT_TABLE,
    OUTPUT_JSON,
    OUTPUT_NDJSON,
};

struct output {
    enum output_form form;
    bool has_provenance;
    // Internal.
    struct trail_reader *reader;
    struct format_table table;
    struct buffer buffer;
    uint64_t count;
    bool is_live;
    bool is_unread;  // whoever read the answer has gone: no failure, but an end
};

// The options --output and --provenance, as a child of a command's argp. Its input is an output.
extern const struct argp output_argp;

// Begins: finds out about the terminal and prints what comes first. Live output is shown event by
// event, other output in large pieces.
void output_begin(struct output *output, struct trail_reader *reader, bool is_live);

// Prints one event. FAULT_IO if the agent's name cannot be read or standard output fails.
MUST_CHECK bool output_event(struct output *output, const struct record *record,
                             const struct trail_row *row, struct fault *fault);

// Shows what was printed so far. False if nobody reads it any more.
bool output_flush(struct output *output);

// Ends: prints what comes last, with the token of the next page ("" if there is none), and frees.
void output_end(struct output *output, const char *token);
