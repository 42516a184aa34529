/* port_check.h -- asks a port on loopback for /json/list and tells the HTTP status.
 *
 * An inspector that proctor opened on Node 12 and up answers 404: it does not publish its UUID.  Anything else on that
 * port is not what we opened. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* `r`: the HTTP status, or -ECONNREFUSED, -ETIMEDOUT, ERR_PROTOCOL, …  The check is over; its storage may go. */
typedef void (*port_check_cb)(void *arg, int r);

struct port_check {
    uv_tcp_t tcp; /* all handles and requests: ->data is the check */
    uv_timer_t deadline;
    uv_connect_t connect;
    uv_write_t write;
    unsigned open_handles;
    bool ending;
    int result;
    char request[128];
    char reply[512];
    size_t reply_len;
    port_check_cb done; /* exactly once, from the loop */
    void *arg;
};

/* Returns 0, or an error; then `done` is not called. */
int port_check_start(struct port_check *p, uv_loop_t *loop, unsigned port, unsigned limit_ms,
                     port_check_cb done, void *arg);

/* Ends it at once: `done` comes with ERR_CANCELLED. */
void port_check_cancel(struct port_check *p);

/* The status in the first line of an HTTP reply; 0 while the line is not whole, ERR_PROTOCOL when it is none. */
int port_check_status(const char *reply, size_t len);
