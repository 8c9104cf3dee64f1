#include "collector/control/settings_kept.h"

#include "base/buffer.h"
#include "base/log.h"
#include "collector/notes/notes.h"
#include "collector/settings/settings_sums.h"
#include "storage/trail/trail_reader.h"

enum { TEXT_SIZE_MAX = 16 * 1024 };

#define DOCUMENT "settings"

static bool on_document(void *user, struct span name, struct span value) {
    if (span_is(name, DOCUMENT)) buffer_append(user, value);
    return true;
}

static bool read_before(const struct settings *settings, struct buffer *before,
                        struct fault *fault) {
    struct trail_reader *reader = NULL;
    bool is_good =
        trail_reader_open(settings->store_directory, &reader, fault) &&
        trail_reader_documents(reader, SPAN_LITERAL(DOCUMENT), on_document, before, fault);
    trail_reader_close(reader);
    return is_good;
}

static void keep(struct server *server, struct span now, struct span names) {
    const struct note_document document = {SPAN_LITERAL(DOCUMENT), now};
    const struct own_event_detail details[] = {{"settings", names, 0}};
    const char *event = names.size > 0 ? "SettingsChanged" : NULL;
    // One that is lost is counted, and told at the next start.
    (void)notes_add_kept(server_notes(server), event, details, event == NULL ? 0 : 1, &document);
}

void settings_kept_check(const struct settings *settings, struct server *server) {
    struct buffer before, now, names;
    struct fault fault;
    buffer_init(&before, TEXT_SIZE_MAX);
    buffer_init(&now, TEXT_SIZE_MAX);
    buffer_init(&names, TEXT_SIZE_MAX);
    settings_sums_print(settings, settings, &now);
    if (!read_before(settings, &before, &fault)) {
        LOG(LOG_WARNING, "whether the settings changed is not known", log_fault(&fault));
    } else if (!span_equal(buffer_span(&before), buffer_span(&now))) {
        settings_sums_compare(buffer_span(&before), buffer_span(&now), &names);
        if (names.size > 0) {
            LOG(LOG_INFO, "the settings changed while the collector was stopped",
                (struct log_field){"settings", buffer_span(&names), 0});
        }
        keep(server, buffer_span(&now), buffer_span(&names));
    }
    buffer_done(&names);
    buffer_done(&now);
    buffer_done(&before);
}

void settings_kept_save(const struct settings *started, const struct settings *roster,
                        struct server *server) {
    struct buffer now;
    buffer_init(&now, TEXT_SIZE_MAX);
    settings_sums_print(started, roster, &now);
    keep(server, buffer_span(&now), (struct span){NULL, 0});
    buffer_done(&now);
}
