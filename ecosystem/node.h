/* node.h -- a small tree of configuration values that know the line they stand on.
 *
 * All sources of app specs (file, command line, control message) become nodes, so that one set of
 * functions (option_set.h) checks and converts them.  Depth is bounded by LIMIT_JSON_DEPTH, size by
 * LIMIT_ECOSYSTEM_FILE or LIMIT_CONTROL_LINE. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct config_error;

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_STRING, NODE_LIST, NODE_OBJECT };

struct node {
    enum node_kind kind;
    bool truth;    /* NODE_BOOL */
    double number; /* NODE_NUMBER */
    char *
        text; /* NODE_STRING: decoded; NODE_NUMBER: as written.  Owned.  NULL for the other kinds */
    size_t len;    /* of text, which may hold NUL characters */
    char *key;     /* a member's name, owned; NULL in a list and at the top */
    unsigned line; /* 0 when there is no file */
    unsigned key_line;
    struct node *first; /* children in the order of the text */
    struct node *last;
    struct node *next;
};

/* Both cope with NULL.  clear leaves a NODE_NULL. */
void node_free(struct node *n);
void node_clear(struct node *n);
#define AUTONODE __attribute__((cleanup(node_clear)))

/* Appends an empty child and returns it; it belongs to the parent. */
struct node *node_add(struct node *parent);

/* The member `key` of an object, or NULL. */
const struct node *node_get(const struct node *object, const char *key);

/* Makes nodes of what came over the control socket.  `ret_node` is empty storage of the caller. */
void node_from_json(const json_t *j, struct node *ret_node);

/* Appends the value as JSON without blanks, numbers as they were written.  Returns 0 or what
 * buf_add() returns. */
int node_to_json(const struct node *n, struct buf *out);

/* Refuses an object in which a key stands twice, with the line of the second. */
int node_refuse_duplicates(const struct node *object, struct config_error *reterr);

/* Sets all lines to 0: what was made by a program stands on none. */
void node_forget_lines(struct node *n);

enum { NODE_FOUND_TEXT = 96 };

/* What a message says after "found": "many", 17, true, null, a list, an object.  Returns `space`.
 */
const char *node_found(const struct node *n, char space[static NODE_FOUND_TEXT]);
