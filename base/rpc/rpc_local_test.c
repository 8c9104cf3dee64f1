#include "base/rpc/rpc_local.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/cases.h"

enum { WAIT_MS = 20000 };

// A server that answers a request with as many copies as its first digit says, then ends as its
// rest says.
struct echo {
    struct rpc_local *local;
    char folder[128];
    char path[256];
    atomic_uint opened;
    atomic_uint closed;
    _Atomic(uid_t) uid;
    _Atomic(pid_t) pid;
};

struct visit {
    struct echo *echo;
    struct rpc_stream *stream;
    char request[64];
    size_t size;
    unsigned left;
};

static void go_on(struct visit *visit) {
    if (visit->left > 0) {
        visit->left--;
        assert_true(rpc_stream_send(visit->stream, span_of(visit->request, visit->size)));
        return;
    }
    if (strstr(visit->request, "hang") != NULL) return;
    bool is_denied = strstr(visit->request, "deny") != NULL;
    rpc_stream_close(visit->stream, is_denied ? FAULT_DENIED : FAULT_NONE, "only for others");
}

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_caller *caller,
                    const char *method, void **stream_context, struct fault *fault) {
    struct echo *echo = context;
    if (strcmp(method, "/test.v1.Local/Echo") != 0) {
        return fault_set(fault, FAULT_INPUT, "no such method: %s", method);
    }
    struct visit *visit = calloc(1, sizeof *visit);
    visit->echo = echo;
    visit->stream = stream;
    atomic_store(&echo->uid, caller->uid);
    atomic_store(&echo->pid, caller->pid);
    atomic_fetch_add(&echo->opened, 1);
    *stream_context = visit;
    return true;
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    struct visit *visit = stream_context;
    assert_true(message.size > 0 && message.size < sizeof visit->request);
    memcpy(visit->request, message.bytes, message.size);
    visit->size = message.size;
    visit->left = (unsigned)(visit->request[0] - '0');
    go_on(visit);
    return RPC_READ_ON;
}

static void on_sent(void *stream_context) {
    go_on(stream_context);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    (void)reason;
    struct visit *visit = stream_context;
    atomic_fetch_add(&visit->echo->closed, 1);
    free(visit);
}

static struct rpc_local_options options_of(struct echo *echo) {
    static const struct rpc_local_callbacks callbacks = {on_open, on_message, on_sent, on_closed};
    return (struct rpc_local_options){.path = echo->path, .callbacks = &callbacks, .context = echo};
}

static void start(struct echo *echo) {
    *echo = (struct echo){0};
    snprintf(echo->folder, sizeof echo->folder, "/tmp/rpc_local.XXXXXX");
    assert_non_null(mkdtemp(echo->folder));
    snprintf(echo->path, sizeof echo->path, "%s/control.sock", echo->folder);
    struct rpc_local_options options = options_of(echo);
    struct fault fault;
    assert_true(rpc_local_start(&options, &echo->local, &fault));
}

static void stop(struct echo *echo) {
    rpc_local_stop(echo->local, 0);
    assert_int_equal(atomic_load(&echo->opened), atomic_load(&echo->closed));
    assert_int_equal(access(echo->path, F_OK), -1);
    rmdir(echo->folder);
}

static bool count_reply(void *user, struct span reply) {
    unsigned *count = user;
    assert_true(reply.size > 0);
    return ++*count < 5;
}

static bool call(const struct echo *echo, const char *request, unsigned *count,
                 struct fault *fault) {
    *count = 0;
    return rpc_local_call(echo->path, "/test.v1.Local/Echo", span_text(request), count_reply, count,
                          WAIT_MS, fault);
}

static void test_replies_come_and_the_caller_is_known(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count;
    start(&echo);
    for (int round = 0; round < 20; round++) {
        assert_true(call(&echo, "3 replies", &count, &fault));
        assert_int_equal(count, 3);
        assert_int_equal(atomic_load(&echo.uid), getuid());
        assert_int_equal(atomic_load(&echo.pid), getpid());
    }
    stop(&echo);
}

static void test_refusals_carry_their_reason(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count;
    start(&echo);
    assert_false(call(&echo, "1 deny", &count, &fault));
    assert_int_equal(count, 1);
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_string_equal(fault.text, "only for others");
    assert_false(rpc_local_call(echo.path, "/test.v1.Local/Other", SPAN_LITERAL("x"), count_reply,
                                &count, WAIT_MS, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "/test.v1.Local/Other"));
    stop(&echo);
}

static void test_enough_ends_the_call(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count;
    start(&echo);
    assert_true(call(&echo, "9 hang", &count, &fault));
    assert_int_equal(count, 5);
    stop(&echo);
}

static void test_silence_ends_the_call(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count = 0;
    start(&echo);
    assert_false(rpc_local_call(echo.path, "/test.v1.Local/Echo", SPAN_LITERAL("0 hang"),
                                count_reply, &count, 100, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    stop(&echo);
}

static void test_strangers_do_no_harm(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count;
    start(&echo);
    // Connections that say nothing, or nonsense, or go at once.
    int silent[8];
    for (int index = 0; index < 8; index++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, echo.path, strlen(echo.path) + 1);
        silent[index] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(silent[index], (struct sockaddr *)&address, sizeof address), 0);
        if (index % 3 == 1)
            assert_int_equal(write(silent[index], "GET / HTTP/1.1\r\n\r\n", 18), 18);
        if (index % 3 == 2) close(silent[index]);
    }
    assert_true(call(&echo, "2 replies", &count, &fault));
    assert_int_equal(count, 2);
    stop(&echo);
    for (int index = 0; index < 8; index++) {
        if (index % 3 != 2) close(silent[index]);
    }
}

static void test_a_second_server_is_refused_and_a_stale_file_replaced(void **state) {
    (void)state;
    struct echo echo;
    struct fault fault;
    unsigned count;
    start(&echo);
    struct rpc_local_options options = options_of(&echo);
    struct rpc_local *second = NULL;
    assert_false(rpc_local_start(&options, &second, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_true(call(&echo, "1 reply", &count, &fault));
    rpc_local_stop(echo.local, 0);

    // What a killed process leaves behind: a socket file that nobody serves.
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, echo.path, strlen(echo.path) + 1);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    assert_false(call(&echo, "1 reply", &count, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_true(rpc_local_start(&options, &echo.local, &fault));
    assert_true(call(&echo, "1 reply", &count, &fault));
    stop(&echo);
}

static void test_other_files_stay(void **state) {
    (void)state;
    char path[] = "/tmp/rpc_local_file.XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    static const struct rpc_local_callbacks callbacks = {on_open, on_message, on_sent, on_closed};
    struct rpc_local_options options = {.path = path, .callbacks = &callbacks};
    struct rpc_local *local = NULL;
    struct fault fault;
    assert_false(rpc_local_start(&options, &local, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, path));
    assert_int_equal(access(path, F_OK), 0);
    close(descriptor);
    unlink(path);
}

static void test_long_paths_and_modes(void **state) {
    (void)state;
    struct echo echo = {0};
    char base[] = "/tmp/rpc_local.XXXXXX";
    assert_non_null(mkdtemp(base));
    snprintf(echo.folder, sizeof echo.folder, "%s/%.*s", base, 90,
             "a-folder-with-a-name-that-is-much-too-long-for-the-address-of-a-socket-as-the-kernel-"
             "knows-it");
    assert_int_equal(mkdir(echo.folder, 0700), 0);
    snprintf(echo.path, sizeof echo.path, "%s/control.sock", echo.folder);
    assert_true(strlen(echo.path) > 108);
    struct rpc_local_options options = options_of(&echo);
    options.has_group = true;
    options.group = getgid();
    struct fault fault;
    assert_true(rpc_local_start(&options, &echo.local, &fault));
    struct stat found;
    assert_int_equal(stat(echo.path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0660);
    assert_int_equal(found.st_gid, getgid());
    unsigned count;
    assert_true(call(&echo, "4 replies", &count, &fault));
    assert_int_equal(count, 4);
    stop(&echo);
    rmdir(base);
}

int main(void) {
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_come_and_the_caller_is_known),
        cmocka_unit_test(test_refusals_carry_their_reason),
        cmocka_unit_test(test_enough_ends_the_call),
        cmocka_unit_test(test_silence_ends_the_call),
        cmocka_unit_test(test_strangers_do_no_harm),
        cmocka_unit_test(test_a_second_server_is_refused_and_a_stale_file_replaced),
        cmocka_unit_test(test_other_files_stay),
        cmocka_unit_test(test_long_paths_and_modes),
    };
    int failed = cases_run("rpc_local", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return failed;
}
