#include "verify/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/gzip.h"

enum {
    PIECE_SIZE = 128 * 1024,
    GZIP_SIZE_MIN = 18,  // bytes of a member that holds nothing
};

struct object_reader {
    const struct delivered *delivered;
    struct gzip_reader *gzip;
    struct crypto_sha256_stream *sha256;
    struct buffer bytes;
    struct buffer text;
};

struct object_reader *object_reader_create(const struct delivered *delivered) {
    struct object_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return NULL;
    reader->delivered = delivered;
    reader->gzip = gzip_reader_create(OBJECT_TEXT_SIZE_MAX);
    reader->sha256 = crypto_sha256_create();
    buffer_init(&reader->bytes, DELIVERED_OBJECT_SIZE_MAX);
    buffer_init(&reader->text, OBJECT_TEXT_SIZE_MAX);
    if (reader->gzip != NULL && reader->sha256 != NULL) return reader;
    object_reader_destroy(reader);
    return NULL;
}

void object_reader_destroy(struct object_reader *reader) {
    if (reader == NULL) return;
    gzip_reader_destroy(reader->gzip);
    if (reader->sha256 != NULL) crypto_sha256_destroy(reader->sha256);
    buffer_done(&reader->bytes);
    buffer_done(&reader->text);
    free(reader);
}

// Most files are small and of one member: at once. False: the stream tells.
static bool inflate_whole(struct object_reader *reader, struct object_facts *facts) {
    struct span bytes = buffer_span(&reader->bytes);
    if (bytes.size < GZIP_SIZE_MIN) return false;
    // What the file says of its text's size is a guess until the inflater agrees.
    uint32_t size = bytes_get_32(bytes.bytes + bytes.size - 4);
    size_t written = 0;
    if (size > OBJECT_WHOLE_SIZE_MAX) return false;
    uint8_t *output = buffer_reserve(&reader->text, size + 1);
    if (output == NULL || !gzip_inflate_whole(bytes, output, size, &written)) return false;
    facts->text_size = reader->text.size = written;
    struct span text = span_of(output, written);
    crypto_sha256(&text, 1, facts->hash);
    return true;
}

// As a stream: large files, several members, and to say what is wrong.
static bool inflate_stream(struct object_reader *reader, size_t text_size_max,
                           struct object_facts *facts, struct fault *fault) {
    struct span input = buffer_span(&reader->bytes);
    size_t written = 0;
    bool is_good = true;
    gzip_reader_reset(reader->gzip);
    facts->text_size = 0;
    do {
        if (text_size_max == 0) reader->text.size = 0;
        uint8_t *output = buffer_reserve(&reader->text, PIECE_SIZE);
        if (output == NULL) return fault_set(fault, FAULT_FULL, "no memory for its text");
        is_good = gzip_reader_step(reader->gzip, &input, output, PIECE_SIZE, &written, fault);
        reader->text.size += written;
        facts->text_size += written;
        crypto_sha256_update(reader->sha256, span_of(output, written));
        if (text_size_max > 0 && facts->text_size > text_size_max)
            is_good =
                fault_set(fault, FAULT_INPUT, "inflates to more than %zu bytes", text_size_max);
    } while (is_good && written == PIECE_SIZE);
    crypto_sha256_finish(reader->sha256, facts->hash);
    return is_good && gzip_reader_finish(reader->gzip, fault);
}

void object_read(struct object_reader *reader, struct span bucket, struct span key,
                 size_t text_size_max, struct delivered_metadata *metadata,
                 struct object_facts *facts) {
    enum delivered_presence presence;
    struct fault fault = {.kind = FAULT_NONE};
    buffer_reset(&reader->bytes);
    buffer_reset(&reader->text);
    *facts = (struct object_facts){.state = OBJECT_GOOD};
    if (!delivered_get(reader->delivered, bucket, key, &reader->bytes, metadata, &presence,
                       &fault)) {
        facts->state = fault.kind == FAULT_INPUT ? OBJECT_DAMAGED : OBJECT_UNREADABLE;
    } else if (presence != DELIVERED_FOUND) {
        facts->state = presence == DELIVERED_MISSING ? OBJECT_MISSING : OBJECT_NO_BUCKET;
    } else if (!inflate_whole(reader, facts) &&
               !inflate_stream(reader, text_size_max, facts, &fault)) {
        facts->state = fault.kind == FAULT_INPUT ? OBJECT_DAMAGED : OBJECT_UNREADABLE;
    }
    if (text_size_max > 0 && facts->state == OBJECT_GOOD) facts->text = buffer_span(&reader->text);
    snprintf(facts->why, sizeof facts->why, "%s", fault.text);
}
