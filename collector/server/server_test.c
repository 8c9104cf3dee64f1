// The server over real TLS in one process, with a disk that does not answer.

#include "collector/server/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rpc/rpc.h"
#include "base/rpc/test_certificates.h"
#include "collector/intake/test_messages.h"
#include "collector/metrics.h"
#include "storage/trail/trail.h"
#include "tests/kit/cases.h"

enum { WAIT_MS = 20000, HEARTBEAT_MS = 600 };

// A store whose clock waits for us: whoever asks it in the trail is held up as by a slow disk.
struct rig {
    char directory[256];
    struct clock clock;
    atomic_bool is_slow;
    atomic_bool is_held;
    struct test_ca ca;
    struct roster *roster;
    struct roster_live live;
    struct trail *trail;
    struct server *server;

    struct test_identity identity;
    struct arena *arena;
    struct rpc_client *client;
    struct rpc_stream *stream;
    bool is_welcome;
    bool is_closed;
    uint32_t acks;
    struct fault reason;
};

static int64_t slow_now_ms(void *context) {
    struct rig *rig = context;
    while (atomic_load(&rig->is_slow)) {
        atomic_store(&rig->is_held, true);
        usleep(1000);
    }
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context);
}

static int64_t monotonic_ms(void *context) {
    (void)context;
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static int make_rig(void **state) {
    static struct rig rig;
    static const struct roster_account accounts[] = {{.id = "111111111111"}};
    struct fault fault = {0};
    struct test_identity identity;
    const struct test_request request = {.names = "DNS:collector,IP:127.0.0.1", .serial = 1};
    memset(&rig, 0, sizeof rig);
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(rig.directory, sizeof rig.directory, "%s/server_XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(rig.directory) == NULL) return 1;
    rig.clock = (struct clock){slow_now_ms, monotonic_ms, &rig};
    rig.arena = arena_create(16 << 20);
    test_ca_make(&rig.ca, "organization");
    test_identity_make(&identity, &rig.ca, &request);
    if (!roster_create(accounts, 1, ROSTER_UNKNOWN_DEFAULT, &rig.roster, &fault)) return 1;
    roster_live_init(&rig.live, rig.roster);
    const struct trail_options options = {
        .directory = rig.directory,
        .map_size = 1 << 28,
        .no_sync = true,
        .clock = &rig.clock,
        .random = random_system(),
    };
    if (!trail_open(&options, &rig.trail, &fault)) fail_msg("%s", fault.text);
    const struct settings settings = {
        .store_directory = rig.directory,
        .organization = "o-abc",
        .management_account = "999999999999",
        .home_region = "us-east-1",
        .listen = "127.0.0.1:0",
        .quarantine_size_max = 1 << 20,
        .heartbeat_ms = HEARTBEAT_MS,
        .future_max_hours = 24,
        .streams_max = 16,
        .region_silent_s = 86400,
    };
    const struct rpc_credentials credentials = test_credentials(&identity);
    struct deny *deny;
    struct gate *gate;
    if (!deny_parse(SPAN_LITERAL(""), &deny, &fault) ||
        !gate_create(credentials.ca, credentials.certificate, deny, &gate, &fault)) {
        fail_msg("%s", fault.text);
    }
    if (!server_start(&settings, &credentials, gate, &rig.live, rig.trail, &rig.server, &fault)) {
        fail_msg("%s", fault.text);
    }
    *state = &rig;
    return 0;
}

static int end_rig(void **state) {
    struct rig *rig = *state;
    atomic_store(&rig->is_slow, false);
    server_stop(rig->server);
    trail_close(rig->trail);
    roster_destroy(rig->roster);
    arena_destroy(rig->arena);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", rig->directory);
    return system(command);
}

static void on_connected(void *context, struct rpc_stream *stream) {
    ((struct rig *)context)->stream = stream;
}

static enum rpc_read on_message(void *context, struct span bytes) {
    struct rig *rig = context;
    const Orgtrail__V1__CollectorMessage *message = test_unpack(rig->arena, bytes);
    if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME) {
        rig->is_welcome = true;
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK) {
        rig->acks++;
    }
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    (void)context;
}

static void on_closed(void *context, const struct fault *reason) {
    struct rig *rig = context;
    rig->is_closed = true;
    rig->stream = NULL;
    rig->reason = *reason;
}

static void say(struct rig *rig, struct span message) {
    for (int waited = 0; waited < WAIT_MS && rig->stream != NULL; waited++) {
        if (rpc_stream_send(rig->stream, message)) return;
        rpc_client_step(rig->client, 1);
    }
    fail_msg("not sent: %s", rig->reason.text);
}

static void enter(struct rig *rig) {
    static const struct rpc_client_callbacks callbacks = {on_connected, on_message, on_sent,
                                                          on_closed};
    const struct test_request request = {.names = "URI:spiffe://o-abc/account/111111111111",
                                         .serial = 7};
    char target[64];
    struct fault fault = {0};
    test_identity_make(&rig->identity, &rig->ca, &request);
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", server_port(rig->server));
    const struct rpc_client_options options = {
        .target = target,
        .authority = "collector",
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = test_credentials(&rig->identity),
        .callbacks = &callbacks,
        .context = rig,
    };
    if (!rpc_client_create(&options, &rig->client, &fault)) fail_msg("%s", fault.text);
    rpc_client_connect(rig->client);
    for (int waited = 0; waited < WAIT_MS && rig->stream == NULL; waited += 10) {
        rpc_client_step(rig->client, 10);
        if (rig->is_closed) fail_msg("%s", rig->reason.text);
    }
    say(rig, test_hello(rig->arena, 1));
    for (int waited = 0; waited < WAIT_MS && !rig->is_welcome; waited += 10) {
        rpc_client_step(rig->client, 10);
        if (rig->is_closed) fail_msg("%s", rig->reason.text);
    }
    assert_true(rig->is_welcome);
}

// Agents hear from a collector whose disk hangs, and are not called silent by it.
static void test_heartbeats_go_on_while_the_writer_waits(void **state) {
    struct rig *rig = *state;
    enter(rig);
    atomic_store(&rig->is_slow, true);
    for (int waited = 0; waited < WAIT_MS && !atomic_load(&rig->is_held); waited += 10) {
        if (waited % HEARTBEAT_MS == 0) say(rig, test_heartbeat(rig->arena));
        rpc_client_step(rig->client, 10);
    }
    assert_true(atomic_load(&rig->is_held));
    rig->acks = 0;
    for (int beats = 0; beats < 5; beats++) {
        int64_t until = monotonic_ms(NULL) + HEARTBEAT_MS;
        say(rig, test_heartbeat(rig->arena));
        while (monotonic_ms(NULL) < until) rpc_client_step(rig->client, 10);
    }
    assert_true(atomic_load(&rig->is_slow));
    if (rig->is_closed) fail_msg("%s", rig->reason.text);
    assert_true(rig->acks >= 3);
    atomic_store(&rig->is_slow, false);
    rpc_client_destroy(rig->client);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    struct fault fault;
    log_init("server_test", LOG_ERROR);
    metrics_start();
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_heartbeats_go_on_while_the_writer_waits, make_rig,
                                        end_rig),
    };
    int code = cases_run("collector/server", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
