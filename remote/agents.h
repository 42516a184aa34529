/* agents.h -- the agent port: channels of the hosts' agents (docs/PROTOCOL.md, "Channel"). */
#pragma once

#include <uv.h>

struct agents;
struct authority;
struct dispatch;
struct fleet;
struct history;
struct live;
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
    struct history *history;
    struct logs *logs;
};

/* Makes the vhost and listens. */
int agents_open(struct agents **ret_agents, const struct agents_settings *settings);
const char *agents_address(const struct agents *a);

/* Says bye to all and takes no more; freed after the context is gone. */
void agents_close(struct agents *a);
void agents_free(struct agents *a);
