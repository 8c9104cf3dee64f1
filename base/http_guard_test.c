#include "base/http_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "tests/kit/cases.h"

static bool is_public(const char *text) {
    struct sockaddr_storage address = {0};
    if (strchr(text, ':') == NULL) {
        struct sockaddr_in four = {.sin_family = AF_INET};
        assert_int_equal(inet_pton(AF_INET, text, &four.sin_addr), 1);
        memcpy(&address, &four, sizeof four);
    } else {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6};
        assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
        memcpy(&address, &six, sizeof six);
    }
    return http_guard_is_public((const struct sockaddr *)(const void *)&address);
}

static void test_public(void **state) {
    (void)state;
    static const char *const names[] = {
        "1.1.1.1",         "9.255.255.255",   "11.0.0.0",       "100.63.255.255",
        "100.128.0.0",     "126.255.255.1",   "128.0.0.1",      "169.253.255.255",
        "169.255.0.0",     "172.15.255.255",  "172.32.0.0",     "192.0.1.0",
        "192.167.255.255", "192.169.0.0",     "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "52.95.110.1",     "2600:1f18::1",   "2a00:1450:4001::200e",
        "2001:200::1",     "2001:4860::8888", "::ffff:1.1.1.1", "64:ff9b::101:101",
    };
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (!is_public(names[index])) fail_msg("%s is public", names[index]);
    }
}

static void test_not_public(void **state) {
    (void)state;
    static const char *const names[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    };
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (is_public(names[index])) fail_msg("%s is not public", names[index]);
    }
    const struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(http_guard_is_public(&other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_not_public),
    };
    return cases_run("http_guard_test", tests, sizeof tests / sizeof tests[0]);
}
