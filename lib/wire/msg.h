/* msg.h -- one message of the control protocol: JSON-RPC 2.0, one object per line (docs/PROTOCOL.md).
 *
 * Our extension: a member "fds": N says that N descriptors travel with the message (SCM_RIGHTS).  A progress message is a
 * notification {"method":"progress","params":{"id":ID,…}} that belongs to the request ID. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "lib/base/limits.h"

struct buf;

enum msg_kind { MSG_REQUEST, MSG_NOTIFICATION, MSG_RESULT, MSG_ERROR };

struct msg {
    enum msg_kind kind;
    json_t *root;       /* owns everything below */
    const char *id;     /* NULL for a notification */
    const char *method; /* requests and notifications */
    json_t *params;     /* an object, never NULL, for requests and notifications */
    json_t *result;     /* any value, for results */
    int error;          /* negative code, for errors */
    const char *error_text;
    json_t *error_data; /* NULL when there is none */
    int fds[LIMIT_CONTROL_FDS];
    unsigned fd_count;   /* owned: taken with msg_take_fd(), else closed by msg_clear() */
    unsigned fds_wanted; /* as the message says; the connection fills `fds` */
};

/* Reads one line (without its newline).  Returns 0, ERR_SYNTAX or ERR_PROTOCOL. */
int msg_parse(const char *line, size_t len, struct msg *ret_msg);
void msg_clear(struct msg *m);
#define AUTOMSG __attribute__((cleanup(msg_clear)))

/* Takes the first descriptor out of the message; -1 when there is none. */
int msg_take_fd(struct msg *m);

/* Append one line.  `params`, `result` and `data` are borrowed; NULL stands for {}.  Return 0 or what buf_add() returns. */
int msg_add_request(struct buf *out, const char *id, const char *method, json_t *params,
                    unsigned fds);
int msg_add_notification(struct buf *out, const char *method, json_t *params);
int msg_add_result(struct buf *out, const char *id, json_t *result, unsigned fds);
int msg_add_error(struct buf *out, const char *id, int error, const char *text, json_t *data);
