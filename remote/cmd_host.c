/* cmd_host.c -- proctor-console host: hosts that were enrolled. */
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/cmd.h"
#include "remote/cmd_run.h"
#include "remote/store/hosts.h"

/* ---- list ------------------------------------------------------------------------------------ */

static void set_time(json_t *j, const char *name, int64_t ms)
{
    (void)json_object_set_new(j, name, ms ? json_integer(ms) : json_null());
}

static void print_json(struct cmd_job *job, const struct host_list *list)
{
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const struct host_row *row = &list->rows[i];
        json_t *j = json_object();
        json_set_string(j, "id", row->id);
        json_set_string(j, "name", row->name);
        json_set_string(j, "release", row->release);
        json_set_int(j, "enrolled_ms", row->enrolled_ms);
        set_time(j, "seen_ms", row->seen_ms);
        json_set_bool(j, "revoked", row->revoked_ms != 0);
        set_time(j, "revoked_ms", row->revoked_ms);
        json_set_int(j, "certificate_until_ms", row->cert_not_after_ms);
        (void)json_array_append_new(rows, j);
    }
    (void)json_object_set_new(view, "hosts", rows);
    cmd_print_json(job, view);
}

static void print_rows(struct cmd_job *job, const struct host_list *list)
{
    enum { COLUMNS = 6 };
    static const char *const titles[COLUMNS] = {
        "NAME", "ID", "RELEASE", "LAST SEEN", "CERTIFICATE UNTIL", "REVOKED"};
    AUTOSTRLIST struct strlist cells = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        strlist_add(&cells, titles[i]);
    for (size_t i = 0; i < list->count; i++) {
        const struct host_row *row = &list->rows[i];
        strlist_add(&cells, row->name);
        strlist_add(&cells, row->id);
        strlist_add(&cells, row->release[0] ? row->release : "-");
        strlist_add_taken(&cells, cmd_time(row->seen_ms, "never"));
        strlist_add_taken(&cells, cmd_time(row->cert_not_after_ms, "-"));
        strlist_add_taken(&cells, cmd_time(row->revoked_ms, "-"));
    }
    cmd_print_table(job, (const char *const *)cells.items, COLUMNS, list->count + 1);
}

static int list_hosts(struct cmd_job *job)
{
    struct host_list list = {0};
    int r = hosts_list(job->db, &list);
    if (r < 0)
        return r;
    if (job->json)
        print_json(job, &list);
    else
        print_rows(job, &list);
    host_list_clear(&list);
    return 0;
}

/* ---- revoke ---------------------------------------------------------------------------------- */

/* By id, else the one host of that name that is not revoked. */
static int find_host(struct cmd_job *job, const struct host_list *list,
                     const struct host_row **ret_row)
{
    const char *which = job->operands[0];
    size_t named = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct host_row *row = &list->rows[i];
        bool same_id = str_eq(row->id, which);
        if (!same_id && (row->revoked_ms || !str_eq(row->name, which)))
            continue;
        *ret_row = row;
        if (same_id)
            return 0;
        named++;
    }
    if (named > 1)
        return cmd_fail(job, ERR_FAILED,
                        "%zu hosts are called %.100s: say which by its id (host list)", named,
                        which);
    return named == 1
               ? 0
               : cmd_fail(job, ERR_NOT_FOUND, "there is no host %.100s that is not revoked", which);
}

static int revoke_host(struct cmd_job *job)
{
    struct host_list list = {0};
    const struct host_row *row = NULL;
    int r = hosts_list(job->db, &list);
    if (r < 0)
        return r;
    r = find_host(job, &list, &row);
    if (r == 0)
        r = hosts_revoke(job->db, row->id, loop_wall_ms());
    if (r == 0)
        r = cmd_audit(job, "host.revoke", "%s (%s)", row->name, row->id);
    host_list_clear(&list);
    return r;
}

int cmd_host(int argc, char **argv)
{
    static const struct cmd_verb verbs[] = {
        {.words = {"list"}, .options = CMD_JSON, .run = list_hosts},
        {.words = {"revoke"}, .operands = 1, .run = revoke_host},
    };
    return cmd_run(&console_cmds[2], verbs, ARRAY_SIZE(verbs), argc, argv);
}
