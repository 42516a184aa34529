#include "remote/console.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/path.h"
#include "remote/agents.h"
#include "remote/analysis.h"
#include "remote/auth.h"
#include "remote/dispatch.h"
#include "remote/first_run.h"
#include "remote/fleet.h"
#include "remote/history.h"
#include "remote/http.h"
#include "remote/live.h"
#include "remote/logs.h"
#include "remote/store/db.h"
#include "remote/store/store.h"

enum {
    RETENTION_FIRST_MS = 60 * 1000,
    RETENTION_EACH_MS = 60 * 60 * 1000,
    RENEWAL_EACH_MS = 24 * 60 * 60 * 1000,
    ADDRESS_TEXT = 16384,
    FILE_MODE = 0600,
};

/* The steps of opening, in the order in which they run. */
static int open_store(struct console *c);
static void make_parts(struct console *c);
static void on_loaded(void *arg, int r);
static int listen_on_both(struct console *c);
static int write_addresses(const struct console *c);
static void say_ready(const struct console *c);
/* Those of closing. */
static void close_all(struct console *c);
static void on_http_closed(void *arg);
static void on_analysis_closed(void *arg);
static void on_store_closed(void *arg);

/* ---- opening --------------------------------------------------------------------------------- */

int console_open(struct console *c, const struct settings *settings)
{
    *c = (struct console){.settings = settings};
    int r = uv_loop_init(&c->loop);
    if (r < 0) {
        log_err(r, "cannot make an event loop");
        return r;
    }
    settings_all_names(settings, &c->names);
    r = open_store(c);
    if (r < 0) {
        strlist_clear(&c->names);
        authority_close(&c->authority);
        free(c->password_file);
        (void)loop_end(&c->loop);
        return r;
    }
    make_parts(c);
    return 0;
}

static int open_store(struct console *c)
{
    const char *data = c->settings->data;
    struct db *db;
    int r = db_open(data, &db);
    if (r < 0)
        return r;
    r = first_run(db, loop_wall_ms(), &c->password_file);
    db_close(db);
    if (r == 0)
        r = authority_open(&c->authority, data, (const char *const *)c->names.items);
    if (r < 0)
        return r;
    c->authority.agent_life_s = c->settings->agent_life_s;
    r = store_open(&c->store, &c->loop, data);
    if (r < 0)
        log_err(r, "cannot open the store in %s", data);
    return r;
}

static void on_signal(uv_signal_t *handle, int signal)
{
    log_info("got signal %d, ending", signal);
    close_all(handle->data);
}

static int retain(struct db *db, void *arg)
{
    const struct console *c = arg;
    return retention_step(db, &c->settings->retention, loop_wall_ms());
}

static void on_retained(void *arg, int r)
{
    struct console *c = arg;
    if (r < 0)
        log_warn(r, "cannot remove what is too old or too much, trying again in an hour");
    if (r > 0 && !c->closing)
        store_write(c->store, retain, on_retained, c);
}

static void on_retention(uv_timer_t *timer)
{
    struct console *c = timer->data;
    store_write(c->store, retain, on_retained, c);
}

/* A console runs for longer than its certificate is good.  Connections that are up stay as they are. */
static void on_renewal(uv_timer_t *timer)
{
    struct console *c = timer->data;
    const struct authority *a = &c->authority;
    int r = authority_renew(&c->authority, c->settings->data, (const char *const *)c->names.items);
    /* Also the one from yesterday, in case a port did not take it. */
    if (r >= 0 && c->http)
        r = http_renew(c->http, a->server_cert_pem, a->ca_cert_pem, a->server_key_pem);
    if (r >= 0 && c->agents)
        r = agents_renew(c->agents);
    if (r < 0)
        log_err(r, "the server's certificate is not renewed, trying again tomorrow");
}

/* Somebody else wrote: a command beside us, which may have revoked a host. */
static void on_changed(void *arg)
{
    struct console *c = arg;
    if (!c->closing)
        fleet_load(c->api.fleet, NULL, NULL);
}

static void watch_handles(struct console *c)
{
    (void)uv_signal_init(&c->loop, &c->on_term);
    (void)uv_signal_init(&c->loop, &c->on_int);
    (void)uv_timer_init(&c->loop, &c->retention);
    (void)uv_timer_init(&c->loop, &c->renewal);
    c->on_term.data = c->on_int.data = c->retention.data = c->renewal.data = c;
    (void)uv_signal_start(&c->on_term, on_signal, SIGTERM);
    (void)uv_signal_start(&c->on_int, on_signal, SIGINT);
    (void)uv_timer_start(&c->retention, on_retention, RETENTION_FIRST_MS, RETENTION_EACH_MS);
    (void)uv_timer_start(&c->renewal, on_renewal, RENEWAL_EACH_MS, RENEWAL_EACH_MS);
}

static void make_parts(struct console *c)
{
    struct api *api = &c->api;
    watch_handles(c);
    api->store = c->store;
    api->authority = &c->authority;
    api->data_dir = c->settings->data;
    api->name = c->settings->names.count > 0 ? c->settings->names.items[0] : "proctor";
    api->auth = auth_new(&c->loop, c->store);
    c->live = api->live = live_new(&c->loop, api->auth);
    api->fleet = fleet_new(c->store, c->live);
    api->dispatch = dispatch_new(&c->loop, c->store, api->fleet, c->live);
    api->analysis = analysis_new(&c->loop, c->store, NULL);
    api->history = history_new(&c->loop, c->store);
    api->logs = logs_new(&c->loop, api->fleet);
    store_watch(c->store, on_changed, c);
    c->loading = 2;
    fleet_load(api->fleet, on_loaded, c);
    dispatch_load(api->dispatch, on_loaded, c);
}

static void on_loaded(void *arg, int r)
{
    struct console *c = arg;
    if (r < 0) {
        log_err(r, "cannot read the store in %s", c->settings->data);
        c->failed = true;
    }
    if (--c->loading > 0 || c->closing)
        return;
    if (!c->failed && listen_on_both(c) == 0 && write_addresses(c) == 0) {
        say_ready(c);
        return;
    }
    c->failed = true;
    close_all(c);
}

static int open_web(struct console *c)
{
    const struct http_settings web = {.listen = c->settings->listen,
                                      .names = (const char *const *)c->names.items,
                                      .cert_pem = c->authority.server_cert_pem,
                                      .chain_pem = c->authority.ca_cert_pem,
                                      .key_pem = c->authority.server_key_pem,
                                      .handler = api_handle,
                                      .body_limit = api_body_limit,
                                      .refused = api_refused,
                                      .arg = &c->api,
                                      .public_address = c->settings->public_web,
                                      .live = c->live};
    int r = http_open(&c->http, &c->loop, &web);
    if (r < 0)
        log_err(r, "cannot listen on %s", web.listen);
    return r;
}

static int listen_on_both(struct console *c)
{
    int r = open_web(c);
    if (r < 0)
        return r;
    const struct agents_settings agents = {.loop = &c->loop,
                                           .listen = c->settings->agent_listen,
                                           .name = c->api.name,
                                           .authority = &c->authority,
                                           .store = c->store,
                                           .fleet = c->api.fleet,
                                           .dispatch = c->api.dispatch,
                                           .history = c->api.history,
                                           .logs = c->api.logs,
                                           .live = c->live,
                                           .retention = &c->settings->retention};
    r = agents_open(&c->agents, &agents);
    if (r < 0) {
        log_err(r, "cannot listen on %s", agents.listen);
        return r;
    }
    AUTOFREE char *address =
        settings_public_address(c->settings, c->settings->public_agents, agents_address(c->agents));
    (void)snprintf(c->api.agents_address, sizeof c->api.agents_address, "%s", address);
    return 0;
}

/* For the commands beside us, which make strings that lead here. */
static int write_addresses(const struct console *c)
{
    AUTOFREE char *path = path_join(c->settings->data, "address.json");
    AUTOFREE char *web =
        settings_public_address(c->settings, c->settings->public_web, http_address(c->http));
    AUTOBUF struct buf text = BUF_INIT(ADDRESS_TEXT);
    AUTOJSON json_t *j = json_object();
    json_set_string(j, "web", web);
    json_set_string(j, "agents", c->api.agents_address);
    (void)json_object_set_new(j, "names", json_from_strlist(&c->settings->names));
    int r = json_to_buf(j, &text);
    if (r == 0)
        r = path_write_atomic(path, text.data, text.len, FILE_MODE);
    if (r < 0)
        log_err(r, "cannot write %s", path);
    return r;
}

static void say_ready(const struct console *c)
{
    AUTOBUF struct buf text = BUF_INIT(ADDRESS_TEXT);
    AUTOJSON json_t *j = json_object();
    (void)buf_addf(&text, "https://%s", http_address(c->http));
    json_set_bool(j, "ready", true);
    json_set_string(j, "web", buf_str(&text));
    json_set_string(j, "agents", agents_address(c->agents));
    json_set_string(j, "password_file", c->password_file);
    buf_reset(&text);
    (void)json_to_buf(j, &text);
    (void)puts(buf_str(&text));
    (void)fflush(stdout);
    log_info("proctor-console %s serves %s, pid %d", PROCTOR_VERSION, c->settings->data,
             (int)getpid());
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Agents and viewers are told; then the ports go, then what uses the store, then the store. */
static void close_all(struct console *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->on_term, NULL);
    uv_close((uv_handle_t *)&c->on_int, NULL);
    uv_close((uv_handle_t *)&c->retention, NULL);
    uv_close((uv_handle_t *)&c->renewal, NULL);
    if (c->agents)
        agents_close(c->agents);
    live_close(c->live);
    logs_close(c->api.logs);
    if (c->http)
        http_close(c->http, on_http_closed, c);
    else
        on_http_closed(c);
}

static void on_http_closed(void *arg)
{
    struct console *c = arg;
    agents_free(c->agents);
    history_close(c->api.history);
    dispatch_close(c->api.dispatch);
    analysis_close(c->api.analysis, on_analysis_closed, c);
}

static void on_analysis_closed(void *arg)
{
    struct console *c = arg;
    auth_free(TAKE(c->api.auth));
    store_close(c->store, on_store_closed, c);
}

static void on_store_closed(void *arg)
{
    struct console *c = arg;
    live_free(c->live);
    dispatch_free(c->api.dispatch);
    history_free(c->api.history);
    logs_free(c->api.logs);
    fleet_free(c->api.fleet);
}

int console_run(struct console *c)
{
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    int r = loop_end(&c->loop);
    if (r < 0)
        log_err(r, "something was still open at the end");
    authority_close(&c->authority);
    strlist_clear(&c->names);
    free(c->password_file);
    log_info("proctor-console ended");
    return c->failed || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
