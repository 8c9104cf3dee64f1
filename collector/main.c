// main.c: orgtrail-collector: settings, store, server, signals; in this order, and back.

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/heap.h"
#include "base/http_server.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/random.h"
#include "base/rpc/rpc.h"
#include "base/version.h"
#include "collector/control/api_start.h"
#include "collector/control/control.h"
#include "collector/control/delivery_start.h"
#include "collector/control/operate.h"
#include "collector/control/roster_reload.h"
#include "collector/control/settings_kept.h"
#include "collector/metrics.h"
#include "collector/server/health.h"
#include "collector/server/reload.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"
#include "storage/trail/trail.h"

enum {
    HEAP_SLACK = 4 << 20,  // bytes of growth before what lies free is given back
    OPTION_LOG_LEVEL = 256,
    OPTION_CHECK,
    OPTION_SETTINGS,
    REFERENCE_SIZE_MAX = 64 * 1024,
    FREE_SHARE = 50,  // of the disk: 2 % are kept free, if that is less than SETTINGS_FREE_SIZE
};

const char *argp_program_version = "orgtrail-collector " VERSION_TEXT;

struct arguments {
    const char *config;
    bool is_check;
    bool is_reference;
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
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "the settings, a YAML file", 0},
    {"check", OPTION_CHECK, NULL, 0,
     "say whether the settings and what they name are good, and end", 0},
    {"settings", OPTION_SETTINGS, NULL, 0, "list all settings of the file, and end", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "debug, info (default), warning or error", 0},
    {0},
};

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .doc = "Takes in the audit events of an organization's agents and keeps one trail of them.",
};

static int64_t now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

// What is to stay free on the store's disk.
static bool measure_free_min(const struct settings *settings, uint64_t *free_min,
                             struct fault *fault) {
    uint64_t free_size, total_size;
    if (!files_measure_free(files_system(), settings->store_directory, &free_size, &total_size,
                            fault)) {
        return false;
    }
    uint64_t share = total_size / FREE_SHARE;
    uint64_t otherwise = share < SETTINGS_FREE_SIZE ? share : SETTINGS_FREE_SIZE;
    *free_min = settings->free_size_min != 0 ? settings->free_size_min : otherwise;
    return true;
}

static bool open_trail(const struct settings *settings, uint64_t *free_min, struct trail **trail,
                       struct fault *fault) {
    if (!files_make_directory(files_system(), settings->store_directory, fault) ||
        !measure_free_min(settings, free_min, fault)) {
        return fault_add(fault, "store.directory");
    }
    const struct trail_options trail_options = {
        .directory = settings->store_directory,
        .size_max = settings->store_size_max,
        .free_min = *free_min,
        .clock = clock_system(),
        .random = random_system(),
    };
    if (!trail_open(&trail_options, trail, fault)) return false;
    struct fault damage;
    metric_set(&metrics_table[METRICS_DAMAGED_PARTS], 0, trail_damages(*trail));
    if (trail_is_damaged(*trail, &damage))
        LOG(LOG_ERROR, "the store is damaged; what is beside it goes on", log_fault(&damage));
    return true;
}

// Who sent a signal, for people.
static void print_sender(const siginfo_t *info, char *text, size_t text_size) {
    snprintf(text, text_size, "SIGHUP of uid %u", (unsigned)info->si_uid);
}

// Reads roster, certificates and deny list again: for a signal (calls_count is 0), or for those who
// asked over the socket. What is not good stays as it was.
static void reload_for(struct operate *operate, struct roster_reload *roster, const char *who,
                       void *const *calls, uint32_t calls_count) {
    struct roster_changes changes = {0};
    struct fault fault;
    bool is_good = roster_reload_now(roster, operate->server, who, &changes, &fault);
    if (!is_good) {
        LOG(LOG_ERROR, "roster not reloaded: the old one stays", log_text("user", who),
            log_fault(&fault), log_kind(&fault));
    }
    struct fault other;
    if (!reload_all(operate->reload, who, &other) && is_good) {
        fault = other;
        is_good = fault_add(&fault, "the roster was read, but not certificates and deny list");
    }
    if (!api_reload(operate->settings, operate->service, &other)) {
        LOG(LOG_ERROR, "the API's certificate not reloaded: the old one stays", log_fault(&other),
            log_kind(&other));
        if (is_good) fault = other;
        is_good = false;
    }
    for (uint32_t index = 0; index < calls_count; index++) {
        operate_end_reload(calls[index], &changes, is_good ? NULL : &fault);
    }
}

static void reload_for_calls(struct operate *operate, struct roster_reload *roster) {
    void *calls[OPERATE_RELOADS_MAX];
    uint32_t calls_count = queue_pop(operate->reloads, calls, OPERATE_RELOADS_MAX, 0);
    if (calls_count == 0) return;
    reload_for(operate, roster, control_call_user(calls[0]), calls, calls_count);
}

// Waits until the process is told to end, or has to. False (FAULT_RETRY): it has to.
static bool wait_for_end(struct operate *operate, struct roster_reload *roster,
                         const sigset_t *signals, struct fault *fault) {
    const struct timespec second = {1, 0};
    struct heap_trim trim = {0};
    while (true) {
        siginfo_t info;
        char sender[64];
        int signal = sigtimedwait(signals, &info, &second);
        if (signal == SIGHUP) {
            print_sender(&info, sender, sizeof sender);
            reload_for(operate, roster, sender, NULL, 0);
        }
        reload_for_calls(operate, roster);
        reload_answer(operate->reload);
        if (signal == SIGTERM || signal == SIGINT) {
            LOG(LOG_INFO, "stopping", log_text("signal", strsignal(signal)));
            return true;
        }
        (void)heap_trim(&trim, HEAP_SLACK);
        if (!server_is_stuck(operate->server)) notify_send("WATCHDOG=1");
        if (server_is_deaf(operate->server)) {
            return fault_set(fault, FAULT_RETRY,
                             "the listener is dead: the process is to be started again (were there "
                             "too few file descriptors?)");
        }
    }
}

static void end_reloads(struct queue *reloads) {
    void *call;
    struct fault fault;
    fault_set(&fault, FAULT_RETRY, "the collector is stopping");
    while (reloads != NULL && queue_pop(reloads, &call, 1, 0) == 1) {
        operate_end_reload(call, NULL, &fault);
    }
    queue_destroy(reloads);
}

static bool start_http(const struct settings *settings, struct server *server,
                       struct http_server **http, struct fault *fault) {
    if (settings->http_listen == NULL) return true;
    const struct http_server_options http_options = {
        .listen = settings->http_listen,
        .handle = health_handle,
        .context = server,
    };
    if (!http_server_start(&http_options, http, fault)) return fault_add(fault, "http.listen");
    return true;
}

static bool start_control(struct operate *operate, struct control **control, struct fault *fault) {
    const struct settings *settings = operate->settings;
    const struct control_options control_options = {
        .path = settings->control_path,
        .group = settings->control_group,
        .admin_group = settings->control_admin_group,
        .methods = operate_methods,
        .methods_count = operate_methods_count,
        .context = operate,
    };
    return control_start(&control_options, control, fault);
}

static void tell_damage(struct trail *trail, struct server *server) {
    struct fault damage;
    if (!trail_is_damaged(trail, &damage)) return;
    const struct own_event_detail details[] = {
        {"parts", {NULL, 0}, (uint64_t)metric_get(&metrics_table[METRICS_DAMAGED_PARTS], 0)},
        {"detail", span_text(damage.text), 0},
    };
    server_tell(server, "StoreDamaged", details, 2);
}

// Serves with an open trail until told to end.
static bool serve(const struct settings *settings, struct roster_reload *roster,
                  struct trail *trail, uint64_t free_min, const sigset_t *signals,
                  struct fault *fault) {
    struct reload *reload = NULL;
    struct server *server = NULL;
    struct http_server *http = NULL;
    struct control *control = NULL;
    struct delivery *delivery = NULL;
    const struct clock *clock = clock_system();
    if (!reload_start(settings, &roster->live, trail, &reload, &server, fault)) return false;
    settings_kept_check(settings, server);
    tell_damage(trail, server);
    struct operate operate = {
        .server = server,
        .reload = reload,
        .settings = settings,
        .roster = &roster->live,
        .reloads = queue_create(OPERATE_RELOADS_MAX, OPERATE_RELOADS_MAX),
        .started_ms = clock->now_ms(clock->context),
        .free_min = free_min,
    };
    bool is_good = (operate.reloads != NULL || fault_set(fault, FAULT_FULL, "no memory")) &&
                   start_http(settings, server, &http, fault) &&
                   delivery_start(settings, &roster->live, server, &delivery, fault) &&
                   api_start(settings, &roster->live, server, delivery, &operate.service, fault) &&
                   start_control(&operate, &control, fault);
    if (is_good) {
        LOG(LOG_INFO, "collector started", log_text("organization", settings->organization),
            log_text("listen", settings->listen), log_number("port", server_port(server)),
            log_number("http_port", http == NULL ? 0 : http_server_port(http)),
            log_number("api_port", operate.service == NULL ? 0 : service_port(operate.service)),
            log_text("store", settings->store_directory),
            log_text("control", settings->control_path),
            log_number("accounts", settings->accounts_count));
        notify_send("READY=1");
        is_good = wait_for_end(&operate, roster, signals, fault);
        notify_send("STOPPING=1");
    }
    control_stop(control);
    end_reloads(operate.reloads);
    service_stop(operate.service);
    http_server_stop(http);
    delivery_stop(delivery);
    server_stop(server);
    service_destroy(operate.service);
    reload_end(reload);
    return is_good;
}

static bool print_reference(struct fault *fault) {
    struct buffer text;
    buffer_init(&text, REFERENCE_SIZE_MAX);
    bool is_good = settings_print_reference(&text, fault);
    if (is_good) fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    return is_good;
}

// The answer of --check.
static void print_good(const struct arguments *arguments, const struct settings *settings,
                       bool has_secret) {
    printf("%s: good, %u %s\n", arguments->config, settings->accounts_count,
           settings->accounts_count == 1 ? "account" : "accounts");
    if (has_secret) return;
    printf(
        "%s is not there: the start makes it, and access keys that another one sealed cannot be "
        "used\n",
        settings->secret_path);
}

static bool run(const struct arguments *arguments, const sigset_t *signals, struct fault *fault) {
    struct settings *settings = NULL;
    struct roster_reload roster = {0};
    struct trail *trail = NULL;
    uint64_t free_min;
    if (arguments->is_reference) return print_reference(fault);
    if (!settings_load(arguments->config, &settings, fault)) return false;
    bool has_secret = true;
    bool is_good = settings_check(settings, now_s(), fault) && reload_check(settings, fault) &&
                   api_check(settings, &has_secret, fault) && delivery_check(settings, fault);
    if (!is_good) fault_add(fault, "%s", arguments->config);
    if (is_good && arguments->is_check) {
        print_good(arguments, settings, has_secret);
    } else if (is_good) {
        is_good =
            roster_reload_init(&roster, arguments->config, settings, fault) && rpc_init(fault);
        if (is_good) {
            is_good = open_trail(settings, &free_min, &trail, fault) &&
                      serve(settings, &roster, trail, free_min, signals, fault);
            rpc_done();
        }
    }
    trail_close(trail);
    roster_reload_done(&roster);
    settings_destroy(settings);
    return is_good;
}

int main(int argc, char **argv) {
    struct arguments arguments = {.level = LOG_INFO};
    argp_err_exit_status = 2;
    if (argp_parse(&parser, argc, argv, 0, NULL, &arguments) != 0) return 2;
    log_init("orgtrail-collector", arguments.level);
    metrics_start();
    heap_begin();

    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);  // of reload_ask
    // Before any thread is made, so that all inherit it and only sigtimedwait sees them.
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        fprintf(stderr, "orgtrail-collector: signals: %s\n", strerror(errno));
        return 1;
    }
    struct fault fault;
    if (!run(&arguments, &signals, &fault)) {
        if (arguments.is_check || arguments.is_reference) {
            fprintf(stderr, "orgtrail-collector: %s\n", fault.text);
        } else {
            LOG(LOG_ERROR, "the collector ends", log_fault(&fault), log_kind(&fault));
        }
        return fault_exit_code(fault.kind);
    }
    if (!arguments.is_check && !arguments.is_reference) LOG(LOG_INFO, "collector stopped");
    return 0;
}
