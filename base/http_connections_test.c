#include "base/http_connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "tests/kit/cases.h"

static struct sockaddr_storage address_of(const char *text) {
    struct sockaddr_storage address = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        address.ss_family = AF_INET6;
    }
    return address;
}

static bool admit(struct http_connections *connections, const char *text) {
    struct sockaddr_storage address = address_of(text);
    return http_connections_admit(connections, (struct sockaddr *)&address, sizeof address);
}

static struct http_connection *add(struct http_connections *connections, const char *text,
                                   int descriptor, int64_t deadline_ms) {
    struct sockaddr_storage address = address_of(text);
    struct http_connection *connection = http_connections_add(
        connections, descriptor, (struct sockaddr *)&address, deadline_ms, 100);
    assert_non_null(connection);
    return connection;
}

static void assert_limit(const char *taken, const char *same, const char *other) {
    struct http_connections *connections = http_connections_create(HTTP_CONNECTIONS_DEFAULT);
    struct http_connection *held[HTTP_CONNECTIONS_OF_ADDRESS_MAX];
    for (int index = 0; index < HTTP_CONNECTIONS_OF_ADDRESS_MAX; index++) {
        assert_true(admit(connections, same));
        held[index] = add(connections, taken, -1, 0);
    }
    assert_false(admit(connections, same));
    assert_true(admit(connections, other));
    http_connections_remove(connections, held[5]);
    assert_true(admit(connections, same));
    for (int index = 0; index < HTTP_CONNECTIONS_OF_ADDRESS_MAX; index++) {
        if (index != 5) http_connections_remove(connections, held[index]);
    }
    http_connections_destroy(connections);
}

static void test_limit_of_one_address(void **state) {
    (void)state;
    assert_limit("192.0.2.1", "192.0.2.1", "192.0.2.2");
    assert_limit("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2");
    assert_limit("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1");
}

static void test_loopback_has_only_the_limit_of_all(void **state) {
    (void)state;
    static const char *const names[] = {"127.0.0.1", "::1", "::ffff:127.0.0.1"};
    for (int name = 0; name < 3; name++) {
        struct http_connections *connections = http_connections_create(HTTP_CONNECTIONS_DEFAULT);
        struct http_connection *held[HTTP_CONNECTIONS_DEFAULT];
        for (int index = 0; index < HTTP_CONNECTIONS_DEFAULT; index++) {
            assert_true(admit(connections, names[name]));
            held[index] = add(connections, names[name], -1, 0);
        }
        assert_false(admit(connections, names[name]));
        assert_false(admit(connections, "192.0.2.1"));
        for (int index = 0; index < HTTP_CONNECTIONS_DEFAULT; index++) {
            http_connections_remove(connections, held[index]);
        }
        http_connections_destroy(connections);
    }
}

static void test_sweep_shuts_down_what_is_late(void **state) {
    (void)state;
    struct http_connections *connections = http_connections_create(HTTP_CONNECTIONS_DEFAULT);
    int late[2], early[2];
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, late), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, early), 0);
    struct http_connection *one = add(connections, "192.0.2.1", late[0], 1000);
    struct http_connection *other = add(connections, "192.0.2.1", early[0], 1000);
    assert_int_equal(http_connections_sweep(connections, 999), 0);
    http_connections_extend(connections, other, 2000);
    assert_int_equal(http_connections_sweep(connections, 1000), 1);
    assert_int_equal(read(late[1], &byte, 1), 0);
    assert_int_equal(read(early[1], &byte, 1), -1);
    http_connections_remove(connections, one);
    http_connections_remove(connections, other);
    http_connections_destroy(connections);
    http_connections_destroy(NULL);
    for (int index = 0; index < 2; index++) {
        close(late[index]);
        close(early[index]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_of_one_address),
        cmocka_unit_test(test_loopback_has_only_the_limit_of_all),
        cmocka_unit_test(test_sweep_shuts_down_what_is_late),
    };
    return cases_run("http_connections_test", tests, sizeof tests / sizeof tests[0]);
}
