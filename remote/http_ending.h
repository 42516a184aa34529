/* http_ending.h -- the end of the web server, in steps.
 *
 * libwebsockets on a loop of somebody else must be destroyed twice: the first call begins to
 * close its handles, the second frees, and may only come when they are closed.  Nothing tells
 * when that is, so its handles are noted when the context is made. */
#pragma once

struct http;
struct http_ending;

/* Right before and right after the context is made. */
struct http_ending *http_ending_new(struct http *h);
void http_ending_note_handles(struct http_ending *e);

/* Waits up to 2 s for replies that are under way, destroys, waits for threads; then http_ended()
 * and `closed` (may be NULL). */
void http_ending_start(struct http_ending *e, void (*closed)(void *arg), void *arg);

/* Of one that was started: when it is over.  NULL is fine. */
void http_ending_free(struct http_ending *e);

/* http.c's: frees the rest. */
void http_ended(struct http *h);
