/* control.h -- the control socket: who may connect, which request goes to which handler. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "lib/base/list.h"
#include "lib/wire/conn.h"

struct msg;
struct supervisor;

/* One CLI connection. */
struct peer {
    struct list link;
    struct supervisor *sup;
    struct conn conn;
    bool greeted;
};

struct control {
    struct supervisor *sup;
    uv_poll_t poll;
    uv_timer_t
        timer; /* to accept again after a lack of descriptors; to end connections that do not take their answers */
    int fd;
    char *path;
    bool open;
    struct list peers;
};

/* Listens on `path` (0600): on the socket of the supervisor before us, so that nobody is ever refused, else on a new one; a
 * socket file that nobody serves is replaced. */
int control_open(struct control *c, struct supervisor *sup, const char *path);
/* No new connections; those that are open end when their answers are sent. */
void control_close(struct control *c);
bool control_idle(const struct control *c);

/* Answers.  JSON is borrowed, `fd` is taken. */
void peer_result(struct peer *p, const char *id, json_t *result, int fd);
void peer_error(struct peer *p, const char *id, int error, const char *text);
void peer_progress(struct peer *p, const char *id, json_t *params);

/* Adds a sentence for people to the "warnings" of an answer. */
void answer_warn(json_t *answer, const char *text);
