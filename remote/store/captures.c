#include "remote/store/captures.h"

#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "remote/store/db_private.h"
#include "remote/store/filter.h"
#include "remote/store/sql.h"

/* The profile is looked for where it is, so that no two rows can disagree about it. */
#define SELECT                                                                                     \
    "SELECT c.id, c.request, c.host, h.name, c.kind, c.app, c.instance, c.pid, c.duration_ms,"     \
    " c.interval_us, c.interval_bytes, c.not_after_ms, c.requester, c.role, c.state,"              \
    " c.created_ms, c.sent_ms, c.due_ms, c.ended_ms, c.stop_wanted, c.cancel_wanted, c.given_up,"  \
    " EXISTS (SELECT 1 FROM profiles p WHERE p.id = c.id),"                                        \
    " EXISTS (SELECT 1 FROM profiles p WHERE p.id = c.id AND p.removed = 0), c.record"             \
    " FROM captures c JOIN hosts h ON h.id = c.host"

void capture_row_clear(struct capture_row *row)
{
    free(row->record);
    *row = (struct capture_row){0};
}

void capture_list_clear(struct capture_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        capture_row_clear(&l->rows[i]);
    free(l->rows);
    *l = (struct capture_list){0};
}

bool capture_state_ended(const char *state)
{
    static const char *const ends[] = {"done", "partial", "failed", "cancelled", "expired"};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (str_eq(state, ends[i]))
            return true;
    return false;
}

static bool is_open(const struct capture_row *row)
{
    return row->given_up || row->result_owed || !capture_state_ended(row->state);
}

/* ---- writing --------------------------------------------------------------------------------- */

int captures_add(struct db *db, const struct capture_row *row)
{
    if (!uuid_valid_v7(row->id))
        return ERR_INVALID;
    int r = sql_run(
        db,
        "INSERT INTO captures (id, request, host, kind, app, instance, pid, duration_ms,"
        " interval_us, interval_bytes, not_after_ms, requester, role, state, created_ms, sent_ms,"
        " due_ms, ended_ms, stop_wanted, cancel_wanted, given_up, open, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ARGS(TEXT(row->id), TEXT(row->request), TEXT(row->host), TEXT(row->kind), TEXT(row->app),
             INT(row->instance), INT(row->pid), INT(row->duration_ms), INT(row->interval_us),
             INT(row->interval_bytes), INT(row->not_after_ms), TEXT(row->requester),
             TEXT(row->role), TEXT(row->state), INT(row->created_ms), INT(row->sent_ms),
             INT(row->due_ms), INT(row->ended_ms), INT(row->stop_wanted), INT(row->cancel_wanted),
             INT(row->given_up), INT(is_open(row)), TEXT(row->record)));
    return r < 0 ? r : 0;
}

int captures_update(struct db *db, const struct capture_row *row)
{
    return sql_one(
        db,
        "UPDATE captures SET kind = ?, app = ?, instance = ?, pid = ?, duration_ms = ?,"
        " interval_us = ?, interval_bytes = ?, not_after_ms = ?, state = ?, sent_ms = ?,"
        " due_ms = ?, ended_ms = ?, stop_wanted = ?, cancel_wanted = ?, given_up = ?, open = ?,"
        " record = ? WHERE id = ?",
        ARGS(TEXT(row->kind), TEXT(row->app), INT(row->instance), INT(row->pid),
             INT(row->duration_ms), INT(row->interval_us), INT(row->interval_bytes),
             INT(row->not_after_ms), TEXT(row->state), INT(row->sent_ms), INT(row->due_ms),
             INT(row->ended_ms), INT(row->stop_wanted), INT(row->cancel_wanted), INT(row->given_up),
             INT(is_open(row)), TEXT(row->record), TEXT(row->id)));
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_row(struct query *q, struct capture_row *ret_row)
{
    sql_text(q, ret_row->id, sizeof ret_row->id);
    sql_text(q, ret_row->request, sizeof ret_row->request);
    sql_text(q, ret_row->host, sizeof ret_row->host);
    sql_text(q, ret_row->host_name, sizeof ret_row->host_name);
    sql_text(q, ret_row->kind, sizeof ret_row->kind);
    sql_text(q, ret_row->app, sizeof ret_row->app);
    ret_row->instance = sql_int(q);
    ret_row->pid = sql_int(q);
    ret_row->duration_ms = sql_int(q);
    ret_row->interval_us = sql_int(q);
    ret_row->interval_bytes = sql_int(q);
    ret_row->not_after_ms = sql_int(q);
    sql_text(q, ret_row->requester, sizeof ret_row->requester);
    sql_text(q, ret_row->role, sizeof ret_row->role);
    sql_text(q, ret_row->state, sizeof ret_row->state);
    ret_row->created_ms = sql_int(q);
    ret_row->sent_ms = sql_int(q);
    ret_row->due_ms = sql_int(q);
    ret_row->ended_ms = sql_int(q);
    ret_row->stop_wanted = sql_bool(q);
    ret_row->cancel_wanted = sql_bool(q);
    ret_row->given_up = sql_bool(q);
    ret_row->result_owed = false;
    ret_row->was_stored = sql_bool(q);
    ret_row->has_profile = sql_bool(q);
    ret_row->record = sql_text_copy(q);
}

int captures_get(struct db *db, const char *id, struct capture_row *ret_row)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, SELECT " WHERE c.id = ?", ARGS(TEXT(id)));
    if (r < 0)
        return r;
    read_row(&q, ret_row);
    return 0;
}

static const char *select_of(const struct capture_filter *filter)
{
    if (filter->unended_only)
        return SELECT " WHERE c.open = 1 AND c.ended_ms = 0";
    return filter->open_only ? SELECT " WHERE c.open = 1" : SELECT " WHERE 1";
}

static int64_t list_limit(const struct capture_filter *filter)
{
    if (filter->limit > 0)
        return (int64_t)filter->limit;
    if (filter->unended_only)
        return -1;
    return LIMIT_PAGE_ROWS;
}

int captures_list(struct db *db, const struct capture_filter *filter, struct capture_list *ret_list)
{
    struct capture_list list = {0};
    AUTOFILTER struct filter f;
    filter_init(&f, select_of(filter));
    filter_when(&f, filter->ended_only, " AND c.ended_ms > 0");
    filter_when(&f, filter->revoked_only, " AND h.revoked_ms > 0");
    filter_text(&f, " AND c.host = ?", filter->host);
    filter_text(&f, " AND c.app = ?", filter->app);
    filter_text(&f, " AND c.kind = ?", filter->kind);
    filter_text(&f, " AND c.state = ?", filter->state);
    filter_text(&f, " AND c.request = ?", filter->request);
    filter_text(&f, " AND c.id < ?", filter->before);
    filter_end(&f, " ORDER BY c.id DESC LIMIT ?", list_limit(filter));
    AUTOQUERY struct query q = {0};
    int r = filter_query(&f, &q, db);
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_row(&q, ROWS_ADD(&list));
    if (r < 0)
        capture_list_clear(&list);
    else
        *ret_list = list;
    return r;
}
