/* filter.h -- puts the SQL of a list together: a condition for each word of a filter that is set. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "remote/store/sql.h"

enum { FILTER_ARGS = 8, FILTER_SQL = 4096 };

struct filter {
    struct buf sql;
    struct arg args[FILTER_ARGS + 1];
    size_t count;
};

/* `select`: up to, and with, a first WHERE condition. */
void filter_init(struct filter *f, const char *select);
void filter_clear(struct filter *f);
#define AUTOFILTER __attribute__((cleanup(filter_clear)))

/* `condition`: " AND x = ?".  A NULL text adds nothing; it is borrowed. */
void filter_text(struct filter *f, const char *condition, const char *text);
/* A condition without a text. */
void filter_when(struct filter *f, bool wanted, const char *condition);
/* " ORDER BY … LIMIT ?"; a negative limit is none. */
void filter_end(struct filter *f, const char *order, int64_t limit);

int filter_query(struct filter *f, struct query *q, struct db *db);
