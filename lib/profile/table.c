#include "lib/profile/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/profile/profile.h"

void profile_table_clear(struct profile_table *t)
{
    free(t->rows);
    *t = (struct profile_table){0};
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

static int compare_places(const struct function *a, const struct function *b)
{
    int order = strcmp(a->name, b->name);
    if (order == 0)
        order = strcmp(a->url, b->url);
    if (order == 0)
        order = compare_numbers(b->line, a->line);
    return order ? order : compare_numbers(b->column, a->column);
}

static int compare_self(const void *a, const void *b)
{
    const struct profile_row *ra = a, *rb = b;
    int order = compare_numbers(ra->self, rb->self);
    if (order == 0)
        order = compare_numbers(ra->total, rb->total);
    return order ? order : compare_places(ra->function, rb->function);
}

static int compare_total(const void *a, const void *b)
{
    const struct profile_row *ra = a, *rb = b;
    int order = compare_numbers(ra->total, rb->total);
    if (order == 0)
        order = compare_numbers(ra->self, rb->self);
    return order ? order : compare_places(ra->function, rb->function);
}

/* `open_until`, per function: the end of its outermost node that is still open.  Nodes before it
 * lie below that node, whose total holds theirs already. */
static void add_nodes(const struct profile *p, struct profile_row *rows, uint32_t *open_until)
{
    for (uint32_t i = 0; i < p->node_count; i++) {
        const struct profile_node *node = &p->nodes[i];
        rows[node->function].self += node->self;
        if (i < open_until[node->function])
            continue;
        rows[node->function].total += node->total;
        open_until[node->function] = node->end;
    }
}

static bool is_row(const struct profile_row *row)
{
    switch (row->function->role) {
    case FUNCTION_IDLE:
        return false;
    case FUNCTION_ROOT:
        return row->self > 0;
    case FUNCTION_CODE:
    case FUNCTION_NO_FILE:
    case FUNCTION_PROGRAM:
    case FUNCTION_GC:
        return true;
    }
    return true;
}

int profile_table_init(struct profile_table *t, const struct profile *p, enum profile_sort sort)
{
    *t = (struct profile_table){0};
    uint32_t count = p->functions.count;
    AUTOFREE uint32_t *open_until = calloc(count + 1u, sizeof *open_until);
    t->rows = calloc(count + 1u, sizeof *t->rows);
    if (!t->rows || !open_until) {
        profile_table_clear(t);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        t->rows[i].function = &p->functions.items[i];
    add_nodes(p, t->rows, open_until);
    for (uint32_t i = 0; i < count; i++)
        if (is_row(&t->rows[i]))
            t->rows[t->count++] = t->rows[i];
    qsort(t->rows, t->count, sizeof *t->rows,
          sort == PROFILE_BY_SELF ? compare_self : compare_total);
    return 0;
}
