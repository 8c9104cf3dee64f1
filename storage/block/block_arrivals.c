#include <stdlib.h>

#include "storage/block/block_internal.h"

// The section: number of runs, size of the runs inflated (both variable), then the runs, compressed
// if that is shorter. A run: rows - 1, what its first sequence number is above the last one of the
// run before (less 1; the first above the block's first), agent and time less those before.

static void append_runs(const struct block_scratch *scratch, uint32_t count, struct buffer *output,
                        uint32_t *runs) {
    const struct block_row *const *rows = scratch->ordered;
    const uint64_t *order = scratch->sorting;
    uint64_t sequence = rows[order[0]]->sequence;
    uint32_t agent = 0;
    int64_t received_ms = 0;
    *runs = 0;
    for (uint32_t begin = 0; begin < count;) {
        const struct block_row *first = rows[order[begin]];
        uint32_t end = begin + 1;
        for (; end < count; end++) {
            const struct block_row *row = rows[order[end]];
            if (row->sequence != first->sequence + (end - begin) || row->agent != first->agent ||
                row->received_ms != first->received_ms) {
                break;
            }
        }
        bytes_append_varint(output, end - begin - 1);
        bytes_append_varint(output, first->sequence - sequence);
        bytes_append_varint(output, bytes_zigzag((int64_t)first->agent - (int64_t)agent));
        bytes_append_varint(
            output, bytes_zigzag((int64_t)((uint64_t)first->received_ms - (uint64_t)received_ms)));
        sequence = first->sequence + (end - begin);
        agent = first->agent;
        received_ms = first->received_ms;
        begin = end;
        (*runs)++;
    }
}

bool arrivals_append(struct block_scratch *scratch, uint32_t count, struct buffer *output,
                     struct fault *fault) {
    struct buffer *runs = &scratch->arrivals_bytes;
    uint32_t runs_count;
    buffer_reset(runs);
    buffer_reset(output);
    append_runs(scratch, count, runs, &runs_count);
    if (buffer_overflowed(runs)) return fault_set(fault, FAULT_FULL, "arrivals: no memory");
    bytes_append_varint(output, runs_count);
    bytes_append_varint(output, runs->size);
    size_t begin = output->size;
    if (!zstd_compress(scratch->zstd, buffer_span(runs), BLOCK_ZSTD_LEVEL, output, fault)) {
        return false;
    }
    // A reader tells the two by their size.
    if (output->size - begin >= runs->size) {
        output->size = begin;
        buffer_append(output, buffer_span(runs));
    }
    return true;
}

static void read_runs(const struct block *block, struct reader *reader, struct arrival *arrivals,
                      uint32_t count) {
    struct arrival next = {.sequence = block->summary.sequence_first};
    for (uint32_t index = 0; index < count; index++) {
        uint64_t rows = reader_varint(reader) + 1;
        next.sequence += reader_varint(reader);
        next.agent += (uint32_t)bytes_unzigzag(reader_varint(reader));
        uint64_t received = (uint64_t)bytes_unzigzag(reader_varint(reader));
        next.received_ms = (int64_t)((uint64_t)next.received_ms + received);
        arrivals[index] = next;
        if (rows > block->summary.rows - next.place) {
            reader->bad = true;
            return;
        }
        next.sequence += rows;
        next.place += (uint32_t)rows;
    }
    if (next.place != block->summary.rows) reader->bad = true;
}

bool arrivals_read(const struct block *block, struct block_scratch *scratch, struct fault *fault) {
    // The frames of a block are read one after another: what is there may be of this block.
    uint64_t checksum = bytes_get_64(block->bytes.bytes + 8);
    if (scratch->arrivals_count > 0 && scratch->arrivals_of == checksum &&
        scratch->arrivals_first == block->summary.sequence_first &&
        scratch->arrivals_rows == block->summary.rows) {
        return true;
    }
    scratch->arrivals_count = 0;
    struct reader reader = reader_of(block->sections[BLOCK_ARRIVALS]);
    uint64_t count = reader_varint(&reader);
    uint64_t size = reader_varint(&reader);
    if (reader.bad || count == 0 || count > block->summary.rows ||
        size > count * 4 * BYTES_VARINT_MAX) {
        return fault_set(fault, FAULT_CORRUPT, "arrivals: damaged sizes");
    }
    if (scratch->arrivals == NULL) {
        scratch->arrivals = malloc(BLOCK_ROWS_MAX * sizeof *scratch->arrivals);
    }
    buffer_reset(&scratch->arrivals_bytes);
    uint8_t *runs = buffer_reserve(&scratch->arrivals_bytes, (size_t)size);
    if (scratch->arrivals == NULL || runs == NULL) {
        return fault_set(fault, FAULT_FULL, "arrivals: no memory");
    }
    struct span rest = span_of(reader.at, reader_left(&reader));
    if (rest.size == size) {
        memcpy(runs, rest.bytes, rest.size);
    } else if (!zstd_inflate(scratch->zstd, rest, runs, (size_t)size, fault)) {
        return fault_add(fault, "arrivals");
    }
    struct reader run_reader = reader_of(span_of(runs, (size_t)size));
    read_runs(block, &run_reader, scratch->arrivals, (uint32_t)count);
    if (run_reader.bad || reader_left(&run_reader) != 0) {
        return fault_set(fault, FAULT_CORRUPT, "arrivals: damaged runs");
    }
    scratch->arrivals_count = (uint32_t)count;
    scratch->arrivals_of = checksum;
    scratch->arrivals_first = block->summary.sequence_first;
    scratch->arrivals_rows = block->summary.rows;
    return true;
}
