/* processes.h -- tells the console which processes this host has, and how they are.
 *
 * While the channel is open the supervisor is asked once a second (host.list); the console hears of it every 5 s, and at once when
 * a process has come, gone, or changed its pid or status.  Without a channel nothing is asked. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct conn;
struct msg;

/* The id of the request; there is never more than one. */
#define PROCESSES_REQUEST "host.list"

/* As uplink_send(): 0 or ERR_TOO_BIG. */
typedef int (*processes_send_cb)(void *arg, const char *type, json_t *fields);

struct processes {
    struct conn *conn;
    uv_timer_t timer;
    processes_send_cb send;
    void *arg;
    bool open;
    bool sent;        /* on this channel */
    bool cut;         /* the list does not fit into one message; said once */
    int64_t asked_ms; /* 0: no request waits */
    int64_t sent_ms;
    uint64_t last_hash; /* of what was sent */
};

void processes_init(struct processes *p, uv_loop_t *loop, struct conn *conn, processes_send_cb send,
                    void *arg);

/* The channel is open, is closed. */
void processes_open(struct processes *p);
void processes_close(struct processes *p);

/* Asks another supervisor again. */
void processes_ask_again(struct processes *p);

/* The supervisor's answer. */
void processes_on_answer(struct processes *p, const struct msg *m);

/* Closes the handle. */
void processes_end(struct processes *p);

/* Equal for lists with the same processes, pids and statuses, whatever their figures. */
uint64_t processes_hash(const json_t *list);
