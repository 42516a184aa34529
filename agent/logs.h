/* logs.h -- hands a console's questions for the ends of logs (log.get) to the supervisor, which reads and decides, and its answers
 * back.  Nothing is read or kept here. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct conn;
struct msg;

/* As uplink_send(): 0 or ERR_TOO_BIG. */
typedef int (*logs_send_cb)(void *arg, const char *type, json_t *fields);

struct logs {
    struct conn *conn;
    logs_send_cb send;
    void *arg;
    bool open;
    json_t *
        asked; /* questions that the supervisor has not answered: our request's id → params; NULL: none yet */
};

void logs_init(struct logs *l, struct conn *conn, logs_send_cb send, void *arg);

/* The channel is open, is closed: what the supervisor answers after that is dropped. */
void logs_open(struct logs *l);
void logs_close(struct logs *l);

/* Asks another supervisor again. */
void logs_ask_again(struct logs *l);

/* The message log.get; its fields were checked. */
void logs_get(struct logs *l, const json_t *message);

/* An answer of the supervisor's: false when it is none to a question of ours. */
bool logs_on_answer(struct logs *l, const struct msg *m);

void logs_clear(struct logs *l);
