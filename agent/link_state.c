#include "agent/link_state.h"

#include <stdbool.h>

#include "lib/base/err.h"

const char *link_state_name(enum link_state state)
{
    static const char *const names[] = {
#define X(name, word) [name] = (word),
        LINK_STATES(X)
#undef X
    };
    return names[state];
}

struct cell {
    bool listed;
    struct link_rule rule;
};

// clang-format off
#define ON(event, to, does) [event] = {true, {to, does}}

static const struct cell cells[LINK_STATE_COUNT][LINK_EVENT_COUNT] = {
    [LINK_UNLINKED] = {
        ON(LINK_EV_LINKED,   LINK_CONNECTING, LINK_CONNECT),
        ON(LINK_EV_UNREAD,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_UNUSABLE, LINK_REFUSED,    LINK_WAIT_LONG),
    },
    [LINK_CONNECTING] = {
        ON(LINK_EV_OPEN,     LINK_CONNECTED,  LINK_SERVE),
        ON(LINK_EV_BROKEN,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_REFUSED,  LINK_REFUSED,    LINK_WAIT_LONG),
        ON(LINK_EV_RETRY,    LINK_CONNECTING, LINK_CONNECT),
        ON(LINK_EV_UNREAD,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_UNUSABLE, LINK_REFUSED,    LINK_WAIT_LONG),
        ON(LINK_EV_UNLINKED, LINK_UNLINKED,   LINK_REST),
    },
    [LINK_CONNECTED] = {
        ON(LINK_EV_BROKEN,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_REFUSED,  LINK_REFUSED,    LINK_WAIT_LONG),
        ON(LINK_EV_UNLINKED, LINK_UNLINKED,   LINK_REST),
    },
    /* It stays "refused" until the console takes us, or cannot be asked. */
    [LINK_REFUSED] = {
        ON(LINK_EV_OPEN,     LINK_CONNECTED,  LINK_SERVE),
        ON(LINK_EV_BROKEN,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_REFUSED,  LINK_REFUSED,    LINK_WAIT_LONG),
        ON(LINK_EV_RETRY,    LINK_REFUSED,    LINK_CONNECT),
        ON(LINK_EV_UNREAD,   LINK_CONNECTING, LINK_WAIT),
        ON(LINK_EV_UNUSABLE, LINK_REFUSED,    LINK_WAIT_LONG),
        ON(LINK_EV_UNLINKED, LINK_UNLINKED,   LINK_REST),
    },
};
// clang-format on

struct link_rule link_state_after(enum link_state state, enum link_event event)
{
    const struct cell *cell = &cells[state][event];
    return cell->listed ? cell->rule : (struct link_rule){state, LINK_NOTHING};
}

enum link_event link_event_of_end(int code)
{
    /* ERR_EXPIRED does not last: it is about the certificate of that connection, and we may have a newer one. */
    bool lasting = code == ERR_REVOKED || code == ERR_UNSUPPORTED;
    return lasting ? LINK_EV_REFUSED : LINK_EV_BROKEN;
}
