/* link_state.h -- what an event does to the link between this host and its console: the table, apart from doing it.
 *
 *     unlinked → connecting ⇄ connected
 *        ↓           ↑ ↓          ↓
 *        └───────→ refused  ←─────┘      (each → unlinked)
 */
#pragma once

/* enum, word in JSON */
#define LINK_STATES(X)                                                                             \
    X(LINK_UNLINKED, "unlinked")                                                                   \
    X(LINK_CONNECTING, "connecting")                                                               \
    X(LINK_CONNECTED, "connected")                                                                 \
    X(LINK_REFUSED, "refused")

enum link_state {
#define X(name, word) name,
    LINK_STATES(X)
#undef X
};
enum { LINK_STATE_COUNT = LINK_REFUSED + 1 };

const char *link_state_name(enum link_state state);

enum link_event {
    LINK_EV_LINKED,   /* key and certificate are there */
    LINK_EV_UNREAD,   /* they seem to be, and cannot be read now */
    LINK_EV_UNUSABLE, /* they are, and cannot be used */
    LINK_EV_OPEN,     /* hello was exchanged */
    LINK_EV_BROKEN,   /* the connection is over, or could not be made */
    LINK_EV_REFUSED,  /* the same, for a reason that minutes do not change */
    LINK_EV_RETRY,    /* the wait is over */
    LINK_EV_UNLINKED, /* key and certificate are forgotten */
    LINK_EVENT_COUNT
};

enum link_action {
    LINK_NOTHING,
    LINK_CONNECT,
    LINK_SERVE,
    LINK_WAIT,      /* a little, and longer each time */
    LINK_WAIT_LONG, /* minutes */
    LINK_REST,      /* nothing any more */
};

struct link_rule {
    enum link_state next;
    enum link_action action;
};

/* An event that means nothing in a state leaves it, with LINK_NOTHING. */
struct link_rule link_state_after(enum link_state state, enum link_event event);

/* Is an end of the connection with this code a refusal?  A certificate of ours that has expired is found out before connecting. */
enum link_event link_event_of_end(int code);
