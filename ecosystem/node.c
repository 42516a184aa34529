#include "ecosystem/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
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

int node_raw_compact(const struct node *n, struct buf *out)
{
    bool in_string = false;
    for (size_t i = 0; i < n->raw_len; i++) {
        char c = n->raw[i];
        if (!in_string && strchr(" \t\r\n", c))
            continue;
        int r = buf_addc(out, c);
        if (r < 0)
            return r;
        if (c == '"')
            in_string = !in_string;
        else if (c == '\\' && (r = buf_addc(out, n->raw[++i])) < 0)
            return r;
    }
    return 0;
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
