#include "remote/store/filter.h"

#include <assert.h>

static void add(struct filter *f, const char *sql)
{
    /* All texts are ours: what is too long is a bug. */
    int r = buf_addstr(&f->sql, sql);
    assert(r == 0);
}

static void add_arg(struct filter *f, struct arg arg)
{
    assert(f->count < FILTER_ARGS);
    f->args[f->count++] = arg;
}

void filter_init(struct filter *f, const char *select)
{
    *f = (struct filter){.sql = BUF_INIT(FILTER_SQL)};
    add(f, select);
}

void filter_clear(struct filter *f)
{
    buf_clear(&f->sql);
    f->count = 0;
}

void filter_text(struct filter *f, const char *condition, const char *text)
{
    if (!text)
        return;
    add(f, condition);
    add_arg(f, TEXT(text));
}

void filter_when(struct filter *f, bool wanted, const char *condition)
{
    if (wanted)
        add(f, condition);
}

void filter_end(struct filter *f, const char *order, int64_t limit)
{
    add(f, order);
    add_arg(f, INT(limit));
}

int filter_query(struct filter *f, struct query *q, struct db *db)
{
    f->args[f->count] = (struct arg){.kind = ARG_END};
    return sql_query(q, db, buf_str(&f->sql), f->args);
}
