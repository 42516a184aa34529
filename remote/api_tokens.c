/* api_tokens.c -- API tokens and enrolment strings: each text is shown once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/console_token.h"

static void set_time(json_t *j, const char *name, int64_t ms)
{
    (void)json_object_set_new(j, name, ms ? json_integer(ms) : json_null());
}

static json_t *token_view(const struct api_token_row *row)
{
    json_t *j = json_object();
    json_set_string(j, "id", row->id);
    json_set_string(j, "name", row->name);
    json_set_string(j, "owner", row->owner);
    json_set_string(j, "role", role_name(row->role));
    json_set_int(j, "created_ms", row->created_ms);
    set_time(j, "expires_ms", row->expires_ms);
    set_time(j, "used_ms", row->used_ms);
    return j;
}

/* ---- list ------------------------------------------------------------------------------------ */

static void list_clear(void *state)
{
    api_token_list_clear(state);
}

static int read_list(struct db *db, void *arg)
{
    struct api_call *c = arg;
    return api_tokens_list(db, c->state);
}

static void on_list(void *arg, int result)
{
    struct api_call *c = arg;
    const struct api_token_list *list = c->state;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(rows, token_view(&list->rows[i]));
    (void)json_object_set_new(view, "tokens", rows);
    api_reply(c, 200, view);
}

void api_tokens(struct api_call *c)
{
    (void)api_state(c, sizeof(struct api_token_list), list_clear);
    api_read(c, read_list, on_list);
}

/* ---- making ---------------------------------------------------------------------------------- */

struct making {
    struct api_token_row row; /* of an API token */
    int64_t ttl_ms;           /* of an enrolment string */
    struct audit_row note;
    char *text;
    char why[CONSOLE_SENTENCE];
};

static void making_clear(void *state)
{
    struct making *s = state;
    if (s->text)
        secret_wipe(s->text, strlen(s->text));
    free(s->text);
    secret_wipe(&s->row, sizeof s->row);
}

/* The view with the text, which the reply's JSON holds until it is sent. */
static void reply_text(struct api_call *c, json_t *view)
{
    struct making *s = c->state;
    json_set_string(view, "token", s->text);
    http_reply_json(c->request, 201, view);
    field_wipe(view, "token");
    json_decref(view);
    api_call_free(c);
}

static int write_token(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct making *s = c->state;
    int r = console_api_token(db, &s->row, &s->text, s->why);
    if (r < 0)
        return r;
    (void)snprintf(s->note.text, sizeof s->note.text, "%s (%s) as %s", s->row.id, s->row.name,
                   role_name(s->row.role));
    return audit_add(db, &s->note);
}

/* ERR_TOO_BIG of the store is about its list. */
static void fail_making(struct api_call *c, const struct making *s, int r)
{
    api_fail(c, r == ERR_TOO_BIG ? ERR_FULL : r, "%s", s->why[0] ? s->why : err_str(r));
}

static void on_token(void *arg, int result)
{
    struct api_call *c = arg;
    const struct making *s = c->state;
    if (result < 0)
        fail_making(c, s, result);
    else
        reply_text(c, token_view(&s->row));
}

void api_token_add(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    const char *name = field_text(&f, "name", FIELD_REQUIRED, 1, TOKEN_NAME_MAX);
    enum role role = api_field_role(&f);
    /* 0: for ever. */
    int64_t ttl_ms = field_int(&f, "ttl_ms", API_TTL_MS, 0, API_TTL_MAX_MS);
    if (ttl_ms > 0 && ttl_ms < API_TTL_MIN_MS)
        field_refuse(&f, "ttl_ms", "must be 0 (for ever) or at least %lld", API_TTL_MIN_MS);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct making *s = api_state(c, sizeof *s, making_clear);
    s->row.role = role;
    s->row.created_ms = loop_wall_ms();
    s->row.expires_ms = ttl_ms ? s->row.created_ms + ttl_ms : 0;
    (void)snprintf(s->row.name, sizeof s->row.name, "%s", name);
    (void)snprintf(s->row.owner, sizeof s->row.owner, "%s", c->who.owner);
    api_note(c, &s->note, "token.add", "%s", "");
    api_write(c, write_token, on_token);
}

/* ---- removing -------------------------------------------------------------------------------- */

static int write_removal(struct db *db, void *arg)
{
    struct api_call *c = arg;
    int r = api_tokens_remove(db, c->params[0]);
    return r < 0 ? r : audit_add(db, c->state);
}

static void on_removed(void *arg, int result)
{
    struct api_call *c = arg;
    if (result < 0)
        api_fail(c, result, result == ERR_NOT_FOUND ? "there is no such token" : NULL);
    else
        api_reply(c, 204, NULL);
}

void api_token_remove(struct api_call *c)
{
    struct audit_row *note = api_state(c, sizeof *note, NULL);
    api_note(c, note, "token.remove", "%s", c->params[0]);
    api_write(c, write_removal, on_removed);
}

/* ---- enrolment strings ----------------------------------------------------------------------- */

static int write_enrolment(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct making *s = c->state;
    int r = console_enrol_token(db, s->note.at_ms, s->ttl_ms, &s->text, s->why);
    return r < 0 ? r : audit_add(db, &s->note);
}

static void on_enrolment(void *arg, int result)
{
    struct api_call *c = arg;
    const struct making *s = c->state;
    if (result < 0) {
        fail_making(c, s, result);
        return;
    }
    json_t *view = json_object();
    json_set_int(view, "expires_ms", s->note.at_ms + s->ttl_ms);
    reply_text(c, view);
}

void api_enrolment_add(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    int64_t ttl_ms = field_int(&f, "ttl_ms", ENROL_TTL_MS, ENROL_TTL_MIN_MS, ENROL_TTL_MAX_MS);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct making *s = api_state(c, sizeof *s, making_clear);
    s->ttl_ms = ttl_ms;
    api_note(c, &s->note, "enrolment.add", "for one host, %lld s", (long long)(ttl_ms / 1000));
    api_write(c, write_enrolment, on_enrolment);
}
