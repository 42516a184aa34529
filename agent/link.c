#include "agent/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/link_private.h"
#include "agent/uplink.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

/* A connection that lived so long was a good one: the next break is a first one. */
enum { LIVED_MS = 60000 };

static void on_open(void *arg, const json_t *hello);
static void on_message(void *arg, const char *type, const json_t *message);
static size_t on_room(void *arg, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK]);
static void on_closed(void *arg, int code, const char *text);
static int send_message(void *arg, const char *type, json_t *fields);
static void break_off(void *arg, int code, const char *text);
static void on_renewed(void *arg, int result, struct identity *fresh);
static void on_retry(uv_timer_t *timer);

static const struct uplink_callbacks uplink_callbacks = {
    .on_open = on_open,
    .on_message = on_message,
    .on_room = on_room,
    .on_closed = on_closed,
};

static const struct renewal_callbacks renewal_callbacks = {
    .send = send_message,
    .done = on_renewed,
};

/* ---- beginning and end ----------------------------------------------------------------------- */

static void init_timer(struct link *l, uv_timer_t *timer)
{
    (void)uv_timer_init(l->loop, timer);
    timer->data = l;
}

struct link *link_new(uv_loop_t *loop, const char *home, struct conn *conn,
                      struct captures *captures, struct delivery *delivery)
{
    struct link *l = xcalloc(1, sizeof *l);
    *l = (struct link){.loop = loop,
                       .home = xstrdup(home),
                       .conn = conn,
                       .captures = captures,
                       .delivery = delivery,
                       .since_ms = loop_wall_ms()};
    init_timer(l, &l->retry);
    init_timer(l, &l->set_deadline);
    init_timer(l, &l->remove_deadline);
    processes_init(&l->processes, loop, conn, send_message, l);
    logs_init(&l->logs, conn, send_message, l);
    renewal_init(&l->renewal, loop, home, &renewal_callbacks, l);
    l->uplink = uplink_new(loop, &uplink_callbacks, l);
    return l;
}

bool link_is_linked(const struct link *l)
{
    return l->id.host || l->unloaded;
}

static void end_reason(struct link *l)
{
    if (l->again > 0)
        log_info("%u times more: %s", l->again, l->logged);
    l->again = 0;
    l->logged[0] = '\0';
}

/* The same reason is logged once, and counted after that. */
static void log_reason(struct link *l, const char *text)
{
    if (str_eq(text, l->logged)) {
        l->again++;
        return;
    }
    end_reason(l);
    (void)snprintf(l->logged, sizeof l->logged, "%s", text);
    log_warn(0, "%s", text);
}

static void note_error(struct link *l, int code, const char *text)
{
    l->error = code;
    l->by_console = false;
    (void)snprintf(l->error_text, sizeof l->error_text, "%s", text);
    log_reason(l, text);
}

void link_take_identity(struct link *l, struct identity *id)
{
    identity_clear(&l->id);
    l->id = *id;
    *id = (struct identity){0};
    l->unloaded = false;
    l->error = 0;
    delivery_belong(l->delivery, l->id.host);
}

int link_load(struct link *l)
{
    char text[IDENTITY_TEXT];
    AUTOIDENTITY struct identity id = {0};
    int r = identity_load(l->home, &id, text, sizeof text);
    if (r == 0) {
        link_take_identity(l, &id);
        return 0;
    }
    l->unloaded = r != ERR_NOT_FOUND;
    if (l->unloaded) {
        note_error(l, r, text);
        link_apply(l, identity_may_pass(r) ? LINK_EV_UNREAD : LINK_EV_UNUSABLE);
        return r;
    }
    delivery_belong(l->delivery, NULL);
    link_apply(l, LINK_EV_UNLINKED);
    return r;
}

void link_start(struct link *l)
{
    if (!l->ending && link_load(l) == 0)
        link_apply(l, LINK_EV_LINKED);
}

/* ---- states ---------------------------------------------------------------------------------- */

/* The only writer of l->state. */
static void set_state(struct link *l, enum link_state state)
{
    if (state == l->state)
        return;
    log_info("link to the console: %s -> %s", link_state_name(l->state), link_state_name(state));
    l->state = state;
    l->since_ms = loop_wall_ms();
}

static void start_wait(struct link *l, int64_t wait_ms)
{
    l->retry_at_ms = loop_wall_ms() + wait_ms;
    (void)uv_timer_start(&l->retry, on_retry, (uint64_t)wait_ms, 0);
}

static uint32_t random_number(void)
{
    uint32_t number;
    random_bytes(&number, sizeof number);
    return number;
}

static void stop_waiting(struct link *l)
{
    l->retry_at_ms = 0;
    (void)uv_timer_stop(&l->retry);
}

void link_connect_now(struct link *l)
{
    stop_waiting(l);
    if (!l->id.host && link_load(l) < 0)
        return;
    if (loop_wall_ms() < l->id.until_ms) {
        uplink_open(l->uplink, &l->id);
        return;
    }
    note_error(l, ERR_EXPIRED,
               "the certificate of this host has expired: unlink it and link it with a new token");
    link_apply(l, LINK_EV_REFUSED);
    link_set_tried(l);
}

static void deliver_message(void *arg, const char *type, json_t *fields)
{
    (void)send_message(arg, type, fields);
}

static void on_wake(void *arg)
{
    struct link *l = arg;
    uplink_wake(l->uplink);
}

static void serve(struct link *l)
{
    const struct delivery_channel channel = {.arg = l,
                                             .send = deliver_message,
                                             .wake = on_wake,
                                             .break_off = break_off,
                                             .takes_blobs = uplink_can(l->uplink, UPLINK_BLOB)};
    l->serving = true;
    processes_open(&l->processes);
    logs_open(&l->logs);
    if (uplink_can(l->uplink, UPLINK_RENEW))
        renewal_open(&l->renewal, &l->id);
    delivery_open(l->delivery, &channel);
}

static void unserve(struct link *l)
{
    if (!l->serving)
        return;
    l->serving = false;
    delivery_close(l->delivery);
    processes_close(&l->processes);
    logs_close(&l->logs);
    renewal_close(&l->renewal);
}

void link_apply(struct link *l, enum link_event event)
{
    struct link_rule rule = link_state_after(l->state, event);
    set_state(l, rule.next);
    switch (rule.action) {
    case LINK_NOTHING:
        return;
    case LINK_CONNECT:
        link_connect_now(l);
        return;
    case LINK_SERVE:
        serve(l);
        return;
    case LINK_WAIT:
        start_wait(l, backoff_next(&l->backoff, random_number()));
        return;
    case LINK_WAIT_LONG:
        start_wait(l, backoff_refused(random_number()));
        return;
    case LINK_REST:
        stop_waiting(l);
        backoff_reset(&l->backoff);
        return;
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct link *l = timer->data;
    if (!l->removing)
        link_apply(l, LINK_EV_RETRY);
}

/* ---- the connection -------------------------------------------------------------------------- */

static void on_open(void *arg, const json_t *hello)
{
    struct link *l = arg;
    l->error = 0;
    l->opened_at = uv_now(l->loop);
    if (l->removing) {
        link_remove_on_open(l);
        return;
    }
    link_apply(l, LINK_EV_OPEN);
    link_set_tried(l);
}

static void on_message(void *arg, const char *type, const json_t *message)
{
    struct link *l = arg;
    if (!l->serving)
        return;
    if (str_eq(type, "renewed"))
        renewal_take(&l->renewal, json_get_string(message, "certificate", ""));
    else if (str_eq(type, "log.get"))
        logs_get(&l->logs, message);
    else
        delivery_take(l->delivery, type, message);
}

static size_t on_room(void *arg, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK])
{
    struct link *l = arg;
    return l->serving ? delivery_chunk(l->delivery, frame) : 0;
}

/* One that is greeted and then sent away is no better than one that is refused; one over which something has arrived is. */
static void judge_connection(struct link *l)
{
    bool lived = l->opened_at && uv_now(l->loop) - l->opened_at >= LIVED_MS;
    bool useful = l->serving && delivery_has_moved(l->delivery);
    l->opened_at = 0;
    if (lived || useful)
        backoff_reset(&l->backoff);
    if (lived)
        end_reason(l);
}

static void on_closed(void *arg, int code, const char *text)
{
    struct link *l = arg;
    judge_connection(l);
    unserve(l);
    if (l->ending)
        return;
    if (l->removing) {
        link_remove_on_closed(l, code, text);
        return;
    }
    note_error(l, code, text);
    l->by_console = uplink_by_console(l->uplink);
    link_apply(l, link_event_of_end(code));
    link_set_tried(l);
}

static int send_message(void *arg, const char *type, json_t *fields)
{
    struct link *l = arg;
    return uplink_send(l->uplink, type, fields);
}

/* The console has said what does not fit: told as the reason when the connection is closed. */
static void break_off(void *arg, int code, const char *text)
{
    struct link *l = arg;
    uplink_close(l->uplink, code, text);
}

/* ---- renewal --------------------------------------------------------------------------------- */

/* The connection that is up stays: the next one shows the new certificate. */
static void on_renewed(void *arg, int result, struct identity *fresh)
{
    struct link *l = arg;
    if (result == 0) {
        bool open = l->renewal.open;
        renewal_close(&l->renewal);
        link_take_identity(l, fresh);
        log_info("this host has a new certificate");
        if (open)
            renewal_open(&l->renewal, &l->id);
    }
    link_remove_on_idle(l);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void add_time(json_t *status, const char *key, int64_t at_ms)
{
    if (at_ms > 0)
        json_set_int(status, key, at_ms);
}

json_t *link_status_json(const struct link *l)
{
    json_t *status = json_object();
    json_set_string(status, "state", link_state_name(l->state));
    json_set_string(status, "console", l->id.web);
    json_set_string(status, "agents", l->id.agents);
    json_set_string(status, "host", l->id.host);
    if (l->id.name && l->id.name[0])
        json_set_string(status, "name", l->id.name);
    add_time(status, "since_ms", l->since_ms);
    add_time(status, "retry_ms", l->retry_at_ms);
    if (l->id.host) {
        add_time(status, "certificate_until_ms", l->id.until_ms);
        add_time(status, "renew_ms", identity_renew_ms(&l->id));
    }
    if (l->error < 0) {
        json_t *error = json_object();
        json_set_string(error, "name", err_name(l->error));
        json_set_string(error, "message", l->error_text);
        if (l->by_console)
            json_set_bool(error, "by_console", true);
        (void)json_object_set_new(status, "error", error);
    }
    return status;
}

void link_status(struct link *l, const struct msg *m)
{
    AUTOJSON json_t *status = link_status_json(l);
    (void)conn_result(l->conn, m->id, status, -1);
}

void link_restarted(struct link *l)
{
    l->set_alone = l->set_request != NULL;
    strlist_clear(&l->remove_requests);
    processes_ask_again(&l->processes);
    logs_ask_again(&l->logs);
}

bool link_on_answer(struct link *l, const struct msg *m)
{
    if (logs_on_answer(&l->logs, m))
        return true;
    if (!str_eq(m->id, PROCESSES_REQUEST))
        return false;
    processes_on_answer(&l->processes, m);
    return true;
}

/* ---- closing --------------------------------------------------------------------------------- */

void link_close(struct link *l)
{
    if (l->ending)
        return;
    l->ending = true;
    unserve(l);
    link_set_close(l);
    uplink_end(l->uplink);
    processes_end(&l->processes);
    renewal_end(&l->renewal);
    uv_close((uv_handle_t *)&l->retry, NULL);
    uv_close((uv_handle_t *)&l->set_deadline, NULL);
    uv_close((uv_handle_t *)&l->remove_deadline, NULL);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    uplink_free(l->uplink);
    identity_clear(&l->id);
    strlist_clear(&l->remove_requests);
    logs_clear(&l->logs);
    free(l->set_request);
    free(l->home);
    free(l);
}
