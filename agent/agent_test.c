// The whole program against a collector played by the test, over real TLS.

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/rpc/rpc.h"
#include "base/rpc/test_certificates.h"
#include "event/chain.h"
#include "proto/orgtrail.pb-c.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"

enum { WAIT_MS = 20000, TEXTS_MAX = 64 * 1024 };

static const char *const program = "agent/orgtrail-agent";

// A collector that keeps what it is sent: the numbers of one stream, the last texts.
struct collector {
    struct rpc_server *server;
    struct test_ca ca;
    struct test_identity identity;
    struct test_identity agent;
    pthread_mutex_t lock;
    uint64_t durable;  // of the present stream id
    uint8_t stream_id[16];
    bool has_stream;
    uint8_t chain[CHAIN_SIZE];
    uint64_t records;
    uint64_t notices;
    uint32_t streams;
    uint32_t goodbyes;
    bool is_wrong;  // numbers or chain were not what they must be
    int64_t last_at_ms;
    char texts[TEXTS_MAX];  // the records, a line each
    size_t texts_size;
    char notice[256];  // reason and place of the last one
    const char *organization;
    char serial[64];  // of the last peer's certificate
};

static struct collector collector;
static int64_t monotonic(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static void send_message(struct rpc_stream *stream, const Orgtrail__V1__CollectorMessage *message) {
    uint8_t bytes[1024];
    size_t size = orgtrail__v1__collector_message__pack(message, bytes);
    // One that is still under way is followed by another soon.
    (void)rpc_stream_send(stream, span_of(bytes, size));
}

static void send_ack(struct rpc_stream *stream) {
    Orgtrail__V1__Ack ack = ORGTRAIL__V1__ACK__INIT;
    ack.durable_seq = collector.durable;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK;
    message.ack = &ack;
    send_message(stream, &message);
}

static void take_hello(struct rpc_stream *stream, const Orgtrail__V1__Hello *hello) {
    if (!collector.has_stream || memcmp(collector.stream_id, hello->stream_id.data, 16) != 0) {
        memcpy(collector.stream_id, hello->stream_id.data, 16);
        collector.has_stream = true;
        collector.durable = 0;
        memset(collector.chain, 0, CHAIN_SIZE);
    }
    Orgtrail__V1__Welcome welcome = ORGTRAIL__V1__WELCOME__INIT;
    welcome.protocol = 1;
    welcome.resume_seq = collector.durable + 1;
    welcome.heartbeat_ms = 1000;
    welcome.organization_id = (char *)(uintptr_t)collector.organization;
    welcome.chain = (ProtobufCBinaryData){CHAIN_SIZE, collector.chain};
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME;
    message.welcome = &welcome;
    send_message(stream, &message);
}

static void take_event(const Orgtrail__V1__Event *event) {
    bool is_notice = event->kind == ORGTRAIL__V1__EVENT__KIND__NOTICE;
    struct span record = span_of(event->record.data, event->record.len);
    chain_advance(collector.chain, is_notice, record);
    collector.durable++;
    collector.last_at_ms = monotonic();
    if (is_notice) {
        Orgtrail__V1__Notice *notice =
            orgtrail__v1__notice__unpack(NULL, record.size, record.bytes);
        if (notice == NULL) {
            collector.is_wrong = true;
            return;
        }
        collector.notices++;
        snprintf(collector.notice, sizeof collector.notice, "%s %s %s", notice->reason,
                 notice->source, notice->place);
        orgtrail__v1__notice__free_unpacked(notice, NULL);
        return;
    }
    collector.records++;
    if (collector.texts_size + record.size + 2 > TEXTS_MAX) return;
    memcpy(collector.texts + collector.texts_size, record.bytes, record.size);
    collector.texts_size += record.size;
    collector.texts[collector.texts_size++] = '\n';
    collector.texts[collector.texts_size] = 0;
}

static void take_batch(struct rpc_stream *stream, const Orgtrail__V1__EventBatch *batch) {
    bool is_right = batch->first_seq == collector.durable + 1 && batch->chain.len == CHAIN_SIZE &&
                    memcmp(batch->chain.data, collector.chain, CHAIN_SIZE) == 0;
    if (!is_right) collector.is_wrong = true;
    for (size_t index = 0; is_right && index < batch->n_events; index++) {
        take_event(batch->events[index]);
    }
    send_ack(stream);
}

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_peer *peer,
                    void **stream_context, struct fault *fault) {
    (void)context;
    (void)fault;
    pthread_mutex_lock(&collector.lock);
    collector.streams++;
    memcpy(collector.serial, peer->serial, sizeof collector.serial);
    pthread_mutex_unlock(&collector.lock);
    *stream_context = stream;
    return true;
}

static enum rpc_read on_message(void *context, struct span bytes) {
    struct rpc_stream *stream = context;
    Orgtrail__V1__AgentMessage *message =
        orgtrail__v1__agent_message__unpack(NULL, bytes.size, bytes.bytes);
    pthread_mutex_lock(&collector.lock);
    if (message == NULL) {
        collector.is_wrong = true;
    } else if (message->body_case == ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO) {
        take_hello(stream, message->hello);
    } else if (message->body_case == ORGTRAIL__V1__AGENT_MESSAGE__BODY_BATCH) {
        take_batch(stream, message->batch);
    } else if (message->body_case == ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT) {
        send_ack(stream);
    } else if (message->body_case == ORGTRAIL__V1__AGENT_MESSAGE__BODY_GOODBYE) {
        collector.goodbyes++;
        rpc_stream_close(stream, FAULT_NONE, NULL);
    }
    pthread_mutex_unlock(&collector.lock);
    if (message != NULL) orgtrail__v1__agent_message__free_unpacked(message, NULL);
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    (void)context;
}

static void on_closed(void *context, const struct fault *reason) {
    (void)context;
    (void)reason;
}

static void start_server(uint16_t port) {
    static const struct rpc_server_callbacks callbacks = {
        .open = on_open, .message = on_message, .sent = on_sent, .closed = on_closed};
    char listen[64];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    const struct rpc_server_options options = {
        .listen = listen,
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = test_credentials(&collector.identity),
        .callbacks = &callbacks,
        .streams_max = 10,
    };
    struct fault fault;
    if (!rpc_server_start(&options, &collector.server, &fault)) fail_msg("%s", fault.text);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// Nobody but its owner may read a key.
static void write_key(const char *path, const char *text) {
    write_file(path, text);
    assert_int_equal(chmod(path, 0600), 0);
}

static void append_file(const char *path, const char *text) {
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// Starts a collector, and writes a bundle for an agent with these sources into a fresh folder.
static const char *begin(const char *sources) {
    const char *folder = program_folder();
    memset(&collector, 0, sizeof collector);
    pthread_mutex_init(&collector.lock, NULL);
    collector.organization = "o-test";
    test_ca_make(&collector.ca, "test CA");
    const struct test_request server = {.names = "IP:127.0.0.1", .serial = 2};
    test_identity_make(&collector.identity, &collector.ca, &server);
    start_server(0);
    const struct test_request client = {.names = "URI:spiffe://o-test/account/111111111111",
                                        .serial = 3};
    test_identity_make(&collector.agent, &collector.ca, &client);
    write_file(program_path("%s/ca.pem", folder), collector.agent.ca);
    write_file(program_path("%s/agent.pem", folder), collector.agent.certificate);
    write_key(program_path("%s/agent.key", folder), collector.agent.key);
    char text[4096];
    snprintf(text, sizeof text,
             "organization: o-test\n"
             "collector: {address: \"127.0.0.1:%u\"}\n"
             "certificates: {ca: ca.pem, certificate: agent.pem, key: agent.key}\n"
             "spool: {directory: spool}\n"
             "sources:\n%s",
             rpc_server_port(collector.server), sources);
    write_file(program_path("%s/agent.yaml", folder), text);
    return folder;
}

static void end(void) {
    assert_false(collector.is_wrong);
    if (collector.server != NULL) rpc_server_stop(collector.server, 0);
    pthread_mutex_destroy(&collector.lock);
}

static pid_t start_agent(const char *folder) {
    fflush(NULL);
    pid_t process = fork();
    assert_true(process >= 0);
    if (process != 0) return process;
    const char *log = program_path("%s/agent.log", folder);
    if (freopen(log, "a", stderr) == NULL) _exit(99);
    execl(program, program, "--config", program_path("%s/agent.yaml", folder), (char *)NULL);
    _exit(99);
}

static int stop_agent(pid_t process, int signal) {
    assert_int_equal(kill(process, signal), 0);
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Waits until the collector has so many records.
static void wait_records(uint64_t records) {
    int64_t until_ms = monotonic() + WAIT_MS;
    for (;;) {
        pthread_mutex_lock(&collector.lock);
        uint64_t has = collector.records;
        pthread_mutex_unlock(&collector.lock);
        if (has >= records) return;
        if (monotonic() > until_ms) fail_msg("%" PRIu64 " of %" PRIu64 " records", has, records);
        usleep(1000);
    }
}

static struct program_result result;

static void run_once(const char *folder) {
    program_run(&result, program, "--once", "--config", program_path("%s/agent.yaml", folder),
                NULL);
}

static const char *const both_sources =
    "  - {name: files, kind: directory, path: files}\n"
    "  - {name: log, kind: tail, path: a.log}\n";

static void test_once_delivers_everything_once(void **state) {
    (void)state;
    const char *folder = begin(both_sources);
    assert_int_equal(mkdir(program_path("%s/files", folder), 0750), 0);
    write_file(program_path("%s/files/a.json", folder),
               "{\"Records\":[{\"eventID\":\"1\"},{\"eventID\":\"2\"}]}");
    write_file(program_path("%s/files/b.json", folder), "{\"eventID\":\"3\"} garbage");
    write_file(program_path("%s/a.log", folder), "{\"eventID\":\"4\"}\n{\"eventID\":\"5\"}");
    run_once(folder);
    assert_string_equal(result.errors[0] == '{' ? "" : result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "5 records and 1 notices read, 6 sent"));
    assert_int_equal(collector.records, 5);
    assert_int_equal(collector.notices, 1);
    assert_non_null(strstr(collector.notice, "corrupt_file files byte "));
    for (char id = '1'; id <= '5'; id++) {
        char text[32];
        snprintf(text, sizeof text, "{\"eventID\":\"%c\"}\n", id);
        assert_non_null(strstr(collector.texts, text));
    }
    run_once(folder);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "0 records and 0 notices read"));
    assert_int_equal(collector.records, 5);
    end();
}

static void test_once_gives_up_on_a_collector_that_is_away(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    write_file(program_path("%s/a.log", folder), "{\"eventID\":\"1\"}\n{\"eventID\":\"2\"}\n");
    uint16_t port = rpc_server_port(collector.server);
    rpc_server_stop(collector.server, 0);
    int64_t began_ms = monotonic();
    program_run(&result, program, "--once", "--timeout=2", "--config",
                program_path("%s/agent.yaml", folder), NULL);
    assert_true(monotonic() - began_ms < WAIT_MS);
    assert_int_equal(result.code, 75);
    assert_true(
        program_has(result.errors, "is the server running there, on that port?; trying again"));
    assert_true(program_has(result.errors, "nothing for 2 s: 2 events wait in the spool, and the"));
    assert_string_equal(result.output, "");
    // Nothing is lost: the next run sends what this one read.
    start_server(port);
    run_once(folder);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "0 records and 0 notices read, 2 sent"));
    assert_int_equal(collector.records, 2);

    program_run(&result, program, "--timeout=2", "--config", "x", NULL);
    assert_true(program_has(result.errors, "--timeout goes with --once"));
    program_run(&result, program, "--once", "--timeout=2m", "--config", "x", NULL);
    assert_true(program_has(result.errors, "\"2m\" is no number of seconds"));
    end();
}

// Plays systemd: the socket that the agent tells how it is.
static int listen_as_manager(void) {
    static const struct sockaddr_un address = {.sun_family = AF_UNIX};
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    // Bound to the family alone, it gets an abstract name of its own.
    assert_int_equal(bind(manager, (const struct sockaddr *)&address, sizeof address.sun_family),
                     0);
    struct sockaddr_un bound;
    socklen_t size = sizeof bound;
    assert_int_equal(getsockname(manager, (struct sockaddr *)&bound, &size), 0);
    setenv("NOTIFY_SOCKET",
           program_path("@%.*s", (int)(size - offsetof(struct sockaddr_un, sun_path) - 1),
                        bound.sun_path + 1),
           1);
    const struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return manager;
}

static void end_as_manager(int manager) {
    unsetenv("NOTIFY_SOCKET");
    close(manager);
}

// Waits until the agent says this; other states may come before it.
static void assert_told(int manager, const char *state) {
    char text[64] = "";
    while (strcmp(text, state) != 0) {
        ssize_t size = recv(manager, text, sizeof text - 1, 0);
        if (size < 0) fail_msg("%s did not come", state);
        text[size] = 0;
    }
}

static void test_follows_stops_and_resumes(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    const char *log = program_path("%s/a.log", folder);
    int manager = listen_as_manager();
    pid_t agent = start_agent(folder);
    assert_told(manager, "READY=1");
    assert_told(manager, "WATCHDOG=1");
    append_file(log, "{\"n\":1}\n");
    wait_records(1);
    // Quickly, once it runs.
    int64_t worst_ms = 0;
    for (uint64_t line = 2; line <= 10; line++) {
        usleep(60000);
        int64_t began_ms = monotonic();
        append_file(log, "{\"n\":2}\n");
        wait_records(line);
        if (collector.last_at_ms - began_ms > worst_ms) {
            worst_ms = collector.last_at_ms - began_ms;
        }
    }
    printf("worst latency %" PRId64 " ms\n", worst_ms);
    assert_true(worst_ms < 1000);
    assert_int_equal(stop_agent(agent, SIGTERM), 0);
    assert_told(manager, "STOPPING=1");
    end_as_manager(manager);
    assert_int_equal(collector.goodbyes, 1);
    append_file(log, "{\"n\":11}\n");
    agent = start_agent(folder);
    wait_records(11);
    assert_int_equal(stop_agent(agent, SIGINT), 0);
    assert_int_equal(collector.records, 11);
    end();
}

static void test_a_collector_that_comes_and_goes(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    const char *log = program_path("%s/a.log", folder);
    uint16_t port = rpc_server_port(collector.server);
    append_file(log, "{\"n\":1}\n");
    pid_t agent = start_agent(folder);
    wait_records(1);
    rpc_server_stop(collector.server, 0);
    collector.server = NULL;
    append_file(log, "{\"n\":2}\n");
    usleep(300000);
    start_server(port);
    wait_records(2);
    assert_int_equal(stop_agent(agent, SIGTERM), 0);
    assert_non_null(strstr(program_read(program_path("%s/agent.log", folder)), "session ended"));
    end();
}

static void wait_streams(uint32_t streams) {
    int64_t until_ms = monotonic() + WAIT_MS;
    for (;;) {
        pthread_mutex_lock(&collector.lock);
        uint32_t has = collector.streams;
        pthread_mutex_unlock(&collector.lock);
        if (has >= streams) return;
        if (monotonic() > until_ms) fail_msg("%u of %u streams", has, streams);
        usleep(1000);
    }
}

static void test_new_certificates_without_a_restart(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    const char *log = program_path("%s/a.log", folder);
    append_file(log, "{\"n\":1}\n");
    pid_t agent = start_agent(folder);
    wait_records(1);
    struct test_identity renewed;
    const struct test_request request = {.names = "URI:spiffe://o-test/account/111111111111",
                                         .serial = 77};
    test_identity_make(&renewed, &collector.ca, &request);
    write_key(program_path("%s/agent.key", folder), renewed.key);
    write_file(program_path("%s/agent.pem", folder), renewed.certificate);
    assert_int_equal(kill(agent, SIGHUP), 0);
    // One on which the new certificate was tried, and the one that took the old one's place.
    wait_streams(3);
    pthread_mutex_lock(&collector.lock);
    assert_string_equal(collector.serial, "4d");
    pthread_mutex_unlock(&collector.lock);
    append_file(log, "{\"n\":2}\n");
    wait_records(2);
    // What is no good is not taken.
    write_file(program_path("%s/agent.pem", folder), "nothing");
    assert_int_equal(kill(agent, SIGHUP), 0);
    append_file(log, "{\"n\":3}\n");
    wait_records(3);
    uint32_t streams = collector.streams;
    assert_int_equal(stop_agent(agent, SIGTERM), 0);
    assert_int_equal(streams, 3);
    const char *text = program_read(program_path("%s/agent.log", folder));
    assert_non_null(strstr(text, "certificates taken"));
    assert_non_null(strstr(text, "the old ones stay"));
    end();
}

static void test_kills_lose_nothing(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    const char *log = program_path("%s/a.log", folder);
    uint64_t written = 0;
    for (uint32_t round = 0; round < 5; round++) {
        pid_t agent = start_agent(folder);
        for (uint32_t line = 0; line < 400; line++) {
            append_file(log, "{\"eventID\":\"x\",\"text\":\"some text that fills the line\"}\n");
            written++;
            if (line % 40 == 0) usleep(5000);
        }
        (void)stop_agent(agent, SIGKILL);
    }
    pid_t agent = start_agent(folder);
    wait_records(written);
    usleep(100000);
    assert_int_equal(stop_agent(agent, SIGTERM), 0);
    // The chain and the numbers show that nothing came twice under another number.
    assert_int_equal(collector.records, written);
    end();
}

static void test_another_organization(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    collector.organization = "o-other";
    write_file(program_path("%s/a.log", folder), "{\"n\":1}\n");
    run_once(folder);
    assert_int_equal(result.code, 3);
    assert_true(program_has(result.errors, "another organization"));
    assert_int_equal(collector.records, 0);
    end();
}

static void test_a_second_agent_on_the_spool(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    write_file(program_path("%s/a.log", folder), "{\"n\":1}\n");
    pid_t agent = start_agent(folder);
    wait_records(1);
    run_once(folder);
    assert_int_equal(result.code, 75);
    assert_true(program_has(result.errors, "another agent uses this spool"));
    assert_int_equal(stop_agent(agent, SIGTERM), 0);
    end();
}

static void test_check_says_what_is_wrong(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    const char *config = program_path("%s/agent.yaml", folder);
    program_run(&result, program, "--check", "--config", config, NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "good, 1 source"));
    assert_true(program_has(result.errors, "cannot be read now: No such file"));

    assert_int_equal(unlink(program_path("%s/agent.key", folder)), 0);
    program_run(&result, program, "--check", "--config", config, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "agent.key"));

    // Its own key again, but for everybody to read.
    write_key(program_path("%s/agent.key", folder), collector.agent.key);
    assert_int_equal(chmod(program_path("%s/agent.key", folder), 0644), 0);
    program_run(&result, program, "--check", "--config", config, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "agent.key: every user of this machine can read"));
    assert_true(program_has(result.errors, "run chmod o-rw /"));

    // The key of somebody else.
    write_key(program_path("%s/agent.key", folder), collector.identity.key);
    program_run(&result, program, "--check", "--config", config, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "agent.pem"));

    program_run(&result, program, "--check", "--config", "/nowhere/agent.yaml", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "/nowhere/agent.yaml"));

    program_run(&result, program, "--check", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "--config=FILE is needed"));
    end();
}

static void test_a_spool_that_cannot_be_written(void **state) {
    (void)state;
    const char *folder = begin("  - {name: log, kind: tail, path: a.log}\n");
    write_file(program_path("%s/a.log", folder), "{\"n\":1}\n");
    // A file stands where the folder should be.
    write_file(program_path("%s/spool", folder), "");
    run_once(folder);
    assert_int_not_equal(result.code, 0);
    assert_true(program_has(result.errors, "spool"));
    assert_int_equal(collector.records, 0);
    end();
}

static int begin_all(void) {
    struct fault fault;
    // gRPC's server threads inherit the test's signals; the agent blocks its own.
    return rpc_init(&fault) ? 0 : 1;
}

int main(void) {
    if (begin_all() != 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_delivers_everything_once),
        cmocka_unit_test(test_once_gives_up_on_a_collector_that_is_away),
        cmocka_unit_test(test_follows_stops_and_resumes),
        cmocka_unit_test(test_a_collector_that_comes_and_goes),
        cmocka_unit_test(test_new_certificates_without_a_restart),
        cmocka_unit_test(test_kills_lose_nothing),
        cmocka_unit_test(test_another_organization),
        cmocka_unit_test(test_a_second_agent_on_the_spool),
        cmocka_unit_test(test_check_says_what_is_wrong),
        cmocka_unit_test(test_a_spool_that_cannot_be_written),
    };
    int code = cases_run("agent_test", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
