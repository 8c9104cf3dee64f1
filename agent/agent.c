#include "agent/agent.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent_open.h"
#include "agent/choice.h"
#include "agent/gather.h"
#include "agent/renewal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rpc/rpc.h"
#include "base/version.h"

enum {
    TRIAL_WAIT_MS = 10,  // of a turn while new certificates are on trial
    SENDS_MAX = 8,       // messages of one turn
    HOST_SIZE = 256,
    FULL_LOG_MS = 60000,
};

struct agent {
    const struct agent_config *config;
    const struct clock *clock;
    bool once;
    bool with_objects;
    char host[HOST_SIZE];
    struct spool *spool;
    struct choice *choice;  // NULL: everything is sent
    struct gather *gather;
    struct uplink *uplink;
    struct rpc_client *client;
    struct rpc_stream *stream;  // while connected
    bool is_attempt_open;       // connect was called, closed was not
    bool wants_client;          // the client is to be made anew, and the attempt given up
    bool wants_files;           // made anew with the certificates below, once no stream is open
    struct certificate_files files;  // of the next client
    struct renewal *renewal;         // new ones on trial, or NULL
    struct agent_status status;
    int64_t save_at_ms;
    int64_t warn_at_ms;  // about the certificate
    // What was logged last.
    uint64_t logged_sessions;
    uint64_t logged_endings;
    bool logged_full;
    int64_t full_log_at_ms;     // the next message about a full spool
    int64_t waiting_log_at_ms;  // the next one about a session that waits
    uint64_t logged_errors[AGENT_CONFIG_SOURCES_MAX];
};

// --- the link: what the uplink asks of gRPC

static void link_connect(void *context) {
    struct agent *agent = context;
    assert(!agent->is_attempt_open);
    agent->is_attempt_open = true;
    rpc_client_connect(agent->client);
}

static bool link_send(void *context, struct span message) {
    struct agent *agent = context;
    return agent->stream != NULL && rpc_stream_send(agent->stream, message);
}

static void link_close(void *context, enum fault_kind kind, const char *text) {
    struct agent *agent = context;
    if (agent->stream != NULL) {
        rpc_stream_close(agent->stream, kind, text);
    } else {
        // An attempt that hangs ends with its client.
        agent->wants_client = true;
    }
}

static void on_connected(void *context, struct rpc_stream *stream) {
    struct agent *agent = context;
    agent->stream = stream;
    uplink_on_connected(agent->uplink);
}

static enum rpc_read on_message(void *context, struct span message) {
    struct agent *agent = context;
    uplink_on_message(agent->uplink, message);
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    struct agent *agent = context;
    uplink_on_sent(agent->uplink);
}

static void on_closed(void *context, const struct fault *reason) {
    struct agent *agent = context;
    agent->stream = NULL;
    if (!agent->is_attempt_open) return;
    agent->is_attempt_open = false;
    uplink_on_closed(agent->uplink, reason);
}

static const struct rpc_client_callbacks client_callbacks = {
    .connected = on_connected,
    .message = on_message,
    .sent = on_sent,
    .closed = on_closed,
};

static bool make_client(struct agent *agent, struct fault *fault) {
    struct certificate_set set = certificate_files_set(&agent->files);
    const struct rpc_client_options options = {
        .target = agent->config->collector_address,
        .authority = agent->config->collector_name,
        .service = RENEWAL_SERVICE,
        .credentials = {set.ca, set.certificate, set.key},
        .callbacks = &client_callbacks,
        .context = agent,
    };
    struct rpc_client *client;
    if (!rpc_client_create(&options, &client, fault)) return false;
    struct rpc_client *old = agent->client;
    rpc_client_destroy(old);
    agent->client = client;
    // Destroying does not tell of an attempt that never became a stream.
    if (agent->is_attempt_open) {
        struct fault reason;
        fault_set(&reason, FAULT_RETRY, "the attempt was given up");
        on_closed(agent, &reason);
    }
    return true;
}

// Makes the client anew.
static bool renew_client(struct agent *agent, struct fault *fault) {
    agent->wants_client = false;
    agent->wants_files = false;
    return make_client(agent, fault);
}

// --- new certificates

static bool is_same(const struct buffer *left, const struct buffer *right) {
    return span_equal(buffer_span(left), buffer_span(right));
}

// Puts good certificates in the place of the old ones. A stream that is open stays if it shows the
// same certificate; otherwise it makes way for one that shows the new one.
static void take_files(struct agent *agent, struct certificate_files *files) {
    bool is_other = !is_same(&files->certificate, &agent->files.certificate) ||
                    !is_same(&files->key, &agent->files.key);
    char time[TIME_TEXT_SIZE];
    char fingerprint[CERTIFICATE_FINGERPRINT_TEXT_SIZE];
    certificate_files_done(&agent->files);
    agent->files = *files;
    agent->wants_files = true;
    agent->warn_at_ms = 0;
    time_print(files->facts.not_after_s, time);
    certificate_print_fingerprint(&files->facts, fingerprint);
    LOG(LOG_INFO, is_other ? "certificates taken" : "certificates taken: the stream goes on",
        log_text("serial", files->facts.serial), log_text("fingerprint", fingerprint),
        log_text("not_after", time));
    if (is_other) {
        uplink_reconnect(agent->uplink);
        if (agent->is_attempt_open && agent->stream == NULL) agent->wants_client = true;
    }
}

static void refuse_files(const struct fault *fault) {
    LOG(LOG_ERROR, "certificates not taken: the old ones stay", log_fault(fault),
        log_text("kind", fault_kind_name(fault->kind)));
}

// Reads the files anew. While a stream is open what they hold is tried beside it; otherwise there
// is nothing to lose and the next attempt is the trial.
static void begin_renewal(struct agent *agent) {
    struct certificate_files files;
    struct fault fault;
    int64_t now_s = agent->clock->now_ms(agent->clock->context) / 1000;
    if (agent->renewal != NULL) {
        renewal_destroy(agent->renewal);
        agent->renewal = NULL;
    }
    if (!renewal_read(agent->config, agent->files.facts.uri, now_s, &files, &fault)) {
        refuse_files(&fault);
    } else if (agent->stream == NULL) {
        take_files(agent, &files);
        uplink_reconnect(agent->uplink);
    } else if (is_same(&files.certificate, &agent->files.certificate) &&
               is_same(&files.key, &agent->files.key) && is_same(&files.ca, &agent->files.ca)) {
        certificate_files_done(&files);
        LOG(LOG_INFO, "certificates unchanged");
    } else if (!renewal_begin(agent->config, &files,
                              agent->clock->monotonic_ms(agent->clock->context), &agent->renewal,
                              &fault)) {
        refuse_files(&fault);
    }
}

static void step_renewal(struct agent *agent, int64_t now_ms) {
    struct fault fault;
    enum renewal_state state = renewal_step(agent->renewal, now_ms, &fault);
    if (state == RENEWAL_TRYING) return;
    struct renewal *renewal = agent->renewal;
    agent->renewal = NULL;
    if (state == RENEWAL_ACCEPTED) {
        struct certificate_files files;
        renewal_take(renewal, &files);
        take_files(agent, &files);
    } else {
        renewal_destroy(renewal);
        refuse_files(&fault);
    }
}

// --- what the uplink asks of us

static uint64_t read_rss(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    unsigned long total = 0, resident = 0;
    int fields = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return fields == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void on_report(void *context, struct uplink_report *report) {
    struct agent *agent = context;
    struct timespec cpu;
    report->rss_size = read_rss();
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
        report->cpu_ms = (uint64_t)cpu.tv_sec * 1000 + (uint64_t)cpu.tv_nsec / 1000000;
    }
    report->left_out = agent->status.left_out;
    gather_report(agent->gather, report);
}

static bool on_rewind(void *context, int64_t backup_time_ms, struct fault *fault) {
    struct agent *agent = context;
    LOG(LOG_WARNING,
        "the collector was restored and the spool cannot refill it: sources read again",
        log_number("backup_time_ms", backup_time_ms));
    return gather_rewind(agent->gather, backup_time_ms, fault);
}

// --- opening

static bool open_all(struct agent *agent, const struct agent_options *how, struct fault *fault) {
    int64_t now_ms = agent->clock->now_ms(agent->clock->context);
    bool is_good = renewal_read(agent->config, NULL, now_ms / 1000, &agent->files, fault);
    // Only for an organization grant the object's name says whose event it is.
    agent->with_objects = is_good && strstr(agent->files.facts.uri, "/organization") != NULL;
    const char *selectors = agent->config->event_selectors;
    is_good = is_good && (selectors == NULL || choice_load(selectors, &agent->choice, fault)) &&
              agent_open_spool(agent->config, agent->clock, &agent->spool, fault);
    if (is_good) {
        agent->gather = gather_create(agent->spool, agent->clock, agent->with_objects);
        if (agent->gather == NULL) is_good = fault_set(fault, FAULT_FULL, "out of memory");
        if (is_good) gather_choose(agent->gather, agent->choice);
        if (is_good) gather_listen(agent->gather, how->on_notice, how->user);
    }
    const struct agent_opening opening = {how, agent->clock, agent->spool};
    for (uint32_t index = 0; is_good && index < agent->config->sources_count; index++) {
        const struct agent_config_source *from = &agent->config->sources[index];
        struct source source;
        is_good = agent_open_source(&opening, from, &source, fault) &&
                  gather_add(agent->gather, from->name, source, fault);
    }
    is_good = is_good && gather_restore(agent->gather, fault) && make_client(agent, fault);
    if (!is_good) return false;
    const struct uplink_options options = {
        .spool = agent->spool,
        .clock = agent->clock,
        .random = random_system(),
        .link = {agent, link_connect, link_send, link_close},
        .organization = agent->config->organization,
        .agent_version = VERSION_TEXT,
        .host_name = agent->host,
        .started_at_ms = now_ms,
        .with_objects = agent->with_objects,
        .context = agent,
        .report = on_report,
        .rewind = on_rewind,
    };
    agent->uplink = uplink_create(&options);
    if (agent->uplink == NULL) return fault_set(fault, FAULT_FULL, "out of memory for the uplink");
    return true;
}

bool agent_create(const struct agent_options *options, struct agent **agent, struct fault *fault) {
    struct agent *created = calloc(1, sizeof *created);
    if (created == NULL) return fault_set(fault, FAULT_FULL, "out of memory for the agent");
    created->config = options->config;
    created->once = options->once;
    created->clock = clock_system();
    if (gethostname(created->host, sizeof created->host - 1) != 0) created->host[0] = 0;
    if (!open_all(created, options, fault)) {
        agent_destroy(created);
        return false;
    }
    *agent = created;
    return true;
}

void agent_destroy(struct agent *agent) {
    if (agent == NULL) return;
    struct fault fault;
    // Closing tells the uplink, so it goes first; then nothing is acknowledged any more.
    renewal_destroy(agent->renewal);
    rpc_client_destroy(agent->client);
    if (agent->gather != NULL && !gather_save(agent->gather, &fault)) {
        LOG(LOG_WARNING, "what is acknowledged was not saved: some of it will be sent again",
            log_fault(&fault));
    }
    uplink_destroy(agent->uplink);
    gather_destroy(agent->gather);
    choice_destroy(agent->choice);
    spool_close(agent->spool);
    certificate_files_done(&agent->files);
    free(agent);
}

// --- the loop

static void log_source_faults(struct agent *agent) {
    const char *name;
    struct source_status status;
    for (uint32_t index = 0; gather_describe(agent->gather, index, &name, &status); index++) {
        if (status.errors == agent->logged_errors[index]) continue;
        agent->logged_errors[index] = status.errors;
        if (status.last_error[0] == 0) continue;
        LOG(LOG_WARNING, "a source has trouble", log_text("source", name),
            log_text("error", status.last_error), log_number("errors", (int64_t)status.errors));
    }
}

static void log_session(struct agent *agent) {
    const struct uplink_status *uplink = &agent->status.uplink;
    if (uplink->sessions != agent->logged_sessions) {
        agent->logged_sessions = uplink->sessions;
        LOG(LOG_INFO, "session begun", log_text("collector", agent->config->collector_address),
            log_number("session", (int64_t)uplink->sessions),
            log_number("waiting",
                       (int64_t)(agent->status.spool.synced - agent->status.spool.acknowledged)));
    }
    // Counted, since an attempt may begin and end within one step.
    if (uplink->endings == agent->logged_endings || agent_is_stopped(agent)) return;
    agent->logged_endings = uplink->endings;
    LOG(LOG_WARNING, "session ended", log_text("collector", agent->config->collector_address),
        log_fault(&uplink->last_fault), log_text("kind", fault_kind_name(uplink->last_fault.kind)));
}

// A spool that is drained as fast as it fills goes to and fro: it is told once a minute.
static void log_full(struct agent *agent, const struct gather_turn *turn, int64_t now_ms) {
    if (turn->is_full == agent->logged_full || now_ms < agent->full_log_at_ms) return;
    agent->logged_full = turn->is_full;
    agent->full_log_at_ms = now_ms + FULL_LOG_MS;
    if (turn->is_full) {
        LOG(LOG_WARNING, "nothing more fits: sources wait", log_fault(&turn->full));
    } else {
        LOG(LOG_INFO, "there is room again: sources go on");
    }
}

// Says it within the last 30 days: once a day, and when 7, 1 and 0 are left.
static void warn_certificate(struct agent *agent, int64_t now_ms) {
    static const int64_t marks_s[] = {AGENT_CERTIFICATE_DAYS * (int64_t)CERTIFICATE_DAY_S,
                                      7 * CERTIFICATE_DAY_S, CERTIFICATE_DAY_S, 0};
    if (now_ms < agent->warn_at_ms) return;
    int64_t now_s = agent->clock->now_ms(agent->clock->context) / 1000;
    int64_t left_s = agent->files.facts.not_after_s - now_s;
    int64_t pause_s = CERTIFICATE_DAY_S;
    for (int index = 0; index < 4; index++) {
        int64_t until_s = left_s - marks_s[index];
        if (until_s > 0 && until_s < pause_s) pause_s = until_s;
    }
    agent->warn_at_ms = now_ms + 1000 * pause_s;
    if (left_s > AGENT_CERTIFICATE_DAYS * (int64_t)CERTIFICATE_DAY_S) return;
    char time[TIME_TEXT_SIZE];
    time_print(agent->files.facts.not_after_s, time);
    LOG(left_s > CERTIFICATE_DAY_S ? LOG_WARNING : LOG_ERROR,
        left_s > 0
            ? "the certificate expires soon: renew it with \"orgtrail enroll --renew\", bring "
              "the new files here and send SIGHUP"
            : "the certificate has expired: renew it with \"orgtrail enroll --renew\", bring "
              "the new files here and send SIGHUP",
        log_text("not_after", time), log_number("seconds_left", left_s),
        log_text("serial", agent->files.facts.serial));
}

// It is tried again ten times a second, and told once a minute.
static void log_waiting(struct agent *agent, const struct fault *fault) {
    int64_t now_ms = agent->clock->monotonic_ms(agent->clock->context);
    if (now_ms < agent->waiting_log_at_ms) return;
    agent->waiting_log_at_ms = now_ms + FULL_LOG_MS;
    LOG(LOG_WARNING, "the session waits", log_fault(fault));
}

// Sends while the link takes messages. *wait_ms is until something is due.
static bool send_some(struct agent *agent, int64_t *wait_ms, struct fault *fault) {
    for (uint32_t sends = 0; sends < SENDS_MAX; sends++) {
        struct uplink_status before, after;
        uplink_describe(agent->uplink, &before);
        if (!uplink_step(agent->uplink, wait_ms, fault)) {
            if (fault->kind != FAULT_FULL && fault->kind != FAULT_RETRY) return false;
            log_waiting(agent, fault);
            *wait_ms = GATHER_FULL_MS;
            return true;
        }
        uplink_describe(agent->uplink, &after);
        if (after.batches_sent == before.batches_sent && after.gaps_sent == before.gaps_sent) break;
        rpc_client_step(agent->client, 0);
    }
    return true;
}

static bool save_sometimes(struct agent *agent, int64_t now_ms, struct fault *fault) {
    if (now_ms < agent->save_at_ms) return true;
    agent->save_at_ms = now_ms + AGENT_SAVE_MS;
    log_source_faults(agent);
    if (gather_save(agent->gather, fault)) return true;
    if (fault->kind != FAULT_FULL && fault->kind != FAULT_RETRY) return false;
    LOG(LOG_WARNING, "what is acknowledged cannot be saved now", log_fault(fault));
    return true;
}

// With `once` nobody waits for people to mend something.
static bool give_up(const struct agent *agent, struct fault *fault) {
    const struct uplink_status *uplink = &agent->status.uplink;
    if (!agent->once || uplink->state != UPLINK_WAITING) return false;
    if (uplink->last_fault.kind != FAULT_DENIED && uplink->last_fault.kind != FAULT_INPUT) {
        return false;
    }
    *fault = uplink->last_fault;
    return true;
}

// Settings and folders were good when the agent began: what is missing or closed to it now became
// so while it ran. That is the machine's fault, after which the agent is to be started again.
static bool end_running(struct fault *fault) {
    if (fault->kind == FAULT_INPUT || fault->kind == FAULT_DENIED) fault->kind = FAULT_IO;
    return false;
}

bool agent_step(struct agent *agent, struct fault *fault) {
    struct agent_status *status = &agent->status;
    struct gather_turn turn = {.wait_ms = AGENT_WAIT_MS, .has_ended = status->has_ended};
    int64_t now_ms = agent->clock->monotonic_ms(agent->clock->context);
    int64_t wait_ms;
    if (!gather_step(agent->gather, &turn, fault)) return end_running(fault);
    status->records += turn.records;
    status->notices += turn.notices;
    status->left_out += turn.left_out;
    status->is_full = turn.is_full;
    status->has_ended = turn.has_ended;
    log_full(agent, &turn, now_ms);
    if (agent->renewal != NULL) step_renewal(agent, now_ms);
    bool is_renewable = agent->wants_client || (agent->wants_files && !agent->is_attempt_open);
    if (is_renewable && !renew_client(agent, fault)) return false;
    if (!send_some(agent, &wait_ms, fault)) return end_running(fault);
    if (turn.wait_ms < wait_ms) wait_ms = turn.wait_ms;
    if (agent->renewal != NULL && wait_ms > TRIAL_WAIT_MS) wait_ms = TRIAL_WAIT_MS;
    rpc_client_step(agent->client, wait_ms < AGENT_WAIT_MS ? wait_ms : AGENT_WAIT_MS);
    gather_acknowledge(agent->gather);
    spool_describe(agent->spool, &status->spool);
    uplink_describe(agent->uplink, &status->uplink);
    status->certificate_expires_s = agent->files.facts.not_after_s;
    status->is_done = status->has_ended && status->spool.acknowledged == status->spool.appended;
    log_session(agent);
    warn_certificate(agent, now_ms);
    if (give_up(agent, fault)) return false;
    return save_sometimes(agent, now_ms, fault) || end_running(fault);
}

void agent_stop(struct agent *agent, const char *reason) {
    uplink_stop(agent->uplink, reason, false);
}

bool agent_is_stopped(const struct agent *agent) {
    return uplink_is_stopped(agent->uplink);
}

void agent_reload(struct agent *agent) {
    begin_renewal(agent);
    if (agent->choice != NULL) choice_reload(agent->choice, agent->config->event_selectors);
}

void agent_describe(const struct agent *agent, struct agent_status *status) {
    *status = agent->status;
}

bool agent_describe_source(struct agent *agent, uint32_t index, const char **name,
                           struct source_status *status) {
    return gather_describe(agent->gather, index, name, status);
}
