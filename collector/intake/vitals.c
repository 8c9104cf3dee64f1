#include "collector/intake/vitals.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control.pb-c.h"

struct note {
    size_t size;
    uint8_t bytes[];
};

struct vitals {
    _Atomic(struct note *) published;  // whoever takes it out owns it

    // The worker's.
    char names[VITALS_SOURCES_MAX][VITALS_TEXT_SIZE];
    char version[VITALS_TEXT_SIZE];
    char host[VITALS_TEXT_SIZE];
};

// What a message is made of, while it is packed.
struct draft {
    Orgtrail__V1__AgentLive live;
    Orgtrail__V1__AgentSource sources[VITALS_SOURCES_MAX];
    Orgtrail__V1__AgentSource *list[VITALS_SOURCES_MAX];
    char errors[VITALS_SOURCES_MAX][VITALS_TEXT_SIZE];
    char uri[VITALS_TEXT_SIZE + 64];
};

struct vitals *vitals_create(void) {
    return calloc(1, sizeof(struct vitals));
}

void vitals_destroy(struct vitals *vitals) {
    if (vitals == NULL) return;
    free(atomic_load(&vitals->published));
    free(vitals);
}

// Cut at a character's beginning, since a text of a message must be UTF-8.
static void copy_text(char to[VITALS_TEXT_SIZE], const char *from) {
    size_t size = strlen(from);
    if (size >= VITALS_TEXT_SIZE) {
        size = VITALS_TEXT_SIZE - 1;
        while (size > 0 && ((uint8_t)from[size] & 0xc0) == 0x80) size--;
    }
    memcpy(to, from, size);
    to[size] = 0;
}

void vitals_note_hello(struct vitals *vitals, const Orgtrail__V1__Hello *hello) {
    for (size_t index = 0; index < hello->n_sources && index < VITALS_SOURCES_MAX; index++) {
        copy_text(vitals->names[index], hello->sources[index]->name);
    }
    copy_text(vitals->version, hello->agent_version);
    copy_text(vitals->host, hello->host_name);
}

static void fill_source(struct vitals *vitals, struct draft *draft, size_t index,
                        const Orgtrail__V1__SourceStatus *status) {
    Orgtrail__V1__AgentSource *source = &draft->sources[index];
    orgtrail__v1__agent_source__init(source);
    copy_text(draft->errors[index], status->last_error);
    source->name = status->source < VITALS_SOURCES_MAX ? vitals->names[status->source] : "";
    source->state = (uint32_t)status->state;
    source->records = status->events_read;
    source->errors = status->errors;
    source->bytes_behind = status->bytes_behind;
    source->last_error = draft->errors[index];
    draft->list[index] = source;
}

static struct note *pack(const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    struct note *note = malloc(sizeof *note + size);
    if (note == NULL) return NULL;
    note->size = protobuf_c_message_pack(message, note->bytes);
    return note;
}

void vitals_note_heartbeat(struct vitals *vitals, struct span uri,
                           const Orgtrail__V1__Heartbeat *heartbeat, int64_t received_ms,
                           int64_t skew_ms) {
    struct draft draft = {.live = ORGTRAIL__V1__AGENT_LIVE__INIT};
    size_t count =
        heartbeat->n_sources < VITALS_SOURCES_MAX ? heartbeat->n_sources : VITALS_SOURCES_MAX;
    for (size_t index = 0; index < count; index++) {
        fill_source(vitals, &draft, index, heartbeat->sources[index]);
    }
    snprintf(draft.uri, sizeof draft.uri, "%.*s", SPAN_PRINT(uri));
    draft.live.agent = draft.uri;
    draft.live.version = vitals->version;
    draft.live.host = vitals->host;
    draft.live.heard_ms = received_ms;
    draft.live.sent_ms = heartbeat->sent_at_ms;
    draft.live.spool_events = heartbeat->spool_events;
    draft.live.spool_bytes = heartbeat->spool_bytes;
    draft.live.oldest_unacked_ms = heartbeat->oldest_unacked_ms;
    draft.live.rss_bytes = heartbeat->rss_bytes;
    draft.live.cpu_ms = heartbeat->cpu_ms;
    draft.live.left_out = heartbeat->left_out;
    draft.live.skew_ms = skew_ms;
    draft.live.sources = draft.list;
    draft.live.n_sources = count;
    struct note *note = pack(&draft.live.base);
    // Without memory the old one stays.
    if (note != NULL) free(atomic_exchange(&vitals->published, note));
}

void vitals_read(struct vitals *vitals, struct buffer *output) {
    struct note *note = atomic_exchange(&vitals->published, NULL);
    if (note == NULL) return;
    buffer_append(output, span_of(note->bytes, note->size));
    // Back in its place, unless a newer one has come meanwhile.
    struct note *none = NULL;
    if (!atomic_compare_exchange_strong(&vitals->published, &none, note)) free(note);
}
