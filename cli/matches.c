#include "cli/matches.h"

#include <stdio.h>
#include <string.h>

#include "cli/control.h"
#include "query/seen.h"

static bool on_reply(void *user, struct span bytes) {
    struct buffer *names = user;
    Orgtrail__V1__StatusReply *reply =
        orgtrail__v1__status_reply__unpack(NULL, bytes.size, bytes.bytes);
    if (reply == NULL) return false;
    for (size_t index = 0; index < reply->n_agents; index++) {
        const ProtobufCBinaryData *packed = &reply->agents[index];
        Orgtrail__V1__AgentLive *live =
            orgtrail__v1__agent_live__unpack(NULL, packed->len, packed->data);
        if (live == NULL) continue;
        buffer_append(names, span_of((const uint8_t *)live->agent, strlen(live->agent) + 1));
        orgtrail__v1__agent_live__free_unpacked(live, NULL);
    }
    orgtrail__v1__status_reply__free_unpacked(reply, NULL);
    return true;
}

bool matches_ask_connected(const struct store_choice *choice, struct buffer *names,
                           struct fault *fault) {
    Orgtrail__V1__StatusRequest request = ORGTRAIL__V1__STATUS_REQUEST__INIT;
    return control_ask(choice, "Status", &request.base, on_reply, names, fault);
}

struct finding {
    const char *entry;
    struct span connected;
    struct matches found;
};

static bool is_connected(struct span names, const char *uri) {
    size_t size = strlen(uri) + 1;
    while (names.size >= size) {
        if (memcmp(names.bytes, uri, size) == 0) return true;
        size_t step = span_find(names, 0) + 1;
        if (step > names.size) return false;
        names = span_from(names, step);
    }
    return false;
}

static void add_below(struct matches *found, const char *uri) {
    size_t used = strlen(found->below_names);
    size_t room = sizeof found->below_names - used;
    // Whole names only, and room for the dots.
    bool is_cut = used > 0 && found->below_names[used - 1] == '.';
    if (!is_cut && strlen(uri) + 8 < room) {
        snprintf(found->below_names + used, room, "%s%s", used > 0 ? ", " : "", uri);
    } else if (!is_cut && room > 6) {
        snprintf(found->below_names + used, room, ", ...");
    }
    found->below++;
}

static bool on_seen(void *user, const struct seen *seen) {
    struct finding *finding = user;
    const char *entry = finding->entry;
    size_t size = strlen(entry);
    bool has_star = size > 2 && strcmp(entry + size - 2, "/*") == 0;
    size_t stem = has_star ? size - 2 : size;
    if (seen->kind != SEEN_AGENT) return true;
    bool is_at = strncmp(seen->subject, entry, stem) == 0;
    bool is_below = is_at && seen->subject[stem] == '/';
    bool is_name = is_at && seen->subject[stem] == 0;
    const char *serial = seen->serial + strspn(seen->serial, "0");
    if (is_name || (is_below && has_star) || strcmp(serial, entry) == 0) {
        finding->found.known++;
        if (is_connected(finding->connected, seen->subject)) finding->found.connected++;
    } else if (is_below) {
        add_below(&finding->found, seen->subject);
    }
    return true;
}

bool matches_find(const struct store_choice *choice, const char *entry, struct span connected,
                  struct matches *matches, struct fault *fault) {
    struct finding finding = {.entry = entry, .connected = connected};
    struct trail_reader *reader;
    if (!store_open(choice, &reader, fault)) return false;
    bool is_good = seen_list(reader, on_seen, &finding, fault);
    trail_reader_close(reader);
    if (is_good) *matches = finding.found;
    return is_good;
}
