#include "supervisor/cli/load/answer.h"

#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "lib/base/buf.h"

struct writer {
    struct buf *out;
    unsigned line;
};

static int write_value(struct writer *w, const struct node *n);

/* What stands on an earlier line than the text has got to (the content of an anchor) stays where the
 * text is. */
static int go_to_line(struct writer *w, unsigned line)
{
    int r = 0;
    for (; r == 0 && w->line < line; w->line++)
        r = buf_addc(w->out, '\n');
    return r;
}

static int write_key(struct writer *w, const struct node *member)
{
    const struct node key = {.kind = NODE_STRING, .text = member->key, .len = strlen(member->key)};
    int r = go_to_line(w, member->key_line);
    if (r == 0)
        r = node_to_json(&key, w->out);
    return r == 0 ? buf_addc(w->out, ':') : r;
}

static int write_children(struct writer *w, const struct node *n)
{
    bool is_object = n->kind == NODE_OBJECT;
    int r = buf_addc(w->out, is_object ? '{' : '[');
    for (const struct node *child = n->first; r == 0 && child; child = child->next) {
        if (child != n->first)
            r = buf_addc(w->out, ',');
        if (r == 0 && is_object)
            r = write_key(w, child);
        if (r == 0)
            r = write_value(w, child);
    }
    return r == 0 ? buf_addc(w->out, is_object ? '}' : ']') : r;
}

static int write_value(struct writer *w, const struct node *n)
{
    int r = go_to_line(w, n->line);
    if (r < 0)
        return r;
    bool has_children = n->kind == NODE_OBJECT || n->kind == NODE_LIST;
    return has_children ? write_children(w, n) : node_to_json(n, w->out);
}

int answer_value(const struct node *root, struct buf *out)
{
    struct writer w = {.out = out, .line = 1};
    int r = buf_addstr(out, "{\"value\":");
    if (r == 0)
        r = write_value(&w, root);
    return r == 0 ? buf_addstr(out, "}\n") : r;
}

int answer_error(const struct config_error *error, struct buf *out)
{
    int r = buf_addstr(out, "{\"error\":{\"text\":");
    if (r == 0)
        r = buf_add_json_string(out, error->text);
    if (r == 0)
        r = buf_addf(out, ",\"line\":%u,\"column\":%u}}\n", error->line, error->column);
    return r;
}
