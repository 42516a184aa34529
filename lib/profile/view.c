#include "lib/profile/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"

/* A box that is narrower than a pixel on the widest screens is not worth its bytes. */
enum { SHARE_MIN = 20000 };

#define NOT_KEPT UINT32_MAX

/* Nanoseconds inside, microseconds outside; bytes are bytes. */
static uint64_t figure(const struct profile *p, uint64_t value)
{
    return p->kind == PROFILE_CPU ? value / 1000 : value;
}

static int add_head(struct buf *out, const struct profile *p)
{
    bool cpu = p->kind == PROFILE_CPU;
    return buf_addf(out,
                    "{\"version\":1,\"kind\":\"%s\",\"unit\":\"%s\",\"duration_us\":%" PRIu64
                    ",\"samples\":%" PRIu64 ",\"all\":%" PRIu64 ",\"idle\":%" PRIu64
                    ",\"program\":%" PRIu64 ",\"gc\":%" PRIu64,
                    cpu ? "cpu" : "heap", cpu ? "us" : "bytes", p->duration_us, p->sample_count,
                    figure(p, p->all), figure(p, p->idle), figure(p, p->program), figure(p, p->gc));
}

static const char *role_word(enum function_role role)
{
    switch (role) {
    case FUNCTION_ROOT:
        return "root";
    case FUNCTION_PROGRAM:
        return "program";
    case FUNCTION_GC:
        return "gc";
    case FUNCTION_IDLE:
        return "idle";
    case FUNCTION_NO_FILE:
        return "no-file";
    case FUNCTION_CODE:
        break;
    }
    return "";
}

/* Without the closing brace. */
static int add_function(struct buf *out, const struct function *f)
{
    int r = buf_addstr(out, "{\"function\":");
    if (r == 0)
        r = buf_add_json_string(out, f->name);
    if (r == 0)
        r = buf_addstr(out, ",\"url\":");
    if (r == 0)
        r = buf_add_json_string(out, f->url);
    return r < 0 ? r
                 : buf_addf(out, ",\"line\":%u,\"column\":%u,\"role\":\"%s\"", f->line, f->column,
                            role_word(f->role));
}

static int add_comma(struct buf *out, bool first)
{
    return first ? 0 : buf_addc(out, ',');
}

/* ---- table ----------------------------------------------------------------------------------- */

static int add_row(struct buf *out, const struct profile *p, const struct profile_row *row)
{
    int r = add_function(out, row->function);
    return r < 0 ? r
                 : buf_addf(out, ",\"self\":%" PRIu64 ",\"total\":%" PRIu64 "}",
                            figure(p, row->self), figure(p, row->total));
}

int profile_view_table(struct buf *out, const struct profile *p, const struct profile_table *t,
                       size_t limit)
{
    size_t count = t->count < limit ? t->count : limit;
    int r = add_head(out, p);
    if (r == 0)
        r = buf_addstr(out, ",\"functions\":[");
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = add_comma(out, i == 0);
        if (r == 0)
            r = add_row(out, p, &t->rows[i]);
    }
    return r < 0 ? r : buf_addstr(out, "]}");
}

/* ---- tree ------------------------------------------------------------------------------------ */

/* Which nodes are shown, and under which number; the same for functions. */
struct cut {
    const struct profile *p;
    uint32_t *nodes;     /* per node: its number among those kept, or NOT_KEPT */
    uint32_t *functions; /* per function */
    uint32_t *shown;     /* the functions in the order of their numbers */
    uint32_t function_count;
};

static void cut_clear(struct cut *c)
{
    free(c->nodes);
    free(c->functions);
    free(c->shown);
}

static bool is_idle(const struct profile *p, const struct profile_node *node)
{
    return p->functions.items[node->function].role == FUNCTION_IDLE;
}

static int compare_totals(const void *a, const void *b)
{
    uint64_t ta = *(const uint64_t *)a, tb = *(const uint64_t *)b;
    return ta < tb ? 1 : ta > tb ? -1 : 0;
}

/* The least total that is shown, so that no more than `limit` nodes reach it. */
static int find_threshold(const struct profile *p, uint32_t limit, uint64_t *ret_least)
{
    uint64_t busy = p->all - p->idle, least = busy / SHARE_MIN + 1;
    AUTOFREE uint64_t *totals = malloc(((size_t)p->node_count + 1) * sizeof *totals);
    if (!totals)
        return -ENOMEM;
    size_t count = 0;
    for (uint32_t i = 0; i < p->node_count; i++)
        if (p->nodes[i].total >= least && !is_idle(p, &p->nodes[i]))
            totals[count++] = p->nodes[i].total;
    if (count > limit) {
        qsort(totals, count, sizeof *totals, compare_totals);
        least = totals[limit - 1];
        /* Of those that are equal to the last one all go, or they would be a choice by chance. */
        if (totals[limit] == least)
            least++;
    }
    *ret_least = least;
    return 0;
}

static void keep_function(struct cut *c, uint32_t function)
{
    if (c->functions[function] != NOT_KEPT)
        return;
    c->functions[function] = c->function_count;
    c->shown[c->function_count++] = function;
}

/* A node's total is no less than those below it, so that what is kept hangs together; only the root is kept in any case. */
static void keep_nodes(struct cut *c, uint64_t least)
{
    const struct profile *p = c->p;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->functions.count; i++)
        c->functions[i] = NOT_KEPT;
    for (uint32_t i = 0; i < p->node_count; i++) {
        bool kept = i == 0 || (p->nodes[i].total >= least && !is_idle(p, &p->nodes[i]) &&
                               c->nodes[p->nodes[i].parent] != NOT_KEPT);
        c->nodes[i] = kept ? count++ : NOT_KEPT;
        if (kept)
            keep_function(c, p->nodes[i].function);
    }
}

static int cut_init(struct cut *c, const struct profile *p, uint32_t limit)
{
    uint64_t least;
    *c = (struct cut){.p = p,
                      .nodes = calloc((size_t)p->node_count + 1, sizeof *c->nodes),
                      .functions = calloc((size_t)p->functions.count + 1, sizeof *c->functions),
                      .shown = calloc((size_t)p->functions.count + 1, sizeof *c->shown)};
    int r = c->nodes && c->functions && c->shown ? find_threshold(p, limit, &least) : -ENOMEM;
    if (r < 0) {
        cut_clear(c);
        return r;
    }
    keep_nodes(c, least);
    return 0;
}

static int add_functions(struct buf *out, const struct cut *c)
{
    int r = buf_addstr(out, "\"functions\":[");
    for (uint32_t i = 0; r == 0 && i < c->function_count; i++) {
        const struct function *f = &c->p->functions.items[c->shown[i]];
        r = add_comma(out, i == 0);
        if (r == 0)
            r = add_function(out, f);
        if (r == 0)
            r = buf_addc(out, '}');
    }
    return r < 0 ? r : buf_addc(out, ']');
}

static int add_node(struct buf *out, const struct cut *c, uint32_t i)
{
    const struct profile_node *node = &c->p->nodes[i];
    int64_t parent = i == 0 ? -1 : (int64_t)c->nodes[node->parent];
    uint64_t total = i == 0 ? c->p->all - c->p->idle : node->total;
    return buf_addf(out, "[%" PRId64 ",%u,%" PRIu64 ",%" PRIu64 "]", parent,
                    c->functions[node->function], figure(c->p, node->self), figure(c->p, total));
}

static int add_nodes(struct buf *out, const struct cut *c)
{
    int r = buf_addstr(out, ",\"nodes\":[");
    for (uint32_t i = 0; r == 0 && i < c->p->node_count; i++) {
        if (c->nodes[i] == NOT_KEPT)
            continue;
        r = add_comma(out, i == 0);
        if (r == 0)
            r = add_node(out, c, i);
    }
    return r < 0 ? r : buf_addstr(out, "]}");
}

int profile_view_tree(struct buf *out, const struct profile *p, uint32_t limit)
{
    struct cut c;
    int r = cut_init(&c, p, limit);
    if (r < 0)
        return r;
    r = add_head(out, p);
    if (r == 0)
        r = buf_addf(out, ",\"nodes_in_profile\":%u,", p->node_count);
    if (r == 0)
        r = add_functions(out, &c);
    if (r == 0)
        r = add_nodes(out, &c);
    cut_clear(&c);
    return r;
}
