// The whole program over real TLS: who may come in, what an operator sees, how it ends.

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/rpc/rpc.h"
#include "base/rpc/test_certificates.h"
#include "collector/intake/test_messages.h"
#include "tests/kit/cases.h"

enum { WAIT_MS = 20000, TEXT_SIZE = 256 * 1024 };

#define ONE "URI:spiffe://o-abc/account/111111111111"

static const char RECORD[] =
    "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"ec2.amazonaws.com\","
    "\"eventName\":\"RunInstances\",\"eventID\":\"a\"}";

// A collector in a folder of its own.
struct program {
    char directory[256];
    struct test_ca ca;
    pid_t process;
    uint16_t port;
    uint16_t http_port;
    char text[TEXT_SIZE];  // of its log, or of an HTTP answer
};

// An agent as far as a test needs one.
struct agent {
    struct test_identity identity;
    struct rpc_client *client;
    struct rpc_stream *stream;
    struct arena *arena;
    uint64_t resume;
    uint64_t acked;
    bool is_welcome;
    bool is_drained;
    bool is_closed;
    struct fault reason;
};

static void write_file(const struct program *program, const char *name, const char *text) {
    char path[300];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", program->directory, name);
    if (!files_write_whole(files_system(), path, span_text(text), 0600, &fault)) {
        fail_msg("%s", fault.text);
    }
}

static void read_file(struct program *program, const char *name) {
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", program->directory, name);
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = handle < 0 ? 0 : read(handle, program->text, TEXT_SIZE - 1);
    if (handle >= 0) close(handle);
    program->text[size < 0 ? 0 : size] = '\0';
}

// Starts the program with the settings and one more option (or NULL); it writes to "log".
static void start(struct program *program, const char *option) {
    char config[300], log[300];
    (void)snprintf(config, sizeof config, "--config=%s/collector.yaml", program->directory);
    (void)snprintf(log, sizeof log, "%s/log", program->directory);
    // Before it runs: what a run before said must not be taken for its own.
    (void)unlink(log);
    program->process = fork();
    assert_true(program->process >= 0);
    if (program->process == 0) {
        int handle = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        bool is_good =
            handle >= 0 && dup2(handle, STDOUT_FILENO) >= 0 && dup2(handle, STDERR_FILENO) >= 0;
        if (!is_good) _exit(99);
        execl("collector/orgtrail-collector", "orgtrail-collector", config, option, (char *)NULL);
        _exit(98);
    }
}

static void spawn(struct program *program) {
    start(program, NULL);
    const char *started = NULL;
    for (int waited = 0; started == NULL && waited < WAIT_MS; waited += 10) {
        usleep(10000);
        read_file(program, "log");
        started = strstr(program->text, "\"collector started\"");
        if (strstr(program->text, "the collector ends") != NULL) fail_msg("%s", program->text);
    }
    if (started == NULL) fail_msg("it did not start: %s", program->text);
    unsigned port = 0, http_port = 0;
    assert_int_equal(sscanf(strstr(started, "\"port\":"), "\"port\":%u", &port), 1);
    assert_int_equal(sscanf(strstr(started, "\"http_port\":"), "\"http_port\":%u", &http_port), 1);
    program->port = (uint16_t)port;
    program->http_port = (uint16_t)http_port;
}

// Ends it and returns its exit code.
static int stop(struct program *program, int signal_number) {
    int status = 0;
    assert_int_equal(kill(program->process, signal_number), 0);
    assert_int_equal(waitpid(program->process, &status, 0), program->process);
    program->process = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Runs it with --check and returns its exit code.
static int check_settings(struct program *program) {
    int status = 0;
    start(program, "--check");
    assert_int_equal(waitpid(program->process, &status, 0), program->process);
    program->process = 0;
    read_file(program, "log");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int make_program(void **state) {
    static struct program program;
    program = (struct program){.process = 0};
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(program.directory, sizeof program.directory, "%s/process_XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(program.directory) == NULL) return 1;
    struct test_identity identity;
    const struct test_request request = {.names = "DNS:collector,IP:127.0.0.1", .serial = 1};
    test_ca_make(&program.ca, "organization");
    test_identity_make(&identity, &program.ca, &request);
    write_file(&program, "ca.pem", identity.ca);
    write_file(&program, "collector.pem", identity.certificate);
    write_file(&program, "collector.key", identity.key);
    write_file(&program, "collector.yaml",
               "organization: {id: o-abc, management_account: \"999999999999\"}\n"
               "listen: 127.0.0.1:0\n"
               "http: {listen: 127.0.0.1:0}\n"
               "store: {directory: store, min_free: 1MiB}\n"
               "certificates: {ca: ca.pem, certificate: collector.pem, key: collector.key}\n"
               "roster: {accounts: [{id: \"111111111111\"}]}\n"
               "heartbeat_ms: 1000\n");
    spawn(&program);
    *state = &program;
    return 0;
}

static int end_program(void **state) {
    struct program *program = *state;
    if (program->process != 0) (void)stop(program, SIGKILL);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", program->directory);
    return system(command);
}

static void on_connected(void *context, struct rpc_stream *stream) {
    ((struct agent *)context)->stream = stream;
}

static enum rpc_read on_message(void *context, struct span bytes) {
    struct agent *agent = context;
    const Orgtrail__V1__CollectorMessage *message = test_unpack(agent->arena, bytes);
    if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME) {
        agent->is_welcome = true;
        agent->resume = message->welcome->resume_seq;
        assert_string_equal(message->welcome->organization_id, "o-abc");
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK) {
        agent->acked = message->ack->durable_seq;
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN) {
        agent->is_drained = true;
    }
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    (void)context;
}

static void on_closed(void *context, const struct fault *reason) {
    struct agent *agent = context;
    agent->is_closed = true;
    agent->stream = NULL;
    agent->reason = *reason;
}

static void begin_agent(struct agent *agent, const struct program *program,
                        const struct test_ca *ca, const struct test_request *request) {
    static const struct rpc_client_callbacks callbacks = {on_connected, on_message, on_sent,
                                                          on_closed};
    char target[64];
    struct fault fault = {0};
    *agent = (struct agent){.arena = arena_create(16 << 20)};
    test_identity_make(&agent->identity, ca, request);
    // Whoever signed it, it trusts the organization's collector.
    memcpy(agent->identity.ca, program->ca.certificate, sizeof agent->identity.ca);
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", program->port);
    const struct rpc_client_options options = {
        .target = target,
        .authority = "collector",
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = test_credentials(&agent->identity),
        .callbacks = &callbacks,
        .context = agent,
    };
    if (!rpc_client_create(&options, &agent->client, &fault)) fail_msg("%s", fault.text);
    rpc_client_connect(agent->client);
}

static void end_agent(struct agent *agent) {
    rpc_client_destroy(agent->client);
    arena_destroy(agent->arena);
}

// Steps until it is true or the stream is over.
static void step_until(struct agent *agent, const bool *is_done) {
    for (int waited = 0; waited < WAIT_MS && !*is_done && !agent->is_closed; waited += 10) {
        rpc_client_step(agent->client, 10);
    }
}

static void send_message(struct agent *agent, struct span message) {
    for (int waited = 0; waited < WAIT_MS && agent->stream != NULL; waited++) {
        if (rpc_stream_send(agent->stream, message)) return;
        rpc_client_step(agent->client, 1);
    }
    fail_msg("not sent: %s", agent->reason.text);
}

static void enter(struct agent *agent, const struct program *program, const char *names) {
    const struct test_request request = {.names = names, .serial = 7};
    begin_agent(agent, program, &program->ca, &request);
    for (int waited = 0; waited < WAIT_MS && agent->stream == NULL; waited += 10) {
        rpc_client_step(agent->client, 10);
        if (agent->is_closed) fail_msg("%s", agent->reason.text);
    }
    send_message(agent, test_hello(agent->arena, 1));
    step_until(agent, &agent->is_welcome);
    if (!agent->is_welcome) fail_msg("no Welcome: %s", agent->reason.text);
}

static void wait_for_ack(struct agent *agent, uint64_t number) {
    for (int waited = 0; waited < WAIT_MS && agent->acked < number; waited += 10) {
        rpc_client_step(agent->client, 10);
        if (agent->is_closed) fail_msg("%s", agent->reason.text);
    }
    assert_int_equal(agent->acked, number);
}

// Asks over HTTP; the answer with its header is in program->text.
static void ask(struct program *program, const char *path) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(program->http_port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char request[128];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(handle >= 0);
    assert_int_equal(connect(handle, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(handle, request, (size_t)size), size);
    size_t got = 0;
    ssize_t now;
    while ((now = read(handle, program->text + got, TEXT_SIZE - 1 - got)) > 0) got += (size_t)now;
    close(handle);
    program->text[got] = '\0';
}

static void test_events_are_acknowledged_and_survive(void **state) {
    struct program *program = *state;
    struct agent agent;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    enter(&agent, program, ONE);
    assert_int_equal(agent.resume, 1);
    send_message(&agent, test_records(agent.arena, 1, RECORD, 3, chain));
    wait_for_ack(&agent, 3);
    end_agent(&agent);
    assert_int_equal(stop(program, SIGKILL), -SIGKILL);
    spawn(program);
    enter(&agent, program, ONE);
    assert_int_equal(agent.resume, 4);
    end_agent(&agent);
}

static void test_metrics_and_health(void **state) {
    struct program *program = *state;
    struct agent agent;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    enter(&agent, program, ONE);
    send_message(&agent, test_records(agent.arena, 1, RECORD, 2, chain));
    wait_for_ack(&agent, 2);
    ask(program, "/healthz");
    assert_non_null(strstr(program->text, "200 OK"));
    assert_non_null(strstr(program->text, "{\"status\":\"ok\"}"));
    ask(program, "/metrics");
    assert_non_null(strstr(program->text, "\norgtrail_collector_received_events_total 2\n"));
    assert_non_null(strstr(program->text, "_decided_events_total{outcome=\"duplicate\"} 1\n"));
    assert_non_null(strstr(program->text, "\norgtrail_collector_streams 1\n"));
    ask(program, "/other");
    assert_non_null(strstr(program->text, "404"));
    end_agent(&agent);
}

static void test_stops_after_the_last_ack(void **state) {
    struct program *program = *state;
    struct agent agent;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    enter(&agent, program, ONE);
    send_message(&agent, test_records(agent.arena, 1, RECORD, 500, chain));
    assert_int_equal(kill(program->process, SIGTERM), 0);
    step_until(&agent, &agent.is_closed);
    assert_true(agent.is_closed);
    assert_true(agent.is_drained);
    end_agent(&agent);
    int status = 0;
    assert_int_equal(waitpid(program->process, &status, 0), program->process);
    program->process = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    read_file(program, "log");
    assert_non_null(strstr(program->text, "\"collector stopped\""));
    // What was received is there, whether or not its Ack arrived; the rest is asked for again.
    uint64_t acked = agent.acked;
    spawn(program);
    enter(&agent, program, ONE);
    assert_true(agent.resume >= acked + 1);
    end_agent(&agent);
}

// Tries to come in and checks that it is refused so.
static void check_refused(struct program *program, const struct test_ca *ca,
                          const struct test_request *request, const char *text) {
    struct agent agent;
    begin_agent(&agent, program, ca, request);
    bool is_said = false;
    for (int waited = 0; waited < WAIT_MS && !agent.is_closed; waited += 10) {
        if (agent.stream != NULL && !is_said) {
            is_said = rpc_stream_send(agent.stream, test_hello(agent.arena, 1));
        }
        rpc_client_step(agent.client, 10);
    }
    assert_true(agent.is_closed);
    assert_false(agent.is_welcome);
    if (strstr(agent.reason.text, text) == NULL) fail_msg("%s", agent.reason.text);
    end_agent(&agent);
}

static void test_strangers_are_refused(void **state) {
    struct program *program = *state;
    struct test_ca foreign;
    test_ca_make(&foreign, "somebody else");
    const struct test_request good = {.names = ONE, .serial = 2};
    check_refused(program, &foreign, &good, "");
    const struct test_request expired = {.names = ONE, .serial = 3, .is_expired = true};
    check_refused(program, &program->ca, &expired, "");
    const struct test_request nameless = {.names = NULL, .serial = 4};
    check_refused(program, &program->ca, &nameless, "");
    const struct test_request other = {.names = "URI:spiffe://o-xyz/account/1", .serial = 5};
    check_refused(program, &program->ca, &other, "its organization is not o-abc");
    read_file(program, "log");
    assert_non_null(strstr(program->text, "\"stream refused\""));
    assert_non_null(strstr(program->text, "o-xyz"));

    // None of it keeps others out.
    struct agent agent;
    enter(&agent, program, ONE);
    end_agent(&agent);
}

static void test_garbage_on_the_port(void **state) {
    struct program *program = *state;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(program->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (int attempt = 0; attempt < 5; attempt++) {
        int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(handle, (struct sockaddr *)&address, sizeof address), 0);
        const char garbage[] = "GET / HTTP/1.1\r\n\r\n\x16\x03\x01\xff\xff\xff";
        assert_int_equal(write(handle, garbage, sizeof garbage), sizeof garbage);
        close(handle);
    }
    struct agent agent;
    enter(&agent, program, ONE);
    send_message(&agent, SPAN_LITERAL("\xff\xff\xff"));
    step_until(&agent, &agent.is_closed);
    assert_true(agent.is_closed);
    assert_int_equal(agent.reason.kind, FAULT_INPUT);
    assert_non_null(strstr(agent.reason.text, "cannot be decoded"));
    end_agent(&agent);
    enter(&agent, program, ONE);
    end_agent(&agent);
}

static void test_wrong_chain_is_told(void **state) {
    struct program *program = *state;
    struct agent agent;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    enter(&agent, program, ONE);
    send_message(&agent, test_records(agent.arena, 1, RECORD, 1, chain));
    wait_for_ack(&agent, 1);
    chain[3] ^= 1;
    send_message(&agent, test_records(agent.arena, 2, RECORD, 1, chain));
    step_until(&agent, &agent.is_closed);
    assert_true(agent.is_closed);
    assert_int_equal(agent.reason.kind, FAULT_CORRUPT);
    end_agent(&agent);
}

static void test_check_and_reload(void **state) {
    struct program *program = *state;
    assert_int_equal(kill(program->process, SIGHUP), 0);
    for (int waited = 0; waited < WAIT_MS; waited += 10) {
        read_file(program, "log");
        if (strstr(program->text, "certificates and deny list reloaded") != NULL) break;
        usleep(10000);
    }
    assert_non_null(strstr(program->text, "certificates and deny list reloaded"));
    struct agent agent;
    enter(&agent, program, ONE);
    end_agent(&agent);
    assert_int_equal(stop(program, SIGINT), 0);

    assert_int_equal(check_settings(program), 0);
    assert_non_null(strstr(program->text, "collector.yaml: good, 1 account"));
    write_file(program, "collector.key", "no key");
    assert_int_equal(check_settings(program), 2);
    assert_non_null(strstr(program->text, "collector.pem"));
    write_file(program, "collector.yaml", "listen: x\nlisten: y\n");
    assert_int_equal(check_settings(program), 2);
    assert_non_null(strstr(program->text, "collector.yaml: line 2"));
}

int main(void) {
    struct fault fault = {0};
    signal(SIGPIPE, SIG_IGN);
    if (!rpc_init(&fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events_are_acknowledged_and_survive, make_program,
                                        end_program),
        cmocka_unit_test_setup_teardown(test_metrics_and_health, make_program, end_program),
        cmocka_unit_test_setup_teardown(test_stops_after_the_last_ack, make_program, end_program),
        cmocka_unit_test_setup_teardown(test_strangers_are_refused, make_program, end_program),
        cmocka_unit_test_setup_teardown(test_garbage_on_the_port, make_program, end_program),
        cmocka_unit_test_setup_teardown(test_wrong_chain_is_told, make_program, end_program),
        cmocka_unit_test_setup_teardown(test_check_and_reload, make_program, end_program),
    };
    int status = cases_run("collector/process", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return status;
}
