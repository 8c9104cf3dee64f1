// http_guard.h: which addresses are public, so that a target somebody else chose cannot be one of
// ours. Pure.

#pragma once

#include <stdbool.h>
#include <sys/socket.h>

// Whether an address of IPv4 or IPv6 is one that the Internet routes to: none of this machine, of
// private networks, of clouds' metadata (169.254.169.254), of groups, documentation or transition,
// and none that hides such a one of IPv4 in IPv6. False for any other family.
bool http_guard_is_public(const struct sockaddr *address);
