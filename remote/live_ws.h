/* live_ws.h -- live.c's side towards http_conn.c: a connection that has become a WebSocket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct live;
struct live_viewer;
struct lws;

/* May one more look? */
bool live_has_room(const struct live *l);

/* The upgrade has been answered.  Nothing is sent before auth_check() says that this is
 * somebody.  The texts are copied; NULL: absent. */
struct live_viewer *live_viewer_new(struct live *l, struct lws *wsi, const char *cookie,
                                    const char *authorization, const char *address);

/* Bytes came; the connection takes bytes again.  Each returns what libwebsockets wants: non-zero
 * ends the connection. */
int live_viewer_received(struct live_viewer *v, const void *data, size_t len);
int live_viewer_writeable(struct live_viewer *v);

/* The connection is gone. */
void live_viewer_gone(struct live_viewer *v);

/* For tests: pings and checks of sessions in this rhythm (20 s). */
void live_tick_every(struct live *l, unsigned ms);
