#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"

enum {
    LINE_SIZE_MAX = 64 * 1024,  // bytes; what does not fit is left out, and the line says so
    TEXT_SIZE_MAX = 4 * 1024,   // bytes of one field, before escaping
};

static _Atomic(const char *) program_name = "orgtrail";
static _Atomic int level_lowest = LOG_INFO;

void log_init(const char *program, enum log_level level) {
    atomic_store(&program_name, program);
    atomic_store(&level_lowest, (int)level);
}

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

bool log_parse_level(const char *text, enum log_level *level) {
    for (int index = LOG_DEBUG; index <= LOG_ERROR; index++) {
        if (strcmp(text, level_names[index]) != 0) continue;
        *level = (enum log_level)index;
        return true;
    }
    return false;
}

static void append_text(struct buffer *line, const char *name, struct span text) {
    buffer_append_byte(line, line->size == 0 ? '{' : ',');
    json_append_string(line, span_text(name));
    buffer_append_byte(line, ':');
    if (text.size <= TEXT_SIZE_MAX) {
        json_append_string(line, text);
        return;
    }
    // Not in the middle of a character.
    text.size = TEXT_SIZE_MAX;
    while (text.size > TEXT_SIZE_MAX - 4 && (text.bytes[text.size] & 0xC0) == 0x80) text.size--;
    json_append_string(line, text);
}

static void append_field(struct buffer *line, const struct log_field *field) {
    if (field->text.bytes != NULL) {
        append_text(line, field->name, field->text);
        return;
    }
    buffer_append_byte(line, ',');
    json_append_string(line, span_text(field->name));
    buffer_print(line, ":%lld", (long long)field->number);
}

// One write call, so that lines of several threads and processes do not mix.
static void write_line(struct span line) {
    while (line.size > 0) {
        ssize_t part = write(STDERR_FILENO, line.bytes, line.size);
        if (part < 0 && errno == EINTR) continue;
        // A log that cannot be written must not stop the trail.
        if (part < 0) return;
        line = span_from(line, (size_t)part);
    }
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               uint32_t fields_count) {
    if ((int)level < atomic_load(&level_lowest)) return;
    char time[TIME_TEXT_SIZE];
    const struct clock *clock = clock_system();
    time_print_ms(clock->now_ms(clock->context), time);
    struct buffer line;
    buffer_init(&line, LINE_SIZE_MAX);
    append_text(&line, "time", span_text(time));
    append_text(&line, "level", span_text(level_names[level]));
    append_text(&line, "program", span_text(atomic_load(&program_name)));
    append_text(&line, "message", span_text(message));
    for (uint32_t index = 0; index < fields_count; index++) {
        size_t before = line.size;
        append_field(&line, &fields[index]);
        if (!buffer_overflowed(&line) && line.size + sizeof ",\"cut\":true}\n" < LINE_SIZE_MAX) {
            continue;
        }
        line.size = before;
        line.overflowed = false;
        buffer_append_text(&line, ",\"cut\":true");
        break;
    }
    buffer_append_text(&line, "}\n");
    write_line(buffer_span(&line));
    buffer_done(&line);
}
