/* api_hosts.c -- hosts and what runs on them. */
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/loop.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/fleet.h"
#include "remote/store/hosts.h"

/* Long lists are made while they are taken. */
static void reply_source(struct api_call *c, struct http_source *source)
{
    http_reply_source(c->request, 200, "application/json", HTTP_LENGTH_UNKNOWN, source);
    api_call_free(c);
}

void api_hosts(struct api_call *c)
{
    reply_source(c, fleet_hosts_source(c->api->fleet));
}

static void reply_host(struct api_call *c)
{
    json_t *host = fleet_host(c->api->fleet, c->params[0]);
    if (host)
        api_reply_one(c, 200, "host", host);
    else
        api_fail(c, ERR_NOT_FOUND, "there is no such host");
}

void api_host(struct api_call *c)
{
    if (api_param_uuid(c, "host"))
        reply_host(c);
}

void api_processes(struct api_call *c)
{
    AUTOFREE char *host = NULL;
    if (!api_query_uuid(c, "host", &host))
        return;
    if (host && !fleet_get(c->api->fleet, host)) {
        api_fail(c, ERR_NOT_FOUND, "there is no such host");
        return;
    }
    reply_source(c, fleet_processes_source(c->api->fleet, host));
}

/* ---- revoking -------------------------------------------------------------------------------- */

struct revoke {
    struct host_row row;
    struct audit_row note;
};

static int write_revocation(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct revoke *s = c->state;
    int r = hosts_revoke(db, c->params[0], s->note.at_ms);
    if (r < 0 || (r = hosts_get(db, c->params[0], &s->row)) < 0)
        return r;
    (void)snprintf(s->note.text, sizeof s->note.text, "%s (%s)", s->row.name, s->row.id);
    return audit_add(db, &s->note);
}

static void on_revoked(void *arg, int result)
{
    struct api_call *c = arg;
    const struct revoke *s = c->state;
    if (result == ERR_NOT_FOUND) {
        api_fail(c, result, "there is no such host");
        return;
    }
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    /* Its connection is cut. */
    fleet_put(c->api->fleet, &s->row);
    reply_host(c);
}

void api_host_revoke(struct api_call *c)
{
    if (!api_param_uuid(c, "host"))
        return;
    struct revoke *s = api_state(c, sizeof *s, NULL);
    api_note(c, &s->note, "host.revoke", "%s", "");
    api_write(c, write_revocation, on_revoked);
}
