/* api_users.c -- accounts: list, add, role, password, remove. */
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/first_run.h"

/* A user who is changed. */
struct change {
    struct user_row row;
    struct audit_row note;
};

static void change_clear(void *state)
{
    secret_wipe(state, sizeof(struct change));
}

static json_t *user_view(const struct user_row *row)
{
    json_t *j = json_object();
    json_set_string(j, "name", row->name);
    json_set_string(j, "role", role_name(row->role));
    json_set_int(j, "created_ms", row->created_ms);
    return j;
}

/* ERR_INVALID of the store means one thing here. */
static void fail_user(struct api_call *c, int r)
{
    if (r == ERR_NOT_FOUND)
        api_fail(c, r, "there is no such user");
    else if (r == ERR_INVALID)
        api_fail(c, r, "no admin would be left");
    else if (r == ERR_EXISTS)
        api_fail(c, r, "there is a user of that name");
    else if (r == ERR_TOO_BIG)
        api_fail(c, ERR_FULL, "there are %u users, more are not allowed", LIMIT_USERS);
    else
        api_fail(c, r, NULL);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void list_clear(void *state)
{
    user_list_clear(state);
}

static int read_list(struct db *db, void *arg)
{
    struct api_call *c = arg;
    return users_list(db, c->state);
}

static void on_list(void *arg, int result)
{
    struct api_call *c = arg;
    const struct user_list *list = c->state;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(rows, user_view(&list->rows[i]));
    (void)json_object_set_new(view, "users", rows);
    api_reply(c, 200, view);
}

void api_users(struct api_call *c)
{
    (void)api_state(c, sizeof(struct user_list), list_clear);
    api_read(c, read_list, on_list);
}

/* ---- passwords ------------------------------------------------------------------------------- */

/* Of the body's "password".  When it cannot be begun the call is replied to. */
static void begin_hash(struct api_call *c, auth_hash_cb hashed)
{
    int r = auth_hash(c->api->auth, json_get_string(c->body, "password", ""), hashed, c);
    field_wipe(c->body, "password");
    if (r == ERR_TOO_MANY)
        api_fail_wait(c, 1000);
    else if (r < 0)
        api_fail(c, r, NULL);
}

/* The hash into the row; false: replied. */
static bool take_hash(struct api_call *c, int r, const char *hash)
{
    struct change *s = c->state;
    if (r < 0) {
        api_fail(c, r, NULL);
        return false;
    }
    (void)snprintf(s->row.password, sizeof s->row.password, "%s", hash);
    return true;
}

/* ---- add ------------------------------------------------------------------------------------- */

static int write_user(struct db *db, void *arg)
{
    struct api_call *c = arg;
    const struct change *s = c->state;
    int r = users_add(db, &s->row);
    return r < 0 ? r : audit_add(db, &s->note);
}

static void on_added(void *arg, int result)
{
    struct api_call *c = arg;
    const struct change *s = c->state;
    if (result < 0)
        fail_user(c, result);
    else
        api_reply_one(c, 201, "user", user_view(&s->row));
}

static void on_hashed_for_add(void *arg, int r, const char *hash)
{
    struct api_call *c = arg;
    if (take_hash(c, r, hash))
        api_write(c, write_user, on_added);
}

void api_user_add(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    const char *name = field_text(&f, "name", FIELD_REQUIRED, 1, USER_NAME - 1);
    if (name && !user_name_valid(name))
        field_refuse(&f, "name",
                     "must be 1 to 64 letters, digits, and . _ - @, the first a letter or digit");
    enum role role = api_field_role(&f);
    (void)field_raw_text(&f, "password", FIELD_REQUIRED, PASSWORD_MIN, LIMIT_PASSWORD);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct change *s = api_state(c, sizeof *s, change_clear);
    s->row.role = role;
    s->row.created_ms = loop_wall_ms();
    (void)snprintf(s->row.name, sizeof s->row.name, "%s", name);
    api_note(c, &s->note, "user.add", "%s as %s", name, role_name(role));
    begin_hash(c, on_hashed_for_add);
}

/* ---- password of another --------------------------------------------------------------------- */

static int write_password(struct db *db, void *arg)
{
    struct api_call *c = arg;
    const struct change *s = c->state;
    int r = users_set_password(db, c->params[0], s->row.password);
    return r < 0 ? r : audit_add(db, &s->note);
}

static void on_password(void *arg, int result)
{
    struct api_call *c = arg;
    if (result < 0) {
        fail_user(c, result);
        return;
    }
    first_run_forget(c->api->data_dir, c->params[0]);
    api_reply(c, 204, NULL);
}

static void on_hashed_for_password(void *arg, int r, const char *hash)
{
    struct api_call *c = arg;
    if (take_hash(c, r, hash))
        api_write(c, write_password, on_password);
}

void api_user_password(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    (void)field_raw_text(&f, "password", FIELD_REQUIRED, PASSWORD_MIN, LIMIT_PASSWORD);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct change *s = api_state(c, sizeof *s, change_clear);
    api_note(c, &s->note, "user.password", "%s", c->params[0]);
    begin_hash(c, on_hashed_for_password);
}

/* ---- role, removal --------------------------------------------------------------------------- */

static int write_role(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct change *s = c->state;
    int r = users_set_role(db, c->params[0], s->row.role);
    if (r < 0 || (r = users_get(db, c->params[0], &s->row)) < 0)
        return r;
    return audit_add(db, &s->note);
}

static void on_role(void *arg, int result)
{
    struct api_call *c = arg;
    const struct change *s = c->state;
    if (result < 0)
        fail_user(c, result);
    else
        api_reply_one(c, 200, "user", user_view(&s->row));
}

void api_user_role(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    enum role role = api_field_role(&f);
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct change *s = api_state(c, sizeof *s, change_clear);
    s->row.role = role;
    api_note(c, &s->note, "user.role", "%s is %s", c->params[0], role_name(role));
    api_write(c, write_role, on_role);
}

static int write_removal(struct db *db, void *arg)
{
    struct api_call *c = arg;
    const struct change *s = c->state;
    int r = users_remove(db, c->params[0]);
    return r < 0 ? r : audit_add(db, &s->note);
}

static void on_removed(void *arg, int result)
{
    struct api_call *c = arg;
    if (result < 0) {
        fail_user(c, result);
        return;
    }
    first_run_forget(c->api->data_dir, c->params[0]);
    api_reply(c, 204, NULL);
}

void api_user_remove(struct api_call *c)
{
    struct change *s = api_state(c, sizeof *s, change_clear);
    api_note(c, &s->note, "user.remove", "%s", c->params[0]);
    api_write(c, write_removal, on_removed);
}
