#include "ecosystem/read_json.h"

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/jscan.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"

struct reader {
    struct jscan scan;
    const char *counted; /* up to here, `line` is right; tokens come in the order of the text */
    unsigned line;
    struct config_error *error;
};

static int read_value(struct reader *rd, enum jscan_token token, struct node *n);

static unsigned current_line(struct reader *rd)
{
    for (; rd->counted < rd->scan.start; rd->counted++)
        rd->line += *rd->counted == '\n';
    return rd->line;
}

static int syntax_error(struct reader *rd)
{
    char space[64];
    unsigned line, column;
    jscan_position(&rd->scan, rd->scan.error_pos, &line, &column);
    int r = config_error_set(rd->error, ERR_SYNTAX, line, NULL, "%s",
                             jscan_error_text(&rd->scan, space));
    rd->error->column = column;
    return r;
}

/* The last key or string, decoded. */
static int take_text(struct reader *rd, char **ret_text, size_t *ret_len)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE);
    int r = jscan_string(&rd->scan, &text);
    if (r < 0)
        return config_error_set(rd->error, r, current_line(rd), NULL, "%s", err_str(r));
    *ret_len = text.len;
    *ret_text = buf_take(&text);
    return 0;
}

static int read_key(struct reader *rd, struct node *member)
{
    size_t len;
    member->key_line = current_line(rd);
    int r = take_text(rd, &member->key, &len);
    if (r < 0)
        return r;
    if (strlen(member->key) != len)
        return config_error_set(rd->error, ERR_INVALID, member->key_line, NULL,
                                "a key contains a NUL character");
    return 0;
}

static int read_members(struct reader *rd, struct node *object)
{
    for (;;) {
        enum jscan_token token = jscan_next(&rd->scan);
        if (token == JSCAN_OBJECT_END)
            return node_refuse_duplicates(object, rd->error);
        if (token != JSCAN_KEY)
            return syntax_error(rd);
        struct node *member = node_add(object);
        int r = read_key(rd, member);
        if (r < 0)
            return r;
        r = read_value(rd, jscan_next(&rd->scan), member);
        if (r < 0)
            return r;
    }
}

static int read_items(struct reader *rd, struct node *list)
{
    for (;;) {
        enum jscan_token token = jscan_next(&rd->scan);
        if (token == JSCAN_ARRAY_END)
            return 0;
        if (token == JSCAN_ERROR)
            return syntax_error(rd);
        int r = read_value(rd, token, node_add(list));
        if (r < 0)
            return r;
    }
}

static int read_nested(struct reader *rd, struct node *n, enum node_kind kind)
{
    n->kind = kind;
    return kind == NODE_LIST ? read_items(rd, n) : read_members(rd, n);
}

/* `token` begins the value. */
static int read_value(struct reader *rd, enum jscan_token token, struct node *n)
{
    n->line = current_line(rd);
    switch (token) {
    case JSCAN_OBJECT:
        return read_nested(rd, n, NODE_OBJECT);
    case JSCAN_ARRAY:
        return read_nested(rd, n, NODE_LIST);
    case JSCAN_STRING:
        n->kind = NODE_STRING;
        return take_text(rd, &n->text, &n->len);
    case JSCAN_NUMBER:
        n->kind = NODE_NUMBER;
        n->number = jscan_double(&rd->scan);
        n->text = xstrndup(rd->scan.start, rd->scan.token_len);
        n->len = rd->scan.token_len;
        return 0;
    case JSCAN_TRUE:
    case JSCAN_FALSE:
        n->kind = NODE_BOOL;
        n->truth = token == JSCAN_TRUE;
        return 0;
    case JSCAN_NULL:
        n->kind = NODE_NULL;
        return 0;
    case JSCAN_END:
    case JSCAN_ERROR:
    case JSCAN_KEY:
    case JSCAN_OBJECT_END:
    case JSCAN_ARRAY_END:
        break;
    }
    return syntax_error(rd);
}

int read_json(const char *text, size_t len, struct node *ret_node, struct config_error *reterr)
{
    struct reader rd = {.counted = text, .line = 1, .error = reterr};
    AUTONODE struct node root = {0};
    jscan_init(&rd.scan, text, len, LIMIT_JSON_DEPTH);
    int r = read_value(&rd, jscan_next(&rd.scan), &root);
    if (r < 0)
        return r;
    if (jscan_next(&rd.scan) != JSCAN_END)
        return syntax_error(&rd);
    *ret_node = root;
    root = (struct node){0};
    return 0;
}
