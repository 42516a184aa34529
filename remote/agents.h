/* agents.h -- the agent port: channels of the hosts' agents (docs/PROTOCOL.md, "Channel"). */
#pragma once

#include <uv.h>

struct agents;
struct authority;
struct dispatch;
struct fleet;
struct history;
struct live;
struct retention;
struct logs;
struct store;

struct agents_settings {
    uv_loop_t *loop;
    const char *listen; /* "127.0.0.1:7444" */
    const char *name;   /* of this console, for hello */
    struct authority *authority;
    struct store *store;
    struct fleet *fleet;
    struct dispatch *dispatch;
    struct live *live; /* for {"type":"profile"} */
    /* Of the store, borrowed; for a result that does not fit on the disk.  NULL: no limits. */
    const struct retention *retention;
    struct history *history;
    struct logs *logs;
};

/* Makes the vhost and listens. */
int agents_open(struct agents **ret_agents, const struct agents_settings *settings);
const char *agents_address(const struct agents *a);

/* The authority has another server's certificate: handshakes from now on use it.  Errors are logged. */
int agents_renew(struct agents *a);

/* Says bye to all and takes no more; freed after the context is gone. */
void agents_close(struct agents *a);
void agents_free(struct agents *a);
