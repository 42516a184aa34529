/* profile_check.h -- what must hold for every profile that a reader accepted. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "lib/profile/view.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_tree(const struct profile *p)
{
    uint64_t all = 0;
    require(p->node_count > 0 && p->nodes[0].end == p->node_count);
    for (uint32_t i = 0; i < p->node_count; i++) {
        const struct profile_node *node = &p->nodes[i];
        require(node->function < p->functions.count && node->end > i);
        require((i == 0) == (node->parent == PROFILE_NO_PARENT));
        require(i == 0 || (node->parent < i && node->end <= p->nodes[node->parent].end));
        uint64_t total = node->self;
        for (uint32_t child = i + 1; child < node->end; child = p->nodes[child].end) {
            require(p->nodes[child].parent == i);
            total += p->nodes[child].total;
        }
        require(total == node->total);
        all += node->self;
    }
    require(all == p->all && all <= INT64_MAX && p->nodes[0].total == all);
    require(p->idle + p->program + p->gc <= all);
}

/* The total of a function, found the slow way: the nodes that have no node of the same function
 * above them. */
static uint64_t slow_total(const struct profile *p, uint32_t function)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->node_count; i++) {
        if (p->nodes[i].function != function)
            continue;
        uint32_t above = p->nodes[i].parent;
        while (above != PROFILE_NO_PARENT && p->nodes[above].function != function)
            above = p->nodes[above].parent;
        if (above == PROFILE_NO_PARENT)
            total += p->nodes[i].total;
    }
    return total;
}

static void check_table(const struct profile *p)
{
    struct profile_table t;
    require(profile_table_init(&t, p, PROFILE_BY_SELF) == 0);
    uint64_t all = p->idle;
    for (size_t i = 0; i < t.count; i++) {
        const struct profile_row *row = &t.rows[i];
        require(i == 0 || row->self <= t.rows[i - 1].self);
        require(row->self <= row->total && row->total <= p->all);
        if (p->node_count < 100)
            require(row->total == slow_total(p, (uint32_t)(row->function - p->functions.items)));
        all += row->self;
    }
    require(all == p->all);
    profile_table_clear(&t);
}

/* What is shown hangs together: each node's parent stands before it. */
static void check_view(const struct profile *p)
{
    AUTOBUF struct buf out = BUF_INIT(64 << 20);
    require(profile_view_tree(&out, p, 8) == 0);
    const char *nodes = strstr(buf_str(&out), "\"nodes\":[[-1,");
    require(nodes != NULL);
    long count = 0;
    for (const char *at = nodes + 9; (at = strchr(at, '[')); at++)
        require(strtol(at + 1, NULL, 10) < count++);
    require(count >= 1 && count <= 9);
}

typedef int (*reader_cb)(struct profile *p, const char *text, size_t len,
                         struct profile_error *reterr);

static void check_reader(reader_cb read, const uint8_t *data, size_t size)
{
    struct profile p;
    struct profile_error error = {0};
    char *text = malloc(size ? size : 1);
    memcpy(text, data, size);
    if (read(&p, text, size, &error) == 0) {
        check_tree(&p);
        check_table(&p);
        check_view(&p);
        profile_clear(&p);
    } else {
        require(error.offset <= size && error.text[0] && strlen(error.text) < sizeof error.text);
    }
    free(text);
}
