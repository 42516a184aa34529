/* live.h -- `/api/v1/live`: what happens, told to whoever looks, over WebSocket.
 *
 * One JSON object per text message.  First {"type":"welcome"}; then, as they happen,
 *     {"type":"host", "host": HOST}
 *     {"type":"processes", "host": ID, "at_ms": N, "processes": [PROCESS]}
 *     {"type":"capture", "capture": CAPTURE}   {"type":"profile", "profile": PROFILE}
 * and {"type":"resync"} when so much waited for this viewer (LIMIT_LIVE_QUEUE) that it was
 * dropped: fetch everything anew.  An event that is longer than that alone waits alone.  A viewer that sends anything but pings, pongs and closes is
 * closed; a ping every 20 s; one that is nobody, or whose session has ended, is closed with code
 * 4401 (within a minute), and one that takes too little of what waits for it is cut off.  What happens before `welcome` is not told: fetch everything when it
 * has come. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct auth;
struct live;
typedef struct uv_loop_s uv_loop_t;

struct live *live_new(uv_loop_t *loop, struct auth *auth);

/* To all viewers.  `event` is borrowed; it is made into text once. */
void live_publish(struct live *l, const json_t *event);

/* The same for an event that is text already: one JSON object. */
void live_publish_text(struct live *l, const char *text, size_t len);

/* Is anybody looking? */
bool live_watched(const struct live *l);

/* Says good-bye to all viewers; freed with live_free() after the context of libwebsockets is
 * gone. */
void live_close(struct live *l);
void live_free(struct live *l);
