/* logs.h -- the last lines of a process's log, asked of its host while somebody waits.  Nothing of it is kept here.
 *
 *     logs_get() ──log.get──► agent ──► its supervisor, which looks at its policy and reads
 *     done()     ◄──log, log.refused──  or after 5 s without an answer, or when the host has left */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct fleet;
struct logs;

struct log_order {
    const char *host;
    const char *app;
    int64_t instance;
    const char *stream; /* "out", "err" */
    int64_t lines;      /* 1 to LIMIT_LOG_LINES */
};

/* `r` 0: `answer` (borrowed) has text, at_ms and cut.  Else an error with a sentence: what the host said, or ERR_UNREACHABLE (it has
 * left), -ETIMEDOUT, ERR_STOPPING. */
typedef void (*logs_cb)(void *arg, int r, const char *text, const json_t *answer);

struct logs *logs_new(uv_loop_t *loop, struct fleet *fleet);

/* Whoever waits is answered; nothing is asked any more.  Then logs_free(), after the loop has turned. */
void logs_close(struct logs *l);
void logs_free(struct logs *l); /* NULL is fine */

/* `done` comes later, exactly once.  Or an error with a sentence, and it never does: ERR_UNREACHABLE (the host is not connected),
 * ERR_UNSUPPORTED (its agent shows no logs), ERR_BUSY (LIMIT_LOG_WAITING wait for it), ERR_STOPPING. */
int logs_get(struct logs *l, const struct log_order *order, logs_cb done, void *arg,
             char *reterr_text, size_t size);

/* ---- between it and the agents' connections; `l` may be NULL ---------------------------------- */

/* How a connected host is spoken to: false when it takes no such message. */
typedef bool (*logs_send_cb)(void *arg, const char *host, const char *type, json_t *fields);
void logs_on_send(struct logs *l, logs_send_cb send, void *arg);

/* The messages log and log.refused of a host.  One that nobody waits for, of this host, comes too late, and is dropped. */
void logs_take(struct logs *l, const char *host, const json_t *message);
void logs_take_refused(struct logs *l, const char *host, const json_t *message);
