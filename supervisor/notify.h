/* notify.h -- tells systemd that we are ready, live, and end (sd_notify(3), Type=notify), when $NOTIFY_SOCKET names its socket.
 *
 * The service's main process is the keeper; the supervisor tells, since only its loop knows whether it turns, and so the unit
 * has NotifyAccess=all.  A supervisor that follows another goes on with telling; systemd's deadline is much longer than the
 * keeper's patience with one that hangs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct notify {
    char *address; /* a path, or '@' and a name; NULL: nobody wants to know */
    uv_timer_t watchdog;
    bool open;
};

/* Tells READY=1, and WATCHDOG=1 twice in $WATCHDOG_USEC from now on.  Nothing without a socket. */
void notify_start(struct notify *n, uv_loop_t *loop);
/* Tells STOPPING=1; the watchdog goes on, since the apps' ends may take long. */
void notify_stopping(struct notify *n);
void notify_close(struct notify *n);
void notify_clear(struct notify *n); /* after the loop */

/* One message.  0 or -errno. */
int notify_send(const char *address, const char *text);
/* Half of $WATCHDOG_USEC in milliseconds, at least 1; 0: no watchdog is wanted.  Pure. */
uint64_t notify_interval_ms(const char *watchdog_usec);
