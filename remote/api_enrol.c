/* api_enrol.c -- a host brings its secret and its request, and gets its certificate (docs/PROTOCOL.md, "Enrolment"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/uuid.h"
#include "lib/secure/cert.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/authority.h"
#include "remote/fleet.h"
#include "remote/store/hosts.h"

struct enrol {
    uint8_t secret_sha256[SHA256_BYTES];
    struct host_row row;
    const char *csr; /* of the body */
    char *certificate;
    struct audit_row note;
    enum { AT_SECRET, AT_REQUEST, AT_ROW } at; /* where it failed */
};

static void enrol_clear(void *state)
{
    struct enrol *s = state;
    free(s->certificate);
    secret_wipe(s->secret_sha256, sizeof s->secret_sha256);
}

/* The steps. */
static int write_host(struct db *db, void *arg);
static void on_written(void *arg, int result);
static void fail_enrol(struct api_call *c, const struct enrol *s, int r);

void api_enrol(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    const char *secret = field_text(&f, "secret", FIELD_REQUIRED, SECRET_TEXT - 1, SECRET_TEXT - 1);
    const char *csr = field_raw_text(&f, "csr", FIELD_REQUIRED, 1, CERT_PEM_MAX);
    const char *hostname = field_text(&f, "hostname", FIELD_REQUIRED, 1, LIMIT_NAME);
    int64_t wait_ms = auth_enrol_wait_ms(c->api->auth, c->request->address);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    if (wait_ms > 0) {
        api_fail_wait(c, wait_ms);
        return;
    }
    struct enrol *s = api_state(c, sizeof *s, enrol_clear);
    sha256(secret, strlen(secret), s->secret_sha256);
    field_wipe(c->body, "secret");
    s->csr = csr;
    uuid_make(s->row.id);
    (void)snprintf(s->row.name, sizeof s->row.name, "%s", hostname);
    (void)snprintf(c->who.name, sizeof c->who.name, "host %s", hostname);
    api_note(c, &s->note, "host.enrol", "%s (%s)", hostname, s->row.id);
    s->row.enrolled_ms = s->note.at_ms;
    api_write(c, write_host, on_written);
}

/* All or nothing: a request that cannot be signed leaves the secret good. */
static int write_host(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct enrol *s = c->state;
    int64_t not_after_s;
    s->at = AT_SECRET;
    int r = enrolments_use(db, s->secret_sha256, s->note.at_ms);
    if (r < 0)
        return r;
    s->at = AT_REQUEST;
    r = authority_issue(c->api->authority, s->row.id, s->csr, &s->certificate, &not_after_s);
    if (r < 0)
        return r;
    s->at = AT_ROW;
    s->row.cert_not_after_ms = not_after_s * 1000;
    r = hosts_add(db, &s->row);
    return r < 0 ? r : audit_add(db, &s->note);
}

static void on_written(void *arg, int result)
{
    struct api_call *c = arg;
    const struct enrol *s = c->state;
    if (result < 0) {
        fail_enrol(c, s, result);
        return;
    }
    fleet_put(c->api->fleet, &s->row);
    json_t *view = json_object();
    json_set_string(view, "host", s->row.id);
    json_set_string(view, "certificate", s->certificate);
    json_set_string(view, "ca", c->api->authority->ca_cert_pem);
    json_set_string(view, "agents", c->api->agents_address);
    json_set_string(view, "name", c->api->name);
    api_reply(c, 201, view);
}

static void fail_enrol(struct api_call *c, const struct enrol *s, int r)
{
    bool of_secret = s->at == AT_SECRET;
    if (of_secret && (r == ERR_NOT_FOUND || r == ERR_EXISTS || r == ERR_EXPIRED)) {
        /* What the host calls itself is nobody's name yet. */
        auth_refused(c->api->auth, NULL, c->request->address, "enrol.refused",
                     "an enrolment string that is %s",
                     r == ERR_NOT_FOUND ? "not known"
                     : r == ERR_EXISTS  ? "used"
                                        : "expired");
        c->noted = true;
    }
    if (of_secret && r == ERR_NOT_FOUND) {
        auth_enrol_failed(c->api->auth, c->request->address);
        api_fail(c, ERR_DENIED, "this enrolment string is not known here");
    } else if (of_secret && r == ERR_EXISTS) {
        api_fail(c, r, "this enrolment string was used already");
    } else if (of_secret && r == ERR_EXPIRED) {
        api_fail(c, r, "this enrolment string has expired");
    } else if (s->at == AT_REQUEST && (r == ERR_INVALID || r == ERR_SYNTAX)) {
        api_fail(c, ERR_INVALID,
                 "\"csr\" must be a certificate request in PEM, signed by its own EC P-256 key");
    } else if (s->at == AT_ROW && r == ERR_TOO_BIG) {
        api_fail(c, ERR_FULL, "there are %u hosts, more are not allowed", LIMIT_HOSTS);
    } else {
        api_fail(c, r, NULL);
    }
}
