#include "collector/server/reload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/queue.h"
#include "collector/metrics.h"

enum { REQUESTS_MAX = 16 };

struct reload {
    const struct settings *settings;
    struct server *server;
    struct queue *requests;
    struct certificate_files files;  // as they are used now
    struct deny *deny;               // the same; the gate has a copy
};

static int64_t now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

// Reads the deny list. A file that is not there is an empty list, unless the settings name it or
// there was one before: a list that vanishes lets nobody in.
static bool read_deny(const struct settings *settings, bool is_needed, struct deny **deny,
                      struct fault *fault) {
    struct buffer text;
    struct files_entry entry;
    bool is_there = false;
    buffer_init(&text, DENY_SIZE_MAX);
    bool is_good = files_find(files_system(), settings->deny_path, &is_there, &entry, fault);
    if (is_good && !is_there && (is_needed || settings->is_deny_given)) {
        is_good = fault_set(fault, FAULT_INPUT,
                            "%s does not exist: an empty file is a list that denies nobody",
                            settings->deny_path);
    }
    if (is_good && is_there) {
        is_good =
            files_read_whole(files_system(), settings->deny_path, DENY_SIZE_MAX, &text, fault);
    }
    if (is_good && !deny_parse(buffer_span(&text), deny, fault)) {
        is_good = fault_add(fault, "%s", settings->deny_path);
    }
    buffer_done(&text);
    return is_good || fault_add(fault, "deny list");
}

bool reload_check(const struct settings *settings, struct fault *fault) {
    struct deny *deny;
    if (!read_deny(settings, false, &deny, fault)) return false;
    deny_destroy(deny);
    return true;
}

static bool copy_deny(const struct deny *deny, struct deny **copy, struct fault *fault) {
    return deny_parse(deny_text(deny), copy, fault);
}

static bool make_gate(const struct certificate_files *files, const struct deny *deny,
                      struct gate **gate, struct fault *fault) {
    struct deny *copy;
    return copy_deny(deny, &copy, fault) &&
           gate_create(buffer_span(&files->ca), buffer_span(&files->certificate), copy, gate,
                       fault);
}

static struct rpc_credentials credentials_of(const struct certificate_files *files) {
    struct certificate_set set = certificate_files_set(files);
    return (struct rpc_credentials){set.ca, set.certificate, set.key};
}

// Puts good files in the place of the old ones.
static void take(struct reload *reload, struct certificate_files *files, struct deny *deny) {
    certificate_files_done(&reload->files);
    deny_destroy(reload->deny);
    reload->files = *files;
    reload->deny = deny;
    metric_set(&metrics_table[METRICS_CERTIFICATE_EXPIRY], 0, files->facts.not_after_s);
}

bool reload_start(const struct settings *settings, struct roster_live *roster, struct trail *trail,
                  struct reload **reload, struct server **server, struct fault *fault) {
    struct reload *made = calloc(1, sizeof *made);
    struct gate *gate;
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the settings");
    made->settings = settings;
    made->requests = queue_create(REQUESTS_MAX, REQUESTS_MAX);
    bool is_good = made->requests != NULL || fault_set(fault, FAULT_FULL, "no memory for a queue");
    is_good = is_good && settings_read_certificates(settings, now_s(), &made->files, fault) &&
              read_deny(settings, false, &made->deny, fault) &&
              make_gate(&made->files, made->deny, &gate, fault);
    if (is_good) {
        metric_set(&metrics_table[METRICS_CERTIFICATE_EXPIRY], 0, made->files.facts.not_after_s);
        struct rpc_credentials credentials = credentials_of(&made->files);
        is_good = server_start(settings, &credentials, gate, roster, trail, &made->server, fault);
    }
    if (!is_good) {
        reload_end(made);
        return false;
    }
    *reload = made;
    *server = made->server;
    return true;
}

void reload_end(struct reload *reload) {
    if (reload == NULL) return;
    struct fault fault;
    void *request;
    fault_set(&fault, FAULT_RETRY, "the collector is stopping");
    while (reload->requests != NULL && queue_pop(reload->requests, &request, 1, 0) > 0) {
        struct reload_request *waiting = request;
        waiting->done(waiting, span_of(NULL, 0), &fault);
    }
    if (reload->requests != NULL) queue_destroy(reload->requests);
    certificate_files_done(&reload->files);
    deny_destroy(reload->deny);
    free(reload);
}

// --- what changed, for the trail

static bool is_same(const struct buffer *left, const struct buffer *right) {
    return span_equal(buffer_span(left), buffer_span(right));
}

static struct own_event_detail detail(const char *name, const char *text) {
    return (struct own_event_detail){name, span_text(text), 0};
}

static void tell_certificate(struct server *server, const char *change, const char *who,
                             const char *subject, const struct certificate_facts *facts) {
    char fingerprint[CERTIFICATE_FINGERPRINT_TEXT_SIZE];
    char not_after[TIME_TEXT_SIZE];
    certificate_print_fingerprint(facts, fingerprint);
    time_print(facts->not_after_s, not_after);
    const struct own_event_detail details[] = {
        detail("change", change),           detail("by", who),
        detail("subject", subject),         detail("serial", facts->serial),
        detail("fingerprint", fingerprint), detail("notAfter", not_after),
    };
    server_tell(server, "CertificateChanged", details, sizeof details / sizeof details[0]);
}

static bool has_ca(const struct certificate_facts *cas, uint32_t count,
                   const struct certificate_facts *wanted) {
    for (uint32_t index = 0; index < count; index++) {
        if (memcmp(cas[index].fingerprint, wanted->fingerprint, sizeof wanted->fingerprint) == 0) {
            return true;
        }
    }
    return false;
}

// Those of the one text that the other lacks.
static void tell_cas(struct server *server, const char *kind, const char *who,
                     const struct buffer *of, const struct buffer *other) {
    struct certificate_facts cas[CERTIFICATE_CAS_MAX], others[CERTIFICATE_CAS_MAX];
    uint32_t count = 0, others_count = 0;
    struct fault fault;
    // Both were read before.
    if (!certificate_read_cas(buffer_span(of), cas, &count, &fault) ||
        !certificate_read_cas(buffer_span(other), others, &others_count, &fault)) {
        return;
    }
    for (uint32_t index = 0; index < count; index++) {
        char subject[256];
        if (has_ca(others, others_count, &cas[index])) continue;
        snprintf(subject, sizeof subject, "%s %.8s", cas[index].common_name, cas[index].serial);
        tell_certificate(server, kind, who, subject, &cas[index]);
    }
}

// The entries of the one list that the other lacks.
static void tell_entries(struct server *server, const char *kind, const char *who,
                         const struct deny *of, const struct deny *other) {
    const char *entry;
    for (uint32_t index = 0; (entry = deny_entry(of, index)) != NULL; index++) {
        uint32_t at = 0;
        const char *same;
        while ((same = deny_entry(other, at)) != NULL && strcmp(same, entry) != 0) at++;
        if (same != NULL) continue;
        const struct own_event_detail details[] = {
            detail("change", kind),
            detail("by", who),
            detail("entry", entry),
        };
        server_tell(server, "DenyListChanged", details, sizeof details / sizeof details[0]);
        LOG(LOG_INFO, "the deny list changed", log_text("change", kind), log_text("entry", entry),
            log_text("by", who));
    }
}

static void tell(const struct reload *reload, const struct certificate_files *files,
                 const struct deny *deny, const char *who) {
    struct server *server = reload->server;
    if (!is_same(&files->certificate, &reload->files.certificate)) {
        tell_certificate(server, "collector", who, "collector", &files->facts);
    }
    tell_cas(server, "ca_added", who, &files->ca, &reload->files.ca);
    tell_cas(server, "ca_removed", who, &reload->files.ca, &files->ca);
    tell_entries(server, "added", who, deny, reload->deny);
    tell_entries(server, "removed", who, reload->deny, deny);
}

// --- reading again

static bool read_all(struct reload *reload, struct certificate_files *files, struct deny **deny,
                     struct gate **gate, struct fault *fault) {
    if (!settings_read_certificates(reload->settings, now_s(), files, fault)) return false;
    bool is_needed = deny_entry(reload->deny, 0) != NULL;
    if (!read_deny(reload->settings, is_needed, deny, fault)) {
        certificate_files_done(files);
        return false;
    }
    if (make_gate(files, *deny, gate, fault)) return true;
    certificate_files_done(files);
    deny_destroy(*deny);
    return false;
}

static bool use(struct reload *reload, const char *who, struct fault *fault) {
    struct certificate_files files;
    struct deny *deny;
    struct gate *gate;
    if (!read_all(reload, &files, &deny, &gate, fault)) return false;
    struct rpc_credentials credentials = credentials_of(&files);
    if (!server_reload(reload->server, &credentials, fault)) {
        gate_destroy(gate);
        deny_destroy(deny);
        certificate_files_done(&files);
        return false;
    }
    tell(reload, &files, deny, who);
    server_set_gate(reload->server, gate);
    take(reload, &files, deny);
    return true;
}

bool reload_all(struct reload *reload, const char *who, struct fault *fault) {
    if (use(reload, who, fault)) {
        LOG(LOG_INFO, "certificates and deny list reloaded", log_text("by", who));
        return true;
    }
    LOG(LOG_ERROR, "certificates and deny list not reloaded: the old ones stay", log_fault(fault),
        log_kind(fault));
    return false;
}

// --- changes by request

// Makes the list's new text, of the file as it is now, so that no edit by hand is lost.
static bool print_changed(const struct reload_request *request, const struct deny *deny,
                          const char *organization, struct buffer *text, struct fault *fault) {
    if (request->change == RELOAD_DENY_ADD) {
        return deny_check_entry(request->entry, organization, fault) &&
               deny_print_added(deny, request->entry, request->note, text, fault);
    }
    return deny_print_removed(deny, request->entry, text, fault);
}

static bool write_changed(struct reload *reload, const struct reload_request *request,
                          const struct deny *present, struct fault *fault) {
    struct buffer text;
    struct deny *deny = NULL;
    struct gate *gate = NULL;
    buffer_init(&text, DENY_SIZE_MAX);
    bool is_good = print_changed(request, present, reload->settings->organization, &text, fault) &&
                   deny_parse(buffer_span(&text), &deny, fault) &&
                   make_gate(&reload->files, deny, &gate, fault) &&
                   files_write_whole(files_system(), reload->settings->deny_path,
                                     buffer_span(&text), 0640, fault);
    buffer_done(&text);
    if (!is_good) {
        gate_destroy(gate);
        deny_destroy(deny);
        return false;
    }
    tell_entries(reload->server, "added", request->who, deny, reload->deny);
    tell_entries(reload->server, "removed", request->who, reload->deny, deny);
    server_set_gate(reload->server, gate);
    deny_destroy(reload->deny);
    reload->deny = deny;
    return true;
}

static bool answer(struct reload *reload, const struct reload_request *request,
                   struct fault *fault) {
    if (request->change == RELOAD_DENY_LIST) return true;
    struct deny *present;
    bool is_needed = deny_entry(reload->deny, 0) != NULL;
    if (!read_deny(reload->settings, is_needed, &present, fault)) return false;
    bool is_good = write_changed(reload, request, present, fault);
    deny_destroy(present);
    return is_good;
}

bool reload_ask(struct reload *reload, struct reload_request *request) {
    if (!queue_push(reload->requests, request, 1)) return false;
    // Every thread blocks it but the main one, which waits for it.
    (void)kill(getpid(), SIGUSR1);
    return true;
}

void reload_answer(struct reload *reload) {
    void *waiting;
    while (queue_pop(reload->requests, &waiting, 1, 0) > 0) {
        struct reload_request *request = waiting;
        struct fault fault;
        if (answer(reload, request, &fault)) {
            request->done(request, deny_text(reload->deny), NULL);
        } else {
            request->done(request, span_of(NULL, 0), &fault);
        }
    }
}
