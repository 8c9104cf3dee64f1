#include "base/http_guard.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct range {
    uint8_t bytes[16];
    uint32_t bits;
};

// IANA's special-purpose registries, and what is no address of one machine.
static const struct range FOUR[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10},
    {{127}, 8},
    {{169, 254}, 16},
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},
    {{192, 88, 99}, 24},
    {{192, 168}, 16},
    {{198, 18}, 15},
    {{198, 51, 100}, 24},
    {{203, 0, 113}, 24},
    {{224}, 4},
    {{240}, 4},
};

// Only 2000::/3 is given out; of it, what is not one machine's or reaches IPv4 in another dress.
static const struct range SIX_PUBLIC = {{0x20}, 3};
static const struct range SIX[] = {
    {{0x20, 0x01, 0x00}, 23},        // 2001::/23: Teredo, ORCHID, benchmarking
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x02}, 16},              // 6to4
    {{0x3f, 0xff, 0x00}, 20},        // documentation
};
static const struct range SIX_OF_FOUR = {{0x00, 0x64, 0xff, 0x9b}, 96};  // NAT64
static const struct range SIX_MAPPED = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};

static bool is_within(const uint8_t *address, const struct range *range) {
    uint32_t whole = range->bits / 8;
    uint32_t rest = range->bits % 8;
    if (memcmp(address, range->bytes, whole) != 0) return false;
    return rest == 0 || (address[whole] ^ range->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_public_four(const uint8_t *address) {
    for (size_t index = 0; index < sizeof FOUR / sizeof FOUR[0]; index++) {
        if (is_within(address, &FOUR[index])) return false;
    }
    return true;
}

static bool is_public_six(const uint8_t *address) {
    if (is_within(address, &SIX_MAPPED) || is_within(address, &SIX_OF_FOUR)) {
        return is_public_four(address + 12);
    }
    if (!is_within(address, &SIX_PUBLIC)) return false;
    for (size_t index = 0; index < sizeof SIX / sizeof SIX[0]; index++) {
        if (is_within(address, &SIX[index])) return false;
    }
    return true;
}

bool http_guard_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        return is_public_four((const uint8_t *)&four.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        return is_public_six((const uint8_t *)&six.sin6_addr);
    }
    return false;
}
