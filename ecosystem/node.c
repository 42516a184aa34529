#include "ecosystem/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

void node_clear(struct node *n)
{
    if (!n)
        return;
    for (struct node *child = n->first, *next; child; child = next) {
        next = child->next;
        node_free(child);
    }
    free(n->text);
    free(n->key);
    *n = (struct node){0};
}

void node_free(struct node *n)
{
    node_clear(n);
    free(n);
}

struct node *node_add(struct node *parent)
{
    struct node *child = xcalloc(1, sizeof *child);
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    return child;
}

const struct node *node_get(const struct node *object, const char *key)
{
    for (const struct node *n = object->first; n; n = n->next)
        if (n->key && strcmp(n->key, key) == 0)
            return n;
    return NULL;
}

static void children_from_json(const json_t *j, struct node *n)
{
    size_t i;
    const char *key;
    json_t *value;
    if (json_is_array(j)) {
        json_array_foreach(j, i, value) node_from_json(value, node_add(n));
        return;
    }
    json_object_foreach((json_t *)j, key, value)
    {
        struct node *child = node_add(n);
        node_from_json(value, child);
        child->key = xstrdup(key);
    }
}

void node_from_json(const json_t *j, struct node *n)
{
    switch (json_typeof(j)) {
    case JSON_NULL:
        n->kind = NODE_NULL;
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        n->kind = NODE_BOOL;
        n->truth = json_is_true(j);
        return;
    case JSON_INTEGER:
        n->kind = NODE_NUMBER;
        n->number = (double)json_integer_value(j);
        n->text = xasprintf("%lld", (long long)json_integer_value(j));
        n->len = strlen(n->text);
        return;
    case JSON_REAL:
        n->kind = NODE_NUMBER;
        n->number = json_real_value(j);
        n->text = xasprintf("%.17g", n->number);
        n->len = strlen(n->text);
        return;
    case JSON_STRING:
        n->kind = NODE_STRING;
        n->len = json_string_length(j);
        n->text = xcalloc(1, n->len + 1);
        memcpy(n->text, json_string_value(j), n->len);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        n->kind = json_is_array(j) ? NODE_LIST : NODE_OBJECT;
        children_from_json(j, n);
        return;
    }
}

/* By length, because a text may hold NUL characters. */
static int add_string(struct buf *out, const char *text, size_t len)
{
    int r = buf_addc(out, '"');
    for (size_t i = 0; r == 0 && i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            r = buf_addf(out, "\\%c", c);
        else if (c < 0x20)
            r = buf_addf(out, "\\u%04x", c);
        else
            r = buf_addc(out, text[i]);
    }
    return r == 0 ? buf_addc(out, '"') : r;
}

static int add_children(const struct node *n, struct buf *out)
{
    bool is_object = n->kind == NODE_OBJECT;
    int r = buf_addc(out, is_object ? '{' : '[');
    for (const struct node *child = n->first; r == 0 && child; child = child->next) {
        if (child != n->first)
            r = buf_addc(out, ',');
        if (r == 0 && is_object)
            r = add_string(out, child->key, strlen(child->key));
        if (r == 0 && is_object)
            r = buf_addc(out, ':');
        if (r == 0)
            r = node_to_json(child, out);
    }
    return r == 0 ? buf_addc(out, is_object ? '}' : ']') : r;
}

int node_to_json(const struct node *n, struct buf *out)
{
    switch (n->kind) {
    case NODE_NULL:
        return buf_addstr(out, "null");
    case NODE_BOOL:
        return buf_addstr(out, n->truth ? "true" : "false");
    case NODE_NUMBER:
        return buf_add(out, n->text, n->len);
    case NODE_STRING:
        return add_string(out, n->text, n->len);
    case NODE_LIST:
    case NODE_OBJECT:
        return add_children(n, out);
    }
    return 0;
}

struct member {
    const struct node *node;
    size_t position;
};

static int by_key(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->node->key, y->node->key);
    if (order == 0)
        return x->position < y->position ? -1 : 1;
    return order;
}

/* By sorting, because a file may have a million keys. */
int node_refuse_duplicates(const struct node *object, struct config_error *reterr)
{
    size_t count = 0, i = 0;
    for (const struct node *n = object->first; n; n = n->next)
        count++;
    AUTOFREE struct member *members = xcalloc(count, sizeof *members);
    for (const struct node *n = object->first; n; n = n->next, i++)
        members[i] = (struct member){n, i};
    qsort(members, count, sizeof *members, by_key);
    const struct member *first = NULL, *again = NULL;
    for (i = 1; i < count; i++) {
        if (strcmp(members[i - 1].node->key, members[i].node->key) != 0)
            continue;
        if (again && again->position < members[i].position)
            continue;
        first = &members[i - 1];
        again = &members[i];
    }
    if (!again)
        return 0;
    return config_error_set(reterr, ERR_INVALID, again->node->key_line, again->node->key,
                            "given twice in the same object, first on line %u",
                            first->node->key_line);
}

void node_forget_lines(struct node *n)
{
    n->line = n->key_line = 0;
    for (struct node *child = n->first; child; child = child->next)
        node_forget_lines(child);
}

const char *node_found(const struct node *n, char space[static NODE_FOUND_TEXT])
{
    char text[64] = "";
    if (n->text)
        config_error_copy(text, sizeof text, n->text);
    switch (n->kind) {
    case NODE_NULL:
        return "null";
    case NODE_BOOL:
        return n->truth ? "true" : "false";
    case NODE_NUMBER:
        return memcpy(space, text, sizeof text);
    case NODE_STRING:
        (void)snprintf(space, NODE_FOUND_TEXT, "\"%s\"", text);
        return space;
    case NODE_LIST:
        return "a list";
    case NODE_OBJECT:
        return "an object";
    }
    return "";
}
