/* api_session.c -- login, logout, who am I, my password. */
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/first_run.h"

static json_t *who_view(const struct auth_who *who)
{
    json_t *user = json_object(), *view = json_object();
    json_set_string(user, "name", who->by_session ? who->user : who->name);
    json_set_string(user, "role", role_name(who->role));
    (void)json_object_set_new(view, "user", user);
    if (who->by_session)
        json_set_string(view, "csrf", who->csrf);
    return view;
}

/* ---- login ----------------------------------------------------------------------------------- */

static void on_login(void *arg, int r, int64_t retry_ms, const char *cookie,
                     const struct auth_who *who)
{
    struct api_call *c = arg;
    field_wipe(c->body, "password");
    if (r == ERR_TOO_MANY) {
        api_fail_wait(c, retry_ms);
        return;
    }
    if (r < 0) {
        api_fail(c, r, r == ERR_LOGIN ? "wrong name or password" : NULL);
        return;
    }
    http_header(c->request, "Set-Cookie", cookie);
    api_reply(c, 200, who_view(who));
}

void api_login(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    const char *name = field_text(&f, "name", FIELD_REQUIRED, 1, USER_NAME - 1);
    const char *password = field_raw_text(&f, "password", FIELD_REQUIRED, 1, LIMIT_PASSWORD);
    if (f.error < 0)
        api_fail_fields(c, &f);
    else
        auth_login(c->api->auth, name, password, c->request->address, on_login, c);
}

/* ---- logout ---------------------------------------------------------------------------------- */

static int remove_session(struct db *db, void *arg)
{
    const struct api_call *c = arg;
    int r = sessions_remove(db, c->who.session_sha256);
    return r == ERR_NOT_FOUND ? 0 : r < 0 ? r : audit_add(db, c->state);
}

static void on_session_removed(void *arg, int result)
{
    struct api_call *c = arg;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    http_header(c->request, "Set-Cookie",
                AUTH_COOKIE "=; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=0");
    api_reply(c, 204, NULL);
}

void api_logout(struct api_call *c)
{
    if (!c->who.by_session) {
        api_fail(c, ERR_INVALID, "a token has no session that could end");
        return;
    }
    struct audit_row *note = api_state(c, sizeof *note, NULL);
    api_note(c, note, "logout", "%s", "");
    api_write(c, remove_session, on_session_removed);
}

/* ---- who am I -------------------------------------------------------------------------------- */

void api_session(struct api_call *c)
{
    json_t *view = who_view(&c->who), *console = json_object();
    json_set_string(console, "name", c->api->name);
    json_set_string(console, "version", PROCTOR_VERSION);
    (void)json_object_set_new(view, "console", console);
    api_reply(c, 200, view);
}

/* ---- my password ----------------------------------------------------------------------------- */

static void on_password_changed(void *arg, int r, int64_t retry_ms)
{
    struct api_call *c = arg;
    field_wipe(c->body, "old");
    field_wipe(c->body, "new");
    if (r == ERR_TOO_MANY) {
        api_fail_wait(c, retry_ms);
        return;
    }
    if (r < 0) {
        api_fail(c, r, r == ERR_DENIED ? "the old password is wrong" : NULL);
        return;
    }
    first_run_forget(c->api->data_dir, c->who.user);
    api_reply(c, 204, NULL);
}

void api_password(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    const char *old_password = field_raw_text(&f, "old", FIELD_REQUIRED, 1, LIMIT_PASSWORD);
    const char *new_password =
        field_raw_text(&f, "new", FIELD_REQUIRED, PASSWORD_MIN, LIMIT_PASSWORD);
    if (f.error < 0)
        api_fail_fields(c, &f);
    else if (!c->who.by_session)
        api_fail(c, ERR_INVALID, "a token has no password");
    else
        auth_change_password(c->api->auth, &c->who, old_password, new_password, c->request->address,
                             on_password_changed, c);
}
