#include "event/split.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "event/braces.h"

// Where in the stream the next byte stands.
enum state {
    BETWEEN,         // outside of everything
    LIST,            // in the array of an envelope or in a top-level array, between records
    ENVELOPE_REST,   // behind the array of an envelope, up to the brace that closes it
    OBJECT,          // in a record
    ENVELOPE_START,  // in a top-level object, not yet known whether envelope or record
    LINE,            // in a line stream
    BAD,
};

struct split {
    uint32_t size_max;
    bool lines;
    enum state state;
    enum state state_after;  // of a record: BETWEEN or LIST
    bool in_envelope;        // the list closes with "]}" rather than "]"
    struct braces braces;    // of the record, or of the envelope's rest

    uint64_t position;       // stream offset of the next input byte
    uint64_t record_offset;  // of the record being read
    bool is_reading;         // a record has begun and not ended
    bool is_oversize;        // and has passed size_max
    struct buffer partial;   // its bytes from earlier inputs
    struct crypto_sha256_stream *hash;
    uint64_t oversize_size;
    uint8_t oversize_sha256[SHA256_SIZE];
    struct fault bad;
};

// The text with which CloudTrail's files begin, blanks left out.
static const char envelope_key[] = "{\"Records\":[";
enum { ENVELOPE_KEY_SIZE = sizeof envelope_key - 1 };

struct split *split_create(uint32_t size_max, bool lines) {
    assert(size_max >= SPLIT_HEAD_SIZE);
    struct split *split = calloc(1, sizeof *split);
    if (split == NULL) return NULL;
    split->size_max = size_max;
    split->lines = lines;
    split->hash = crypto_sha256_create();
    if (split->hash == NULL) {
        free(split);
        return NULL;
    }
    buffer_init(&split->partial, (size_t)size_max + 1);
    split_reset(split, 0);
    return split;
}

void split_destroy(struct split *split) {
    if (split == NULL) return;
    crypto_sha256_destroy(split->hash);
    buffer_done(&split->partial);
    free(split);
}

void split_reset(struct split *split, uint64_t offset) {
    if (split->is_oversize) crypto_sha256_finish(split->hash, split->oversize_sha256);
    buffer_reset(&split->partial);
    split->state = split->lines ? LINE : BETWEEN;
    split->state_after = BETWEEN;
    split->in_envelope = false;
    split->braces = (struct braces){0};
    split->position = offset;
    split->record_offset = offset;
    split->is_reading = false;
    split->is_oversize = false;
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Moves past the first `size` bytes of the input.
static void use(struct split *split, struct span *input, size_t size) {
    *input = span_from(*input, size);
    split->position += size;
}

static enum split_result spoil(struct split *split, struct fault *fault, const char *text) {
    split->state = BAD;
    split->is_reading = false;
    fault_set(&split->bad, FAULT_INPUT, "%s at byte %" PRIu64, text, split->position);
    *fault = split->bad;
    return SPLIT_BAD;
}

// Keeps bytes of a record that did not end in this input, or counts and hashes them once it is
// larger than allowed.
static void keep_partial(struct split *split, struct span bytes) {
    if (!split->is_oversize && split->partial.size + bytes.size > split->size_max) {
        split->is_oversize = true;
        split->oversize_size = split->partial.size;
        crypto_sha256_update(split->hash, buffer_span(&split->partial));
        if (split->partial.size > SPLIT_HEAD_SIZE) split->partial.size = SPLIT_HEAD_SIZE;
    }
    if (!split->is_oversize) {
        buffer_append(&split->partial, bytes);
        return;
    }
    split->oversize_size += bytes.size;
    crypto_sha256_update(split->hash, bytes);
    size_t room = SPLIT_HEAD_SIZE - split->partial.size;
    buffer_append(&split->partial, span_of(bytes.bytes, bytes.size < room ? bytes.size : room));
}

static void begin_record(struct split *split) {
    // What was handed out last lay in `partial`; only now may it go.
    buffer_reset(&split->partial);
    split->record_offset = split->position;
    split->is_reading = true;
    split->is_oversize = false;
}

// The record's last piece is the first `size` bytes of the input: hands it out whole.
static enum split_result end_record(struct split *split, struct span *input, size_t size,
                                    size_t used, struct span *record, uint64_t *offset) {
    struct span last = span_of(input->bytes, size);
    use(split, input, used);
    split->is_reading = false;
    *offset = split->record_offset;
    if (split->partial.size == 0 && size <= split->size_max) {
        *record = last;
        return SPLIT_RECORD;
    }
    keep_partial(split, last);
    *record = buffer_span(&split->partial);
    if (!split->is_oversize) return SPLIT_RECORD;
    split->is_oversize = false;
    crypto_sha256_finish(split->hash, split->oversize_sha256);
    return SPLIT_OVERSIZE;
}

static enum split_result step_object(struct split *split, struct span *input, struct span *record,
                                     uint64_t *offset) {
    size_t end;
    if (braces_walk(&split->braces, *input, &end)) {
        split->state = split->state_after;
        return end_record(split, input, end, end, record, offset);
    }
    keep_partial(split, *input);
    use(split, input, input->size);
    return SPLIT_MORE;
}

// A top-level object is an envelope if its first member is an array named Records; the bytes that
// decide are kept in `partial`, since they are the record's own if it is none.
static void step_envelope_start(struct split *split, struct span *input) {
    uint32_t matched = 0;
    for (size_t index = 0; index < split->partial.size; index++) {
        if (!is_blank(split->partial.bytes[index])) matched++;
    }
    size_t index = 0;
    while (index < input->size && matched < ENVELOPE_KEY_SIZE) {
        uint8_t byte = input->bytes[index];
        if (!is_blank(byte) && byte != (uint8_t)envelope_key[matched++]) break;
        // Blanks without end would grow `partial`: what begins so is judged as a record.
        if (split->partial.size + index > 1024) break;
        index++;
    }
    struct span seen = span_of(input->bytes, index);
    if (matched == ENVELOPE_KEY_SIZE && index > 0 && input->bytes[index - 1] == '[') {
        use(split, input, index);
        buffer_reset(&split->partial);
        split->is_reading = false;
        split->in_envelope = true;
        split->state = LIST;
        return;
    }
    bool undecided = index == input->size;
    // Not an envelope: walk what was seen as a part of the record. It cannot close in it, because
    // it is a beginning of {"Records":[ .
    size_t end;
    if (!undecided) {
        struct span before = buffer_span(&split->partial);
        bool ended =
            braces_walk(&split->braces, before, &end) || braces_walk(&split->braces, seen, &end);
        assert(!ended);
        split->state = OBJECT;
    }
    keep_partial(split, seen);
    use(split, input, index);
}

// Between records: looks at the next byte that is no blank. SPLIT_RECORD here only means "go on".
static enum split_result step_between(struct split *split, struct span *input,
                                      struct fault *fault) {
    size_t index = 0;
    bool is_list = split->state == LIST;
    while (index < input->size &&
           (is_blank(input->bytes[index]) || (is_list && input->bytes[index] == ','))) {
        index++;
    }
    use(split, input, index);
    if (input->size == 0) return SPLIT_MORE;
    uint8_t byte = input->bytes[0];
    if (byte == '{') {
        begin_record(split);
        split->braces.depth = 0;
        split->state_after = split->state;
        split->state = is_list ? OBJECT : ENVELOPE_START;
        return SPLIT_RECORD;
    }
    if (is_list && byte == ']') {
        split->state = split->in_envelope ? ENVELOPE_REST : BETWEEN;
        split->in_envelope = false;
        split->braces.depth = 1;
        use(split, input, 1);
        return SPLIT_RECORD;
    }
    if (!is_list && byte == '[') {
        split->state = LIST;
        use(split, input, 1);
        return SPLIT_RECORD;
    }
    // A byte order mark may stand at the very beginning.
    static const uint8_t mark[] = {0xEF, 0xBB, 0xBF};
    if (split->position < sizeof mark && byte == mark[split->position]) {
        use(split, input, 1);
        return SPLIT_RECORD;
    }
    return spoil(
        split, fault,
        is_list ? "expected a record or the end of the list" : "expected a JSON object or array");
}

// Whatever members stand behind Records, up to the brace that closes the envelope.
static enum split_result step_envelope_rest(struct split *split, struct span *input) {
    size_t end;
    bool ended = braces_walk(&split->braces, *input, &end);
    use(split, input, end);
    if (!ended) return SPLIT_MORE;
    split->state = BETWEEN;
    return SPLIT_RECORD;
}

static bool is_blank_line(struct span line) {
    for (size_t index = 0; index < line.size; index++) {
        if (!is_blank(line.bytes[index])) return false;
    }
    return true;
}

static enum split_result step_line(struct split *split, struct span *input, struct span *record,
                                   uint64_t *offset) {
    while (input->size > 0) {
        if (!split->is_reading) begin_record(split);
        size_t end = span_find(*input, '\n');
        if (end == input->size) {
            keep_partial(split, *input);
            use(split, input, end);
            return SPLIT_MORE;
        }
        enum split_result result = end_record(split, input, end, end + 1, record, offset);
        if (result == SPLIT_OVERSIZE) return result;
        if (record->size > 0 && record->bytes[record->size - 1] == '\r') record->size--;
        if (!is_blank_line(*record)) return result;
    }
    return SPLIT_MORE;
}

enum split_result split_step(struct split *split, struct span *input, struct span *record,
                             uint64_t *offset, struct fault *fault) {
    if (split->state == LINE) return step_line(split, input, record, offset);
    while (input->size > 0 || split->state == BAD) {
        enum split_result result = SPLIT_RECORD;
        switch (split->state) {
            case OBJECT:
                return step_object(split, input, record, offset);
            case ENVELOPE_START:
                step_envelope_start(split, input);
                break;
            case ENVELOPE_REST:
                result = step_envelope_rest(split, input);
                break;
            case BETWEEN:
            case LIST:
                result = step_between(split, input, fault);
                break;
            case LINE:
                break;
            case BAD:
                *fault = split->bad;
                return SPLIT_BAD;
        }
        if (result != SPLIT_RECORD) return result;
    }
    return SPLIT_MORE;
}

bool split_finish(struct split *split, struct fault *fault) {
    if (split->state == BAD) {
        *fault = split->bad;
        return false;
    }
    if (split->is_reading) {
        return fault_set(fault, FAULT_INPUT,
                         "ends at byte %" PRIu64 " inside a record that began at byte %" PRIu64,
                         split->position, split->record_offset);
    }
    if (split->state == LIST || split->state == ENVELOPE_REST) {
        return fault_set(fault, FAULT_INPUT, "ends at byte %" PRIu64 " inside the list of records",
                         split->position);
    }
    return true;
}

struct span split_pending(const struct split *split) {
    return split->is_reading ? buffer_span(&split->partial) : (struct span){NULL, 0};
}

uint64_t split_position(const struct split *split) {
    return split->is_reading ? split->record_offset : split->position;
}

void split_oversize(const struct split *split, uint64_t *size, uint8_t sha256[SHA256_SIZE]) {
    *size = split->oversize_size;
    memcpy(sha256, split->oversize_sha256, SHA256_SIZE);
}
