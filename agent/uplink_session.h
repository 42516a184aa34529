/* uplink_session.h -- what is said over one connection to the console: hello, phases, heartbeat, and the queue of messages.
 *
 *     HELLO: ours is queued, nothing but the console's is taken
 *     OPEN:  messages go both ways
 *     over:  a bye was queued or has come, or the connection must end; nothing is taken any more
 *
 * It has no socket and no clock: the uplink gives it what came and the time, and takes messages from its queue.  What comes are
 * foreign bytes. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/wire/channel.h"

enum {
    UPLINK_GAP = 16,        /* bytes before each frame that libwebsockets fills */
    UPLINK_PING_MS = 10000, /* after so much silence of our own */
    UPLINK_TEXT = 400,      /* room for a sentence */
};

/* What the console takes; the words in its hello. */
enum uplink_capability {
    UPLINK_CAPTURE = 1,
    UPLINK_BLOB = 2,
    UPLINK_RENEW = 4,
    UPLINK_UNLINK = 8,
    UPLINK_LOG = 16,
};

struct uplink_text {
    struct list link;
    size_t len;
    char bytes[]; /* UPLINK_GAP unused ones, then the message */
};

struct uplink_session_callbacks {
    /* The console's hello was taken: the phase is OPEN. */
    void (*on_open)(void *arg, const json_t *hello);
    /* Anything else but ping, pong and bye; fields and phase are checked. */
    void (*on_message)(void *arg, const char *type, const json_t *message);
    /* There is something in the queue. */
    void (*on_queued)(void *arg);
    /* It is over, see `code` and `text`; the connection ends when the queue is empty.  Once. */
    void (*on_over)(void *arg);
};

struct uplink_session {
    const struct uplink_session_callbacks *callbacks;
    void *arg;
    char host[40]; /* what the console must call us; "": anything */
    enum channel_phase phase;
    bool over;
    bool by_peer; /* the console said bye */
    int code;     /* why it is over; 0: we wanted it */
    char text[UPLINK_TEXT];
    unsigned capabilities;
    struct buf in;     /* the message that is coming in pieces */
    struct list queue; /* of struct uplink_text */
    size_t queued_bytes;
    int64_t heard_ms;
    int64_t said_ms;
};

/* `agent_id`: a UUID of this process.  Queues our hello without calling on_queued. */
void uplink_session_init(struct uplink_session *s, const char *host, const char *agent_id,
                         const struct uplink_session_callbacks *callbacks, void *arg,
                         int64_t now_ms);
void uplink_session_clear(struct uplink_session *s);

/* A piece of a frame; `final`: its last. */
void uplink_session_data(struct uplink_session *s, const char *data, size_t len, bool binary,
                         bool final, int64_t now_ms);

/* A whole text message. */
void uplink_session_take(struct uplink_session *s, const char *text, size_t len);

/* Queues a message; one that the console has not named in its capabilities is dropped.  A queue that overflows ends the session.
 * `fields` is borrowed.  0, or ERR_TOO_BIG for a message that is longer than one may be: it is dropped. */
int uplink_session_send(struct uplink_session *s, const char *type, json_t *fields);

/* Says bye with `code` and is over. */
void uplink_session_end(struct uplink_session *s, int code, const char *text);

/* Once a second: pings, and ends a session that hears nothing. */
void uplink_session_tick(struct uplink_session *s, int64_t now_ms);

/* The next message of the queue, now the caller's (free()); NULL: none. */
struct uplink_text *uplink_session_next(struct uplink_session *s, int64_t now_ms);
