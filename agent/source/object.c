#include "agent/source/object.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/gzip.h"
#include "event/split.h"

enum {
    INPUT_SIZE = 64 * 1024,                // bytes of one read
    OUTPUT_SIZE = 256 * 1024,              // inflated bytes at once
    WHOLE_INPUT_SIZE = 2 * 1024 * 1024,    // a smaller file is inflated whole
    WHOLE_OUTPUT_SIZE = 10 * 1024 * 1024,  // if it inflates to no more than this
};

struct object {
    const struct files *files;
    uint64_t size_max;
    struct gzip_reader *gzip;
    struct split *records;  // for JSON files
    struct split *lines;    // for NDJSON files
    struct split *split;    // of the present file
    struct crypto_sha256_stream *hash;
    uint8_t *input_bytes;
    uint8_t *output_bytes;
    uint8_t *whole_input;  // made when first needed, as the next
    uint8_t *whole_output;
    bool is_open;
    int handle;
    bool is_started;  // the first bytes were seen
    bool is_gzip;
    bool is_whole;  // all of it is in the output, checked
    bool input_ended;
    uint64_t read_size;  // bytes read from the file
    uint64_t skip;
    struct span input;   // compressed bytes not yet inflated
    struct span output;  // bytes not yet cut into records
    uint64_t inflated;
    bool output_was_full;  // more may come out without further input
    bool has_fault;        // reading ended; what came before is still given
    struct fault fault;
    bool is_refused;
    const char *verdict;
    uint64_t measure_at;  // offset of the next byte to measure
    uint64_t measured;
    size_t head_size;
};

struct object *object_create(const struct files *files, uint64_t size_max) {
    struct object *object = calloc(1, sizeof *object);
    if (object == NULL) return NULL;
    object->files = files;
    object->size_max = size_max;
    object->gzip = gzip_reader_create(size_max);
    object->records = split_create(SOURCE_RECORD_SIZE_MAX, false);
    object->lines = split_create(SOURCE_RECORD_SIZE_MAX, true);
    object->hash = crypto_sha256_create();
    object->input_bytes = malloc(INPUT_SIZE);
    object->output_bytes = malloc(OUTPUT_SIZE);
    if (object->gzip == NULL || object->records == NULL || object->lines == NULL ||
        object->hash == NULL || object->input_bytes == NULL || object->output_bytes == NULL) {
        object_destroy(object);
        return NULL;
    }
    return object;
}

void object_destroy(struct object *object) {
    if (object == NULL) return;
    object_close(object);
    if (object->gzip != NULL) gzip_reader_destroy(object->gzip);
    if (object->records != NULL) split_destroy(object->records);
    if (object->lines != NULL) split_destroy(object->lines);
    if (object->hash != NULL) crypto_sha256_destroy(object->hash);
    free(object->input_bytes);
    free(object->output_bytes);
    free(object->whole_input);
    free(object->whole_output);
    free(object);
}

bool object_open(struct object *object, const char *path, bool lines, uint64_t skip,
                 struct fault *fault) {
    assert(!object->is_open);
    if (!files_open(object->files, path, FILES_READ, &object->handle, fault)) return false;
    object->is_open = true;
    object->is_started = false;
    object->is_gzip = false;
    object->is_whole = false;
    object->input_ended = false;
    object->read_size = 0;
    object->skip = skip;
    object->input = (struct span){NULL, 0};
    object->output = (struct span){NULL, 0};
    object->inflated = 0;
    object->output_was_full = false;
    object->has_fault = false;
    object->is_refused = false;
    object->split = lines ? object->lines : object->records;
    gzip_reader_reset(object->gzip);
    split_reset(object->split, 0);
    return true;
}

void object_close(struct object *object) {
    if (!object->is_open) return;
    files_close(object->files, object->handle);
    object->is_open = false;
}

bool object_find_path(const struct object *object, char *path, size_t path_size) {
    return files_find_path(object->files, object->handle, path, path_size);
}

// Inflates a small file whole, twice as fast as the stream. Whatever speaks against it leaves the
// file to the stream, which says what is wrong.
static void try_whole(struct object *object) {
    struct files_entry entry;
    struct fault unused;
    if (!files_describe(object->files, object->handle, &entry, &unused)) return;
    size_t size = (size_t)entry.size, got;
    if (entry.size > WHOLE_INPUT_SIZE || size < 18) return;
    if (object->whole_input == NULL) object->whole_input = malloc(WHOLE_INPUT_SIZE);
    if (object->whole_output == NULL) object->whole_output = malloc(WHOLE_OUTPUT_SIZE);
    if (object->whole_input == NULL || object->whole_output == NULL) return;
    if (!files_read_at(object->files, object->handle, 0, object->whole_input, size, &got,
                       &unused) ||
        got != size) {
        return;
    }
    // What it says of its size is believed only as a limit.
    const uint8_t *end = object->whole_input + size - 4;
    uint64_t inflated =
        (uint64_t)end[0] | (uint64_t)end[1] << 8 | (uint64_t)end[2] << 16 | (uint64_t)end[3] << 24;
    if (inflated > WHOLE_OUTPUT_SIZE || inflated > object->size_max ||
        inflated / GZIP_RATIO_MAX > size) {
        return;
    }
    size_t written;
    if (!gzip_inflate_whole(span_of(object->whole_input, size), object->whole_output,
                            (size_t)inflated, &written)) {
        return;
    }
    object->is_whole = true;
    object->input_ended = true;
    object->read_size = size;
    object->input = (struct span){NULL, 0};
    object->output = span_of(object->whole_output, written);
}

// Reads the next piece of the file into the input.
static bool read_input(struct object *object, struct fault *fault) {
    size_t got;
    if (!files_read_at(object->files, object->handle, object->read_size, object->input_bytes,
                       INPUT_SIZE, &got, fault)) {
        return false;
    }
    object->read_size += got;
    object->input = span_of(object->input_bytes, got);
    object->input_ended = got == 0;
    if (!object->is_started && got > 0) {
        // By its bytes, not by its name: downloads may have been inflated on the way.
        object->is_started = true;
        object->is_gzip =
            got >= 2 && object->input_bytes[0] == 0x1F && object->input_bytes[1] == 0x8B;
        if (object->is_gzip) try_whole(object);
    }
    return true;
}

// The file ends here, for good or bad.
static void end_input(struct object *object) {
    bool complete = (!object->is_gzip || object->is_whole ||
                     gzip_reader_finish(object->gzip, &object->fault)) &&
                    split_finish(object->split, &object->fault);
    object->has_fault = !complete;
    object->verdict = "truncated_file";
}

// Inflates the next piece into the output.
static void inflate_output(struct object *object) {
    size_t written = 0;
    if (gzip_reader_step(object->gzip, &object->input, object->output_bytes, OUTPUT_SIZE, &written,
                         &object->fault)) {
        object->inflated += written;
    } else {
        object->has_fault = true;
        bool is_too_large = object->inflated + written > object->size_max;
        object->verdict = is_too_large ? "file_too_large" : "corrupt_file";
    }
    object->output = span_of(object->output_bytes, written);
    object->output_was_full = written == OUTPUT_SIZE;
}

static enum object_result refuse(struct object *object, struct fault *fault) {
    *fault = object->fault;
    object->is_refused = true;
    // A gzip file is refused as it lies there; of a plain one the part that was not read.
    object->measure_at = object->is_gzip ? 0 : split_position(object->split);
    object->measured = 0;
    object->head_size = 0;
    // A measuring that was broken off may have left something.
    uint8_t unused[SHA256_SIZE];
    crypto_sha256_finish(object->hash, unused);
    return OBJECT_REFUSED;
}

// Cuts the next record off the output.
static enum object_result cut_record(struct object *object, struct span *record, uint64_t *position,
                                     struct fault *fault) {
    uint64_t offset;
    enum split_result result =
        split_step(object->split, &object->output, record, &offset, &object->fault);
    switch (result) {
        case SPLIT_MORE:
            return OBJECT_MORE;
        case SPLIT_BAD:
            object->verdict = "corrupt_file";
            return refuse(object, fault);
        case SPLIT_RECORD:
        case SPLIT_OVERSIZE:
            break;
    }
    *position = split_position(object->split);
    if (*position <= object->skip) return OBJECT_MORE;
    return result == SPLIT_RECORD ? OBJECT_RECORD : OBJECT_OVERSIZE;
}

enum object_result object_step(struct object *object, struct span *record, uint64_t *position,
                               struct fault *fault) {
    assert(object->is_open);
    assert(!object->is_refused);
    if (object->output.size > 0) {
        enum object_result result = cut_record(object, record, position, fault);
        if (result != OBJECT_MORE || object->output.size > 0) return result;
    }
    if (object->has_fault) return refuse(object, fault);
    bool needs_input = object->input.size == 0 && !object->output_was_full;
    if (needs_input && !object->input_ended) {
        if (!read_input(object, fault)) return OBJECT_FAULT;
        if (object->is_whole) return OBJECT_MORE;
    }
    if (object->is_gzip && (object->input.size > 0 || object->output_was_full)) {
        inflate_output(object);
        return OBJECT_MORE;
    }
    if (object->input.size > 0) {
        object->output = object->input;
        object->input = (struct span){NULL, 0};
        return OBJECT_MORE;
    }
    // NDJSON need not end with a line break: its last line is a record.
    struct span pending = split_pending(object->split);
    if (object->split == object->lines && pending.size > 0) {
        object->output = SPAN_LITERAL("\n");
        return OBJECT_MORE;
    }
    end_input(object);
    return object->has_fault ? OBJECT_MORE : OBJECT_END;
}

void object_measure_record(const struct object *object, uint64_t *size, uint8_t sha256[32]) {
    split_oversize(object->split, size, sha256);
}

const char *object_verdict(const struct object *object) {
    assert(object->is_refused);
    return object->verdict;
}

enum object_result object_measure(struct object *object, struct span *head, uint64_t *size,
                                  uint8_t sha256[32], struct fault *fault) {
    assert(object->is_refused);
    size_t got;
    if (!files_read_at(object->files, object->handle, object->measure_at, object->input_bytes,
                       INPUT_SIZE, &got, fault)) {
        return OBJECT_FAULT;
    }
    if (got > 0) {
        size_t room = SOURCE_NOTICE_HEAD_SIZE_MAX - object->head_size;
        size_t kept = got < room ? got : room;
        // The output is done with: its memory keeps the head.
        memcpy(object->output_bytes + object->head_size, object->input_bytes, kept);
        object->head_size += kept;
        crypto_sha256_update(object->hash, span_of(object->input_bytes, got));
        object->measure_at += got;
        object->measured += got;
        return OBJECT_MORE;
    }
    crypto_sha256_finish(object->hash, sha256);
    *head = span_of(object->output_bytes, object->head_size);
    *size = object->measured;
    return OBJECT_END;
}

uint64_t object_read_size(const struct object *object) {
    return object->read_size;
}
