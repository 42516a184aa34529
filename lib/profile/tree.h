/* tree.h -- makes the call tree of a profile out of nodes that name their children by id. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/profile/idmap.h"

struct reader;

/* A node as the file has it.  Its children are children[first_child] up to the next node's
 * first_child. */
struct tree_node {
    int64_t id;
    size_t offset; /* of its object in the text, for errors */
    uint32_t function;
    uint32_t first_child;
};

struct tree {
    struct tree_node *nodes;
    uint32_t node_count;
    int64_t *children; /* ids */
    uint32_t child_count;
    int64_t max_id;
    /* private */
    uint32_t node_cap;
    uint32_t child_cap;
};

/* {0} is an empty tree. */
void tree_clear(struct tree *t);

/* Each returns 0, ERR_TOO_BIG past LIMIT_PROFILE_NODES, or -ENOMEM.  A child belongs to the last
 * node added. */
int tree_add_node(struct tree *t, size_t offset);
int tree_add_child(struct tree *t, int64_t id);

/* Fills the reader's profile with the nodes in their final order, and `*ret_map` with the way from
 * ids to them. There must be one root, and every other node the child of exactly one; anything else
 * (a circle, a second parent, an id that is missing or doubled, a stack deeper than
 * LIMIT_PROFILE_DEPTH) is an error. */
int tree_build(struct tree *t, struct reader *r, struct idmap *ret_map);
