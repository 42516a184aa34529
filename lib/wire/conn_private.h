/* conn_private.h -- what conn.c and conn_peek.c share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct conn;
struct uv_timer_s;

/* ---- conn.c ---- */

/* Does one line (without its newline).  When it was only peeked at, its descriptors are duplicated. */
void conn_take_line(struct conn *c, const char *line, size_t len);
void conn_give_back(struct conn *c);
/* Polls for what is of use now. */
void conn_watch(struct conn *c);
/* Sends what is queued, as far as it goes. */
void conn_write(struct conn *c);
/* The peer has gone: reads what it said before, then ends. */
void conn_read_rest(struct conn *c, int reason);
/* The only way out.  The first reason counts. */
void conn_end(struct conn *c, int reason);

/* ---- conn_peek.c ---- */

/* Does the lines that are in the socket; false when there is nothing to do now, or the connection is over. */
bool conn_peek_some(struct conn *c);
/* uv_timer_cb of `look_again`, ->data is the connection. */
void conn_look_again(struct uv_timer_s *timer);
