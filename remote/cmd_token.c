/* cmd_token.c -- proctor-console token: strings that enrol hosts, tokens of the API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/cmd.h"
#include "remote/cmd_run.h"
#include "remote/console_token.h"

/* The text alone on a line, or as JSON with `more` (taken). */
static void print_secret(struct cmd_job *job, char *text, json_t *more)
{
    if (job->json) {
        json_set_string(more, "token", text);
        cmd_print_json(job, more);
    } else {
        cmd_print(job, "%s", text);
        json_decref(more);
    }
    secret_wipe(text, strlen(text));
    free(text);
}

static int create_enrol(struct cmd_job *job)
{
    int64_t ttl_ms, now_ms = loop_wall_ms();
    char *text;
    int r = cmd_ttl(job, ENROL_TTL_MS, ENROL_TTL_MIN_MS, ENROL_TTL_MAX_MS, false, &ttl_ms);
    if (r == 0)
        r = console_enrol_token(job->db, now_ms, ttl_ms, &text, job->text);
    if (r < 0)
        return r;
    json_t *more = json_object();
    json_set_int(more, "expires_ms", now_ms + ttl_ms);
    print_secret(job, text, more);
    return cmd_audit(job, "enrolment.add", "for one host, %lld s", (long long)(ttl_ms / 1000));
}

static int create_api(struct cmd_job *job)
{
    struct api_token_row row = {.role = job->role, .created_ms = loop_wall_ms()};
    int64_t ttl_ms;
    char *text;
    const char *name = job->name ? job->name : "command line";
    if (strlen(name) > TOKEN_NAME_MAX)
        return cmd_fail(job, ERR_USAGE, "--name may have %d bytes", TOKEN_NAME_MAX);
    int r = cmd_ttl(job, API_TTL_MS, API_TTL_MIN_MS, API_TTL_MAX_MS, true, &ttl_ms);
    if (r < 0)
        return r;
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    row.expires_ms = ttl_ms ? row.created_ms + ttl_ms : 0;
    r = console_api_token(job->db, &row, &text, job->text);
    if (r < 0)
        return r;
    json_t *more = json_object();
    json_set_string(more, "id", row.id);
    (void)json_object_set_new(more, "expires_ms",
                              row.expires_ms ? json_integer(row.expires_ms) : json_null());
    print_secret(job, text, more);
    return cmd_audit(job, "token.add", "%s (%s) as %s", row.id, row.name, role_name(row.role));
}

/* ---- list ------------------------------------------------------------------------------------ */

static void set_time(json_t *j, const char *name, int64_t ms)
{
    (void)json_object_set_new(j, name, ms ? json_integer(ms) : json_null());
}

static void print_json(struct cmd_job *job, const struct api_token_list *list)
{
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const struct api_token_row *row = &list->rows[i];
        json_t *j = json_object();
        json_set_string(j, "id", row->id);
        json_set_string(j, "name", row->name);
        json_set_string(j, "owner", row->owner);
        json_set_string(j, "role", role_name(row->role));
        json_set_int(j, "created_ms", row->created_ms);
        set_time(j, "expires_ms", row->expires_ms);
        set_time(j, "used_ms", row->used_ms);
        (void)json_array_append_new(rows, j);
    }
    (void)json_object_set_new(view, "tokens", rows);
    cmd_print_json(job, view);
}

static void print_rows(struct cmd_job *job, const struct api_token_list *list)
{
    enum { COLUMNS = 6 };
    static const char *const titles[COLUMNS] = {"ID",   "NAME",    "OWNER",
                                                "ROLE", "EXPIRES", "LAST USED"};
    AUTOSTRLIST struct strlist cells = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        strlist_add(&cells, titles[i]);
    for (size_t i = 0; i < list->count; i++) {
        const struct api_token_row *row = &list->rows[i];
        strlist_add(&cells, row->id);
        strlist_add(&cells, row->name);
        strlist_add(&cells, row->owner[0] ? row->owner : "-");
        strlist_add(&cells, role_name(row->role));
        strlist_add_taken(&cells, cmd_time(row->expires_ms, "never"));
        strlist_add_taken(&cells, cmd_time(row->used_ms, "never"));
    }
    cmd_print_table(job, (const char *const *)cells.items, COLUMNS, list->count + 1);
}

static int list_tokens(struct cmd_job *job)
{
    struct api_token_list list = {0};
    int r = api_tokens_list(job->db, &list);
    if (r < 0)
        return r;
    if (job->json)
        print_json(job, &list);
    else
        print_rows(job, &list);
    api_token_list_clear(&list);
    return 0;
}

static int revoke_token(struct cmd_job *job)
{
    const char *id = job->operands[0];
    int r = api_tokens_remove(job->db, id);
    if (r == ERR_NOT_FOUND)
        return cmd_fail(job, r, "there is no token %.64s", id);
    return r < 0 ? r : cmd_audit(job, "token.remove", "%s", id);
}

int cmd_token(int argc, char **argv)
{
    static const struct cmd_verb verbs[] = {
        {.words = {"create", "enrol"}, .options = CMD_TTL | CMD_JSON, .run = create_enrol},
        {.words = {"create", "api"},
         .options = CMD_ROLE | CMD_NAME | CMD_TTL | CMD_JSON,
         .required = CMD_ROLE,
         .run = create_api},
        {.words = {"list"}, .options = CMD_JSON, .run = list_tokens},
        {.words = {"revoke"}, .operands = 1, .run = revoke_token},
    };
    return cmd_run(&console_cmds[0], verbs, ARRAY_SIZE(verbs), argc, argv);
}
