/* instance_state.h -- the states of an instance and what an event does in each: data, apart from doing it. */
#pragma once

/* enum, word in JSON and jlist (PM2's) */
#define INSTANCE_STATES(X)                                                                         \
    X(INSTANCE_STOPPED, "stopped")                                                                 \
    X(INSTANCE_LAUNCHING, "launching")                                                             \
    X(INSTANCE_ONLINE, "online")                                                                   \
    X(INSTANCE_STOPPING, "stopping")                                                               \
    X(INSTANCE_WAITING, "waiting restart")                                                         \
    X(INSTANCE_ERRORED, "errored")

#define INSTANCE_EVENTS(X)                                                                         \
    X(EV_START)        /* somebody wants it to run */                                              \
    X(EV_STOP)         /* somebody wants it not to run */                                          \
    X(EV_RESTART)      /* stop, then start */                                                      \
    X(EV_SETTLED)      /* it has lived long enough to be called online */                          \
    X(EV_EXITED_DONE)  /* the process is gone and shall not come back */                           \
    X(EV_EXITED_AGAIN) /* … and shall come back at once */                                       \
    X(EV_EXITED_LATER) /* … and shall come back after its delay */                               \
    X(EV_EXITED_ERROR) /* … and has failed too often */                                          \
    X(EV_SPAWN_FAILED) /* there never was a process */                                             \
    X(EV_SPAWN_LATER)  /* … for a lack that passes: try again in a moment */                     \
    X(EV_DELAY_OVER)   /* the restart delay has passed */                                          \
    X(EV_KILL_TIMEOUT) /* it did not go when asked */

enum instance_state {
#define X(name, word) name,
    INSTANCE_STATES(X)
#undef X
        INSTANCE_STATE_COUNT
};

enum instance_event {
#define X(name) name,
    INSTANCE_EVENTS(X)
#undef X
        INSTANCE_EVENT_COUNT
};

enum instance_action {
    DO_NOTHING,
    DO_LAUNCH,
    DO_STOP,       /* ask the process to go */
    DO_STOP_AGAIN, /* the same, and start it afterwards */
    DO_AGAIN,      /* being stopped already: start it afterwards */
    DO_NOT_AGAIN,  /* being stopped already: leave it stopped */
    DO_FORCE,      /* SIGKILL */
    DO_DELAY,      /* start the restart delay */
    DO_END_DELAY,  /* forget the restart delay */
};

struct instance_rule {
    enum instance_state to;
    enum instance_action action;
    int listed; /* 0: the event is ignored in this state */
};

/* The rule for an event in a state; `listed` is 0 when the event means nothing there. */
struct instance_rule instance_rule(enum instance_state state, enum instance_event event);

const char *instance_state_word(enum instance_state state);
const char *instance_event_name(enum instance_event event);
