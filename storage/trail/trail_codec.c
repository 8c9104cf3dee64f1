#include "storage/trail/trail_codec.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

enum {
    VERSION = 1,
    SUM_SIZE = 4,
};

static const char magic[8] = "orgtrail";

void trail_codec_append(struct buffer *output, uint64_t value, uint32_t size) {
    assert(size >= 1 && size <= 8);
    uint8_t bytes[8];
    for (uint32_t index = 0; index < size; index++) bytes[index] = (uint8_t)(value >> (8 * index));
    buffer_append(output, span_of(bytes, size));
}

uint64_t trail_codec_take(struct trail_codec *codec, uint32_t size) {
    assert(size >= 1 && size <= 8);
    struct span bytes = trail_codec_take_bytes(codec, size);
    uint64_t value = 0;
    for (uint32_t index = 0; index < bytes.size; index++)
        value |= (uint64_t)bytes.bytes[index] << (8 * index);
    return value;
}

struct span trail_codec_take_bytes(struct trail_codec *codec, size_t size) {
    if (codec->failed || codec->rest.size < size) {
        codec->failed = true;
        return (struct span){NULL, 0};
    }
    struct span bytes = span_of(codec->rest.bytes, size);
    codec->rest = span_from(codec->rest, size);
    return bytes;
}

// Begins a value; end_value puts the sum of all that was appended since behind it.
static size_t begin_value(struct buffer *output) {
    size_t begin = output->size;
    trail_codec_append(output, VERSION, 1);
    return begin;
}

static uint32_t sum_of(struct span bytes) {
    return (uint32_t)hash_plain(bytes);
}

static void end_value(struct buffer *output, size_t begin) {
    if (buffer_overflowed(output)) return;
    trail_codec_append(output, sum_of(span_from(buffer_span(output), begin)), SUM_SIZE);
}

// Takes the sum off the end of a value. False if it is not that of the rest.
static bool take_sum(struct span *value) {
    if (value->size < SUM_SIZE) return false;
    struct span body = span_of(value->bytes, value->size - SUM_SIZE);
    struct trail_codec sum = {.rest = span_from(*value, body.size)};
    *value = body;
    return trail_codec_take(&sum, SUM_SIZE) == sum_of(body);
}

static struct trail_codec begin(struct span value) {
    bool is_whole = take_sum(&value);
    struct trail_codec codec = {.rest = value};
    if (trail_codec_take(&codec, 1) != VERSION || !is_whole) codec.failed = true;
    return codec;
}

static bool end(const struct trail_codec *codec, const char *what, struct fault *fault) {
    if (!codec->failed) return true;
    return fault_set(fault, FAULT_CORRUPT, "trail: a value of \"%s\" is damaged", what);
}

static void take_array(struct trail_codec *codec, void *bytes, size_t size) {
    struct span from = trail_codec_take_bytes(codec, size);
    if (from.size == size) memcpy(bytes, from.bytes, size);
}

// Text with its size before it; at most 65,535 bytes.
static void append_text(struct buffer *output, struct span text) {
    assert(text.size <= UINT16_MAX);
    trail_codec_append(output, text.size, 2);
    buffer_append(output, text);
}

static struct span take_text(struct trail_codec *codec) {
    return trail_codec_take_bytes(codec, (size_t)trail_codec_take(codec, 2));
}

static void take_reason(struct trail_codec *codec, char reason[TRAIL_REASON_SIZE]) {
    struct span text = take_text(codec);
    if (text.size >= TRAIL_REASON_SIZE) codec->failed = true;
    memset(reason, 0, TRAIL_REASON_SIZE);
    if (!codec->failed && text.size > 0) memcpy(reason, text.bytes, text.size);
}

void trail_codec_append_format(struct buffer *output, const struct trail_format *format) {
    size_t begin = output->size;
    buffer_append(output, span_of(magic, sizeof magic));
    trail_codec_append(output, format->major, 2);
    trail_codec_append(output, format->minor, 2);
    // Keys that are numbers stand in the machine's byte order: a store moved to a machine with the
    // other order reads this as another number.
    uint16_t order = 1;
    buffer_append(output, span_of(&order, sizeof order));
    buffer_append(output, span_of(format->epoch, sizeof format->epoch));
    buffer_append(output, span_of(format->secret, sizeof format->secret));
    trail_codec_append(output, (uint64_t)format->created_ms, 8);
    end_value(output, begin);
}

bool trail_codec_take_format(struct span value, struct trail_format *format, struct fault *fault) {
    struct trail_codec codec = {.rest = value};
    struct trail_format read = {0};
    if (!span_equal(trail_codec_take_bytes(&codec, sizeof magic), span_of(magic, sizeof magic)))
        return fault_set(fault, FAULT_CORRUPT, "trail: the store is not one of orgtrail");
    read.major = (uint16_t)trail_codec_take(&codec, 2);
    read.minor = (uint16_t)trail_codec_take(&codec, 2);
    if (!codec.failed && read.major == TRAIL_FORMAT_FIRST) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail: the store has the older format %u.%u: stop the collector and run "
                         "orgtrail store migrate",
                         read.major, read.minor);
    }
    if (!codec.failed && read.major != TRAIL_FORMAT_MAJOR) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail: the store has format %u.%u, this program reads %u.%u: use the "
                         "version of orgtrail that wrote it, or a later one",
                         read.major, read.minor, TRAIL_FORMAT_MAJOR, TRAIL_FORMAT_MINOR);
    }
    uint16_t order = 0;
    take_array(&codec, &order, sizeof order);
    if (!codec.failed && order != 1) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail: the store was written on a machine of the other byte order");
    }
    take_array(&codec, read.epoch, sizeof read.epoch);
    take_array(&codec, read.secret, sizeof read.secret);
    read.created_ms = (int64_t)trail_codec_take(&codec, 8);
    if (codec.failed || !take_sum(&value)) {
        return fault_set(
            fault, FAULT_CORRUPT,
            "trail: the format is damaged, and with it the secret that all hashes need: "
            "restore the store from a backup");
    }
    *format = read;
    return true;
}

void trail_codec_append_head(struct buffer *output, const struct trail_head *head) {
    size_t begin = begin_value(output);
    trail_codec_append(output, head->sequence_last, 8);
    trail_codec_append(output, head->block_next, 8);
    trail_codec_append(output, head->dictionary_epoch, 4);
    trail_codec_append(output, head->dictionary_chunk, 4);
    trail_codec_append(output, head->events, 8);
    trail_codec_append(output, head->block_rows, 8);
    trail_codec_append(output, head->text_size, 8);
    trail_codec_append(output, head->block_size, 8);
    trail_codec_append(output, (uint64_t)head->time_min_s, 8);
    trail_codec_append(output, (uint64_t)head->time_max_s, 8);
    trail_codec_append(output, head->quarantined, 8);
    trail_codec_append(output, head->quarantined_count, 8);
    trail_codec_append(output, head->gaps, 8);
    trail_codec_append(output, head->blocks, 8);
    trail_codec_append(output, head->dropped, 8);
    trail_codec_append(output, (uint64_t)head->retained_from_s, 8);
    end_value(output, begin);
}

bool trail_codec_take_head(struct span value, struct trail_head *head, struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_head read = {0};
    read.sequence_last = trail_codec_take(&codec, 8);
    read.block_next = trail_codec_take(&codec, 8);
    read.dictionary_epoch = (uint32_t)trail_codec_take(&codec, 4);
    read.dictionary_chunk = (uint32_t)trail_codec_take(&codec, 4);
    read.events = trail_codec_take(&codec, 8);
    read.block_rows = trail_codec_take(&codec, 8);
    read.text_size = trail_codec_take(&codec, 8);
    read.block_size = trail_codec_take(&codec, 8);
    read.time_min_s = (int64_t)trail_codec_take(&codec, 8);
    read.time_max_s = (int64_t)trail_codec_take(&codec, 8);
    read.quarantined = trail_codec_take(&codec, 8);
    read.quarantined_count = trail_codec_take(&codec, 8);
    read.gaps = trail_codec_take(&codec, 8);
    read.blocks = trail_codec_take(&codec, 8);
    read.dropped = trail_codec_take(&codec, 8);
    read.retained_from_s = (int64_t)trail_codec_take(&codec, 8);
    if (codec.failed) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail: the head is damaged, so that nobody knows where the trail ends: "
                         "restore the store from a backup");
    }
    *head = read;
    return true;
}

void trail_codec_append_summary(struct buffer *output, const struct block_summary *summary) {
    size_t begin = begin_value(output);
    trail_codec_append(output, summary->sequence_first, 8);
    trail_codec_append(output, summary->sequence_last, 8);
    trail_codec_append(output, (uint64_t)summary->time_min_s, 8);
    trail_codec_append(output, (uint64_t)summary->time_max_s, 8);
    trail_codec_append(output, summary->rows, 4);
    trail_codec_append(output, summary->epoch, 4);
    trail_codec_append(output, summary->size, 8);
    trail_codec_append(output, summary->text_size, 8);
    end_value(output, begin);
}

bool trail_codec_take_summary(struct span value, struct block_summary *summary,
                              struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct block_summary read = {0};
    read.sequence_first = trail_codec_take(&codec, 8);
    read.sequence_last = trail_codec_take(&codec, 8);
    read.time_min_s = (int64_t)trail_codec_take(&codec, 8);
    read.time_max_s = (int64_t)trail_codec_take(&codec, 8);
    read.rows = (uint32_t)trail_codec_take(&codec, 4);
    read.epoch = (uint32_t)trail_codec_take(&codec, 4);
    read.size = trail_codec_take(&codec, 8);
    read.text_size = trail_codec_take(&codec, 8);
    if (!end(&codec, "summary", fault)) return false;
    *summary = read;
    return true;
}

static const char follower_prefix[9] = "follower:";

struct span trail_codec_follower_key(const char *name, uint8_t key[TRAIL_FOLLOWER_KEY_SIZE]) {
    size_t size = strlen(name);
    assert(size < TRAIL_FOLLOWER_NAME_SIZE);
    memcpy(key, follower_prefix, sizeof follower_prefix);
    memcpy(key + sizeof follower_prefix, name, size);
    return span_of(key, sizeof follower_prefix + size);
}

bool trail_codec_is_follower(struct span key) {
    return key.size > sizeof follower_prefix &&
           memcmp(key.bytes, follower_prefix, sizeof follower_prefix) == 0;
}

void trail_codec_append_follower(struct buffer *output, const struct trail_follower *follower) {
    size_t begin = begin_value(output);
    trail_codec_append(output, follower->sequence, 8);
    trail_codec_append(output, (uint64_t)follower->moved_ms, 8);
    end_value(output, begin);
}

bool trail_codec_take_follower(struct span key, struct span value, struct trail_follower *follower,
                               struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_follower read = {0};
    struct span name = span_from(key, sizeof follower_prefix);
    if (!trail_codec_is_follower(key) || name.size >= TRAIL_FOLLOWER_NAME_SIZE) {
        codec.failed = true;
    } else {
        memcpy(read.name, name.bytes, name.size);
    }
    read.sequence = trail_codec_take(&codec, 8);
    read.moved_ms = (int64_t)trail_codec_take(&codec, 8);
    if (!end(&codec, "follower", fault)) return false;
    *follower = read;
    return true;
}

void trail_codec_append_origin(struct buffer *output, const struct trail_origin *origin) {
    size_t begin = begin_value(output);
    trail_codec_append(output, (uint64_t)origin->backup_ms, 8);
    trail_codec_append(output, (uint64_t)origin->restored_ms, 8);
    trail_codec_append(output, origin->is_told, 1);
    end_value(output, begin);
}

bool trail_codec_take_origin(struct span value, struct trail_origin *origin, struct fault *fault) {
    struct trail_codec codec = begin(value);
    const struct trail_origin read = {
        .backup_ms = (int64_t)trail_codec_take(&codec, 8),
        .restored_ms = (int64_t)trail_codec_take(&codec, 8),
        .is_told = trail_codec_take(&codec, 1) != 0,
    };
    if (!end(&codec, "restored", fault)) return false;
    *origin = read;
    return true;
}

void trail_codec_seal_first(struct buffer *output, struct span value) {
    size_t begin = output->size;
    buffer_append(output, value);
    end_value(output, begin);
}

bool trail_codec_take_first(struct span format, struct span head, struct trail_format *read_format,
                            struct trail_head *read_head, struct fault *fault) {
    struct trail_codec codec = {.rest = format};
    struct trail_format first = {0};
    bool is_ours =
        span_equal(trail_codec_take_bytes(&codec, sizeof magic), span_of(magic, sizeof magic));
    first.major = (uint16_t)trail_codec_take(&codec, 2);
    first.minor = (uint16_t)trail_codec_take(&codec, 2);
    uint16_t order = 0;
    take_array(&codec, &order, sizeof order);
    take_array(&codec, first.epoch, sizeof first.epoch);
    take_array(&codec, first.secret, sizeof first.secret);
    first.created_ms = (int64_t)trail_codec_take(&codec, 8);
    if (is_ours && first.major == TRAIL_FORMAT_MAJOR)
        return trail_codec_take_format(format, read_format, fault);
    if (!is_ours || codec.failed || first.major != TRAIL_FORMAT_FIRST || order != 1)
        return fault_set(fault, FAULT_CORRUPT, "trail: the format is damaged, or not %d",
                         TRAIL_FORMAT_FIRST);
    codec = (struct trail_codec){.rest = head};
    struct trail_head old = {0};
    if (trail_codec_take(&codec, 1) != VERSION) codec.failed = true;
    old.sequence_last = trail_codec_take(&codec, 8);
    old.block_next = trail_codec_take(&codec, 8);
    old.dictionary_epoch = (uint32_t)trail_codec_take(&codec, 4);
    (void)trail_codec_take_bytes(&codec, 4 + 6 * 8);
    old.quarantined = trail_codec_take(&codec, 8);
    old.quarantined_count = trail_codec_take(&codec, 8);
    old.gaps = trail_codec_take(&codec, 8);
    if (!end(&codec, "head", fault)) return false;
    *read_format = first;
    *read_head = old;
    return true;
}

void trail_codec_append_agent(struct buffer *output, const struct trail_agent *agent) {
    size_t begin = begin_value(output);
    append_text(output, agent->uri);
    trail_codec_append(output, agent->quarantine_size, 8);
    end_value(output, begin);
}

bool trail_codec_take_agent(struct span value, struct trail_agent *agent, struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_agent read = {.uri = take_text(&codec)};
    read.quarantine_size = trail_codec_take(&codec, 8);
    if (!end(&codec, "agent", fault)) return false;
    *agent = read;
    return true;
}

static void store_big_endian(uint8_t *bytes, uint64_t value, uint32_t size) {
    for (uint32_t index = 0; index < size; index++)
        bytes[index] = (uint8_t)(value >> (8 * (size - 1 - index)));
}

static uint64_t load_big_endian(const uint8_t *bytes, uint32_t size) {
    uint64_t value = 0;
    for (uint32_t index = 0; index < size; index++) value = value << 8 | bytes[index];
    return value;
}

void trail_codec_stream_key(uint32_t agent, const uint8_t stream_id[TRAIL_STREAM_ID_SIZE],
                            uint8_t key[TRAIL_STREAM_KEY_SIZE]) {
    store_big_endian(key, agent, 4);
    memcpy(key + 4, stream_id, TRAIL_STREAM_ID_SIZE);
}

void trail_codec_append_stream(struct buffer *output, const struct trail_stream *stream) {
    size_t begin = begin_value(output);
    trail_codec_append(output, stream->durable_seq, 8);
    buffer_append(output, span_of(stream->chain, sizeof stream->chain));
    trail_codec_append(output, (uint64_t)stream->first_seen_ms, 8);
    trail_codec_append(output, (uint64_t)stream->last_seen_ms, 8);
    trail_codec_append(output, (uint64_t)stream->last_event_time_s, 8);
    trail_codec_append(output, stream->received, 8);
    trail_codec_append(output, stream->stored, 8);
    trail_codec_append(output, stream->duplicates, 8);
    trail_codec_append(output, stream->variants, 8);
    trail_codec_append(output, stream->quarantined, 8);
    trail_codec_append(output, stream->expired, 8);
    trail_codec_append(output, stream->conflicts, 8);
    trail_codec_append(output, stream->global_reported, 8);
    trail_codec_append(output, stream->notices, 8);
    trail_codec_append(output, stream->gaps, 8);
    trail_codec_append(output, stream->gap_numbers, 8);
    end_value(output, begin);
}

bool trail_codec_take_stream(struct span key, struct span value, struct trail_stream *stream,
                             struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_stream read = {0};
    if (key.size != TRAIL_STREAM_KEY_SIZE) codec.failed = true;
    if (!codec.failed) {
        read.agent = (uint32_t)load_big_endian(key.bytes, 4);
        memcpy(read.stream_id, key.bytes + 4, sizeof read.stream_id);
    }
    read.durable_seq = trail_codec_take(&codec, 8);
    take_array(&codec, read.chain, sizeof read.chain);
    read.first_seen_ms = (int64_t)trail_codec_take(&codec, 8);
    read.last_seen_ms = (int64_t)trail_codec_take(&codec, 8);
    read.last_event_time_s = (int64_t)trail_codec_take(&codec, 8);
    read.received = trail_codec_take(&codec, 8);
    read.stored = trail_codec_take(&codec, 8);
    read.duplicates = trail_codec_take(&codec, 8);
    read.variants = trail_codec_take(&codec, 8);
    read.quarantined = trail_codec_take(&codec, 8);
    read.expired = trail_codec_take(&codec, 8);
    read.conflicts = trail_codec_take(&codec, 8);
    read.global_reported = trail_codec_take(&codec, 8);
    read.notices = trail_codec_take(&codec, 8);
    read.gaps = trail_codec_take(&codec, 8);
    read.gap_numbers = trail_codec_take(&codec, 8);
    if (!end(&codec, "stream", fault)) return false;
    *stream = read;
    return true;
}

void trail_codec_gap_key(const struct trail_gap *gap, uint8_t key[TRAIL_GAP_KEY_SIZE]) {
    trail_codec_stream_key(gap->agent, gap->stream_id, key);
    store_big_endian(key + TRAIL_STREAM_KEY_SIZE, gap->first_seq, 8);
    store_big_endian(key + TRAIL_STREAM_KEY_SIZE + 8, gap->last_seq, 8);
}

void trail_codec_append_gap(struct buffer *output, const struct trail_gap *gap) {
    size_t begin = begin_value(output);
    trail_codec_append(output, (uint64_t)gap->reported_ms, 8);
    append_text(output, span_of(gap->reason, strnlen(gap->reason, TRAIL_REASON_SIZE - 1)));
    end_value(output, begin);
}

bool trail_codec_take_gap(struct span key, struct span value, struct trail_gap *gap,
                          struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_gap read = {0};
    if (key.size != TRAIL_GAP_KEY_SIZE) codec.failed = true;
    if (!codec.failed) {
        read.agent = (uint32_t)load_big_endian(key.bytes, 4);
        memcpy(read.stream_id, key.bytes + 4, sizeof read.stream_id);
        read.first_seq = load_big_endian(key.bytes + TRAIL_STREAM_KEY_SIZE, 8);
        read.last_seq = load_big_endian(key.bytes + TRAIL_STREAM_KEY_SIZE + 8, 8);
    }
    read.reported_ms = (int64_t)trail_codec_take(&codec, 8);
    take_reason(&codec, read.reason);
    if (!end(&codec, "gap", fault)) return false;
    *gap = read;
    return true;
}

void trail_codec_append_quarantined(struct buffer *output, const struct trail_quarantined *entry) {
    size_t begin = begin_value(output);
    trail_codec_append(output, entry->agent, 4);
    trail_codec_append(output, (uint64_t)entry->first_ms, 8);
    trail_codec_append(output, (uint64_t)entry->last_ms, 8);
    trail_codec_append(output, entry->count, 8);
    append_text(output, span_of(entry->reason, strnlen(entry->reason, TRAIL_REASON_SIZE - 1)));
    struct span detail = entry->detail;
    if (detail.size > TRAIL_DETAIL_SIZE_MAX) detail.size = TRAIL_DETAIL_SIZE_MAX;
    append_text(output, detail);
    end_value(output, begin);
}

bool trail_codec_take_quarantined(struct span key, struct span value,
                                  struct trail_quarantined *entry, struct fault *fault) {
    struct trail_codec codec = begin(value);
    struct trail_quarantined read = {0};
    if (key.size != TRAIL_QUARANTINE_KEY_SIZE) codec.failed = true;
    if (!codec.failed) memcpy(read.key, key.bytes, sizeof read.key);
    read.agent = (uint32_t)trail_codec_take(&codec, 4);
    read.first_ms = (int64_t)trail_codec_take(&codec, 8);
    read.last_ms = (int64_t)trail_codec_take(&codec, 8);
    read.count = trail_codec_take(&codec, 8);
    take_reason(&codec, read.reason);
    read.detail = take_text(&codec);
    if (!end(&codec, "quarantine", fault)) return false;
    *entry = read;
    return true;
}

void trail_codec_hash_refused(uint32_t agent, const char *reason, struct span bytes,
                              uint8_t hash[SHA256_SIZE]) {
    const uint8_t number[4] = {(uint8_t)agent, (uint8_t)(agent >> 8), (uint8_t)(agent >> 16),
                               (uint8_t)(agent >> 24)};
    // The reason with its final zero, so that no two lists of parts give the same bytes.
    const struct span parts[] = {
        span_of(number, sizeof number),
        span_of(reason, strlen(reason) + 1),
        bytes,
    };
    crypto_sha256(parts, sizeof parts / sizeof parts[0], hash);
}
