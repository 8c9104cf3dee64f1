#include "base/notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/kit/cases.h"

// What the socket got, or "" if nothing did.
static const char *take(int handle) {
    static char text[64];
    ssize_t size = recv(handle, text, sizeof text - 1, MSG_DONTWAIT);
    text[size > 0 ? size : 0] = 0;
    return text;
}

static int listen_at(const char *path, bool is_abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    if (is_abstract) address.sun_path[0] = 0;
    int handle = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    assert_int_equal(bind(handle, (const struct sockaddr *)&address, size), 0);
    return handle;
}

static void test_a_path_and_an_abstract_name(void **state) {
    (void)state;
    char folder[] = "/tmp/notify_XXXXXX";
    char path[64];
    char name[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(name, sizeof name, "@%s", folder);
    int at_path = listen_at(path, false);
    int at_name = listen_at(name, true);
    setenv("NOTIFY_SOCKET", path, 1);
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", name, 1);
    notify_send("STOPPING=1");
    assert_string_equal(take(at_path), "READY=1");
    assert_string_equal(take(at_name), "STOPPING=1");
    assert_string_equal(take(at_path), "");
    close(at_path);
    close(at_name);
    unlink(path);
    rmdir(folder);
}

static void test_nobody_there_is_no_failure(void **state) {
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    static const char *const places[] = {"", "/nonexistent/socket", "@orgtrail-nobody"};
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        setenv("NOTIFY_SOCKET", places[index], 1);
        notify_send("READY=1");
    }
    setenv("NOTIFY_SOCKET", longest, 1);
    notify_send("READY=1");
    unsetenv("NOTIFY_SOCKET");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_and_an_abstract_name),
        cmocka_unit_test(test_nobody_there_is_no_failure),
    };
    return cases_run("notify", tests, sizeof tests / sizeof tests[0]);
}
