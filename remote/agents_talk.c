/* agents_talk.c -- what each message of an agent does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/agents_private.h"
#include "remote/authority.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/foreign.h"
#include "remote/history.h"
#include "remote/logs.h"
#include "remote/store/accounts.h"
#include "remote/store/hosts.h"
#include "remote/store/store.h"

/* ---- capabilities ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned bit;
} capabilities[] = {
    {"capture", AGENT_CAPTURE}, {"blob", AGENT_BLOB}, {"renew", AGENT_RENEW},
    {"unlink", AGENT_UNLINK},   {"log", AGENT_LOG},
};

unsigned agent_capabilities(const json_t *list)
{
    unsigned bits = 0;
    for (size_t n = 0; n < ARRAY_SIZE(capabilities); n++)
        if (foreign_has(list, capabilities[n].name))
            bits |= capabilities[n].bit;
    return bits;
}

unsigned agent_capability(const char *name)
{
    for (size_t n = 0; n < ARRAY_SIZE(capabilities); n++)
        if (str_eq(name, capabilities[n].name))
            return capabilities[n].bit;
    return 0;
}

json_t *agent_our_capabilities(void)
{
    json_t *list = json_array();
    for (size_t n = 0; n < ARRAY_SIZE(capabilities); n++)
        (void)json_array_append_new(list, json_string(capabilities[n].name));
    return list;
}

/* ---- small ones ------------------------------------------------------------------------------ */

static int take_ping(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    agent_conn_send(c, "pong", NULL);
    return 0;
}

static int take_pong(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    return 0;
}

static int take_processes(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    const struct agents_settings *s = &c->agents->settings;
    int r = fleet_set_processes(s->fleet, c->host, m, reterr_text, size);
    if (r == 0)
        history_take(s->history, c->host, json_object_get(m, "processes"), loop_wall_ms());
    return r;
}

static int take_log(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    logs_take(c->agents->settings.logs, c->host, m);
    return 0;
}

static int take_log_refused(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    logs_take_refused(c->agents->settings.logs, c->host, m);
    return 0;
}

/* ---- captures -------------------------------------------------------------------------------- */

static void on_looked_up(void *arg, int r, const char *text)
{
    struct agent_pending *p = arg;
    struct agent_conn *c = p->conn;
    if (c) {
        agent_pending_drop(p);
        c->lookups--;
        if (r < 0)
            agent_conn_end(c, r, "%s", text);
        agent_conn_flow(c);
    }
    free(p);
}

/* `r` as dispatch_take_…() say: 1: on_looked_up() comes. */
static int wait_for(struct agent_conn *c, struct agent_pending *p, int r)
{
    if (r != 1) {
        free(p);
        return r;
    }
    agent_pending_add(c, p);
    c->lookups++;
    agent_conn_flow(c);
    return 0;
}

static int take_record(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    struct agent_pending *p = xcalloc(1, sizeof *p);
    return wait_for(c, p,
                    dispatch_take_record(c->agents->settings.dispatch, c->host,
                                         json_object_get(m, "record"), reterr_text, size,
                                         on_looked_up, p));
}

static int take_unknown(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    struct agent_pending *p = xcalloc(1, sizeof *p);
    return wait_for(
        c, p,
        dispatch_take_unknown(c->agents->settings.dispatch, c->host, json_get_string(m, "id", ""),
                              json_get_string(m, "code", ""), json_get_string(m, "text", ""),
                              reterr_text, size, on_looked_up, p));
}

/* ---- a new certificate ----------------------------------------------------------------------- */

struct renewal {
    struct agent_pending pending;
    struct fleet *fleet;
    char host[UUID_TEXT];
    int64_t not_after_ms;
    char *certificate;
    struct host_row row;
};

static int write_renewal(struct db *db, void *arg)
{
    struct renewal *n = arg;
    int r = hosts_set_cert(db, n->host, n->not_after_ms);
    return r < 0 ? r : hosts_get(db, n->host, &n->row);
}

static void on_renewed(void *arg, int r)
{
    struct renewal *n = arg;
    struct agent_conn *c = n->pending.conn;
    if (r >= 0)
        fleet_put(n->fleet, &n->row);
    if (c) {
        AUTOJSON json_t *fields = json_object();
        json_set_string(fields, "certificate", n->certificate);
        agent_pending_drop(&n->pending);
        c->renewing = false;
        /* Who asked over this connection is who the old certificate says: it need not connect anew. */
        if (r >= 0) {
            c->certificate_from_s = loop_wall_ms() / 1000;
            c->certificate_until_s = n->not_after_ms / 1000;
        }
        if (r >= 0)
            agent_conn_send(c, "renewed", fields);
        else
            agent_conn_end(c, r, "the new certificate cannot be stored: %s", err_str(r));
    }
    free(n->certificate);
    free(n);
}

/* An agent asks at two thirds of its certificate's life, and again when no answer comes. */
static bool too_early(struct agent_conn *c)
{
    struct agents *a = c->agents;
    int64_t life_s = c->certificate_until_s - c->certificate_from_s;
    /* Lives of seconds are for tests. */
    int64_t tenth_ms = a->settings.authority->agent_life_s * 100;
    int64_t age_s = loop_wall_ms() / 1000 - c->certificate_from_s;
    bool known = c->certificate_from_s && c->certificate_until_s;
    if (agent_delay_left(a, c->host) > 0 || (known && age_s < life_s / 3))
        return true;
    agent_delay_note(a, c->host, tenth_ms < AGENTS_RENEW_MS ? (uint64_t)tenth_ms : AGENTS_RENEW_MS);
    return false;
}

static int take_renew(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    const struct agents_settings *s = &c->agents->settings;
    AUTOFREE char *certificate = NULL;
    int64_t not_after_s = 0;
    if (!(c->takes & AGENT_RENEW)) {
        (void)snprintf(reterr_text, size, "renew: its hello does not name it");
        return ERR_PROTOCOL;
    }
    if (c->renewing || too_early(c)) {
        log_debug("host %s asks for a new certificate too early, ignoring", c->name);
        return 0;
    }
    int r = authority_issue(s->authority, c->host, json_get_string(m, "csr", ""), &certificate,
                            &not_after_s);
    if (r < 0) {
        (void)snprintf(reterr_text, size, "renew: no certificate can be made from this request");
        return r;
    }
    struct renewal *n = xcalloc(1, sizeof *n);
    n->fleet = s->fleet;
    n->not_after_ms = not_after_s * 1000;
    n->certificate = TAKE(certificate);
    memcpy(n->host, c->host, sizeof n->host);
    c->renewing = true;
    agent_pending_add(c, &n->pending);
    store_write(s->store, write_renewal, on_renewed, n);
    log_info("host %s gets a new certificate", c->name);
    return 0;
}

/* ---- unlink ---------------------------------------------------------------------------------- */

struct unlinking {
    struct agent_pending pending;
    struct fleet *fleet;
    struct host_row row;
    struct audit_row note;
};

static int write_unlinking(struct db *db, void *arg)
{
    struct unlinking *u = arg;
    int r = hosts_revoke(db, u->row.id, u->note.at_ms);
    if (r >= 0)
        r = hosts_get(db, u->row.id, &u->row);
    return r < 0 ? r : audit_add(db, &u->note);
}

static void on_unlinked(void *arg, int r)
{
    struct unlinking *u = arg;
    struct agent_conn *c = u->pending.conn;
    if (c) {
        agent_pending_drop(&u->pending);
        c->unlinking = false;
    }
    /* This ends its connections. */
    if (r >= 0)
        fleet_put(u->fleet, &u->row);
    else if (c)
        agent_conn_end(c, r, "the host cannot be revoked: %s", err_str(r));
    free(u);
}

static int take_unlink(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    if (c->unlinking)
        return 0;
    struct unlinking *u = xcalloc(1, sizeof *u);
    u->fleet = c->agents->settings.fleet;
    memcpy(u->row.id, c->host, sizeof u->row.id);
    u->note.at_ms = loop_wall_ms();
    (void)snprintf(u->note.who, sizeof u->note.who, "host %s", c->name);
    (void)snprintf(u->note.what, sizeof u->note.what, "host.unlink");
    (void)snprintf(u->note.text, sizeof u->note.text, "%s (%s)", c->name, c->host);
    c->unlinking = true;
    agent_pending_add(c, &u->pending);
    store_write(c->agents->settings.store, write_unlinking, on_unlinked, u);
    return 0;
}

/* ---- which does what ------------------------------------------------------------------------- */

static const struct {
    const char *type;
    int (*take)(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size);
} talks[] = {
    {"ping", take_ping},
    {"pong", take_pong},
    {"processes", take_processes},
    {"capture", take_record},
    {"capture.unknown", take_unknown},
    {"blob.begin", agent_blob_begin},
    {"blob.end", agent_blob_end},
    {"renew", take_renew},
    {"unlink", take_unlink},
    {"log", take_log},
    {"log.refused", take_log_refused},
};

int agent_talk(struct agent_conn *c, const char *type, const json_t *message, char *reterr_text,
               size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(talks); i++)
        if (str_eq(talks[i].type, type))
            return talks[i].take(c, message, reterr_text, size);
    (void)snprintf(reterr_text, size, "message %s is not taken here", type);
    return ERR_PROTOCOL;
}
