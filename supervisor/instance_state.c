#include "supervisor/instance_state.h"

#define ON(event, state, what) [event] = {.to = (state), .action = (what), .listed = 1}

// clang-format off
static const struct instance_rule rules[INSTANCE_STATE_COUNT][INSTANCE_EVENT_COUNT] = {
    [INSTANCE_STOPPED] = {
        ON(EV_START,        INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_RESTART,      INSTANCE_LAUNCHING, DO_LAUNCH),
    },
    [INSTANCE_LAUNCHING] = {
        ON(EV_SETTLED,      INSTANCE_ONLINE,    DO_NOTHING),
        ON(EV_STOP,         INSTANCE_STOPPING,  DO_STOP),
        ON(EV_RESTART,      INSTANCE_STOPPING,  DO_STOP_AGAIN),
        ON(EV_EXITED_DONE,  INSTANCE_STOPPED,   DO_NOTHING),
        ON(EV_EXITED_AGAIN, INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_EXITED_LATER, INSTANCE_WAITING,   DO_DELAY),
        ON(EV_EXITED_ERROR, INSTANCE_ERRORED,   DO_NOTHING),
        ON(EV_SPAWN_FAILED, INSTANCE_ERRORED,   DO_NOTHING),
        ON(EV_SPAWN_LATER,  INSTANCE_WAITING,   DO_DELAY),
    },
    [INSTANCE_ONLINE] = {
        ON(EV_STOP,         INSTANCE_STOPPING,  DO_STOP),
        ON(EV_RESTART,      INSTANCE_STOPPING,  DO_STOP_AGAIN),
        ON(EV_EXITED_DONE,  INSTANCE_STOPPED,   DO_NOTHING),
        ON(EV_EXITED_AGAIN, INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_EXITED_LATER, INSTANCE_WAITING,   DO_DELAY),
        ON(EV_EXITED_ERROR, INSTANCE_ERRORED,   DO_NOTHING),
    },
    [INSTANCE_STOPPING] = {
        ON(EV_START,        INSTANCE_STOPPING,  DO_AGAIN),
        ON(EV_RESTART,      INSTANCE_STOPPING,  DO_AGAIN),
        ON(EV_STOP,         INSTANCE_STOPPING,  DO_NOT_AGAIN),
        ON(EV_KILL_TIMEOUT, INSTANCE_STOPPING,  DO_FORCE),
        ON(EV_EXITED_DONE,  INSTANCE_STOPPED,   DO_NOTHING),
        ON(EV_EXITED_AGAIN, INSTANCE_LAUNCHING, DO_LAUNCH),
    },
    [INSTANCE_WAITING] = {
        ON(EV_START,        INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_RESTART,      INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_DELAY_OVER,   INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_STOP,         INSTANCE_STOPPED,   DO_END_DELAY),
    },
    [INSTANCE_ERRORED] = {
        ON(EV_START,        INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_RESTART,      INSTANCE_LAUNCHING, DO_LAUNCH),
        ON(EV_STOP,         INSTANCE_STOPPED,   DO_NOTHING),
    },
};
// clang-format on

struct instance_rule instance_rule(enum instance_state state, enum instance_event event)
{
    return rules[state][event];
}

const char *instance_state_word(enum instance_state state)
{
    static const char *const words[] = {
#define X(name, word) [name] = word,
        INSTANCE_STATES(X)
#undef X
    };
    return words[state];
}

const char *instance_event_name(enum instance_event event)
{
    static const char *const names[] = {
#define X(name) [name] = #name,
        INSTANCE_EVENTS(X)
#undef X
    };
    return names[event];
}
