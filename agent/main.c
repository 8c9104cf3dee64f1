// main.c: orgtrail-agent: settings, signals, the loop.

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/agent.h"
#include "agent/agent_config.h"
#include "agent/control.h"
#include "agent/health.h"
#include "agent/patience.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/rpc/rpc.h"
#include "base/version.h"

enum {
    OPTION_LOG_LEVEL = 256,
    OPTION_CHECK,
    OPTION_SETTINGS,
    OPTION_ONCE,
    OPTION_TIMEOUT,
    REFERENCE_SIZE_MAX = 64 * 1024,
    GOODBYE_MS = 3000,  // patience at the end
    HEALTH_MS = 250,    // between two updates of the metrics
};

const char *argp_program_version = "orgtrail-agent " VERSION_TEXT;

struct arguments {
    const char *config;
    bool is_check;
    bool is_reference;
    bool is_once;
    int64_t timeout_s;  // of --once; 0: none, below 0: not given
    enum log_level level;
};

static error_t parse_option(int key, char *value, struct argp_state *state) {
    struct arguments *arguments = state->input;
    switch (key) {
        case 'c':
            arguments->config = value;
            return 0;
        case OPTION_CHECK:
            arguments->is_check = true;
            return 0;
        case OPTION_ONCE:
            arguments->is_once = true;
            return 0;
        case OPTION_TIMEOUT:
            if (!patience_parse(value, &arguments->timeout_s)) {
                argp_error(state, "--timeout: \"%s\" is no number of seconds up to %d", value,
                           PATIENCE_MAX_S);
            }
            return 0;
        case OPTION_SETTINGS:
            arguments->is_reference = true;
            return 0;
        case OPTION_LOG_LEVEL:
            if (!log_parse_level(value, &arguments->level)) {
                argp_error(state, "--log-level: \"%s\" is none of debug, info, warning, error",
                           value);
            }
            return 0;
        case ARGP_KEY_ARG:
            argp_error(state, "\"%s\" is not understood here", value);
            return 0;
        case ARGP_KEY_END:
            if (arguments->config == NULL && !arguments->is_reference)
                argp_error(state, "--config=FILE is needed");
            if (arguments->timeout_s >= 0 && !arguments->is_once) {
                argp_error(state, "--timeout goes with --once");
            }
            if (arguments->timeout_s < 0) arguments->timeout_s = PATIENCE_S;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "the settings, a YAML file", 0},
    {"check", OPTION_CHECK, NULL, 0,
     "say whether the settings and what they name are good, and end", 0},
    {"once", OPTION_ONCE, NULL, 0,
     "read what is there, wait until the collector has it, say what was done, and end", 0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0,
     "with --once: give up when the collector has acknowledged nothing for so long (default 60; 0: "
     "wait for ever)",
     0},
    {"settings", OPTION_SETTINGS, NULL, 0, "list all settings of the file, and end", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "debug, info (default), warning or error", 0},
    {0},
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Reads audit events and delivers each of them to the organization's collector.",
};

static int64_t monotonic(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

// Takes a signal that came, if any.
static void take_signal(struct agent *agent, const sigset_t *signals, bool *is_stopping) {
    const struct timespec none = {0, 0};
    int signal = sigtimedwait(signals, NULL, &none);
    if (signal == SIGHUP) agent_reload(agent);
    if ((signal == SIGTERM || signal == SIGINT) && !*is_stopping) {
        LOG(LOG_INFO, "stopping", log_text("signal", strsignal(signal)));
        *is_stopping = true;
    }
}

// Turns until told to end, or with --once until all is acknowledged.
static bool loop(struct agent *agent, struct control *control, const struct arguments *arguments,
                 const sigset_t *signals, struct fault *fault) {
    bool is_stopping = false;
    struct patience patience = patience_begin("orgtrail-agent", arguments->timeout_s, monotonic());
    int64_t health_at_ms = 0;
    while (!is_stopping) {
        struct agent_status status;
        if (!agent_step(agent, fault)) return false;
        take_signal(agent, signals, &is_stopping);
        agent_describe(agent, &status);
        if (arguments->is_once && status.is_done) break;
        if (arguments->is_once && !patience_step(&patience, &status, monotonic(), fault)) {
            return false;
        }
        int64_t now_ms = monotonic();
        if (now_ms < health_at_ms) continue;
        health_update(agent, now_ms);
        control_update(control, agent);
        notify_send("WATCHDOG=1");
        health_at_ms = now_ms + HEALTH_MS;
    }
    notify_send("STOPPING=1");
    agent_stop(agent, is_stopping ? "stopped" : "done");
    int64_t until_ms = monotonic() + GOODBYE_MS;
    while (!agent_is_stopped(agent) && monotonic() < until_ms) {
        if (!agent_step(agent, fault)) return false;
    }
    return true;
}

static void print_summary(const struct agent *agent, int64_t began_ms) {
    struct agent_status status;
    agent_describe(agent, &status);
    printf("orgtrail-agent: %" PRIu64 " records and %" PRIu64 " notices read, %" PRIu64
           " sent, all acknowledged; %" PRIu64 " duplicates, %" PRIu64 " quarantined, %" PRIu64
           " gaps, %.1f s\n",
           status.records, status.notices, status.uplink.events_sent, status.uplink.duplicates,
           status.uplink.quarantined, status.uplink.gaps_sent,
           (double)(monotonic() - began_ms) / 1000);
}

// With --once nobody waits for what could not be read: whoever runs it has to hear of it.
static bool check_sources(struct agent *agent, struct fault *fault) {
    const char *name;
    struct source_status status;
    uint32_t count = 0, bad_count = 0;
    for (; agent_describe_source(agent, count, &name, &status); count++) {
        if (status.last_error[0] == 0) continue;
        fprintf(stderr, "orgtrail-agent: source %s: %s\n", name, status.last_error);
        bad_count++;
    }
    return bad_count == 0 || fault_set(fault, FAULT_RETRY,
                                       "%" PRIu32 " of %" PRIu32
                                       " sources could not be read, or not all of it: the "
                                       "next run tries again",
                                       bad_count, count);
}

// Who asks how the agent is comes second to its task: it goes on without the socket.
static struct control *start_control(struct agent *agent, const struct arguments *arguments,
                                     const struct agent_config *config) {
    struct control *control = NULL;
    struct fault fault;
    if (!arguments->is_once && !control_start(agent, config, &control, &fault)) {
        LOG(LOG_WARNING, "no control socket: orgtrail agent status cannot ask", log_fault(&fault));
    }
    return control;
}

static bool run_agent(const struct arguments *arguments, const struct agent_config *config,
                      const sigset_t *signals, struct fault *fault) {
    const struct agent_options agent_options = {.config = config, .once = arguments->is_once};
    struct agent *agent;
    int64_t began_ms = monotonic();
    if (!rpc_init(fault)) return false;
    bool is_good = health_start(config->http_listen, fault);
    is_good = is_good && agent_create(&agent_options, &agent, fault);
    if (is_good) {
        LOG(LOG_INFO, "agent started", log_text("collector", config->collector_address),
            log_text("spool", config->spool_directory),
            log_number("sources", config->sources_count));
        notify_send("READY=1");
        struct control *control = start_control(agent, arguments, config);
        is_good = loop(agent, control, arguments, signals, fault);
        control_stop(control);
        struct agent_status status;
        agent_describe(agent, &status);
        if (is_good && arguments->is_once && status.is_done) {
            print_summary(agent, began_ms);
            is_good = check_sources(agent, fault);
        }
        agent_destroy(agent);
    }
    health_stop();
    rpc_done();
    return is_good;
}

static bool print_reference(struct fault *fault) {
    struct buffer text;
    buffer_init(&text, REFERENCE_SIZE_MAX);
    bool is_good = agent_config_print_reference(&text, fault);
    if (is_good) fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    return is_good;
}

static bool run(const struct arguments *arguments, const sigset_t *signals, struct fault *fault) {
    struct agent_config *config;
    if (arguments->is_reference) return print_reference(fault);
    if (!agent_config_load(arguments->config, &config, fault)) return false;
    bool is_good = agent_check(config, fault);
    if (!is_good) {
        fault_add(fault, "%s", arguments->config);
    } else if (arguments->is_check) {
        printf("%s: good, %" PRIu32 " %s\n", arguments->config, config->sources_count,
               config->sources_count == 1 ? "source" : "sources");
    } else {
        is_good = run_agent(arguments, config, signals, fault);
    }
    agent_config_destroy(config);
    return is_good;
}

int main(int argc, char **argv) {
    struct arguments arguments = {.level = LOG_INFO, .timeout_s = -1};
    argp_err_exit_status = 2;
    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) != 0) return 2;
    log_init("orgtrail-agent", arguments.level);

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    // Before any thread is made, so that all inherit it and only sigtimedwait sees them.
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        fprintf(stderr, "orgtrail-agent: signals: %s\n", strerror(errno));
        return 1;
    }
    struct fault fault;
    if (!run(&arguments, &signals, &fault)) {
        if (arguments.is_check || arguments.is_reference || arguments.is_once) {
            fprintf(stderr, "orgtrail-agent: %s\n", fault.text);
        } else {
            LOG(LOG_ERROR, "the agent ends", log_fault(&fault),
                log_text("kind", fault_kind_name(fault.kind)));
        }
        return fault_exit_code(fault.kind);
    }
    return 0;
}
