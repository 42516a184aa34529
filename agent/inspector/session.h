/* session.h -- a connection to the inspector of one known process: opened, checked, spoken over, closed again.
 *
 * It knows the ways of the Node versions in opening and closing.  What is profiled and how is the business of capture.h.
 * Requests go one at a time; each has a deadline. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "agent/inspector/extract.h"
#include "agent/inspector/port_check.h"
#include "agent/inspector/ws.h"

struct session;
struct lws_context;

/* Whose inspector it must be, and where.  `path` is borrowed until session_open() has returned. */
struct session_target {
    pid_t pid;
    unsigned port;
    const char *path; /* holds the UUID: never logged */
    int node_major;
    bool port_is_ours;
};

/* `r` is 0, -ETIMEDOUT, ERR_INSPECTOR with the inspector's own words in `text`, or ERR_PROTOCOL; `result` is borrowed and
 * NULL on failure and after a profile. */
typedef void (*session_reply_cb)(void *arg, int r, const json_t *result, const char *text);

struct session_callbacks {
    /* It stands and is the right process; or `r` and a sentence say why not.  Either way session_close() must follow. */
    void (*on_open)(void *arg, int r, const char *text);
    /* Bytes of the profile that session_call_for_profile() asked for.  A negative return ends the connection as broken. */
    extract_sink_cb on_profile_data;
    /* The process has reached its end and waits for us to disconnect (Node 12 and up). */
    void (*on_exiting)(void *arg);
    /* The connection ended without session_close(), or what came is no inspector's (`r`): session_close() must follow. */
    void (*on_broken)(void *arg, int r);
    /* After session_close(): everything is closed, the storage may go. */
    void (*on_closed)(void *arg);
};

/* How to leave; each is faster than the one before. */
enum session_leave {
    SESSION_CLOSE_PORT, /* the process closes its inspector first; not when it was not checked whose it is */
    SESSION_DISCONNECT, /* a close frame, then the TCP connection */
    SESSION_DROP,       /* the TCP connection, at once */
};

struct session {
    uv_timer_t deadline; /* of the present step; ->data is the session */
    struct port_check check;
    struct ws ws;
    struct extract extract;
    struct lws_context *context;
    const struct session_callbacks *callbacks;
    void *arg;
    struct session_target target;
    char *path;
    int64_t last_id;
    session_reply_cb on_reply; /* NULL: no request is under way */
    void *reply_arg;
    unsigned limit_ms; /* of that request */
    bool checking;     /* the port check is under way */
    bool connected;    /* the socket exists and on_closed will come for it */
    bool verified;
    bool waits_for_turn;
    unsigned turn_polls;
    bool noted;        /* the process tells whether its event loop turns */
    bool loop_blocked; /* the process's event loop did not turn from our opening to our closing */
    bool broken;       /* told, once */
    bool closing, closed;
    enum session_leave leave;
};

/* Starts to connect and check.  What cannot start comes from the loop as a failure, too. */
void session_open(struct session *s, uv_loop_t *loop, struct lws_context *context,
                  const struct session_target *target, const struct session_callbacks *callbacks,
                  void *arg);

/* Sends one request; a request that is still under way is forgotten.  Takes `params` (NULL: none).  The reply comes from
 * the loop, or never when the connection breaks first. */
void session_call(struct session *s, const char *method, json_t *params, unsigned limit_ms,
                  session_reply_cb on_reply);

/* The same for a reply with a profile: its bytes go to on_profile_data, and the limit starts anew with all that comes. */
void session_call_for_profile(struct session *s, const char *method, unsigned limit_ms,
                              session_reply_cb on_reply);

/* The same for Runtime.evaluate. */
void session_evaluate(struct session *s, const char *expression, unsigned limit_ms,
                      session_reply_cb on_reply);

/* Leaves.  Called again with a faster way it takes that way. */
void session_close(struct session *s, enum session_leave leave);
