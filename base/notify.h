// notify.h: tells systemd how the service is, if it asked (NOTIFY_SOCKET).

#pragma once

// Sends a state: "READY=1", "STOPPING=1", or "WATCHDOG=1", which says within the unit's WatchdogSec
// that work goes on. Nothing happens without a socket, or if nobody listens there.
void notify_send(const char *state);
