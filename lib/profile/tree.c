#include "lib/profile/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/profile/profile.h"
#include "lib/profile/reader.h"

#define NONE UINT32_MAX

void tree_clear(struct tree *t)
{
    free(t->nodes);
    free(t->children);
    *t = (struct tree){0};
}

/* Makes room for one more of the `count` items. */
static int grow(void **items, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return 0;
    if (count >= LIMIT_PROFILE_NODES)
        return ERR_TOO_BIG;
    uint32_t new_cap = *cap ? *cap * 2 : 256;
    void *new_items = reallocarray(*items, new_cap, size);
    if (!new_items)
        return -ENOMEM;
    *items = new_items;
    *cap = new_cap;
    return 0;
}

int tree_add_node(struct tree *t, size_t offset)
{
    int code = grow((void **)&t->nodes, t->node_count, &t->node_cap, sizeof *t->nodes);
    if (code < 0)
        return code;
    t->nodes[t->node_count++] = (struct tree_node){
        .id = -1, .offset = offset, .function = NONE, .first_child = t->child_count};
    return 0;
}

int tree_add_child(struct tree *t, int64_t id)
{
    int code = grow((void **)&t->children, t->child_count, &t->child_cap, sizeof *t->children);
    if (code == 0)
        t->children[t->child_count++] = id;
    return code;
}

static uint32_t children_end(const struct tree *t, uint32_t node)
{
    return node + 1 < t->node_count ? t->nodes[node + 1].first_child : t->child_count;
}

static int map_ids(struct tree *t, struct reader *r, struct idmap *map)
{
    int code = idmap_init(map, t->node_count, t->max_id);
    if (code < 0)
        return reader_full(r, code);
    for (uint32_t i = 0; i < t->node_count; i++)
        if (!idmap_add(map, t->nodes[i].id, i))
            return reader_fail_at(r, t->nodes[i].offset, "two nodes have the id %" PRId64,
                                  t->nodes[i].id);
    return 0;
}

/* Replaces the children's ids by their numbers and notes each one's parent. */
static int link_node(struct tree *t, struct reader *r, const struct idmap *map, uint32_t i,
                     uint32_t *parents)
{
    const struct tree_node *node = &t->nodes[i];
    for (uint32_t c = node->first_child; c < children_end(t, i); c++) {
        int64_t id = t->children[c];
        uint32_t child = idmap_find(map, id);
        if (child == NONE)
            return reader_fail_at(r, node->offset,
                                  "node %" PRId64 " has a child %" PRId64 " that does not exist",
                                  node->id, id);
        if (parents[child] != NONE)
            return reader_fail_at(
                r, node->offset,
                "node %" PRId64 " is named as a child twice, by the nodes %" PRId64 " and %" PRId64,
                id, t->nodes[parents[child]].id, node->id);
        parents[child] = i;
        t->children[c] = child;
    }
    return 0;
}

static int find_root(const struct tree *t, struct reader *r, const uint32_t *parents,
                     uint32_t *ret_root)
{
    uint32_t root = NONE;
    for (uint32_t i = 0; i < t->node_count; i++) {
        if (parents[i] != NONE)
            continue;
        if (root != NONE)
            return reader_fail_at(r, t->nodes[i].offset,
                                  "the nodes %" PRId64 " and %" PRId64 " both have no parent",
                                  t->nodes[root].id, t->nodes[i].id);
        root = i;
    }
    if (root == NONE)
        return reader_fail_at(r, t->nodes[0].offset, "the nodes form a circle, none is the root");
    *ret_root = root;
    return 0;
}

/* Appends a node to the profile; `order` tells its number there. */
static int place_node(const struct tree *t, struct reader *r, uint32_t i, uint32_t parent,
                      uint32_t *order)
{
    order[i] = r->profile->node_count;
    int code = profile_add_node(r->profile, parent, t->nodes[i].function);
    return code < 0 ? reader_full(r, code) : 0;
}

/* Goes through the tree depth first.  `next`: per level the child to go to next. */
static int place_all(const struct tree *t, struct reader *r, uint32_t root, uint32_t *order)
{
    struct {
        uint32_t node, next;
    } open[LIMIT_PROFILE_DEPTH];
    struct profile *p = r->profile;
    unsigned depth = 1;
    open[0].node = root;
    open[0].next = t->nodes[root].first_child;
    int code = place_node(t, r, root, PROFILE_NO_PARENT, order);
    while (code == 0 && depth > 0) {
        uint32_t node = open[depth - 1].node;
        if (open[depth - 1].next == children_end(t, node)) {
            p->nodes[order[node]].end = p->node_count;
            depth--;
            continue;
        }
        uint32_t child = (uint32_t)t->children[open[depth - 1].next++];
        if (depth == LIMIT_PROFILE_DEPTH)
            return reader_fail_at(r, t->nodes[child].offset, "the stack is deeper than %u frames",
                                  LIMIT_PROFILE_DEPTH);
        code = place_node(t, r, child, order[node], order);
        open[depth].node = child;
        open[depth++].next = t->nodes[child].first_child;
    }
    return code;
}

/* Nodes that were not reached hang together in a circle: each has one parent, and none is the root.
 */
static int find_circle(const struct tree *t, struct reader *r, const uint32_t *order)
{
    for (uint32_t i = 0; i < t->node_count; i++)
        if (order[i] == NONE)
            return reader_fail_at(r, t->nodes[i].offset,
                                  "node %" PRId64 " is in a circle of children", t->nodes[i].id);
    return 0;
}

int tree_build(struct tree *t, struct reader *r, struct idmap *ret_map)
{
    if (t->node_count == 0)
        return reader_fail(r, "\"nodes\" is empty");
    int code = map_ids(t, r, ret_map);
    if (code < 0)
        return code;
    AUTOFREE uint32_t *parents = malloc(t->node_count * sizeof *parents);
    AUTOFREE uint32_t *order = malloc(t->node_count * sizeof *order);
    if (!parents || !order)
        return reader_full(r, -ENOMEM);
    memset(parents, 0xff, t->node_count * sizeof *parents);
    memset(order, 0xff, t->node_count * sizeof *order);
    for (uint32_t i = 0; code == 0 && i < t->node_count; i++)
        code = link_node(t, r, ret_map, i, parents);
    uint32_t root = 0;
    if (code == 0)
        code = find_root(t, r, parents, &root);
    if (code == 0)
        code = place_all(t, r, root, order);
    if (code == 0)
        code = find_circle(t, r, order);
    if (code == 0)
        idmap_renumber(ret_map, order);
    return code;
}
