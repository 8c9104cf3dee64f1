#include "collector/notify/message.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "base/json_writer.h"
#include "base/percent.h"

#define SECRET_PREFIX "whsec_"

void message_print_id(const struct message_file *file, char id[MESSAGE_ID_SIZE]) {
    const struct span parts[] = {file->bucket, SPAN_LITERAL("/"), file->key};
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(parts, 3, digest);
    crypto_print_hex(span_of(digest, (MESSAGE_ID_SIZE - 1) / 2), id);
}

static void print_cloudtrail(const struct message_file *file, struct json_writer *writer) {
    json_write_string(writer, "s3Bucket", file->bucket);
    json_write_list(writer, "s3ObjectKey");
    json_write_string(writer, NULL, file->key);
    json_write_end(writer);
}

// What readers of such events look at; a key in it is encoded as in a query.
static void print_s3_event(const struct message_file *file, const char *id,
                           struct json_writer *writer) {
    char time[TIME_TEXT_SIZE];
    char arn[512];
    struct buffer key;
    buffer_init(&key, MESSAGE_SIZE_MAX);
    percent_append(&key, file->key, true);
    time_print_ms(file->time_s * 1000, time);
    snprintf(arn, sizeof arn, "arn:aws:s3:::%.*s", SPAN_PRINT(file->bucket));
    json_write_list(writer, "Records");
    json_write_object(writer, NULL);
    json_write_string(writer, "eventVersion", SPAN_LITERAL("2.1"));
    json_write_string(writer, "eventSource", SPAN_LITERAL("aws:s3"));
    json_write_string(writer, "awsRegion", file->region);
    json_write_string(writer, "eventTime", span_text(time));
    json_write_string(writer, "eventName", SPAN_LITERAL("ObjectCreated:Put"));
    json_write_object(writer, "s3");
    json_write_string(writer, "s3SchemaVersion", SPAN_LITERAL("1.0"));
    json_write_string(writer, "configurationId", SPAN_LITERAL("orgtrail"));
    json_write_object(writer, "bucket");
    json_write_string(writer, "name", file->bucket);
    json_write_string(writer, "arn", span_text(arn));
    json_write_end(writer);
    json_write_object(writer, "object");
    json_write_string(writer, "key", buffer_span(&key));
    json_write_string(writer, "sequencer", span_text(id));
    json_write_end(writer);
    json_write_end(writer);
    json_write_end(writer);
    json_write_end(writer);
    buffer_done(&key);
}

void message_print(enum message_form form, const struct message_file *file, const char *id,
                   struct buffer *text) {
    struct json_writer writer = json_writer_begin(text);
    json_write_object(&writer, NULL);
    if (form == MESSAGE_S3_EVENT) {
        print_s3_event(file, id, &writer);
    } else {
        print_cloudtrail(file, &writer);
    }
    json_write_end(&writer);
}

// ---- signatures

static bool refuse_secrets(struct fault *fault) {
    return fault_set(fault, FAULT_INPUT,
                     "a webhook's secret is a line \"whsec_\" and %d to %d bytes in base64; two "
                     "lines while one replaces the other",
                     MESSAGE_SECRET_SIZE_MIN, MESSAGE_SECRET_SIZE_MAX);
}

static bool take_secret(struct span line, struct message_secrets *secrets) {
    struct span prefix = SPAN_LITERAL(SECRET_PREFIX);
    struct buffer bytes;
    if (secrets->count == MESSAGE_SECRETS_MAX || !span_starts(line, prefix)) return false;
    buffer_init(&bytes, MESSAGE_SECRETS_FILE_MAX);
    bool is_good = crypto_parse_base64(span_from(line, prefix.size), &bytes) &&
                   bytes.size >= MESSAGE_SECRET_SIZE_MIN && bytes.size <= MESSAGE_SECRET_SIZE_MAX;
    if (is_good) {
        memcpy(secrets->bytes[secrets->count], bytes.bytes, bytes.size);
        secrets->sizes[secrets->count++] = bytes.size;
    }
    if (bytes.bytes != NULL) explicit_bzero(bytes.bytes, bytes.size);
    buffer_done(&bytes);
    return is_good;
}

bool message_read_secrets(struct span text, struct message_secrets *secrets, struct fault *fault) {
    struct message_secrets read = {0};
    while (text.size > 0) {
        size_t end = span_find(text, '\n');
        struct span line = span_of(text.bytes, end);
        text = span_from(text, end < text.size ? end + 1 : end);
        if (line.size > 0 && line.bytes[line.size - 1] == '\r') line.size--;
        if (line.size > 0 && !take_secret(line, &read)) return refuse_secrets(fault);
    }
    if (read.count == 0) return refuse_secrets(fault);
    *secrets = read;
    return true;
}

void message_sign(const struct message_secrets *secrets, const struct message *message,
                  int64_t time_s, struct buffer *value) {
    char head[MESSAGE_ID_SIZE + 32];
    snprintf(head, sizeof head, "%s.%" PRId64 ".", message->id, time_s);
    const struct span parts[] = {span_text(head), message->text};
    for (uint32_t index = 0; index < secrets->count; index++) {
        uint8_t digest[SHA256_SIZE];
        crypto_hmac_sha256(span_of(secrets->bytes[index], secrets->sizes[index]), parts, 2, digest);
        if (index > 0) buffer_append_byte(value, ' ');
        buffer_append_text(value, "v1,");
        crypto_append_base64(value, span_of(digest, sizeof digest));
    }
}
