/* The audit log. */
#include <stdlib.h>

#include "lib/base/err.h"
#include "remote/store/accounts.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

void audit_list_clear(struct audit_list *l)
{
    free(l->rows);
    *l = (struct audit_list){0};
}

int audit_add(struct db *db, const struct audit_row *row)
{
    int r =
        sql_run(db, "INSERT INTO audit (at_ms, who, address, what, text) VALUES (?, ?, ?, ?, ?)",
                ARGS(INT(row->at_ms), TEXT(row->who), TEXT(row->address), TEXT(row->what),
                     TEXT(row->text)));
    return r < 0 ? r : 0;
}

static void read_row(struct query *q, struct audit_row *ret_row)
{
    ret_row->id = sql_int(q);
    ret_row->at_ms = sql_int(q);
    sql_text(q, ret_row->who, sizeof ret_row->who);
    sql_text(q, ret_row->address, sizeof ret_row->address);
    sql_text(q, ret_row->what, sizeof ret_row->what);
    sql_text(q, ret_row->text, sizeof ret_row->text);
}

int audit_list_read(struct db *db, int64_t before, size_t limit, struct audit_list *ret_list)
{
    struct audit_list list = {0};
    AUTOQUERY struct query q = {0};
    int r = sql_query(
        &q, db,
        "SELECT id, at_ms, who, address, what, text FROM audit WHERE id < ?"
        " ORDER BY id DESC LIMIT ?",
        ARGS(INT(before > 0 ? before : INT64_MAX), INT(limit > 0 ? limit : LIMIT_PAGE_ROWS)));
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_row(&q, ROWS_ADD(&list));
    if (r < 0)
        audit_list_clear(&list);
    else
        *ret_list = list;
    return r;
}
