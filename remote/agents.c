#include "remote/agents.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/agents_private.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/logs.h"

/* So many connections that ended: the C library keeps their memory until it is told. */
enum { TRIM_AFTER = 200 };

static void on_clock(uv_timer_t *timer);

/* ---- between connections and the rest -------------------------------------------------------- */

/* Which capability a message needs. */
static bool takes(const struct agent_conn *c, const char *type)
{
    if (str_starts(type, "log."))
        return c->takes & AGENT_LOG;
    return !str_starts(type, "capture.") || (c->takes & AGENT_CAPTURE);
}

static bool on_send(void *arg, const char *host, const char *type, json_t *fields)
{
    struct agent_conn *c = agents_find(arg, host);
    if (!c || !takes(c, type))
        return false;
    agent_conn_send(c, type, fields);
    return true;
}

static bool on_takes(void *arg, const char *host, const char *capability)
{
    struct agent_conn *c = agents_find(arg, host);
    /* Of one that has left nothing is known. */
    return !c || (c->takes & agent_capability(capability));
}

static void on_revoked(void *arg, const char *host)
{
    struct agents *a = arg;
    struct agent_conn *c;
    LIST_EACH(c, &a->conns)
    {
        if (strcmp(c->host, host) == 0)
            agent_conn_end(c, ERR_REVOKED, "the identity of this host is revoked");
    }
    dispatch_host_revoked(a->settings.dispatch, host);
}

/* ---- the clock ------------------------------------------------------------------------------- */

void agents_tick(struct agents *a)
{
    struct agent_conn *c;
    uint64_t now_ms = uv_now(a->settings.loop);
    int64_t wall_s = loop_wall_ms() / 1000;
    LIST_EACH(c, &a->conns)
    {
        agent_conn_tick(c, now_ms, wall_s);
    }
    agent_delays_tick(a, now_ms);
    if (a->port)
        agents_port_tick(a->port, now_ms);
    if (a->settings.fleet)
        fleet_tick(a->settings.fleet);
    if (a->closes < TRIM_AFTER)
        return;
    a->closes = 0;
    (void)malloc_trim(0);
}

static void on_clock(uv_timer_t *timer)
{
    agents_tick(timer->data);
}

static void on_clock_closed(uv_handle_t *handle)
{
    free(handle);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

struct agents *agents_new(const struct agents_settings *settings)
{
    struct agents *a = xcalloc(1, sizeof *a);
    a->settings = *settings;
    a->settings.listen = xstrdup_null(settings->listen);
    a->settings.name = xstrdup_null(settings->name);
    list_init(&a->conns);
    list_init(&a->blobs);
    list_init(&a->checks);
    list_init(&a->delays);
    for (size_t i = 0; i < AGENTS_BUCKETS; i++)
        list_init(&a->hosts[i]);
    a->clock = xcalloc(1, sizeof *a->clock);
    a->clock->data = a;
    (void)uv_timer_init(settings->loop, a->clock);
    (void)uv_timer_start(a->clock, on_clock, AGENTS_TICK_MS, AGENTS_TICK_MS);
    dispatch_on_send(settings->dispatch, on_send, on_takes, a);
    logs_on_send(settings->logs, on_send, a);
    fleet_on_revoked(settings->fleet, on_revoked, a);
    return a;
}

int agents_open(struct agents **ret_agents, const struct agents_settings *settings)
{
    struct agents *a = agents_new(settings);
    int r = agents_port_open(&a->port, a);
    if (r < 0) {
        agents_close(a);
        agents_free(a);
        return r;
    }
    *ret_agents = a;
    return 0;
}

const char *agents_address(const struct agents *a)
{
    return agents_port_address(a->port);
}

int agents_renew(struct agents *a)
{
    return a->port ? agents_port_renew(a->port) : 0;
}

void agents_close(struct agents *a)
{
    struct agent_conn *c;
    if (a->closing)
        return;
    a->closing = true;
    dispatch_on_send(a->settings.dispatch, NULL, NULL, NULL);
    logs_on_send(a->settings.logs, NULL, NULL);
    fleet_on_revoked(a->settings.fleet, NULL, NULL);
    uv_close((uv_handle_t *)a->clock, on_clock_closed);
    agent_blobs_stop(a);
    LIST_EACH(c, &a->conns)
    {
        agent_conn_end(c, ERR_STOPPING, "the console is shutting down");
    }
    if (a->port)
        agents_port_close(a->port);
}

/* Connections that are there still belong to the port, and know that nobody is behind them any
 * more. */
void agents_free(struct agents *a)
{
    struct agent_conn *c;
    if (!a)
        return;
    agents_close(a);
    agent_blobs_abandon(a);
    agent_room_abandon(a);
    agent_delays_clear(a);
    LIST_EACH(c, &a->conns)
    {
        agent_conn_abandon(c);
    }
    agents_port_free(a->port);
    free((char *)a->settings.listen);
    free((char *)a->settings.name);
    free(a);
}
