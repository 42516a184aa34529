/* cmd_user.c -- proctor-console user: accounts. */
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/cmd.h"
#include "remote/cmd_password.h"
#include "remote/cmd_run.h"
#include "remote/first_run.h"

static int fail_user(struct cmd_job *job, int r)
{
    const char *name = job->operands[0];
    if (r == ERR_NOT_FOUND)
        return cmd_fail(job, r, "there is no user %.64s", name);
    if (r == ERR_EXISTS)
        return cmd_fail(job, r, "there is a user %.64s", name);
    if (r == ERR_INVALID)
        return cmd_fail(job, r, "no admin would be left without %.64s", name);
    if (r == ERR_TOO_BIG)
        return cmd_fail(job, r, "there are %u users, more are not allowed", LIMIT_USERS);
    return r;
}

/* Is there such a user?  Asked before a password is. */
static int find_user(struct cmd_job *job)
{
    struct user_row row;
    int r = users_get(job->db, job->operands[0], &row);
    secret_wipe(&row, sizeof row);
    return r;
}

static void print_generated(struct cmd_job *job)
{
    if (job->json) {
        json_t *j = json_object();
        json_set_string(j, "name", job->operands[0]);
        if (job->generated[0])
            json_set_string(j, "password", job->generated);
        cmd_print_json(job, j);
    } else if (job->generated[0]) {
        cmd_print(job, "%s", job->generated);
    }
}

/* ---- add ------------------------------------------------------------------------------------- */

static int before_add(struct cmd_job *job)
{
    if (!user_name_valid(job->operands[0]))
        return cmd_fail(
            job, ERR_USAGE,
            "a user's name is 1 to 64 letters, digits, and . _ - @, the first a letter or digit");
    int r = find_user(job);
    if (r != ERR_NOT_FOUND)
        return fail_user(job, r == 0 ? ERR_EXISTS : r);
    return cmd_password(job);
}

static int add(struct cmd_job *job)
{
    struct user_row row = {.role = job->role, .created_ms = loop_wall_ms()};
    (void)snprintf(row.name, sizeof row.name, "%s", job->operands[0]);
    (void)snprintf(row.password, sizeof row.password, "%s", job->password_hash);
    int r = users_add(job->db, &row);
    secret_wipe(&row, sizeof row);
    if (r < 0)
        return fail_user(job, r);
    print_generated(job);
    return cmd_audit(job, "user.add", "%s as %s", job->operands[0], role_name(job->role));
}

/* ---- list ------------------------------------------------------------------------------------ */

static void print_json(struct cmd_job *job, const struct user_list *list)
{
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++) {
        json_t *j = json_object();
        json_set_string(j, "name", list->rows[i].name);
        json_set_string(j, "role", role_name(list->rows[i].role));
        json_set_int(j, "created_ms", list->rows[i].created_ms);
        (void)json_array_append_new(rows, j);
    }
    (void)json_object_set_new(view, "users", rows);
    cmd_print_json(job, view);
}

static void print_rows(struct cmd_job *job, const struct user_list *list)
{
    enum { COLUMNS = 3 };
    AUTOSTRLIST struct strlist cells = {0};
    strlist_add(&cells, "NAME");
    strlist_add(&cells, "ROLE");
    strlist_add(&cells, "ADDED");
    for (size_t i = 0; i < list->count; i++) {
        strlist_add(&cells, list->rows[i].name);
        strlist_add(&cells, role_name(list->rows[i].role));
        strlist_add_taken(&cells, cmd_time(list->rows[i].created_ms, "-"));
    }
    cmd_print_table(job, (const char *const *)cells.items, COLUMNS, list->count + 1);
}

static int list_users(struct cmd_job *job)
{
    struct user_list list = {0};
    int r = users_list(job->db, &list);
    if (r < 0)
        return r;
    if (job->json)
        print_json(job, &list);
    else
        print_rows(job, &list);
    user_list_clear(&list);
    return 0;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int before_passwd(struct cmd_job *job)
{
    int r = find_user(job);
    return r < 0 ? fail_user(job, r) : cmd_password(job);
}

static int passwd(struct cmd_job *job)
{
    int r = users_set_password(job->db, job->operands[0], job->password_hash);
    if (r < 0)
        return fail_user(job, r);
    print_generated(job);
    return cmd_audit(job, "user.password", "%s", job->operands[0]);
}

static int set_role(struct cmd_job *job)
{
    const char *name = job->operands[0];
    enum role role;
    if (role_parse(job->operands[1], &role) < 0)
        return cmd_fail(job, ERR_USAGE, "the role must be viewer, operator or admin");
    int r = users_set_role(job->db, name, role);
    return r < 0 ? fail_user(job, r)
                 : cmd_audit(job, "user.role", "%s is %s", name, role_name(role));
}

static int remove_user(struct cmd_job *job)
{
    int r = users_remove(job->db, job->operands[0]);
    return r < 0 ? fail_user(job, r) : cmd_audit(job, "user.remove", "%s", job->operands[0]);
}

static void forget_first(struct cmd_job *job)
{
    first_run_forget(job->data, job->operands[0]);
}

int cmd_user(int argc, char **argv)
{
    static const struct cmd_verb verbs[] = {
        {.words = {"add"},
         .options = CMD_ROLE | CMD_GENERATE | CMD_JSON,
         .required = CMD_ROLE,
         .operands = 1,
         .before = before_add,
         .run = add},
        {.words = {"list"}, .options = CMD_JSON, .run = list_users},
        {.words = {"passwd"},
         .options = CMD_GENERATE | CMD_JSON,
         .operands = 1,
         .before = before_passwd,
         .run = passwd,
         .after = forget_first},
        {.words = {"role"}, .operands = 2, .run = set_role},
        {.words = {"remove"}, .operands = 1, .run = remove_user, .after = forget_first},
    };
    return cmd_run(&console_cmds[1], verbs, ARRAY_SIZE(verbs), argc, argv);
}
