#include "supervisor/cli/load/yaml.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* What aliases and merges may cost: bytes that are copied, about, and keys that are compared. */
enum { WORK_MAX = 16 << 20, COPY_COST = 64 };

struct anchor {
    char *name;
    const struct node *node;
    bool complete; /* its end has been read */
};

struct reader {
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t anchor_count;
    struct node merged; /* the values of "<<", which anchors may still point to */
    size_t work;
    struct config_error *error;
};

static int read_node(struct reader *rd, const yaml_event_t *event, struct node *n, unsigned depth);

/* ---- errors ---------------------------------------------------------------------------------- */

static int error_at(struct reader *rd, const yaml_mark_t *mark, int code, const char *sentence)
{
    (void)config_error_set(rd->error, code, (unsigned)mark->line + 1, NULL, "%s", sentence);
    rd->error->column = (unsigned)mark->column + 1;
    return code;
}

static int parser_error(struct reader *rd)
{
    const yaml_parser_t *p = &rd->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return config_error_set(rd->error, ERR_TOO_BIG, 0, NULL, "there is no memory for it");
    if (p->error == YAML_READER_ERROR)
        return config_error_set(rd->error, ERR_SYNTAX, (unsigned)p->mark.line + 1, NULL, "%s",
                                problem);
    AUTOFREE char *sentence =
        p->context ? xasprintf("%s %s", problem, p->context) : xstrdup(problem);
    return error_at(rd, &p->problem_mark, ERR_SYNTAX, sentence);
}

static int next_event(struct reader *rd, yaml_event_t *ret_event)
{
    return yaml_parser_parse(&rd->parser, ret_event) ? 0 : parser_error(rd);
}

/* ---- scalars --------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (str_eq(text, *words))
            return true;
    return false;
}

static const char *skip_digits(const char *p)
{
    while (isdigit((unsigned char)*p))
        p++;
    return p;
}

/* A number as JSON writes it. */
static bool is_number(const char *p)
{
    p += *p == '-';
    if (!isdigit((unsigned char)*p) || (*p == '0' && isdigit((unsigned char)p[1])))
        return false;
    p = skip_digits(p);
    if (*p == '.') {
        if (!isdigit((unsigned char)p[1]))
            return false;
        p = skip_digits(p + 1);
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        if (!isdigit((unsigned char)*p))
            return false;
        p = skip_digits(p);
    }
    return *p == '\0';
}

static enum node_kind kind_of_text(const char *text)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const truths[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (is_one_of(text, nothing))
        return NODE_NULL;
    if (is_one_of(text, truths))
        return NODE_BOOL;
    return is_number(text) ? NODE_NUMBER : NODE_STRING;
}

/* The kind a tag asks for; false for a tag that is not of YAML itself. */
static bool kind_of_tag(const char *tag, const char *text, enum node_kind *ret_kind)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    static const char *const others[] = {"int", "float", "bool", "null", "timestamp", NULL};
    if (str_eq(tag, "!")) {
        *ret_kind = NODE_STRING;
        return true;
    }
    if (!str_starts(tag, prefix))
        return false;
    tag += sizeof prefix - 1;
    *ret_kind = str_eq(tag, "str") ? NODE_STRING : kind_of_text(text);
    return str_eq(tag, "str") || is_one_of(tag, others);
}

static int unknown_tag(struct reader *rd, const yaml_event_t *event, const yaml_char_t *tag)
{
    AUTOFREE char *sentence =
        xasprintf("the tag \"%.100s\" has no meaning here", (const char *)tag);
    return error_at(rd, &event->start_mark, ERR_SYNTAX, sentence);
}

static int read_scalar(struct reader *rd, const yaml_event_t *event, struct node *n)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    size_t len = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->kind = plain ? kind_of_text(text) : NODE_STRING;
    if (tag && !kind_of_tag(tag, text, &n->kind))
        return unknown_tag(rd, event, event->data.scalar.tag);
    if (strlen(text) != len)
        n->kind = NODE_STRING;
    n->truth = n->kind == NODE_BOOL && (*text | 0x20) == 't';
    if (n->kind != NODE_STRING && n->kind != NODE_NUMBER)
        return 0;
    n->text = xcalloc(1, len + 1);
    memcpy(n->text, text, len);
    n->len = len;
    if (n->kind == NODE_NUMBER)
        n->number = strtod(text, NULL);
    return 0;
}

/* ---- aliases and merges ---------------------------------------------------------------------- */

static int spend(struct reader *rd, const struct node *at, size_t work)
{
    rd->work += work;
    if (rd->work <= WORK_MAX)
        return 0;
    return config_error_set(rd->error, ERR_TOO_BIG, at->line, NULL,
                            "its aliases stand for too much text");
}

/* Everything in the copy stands where the alias does. */
static int copy_tree(struct reader *rd, const struct node *from, struct node *to, unsigned line,
                     unsigned depth)
{
    to->kind = from->kind;
    to->truth = from->truth;
    to->number = from->number;
    to->line = line;
    to->len = from->len;
    if (from->text)
        to->text = memcpy(xcalloc(1, from->len + 1), from->text, from->len);
    int r = spend(rd, to, COPY_COST + from->len);
    if (r == 0 && depth > LIMIT_JSON_DEPTH)
        r = config_error_set(rd->error, ERR_TOO_BIG, line, NULL, "nested too deeply");
    for (const struct node *child = from->first; r == 0 && child; child = child->next) {
        struct node *copy = node_add(to);
        copy->key = xstrdup_null(child->key);
        copy->key_line = child->key ? line : 0;
        r = copy_tree(rd, child, copy, line, depth + 1);
    }
    return r;
}

static int read_alias(struct reader *rd, const yaml_event_t *event, struct node *n, unsigned depth)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = rd->anchor_count; i-- > 0;) {
        const struct anchor *a = &rd->anchors[i];
        if (!str_eq(a->name, name))
            continue;
        if (!a->complete)
            return error_at(rd, &event->start_mark, ERR_SYNTAX, "an alias stands within itself");
        return copy_tree(rd, a->node, n, n->line, depth);
    }
    AUTOFREE char *sentence = xasprintf("there is no anchor &%.100s before this alias", name);
    return error_at(rd, &event->start_mark, ERR_SYNTAX, sentence);
}

/* Returns its number; `name` NULL: -1. */
static ssize_t add_anchor(struct reader *rd, const yaml_char_t *name, const struct node *n)
{
    if (!name)
        return -1;
    rd->anchors = xreallocarray(rd->anchors, rd->anchor_count + 1, sizeof *rd->anchors);
    rd->anchors[rd->anchor_count] = (struct anchor){.name = xstrdup((const char *)name), .node = n};
    return (ssize_t)rd->anchor_count++;
}

static void append(struct node *parent, struct node *child)
{
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

/* An object whose merges are carried out: the members it was written with, those that are merges
 * without a key, and the list that it gets. */
struct merging {
    struct node *const *members;
    size_t count;
    struct node result;
    unsigned depth;
};

static int has_key(struct reader *rd, const struct merging *m, const char *key, bool *ret_has)
{
    *ret_has = false;
    for (size_t i = 0; i < m->count && !*ret_has; i++)
        *ret_has = m->members[i]->key && str_eq(m->members[i]->key, key);
    size_t compared = m->count;
    for (const struct node *n = m->result.first; n && !*ret_has; n = n->next, compared++)
        *ret_has = str_eq(n->key, key);
    return spend(rd, m->members[0], compared);
}

static int merge_one(struct reader *rd, struct merging *m, const struct node *source, unsigned line)
{
    for (const struct node *from = source->first; from; from = from->next) {
        bool there;
        int r = has_key(rd, m, from->key, &there);
        if (r == 0 && !there) {
            struct node *copy = node_add(&m->result);
            copy->key = xstrdup(from->key);
            copy->key_line = line;
            r = copy_tree(rd, from, copy, line, m->depth + 1);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* The value of "<<" is an object or a list of them. */
static int merge(struct reader *rd, struct merging *m, const struct node *value)
{
    bool is_list = value->kind == NODE_LIST;
    int r = 0;
    for (const struct node *source = is_list ? value->first : value; r == 0 && source;
         source = is_list ? source->next : NULL) {
        if (source->kind != NODE_OBJECT)
            return config_error_set(rd->error, ERR_SYNTAX, source->line, NULL,
                                    "what << merges must be an object or a list of objects");
        r = merge_one(rd, m, source, value->key_line);
    }
    return r;
}

/* Puts what the members without a key stand for into their places. */
static int apply_merges(struct reader *rd, struct node *object, unsigned depth)
{
    size_t count = 0, i = 0;
    bool any = false;
    for (const struct node *n = object->first; n; n = n->next, count++)
        any |= !n->key;
    if (!any)
        return 0;
    AUTOFREE struct node **members = xcalloc(count, sizeof *members);
    for (struct node *n = object->first; n; n = n->next)
        members[i++] = n;
    struct merging m = {.members = members, .count = count, .depth = depth};
    int r = 0;
    for (i = 0; i < count; i++) {
        if (!members[i]->key && r == 0)
            r = merge(rd, &m, members[i]);
        append(members[i]->key ? &m.result : &rd->merged, members[i]);
    }
    object->first = m.result.first;
    object->last = m.result.last;
    return r;
}

/* ---- lists and objects ----------------------------------------------------------------------- */

static int read_items(struct reader *rd, struct node *list, unsigned depth)
{
    for (;;) {
        yaml_event_t event;
        int r = next_event(rd, &event);
        if (r < 0)
            return r;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            r = read_node(rd, &event, node_add(list), depth + 1);
        yaml_event_delete(&event);
        if (end || r < 0)
            return r;
    }
}

static int read_key(struct reader *rd, const yaml_event_t *event, struct node *member)
{
    member->key_line = (unsigned)event->start_mark.line + 1;
    if (event->type != YAML_SCALAR_EVENT)
        return error_at(rd, &event->start_mark, ERR_SYNTAX, "a key must be a word or a text");
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return error_at(rd, &event->start_mark, ERR_SYNTAX, "a key contains a NUL character");
    bool is_merge = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_eq(text, "<<");
    member->key = is_merge ? NULL : xstrdup(text);
    return 0;
}

static int read_members(struct reader *rd, struct node *object, unsigned depth)
{
    for (;;) {
        yaml_event_t event;
        int r = next_event(rd, &event);
        if (r < 0)
            return r;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        struct node *member = end ? NULL : node_add(object);
        if (member)
            r = read_key(rd, &event, member);
        yaml_event_delete(&event);
        if (member && r == 0)
            r = next_event(rd, &event);
        if (member && r == 0) {
            r = read_node(rd, &event, member, depth + 1);
            yaml_event_delete(&event);
        }
        if (end || r < 0)
            return r < 0 ? r : apply_merges(rd, object, depth);
    }
}

static int read_nested(struct reader *rd, const yaml_event_t *event, struct node *n, unsigned depth)
{
    bool is_list = event->type == YAML_SEQUENCE_START_EVENT;
    const yaml_char_t *tag =
        is_list ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    const char *expected = is_list ? "tag:yaml.org,2002:seq" : "tag:yaml.org,2002:map";
    if (tag && !str_eq((const char *)tag, "!") && !str_eq((const char *)tag, expected))
        return unknown_tag(rd, event, tag);
    if (depth >= LIMIT_JSON_DEPTH)
        return error_at(rd, &event->start_mark, ERR_TOO_BIG, "nested too deeply");
    n->kind = is_list ? NODE_LIST : NODE_OBJECT;
    return is_list ? read_items(rd, n, depth) : read_members(rd, n, depth);
}

static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* `event` begins the value. */
static int read_node(struct reader *rd, const yaml_event_t *event, struct node *n, unsigned depth)
{
    n->line = (unsigned)event->start_mark.line + 1;
    if (event->type == YAML_ALIAS_EVENT)
        return read_alias(rd, event, n, depth);
    ssize_t anchor = add_anchor(rd, anchor_of(event), n);
    int r = event->type == YAML_SCALAR_EVENT ? read_scalar(rd, event, n)
                                             : read_nested(rd, event, n, depth);
    if (anchor >= 0)
        rd->anchors[anchor].complete = true;
    return r;
}

/* ---- the document ---------------------------------------------------------------------------- */

/* The next event that begins a document or a value, or ends the text. */
static int next_start(struct reader *rd, yaml_event_t *ret_event)
{
    for (;;) {
        int r = next_event(rd, ret_event);
        if (r < 0)
            return r;
        switch (ret_event->type) {
        case YAML_NO_EVENT:
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            yaml_event_delete(ret_event);
            continue;
        default:
            return 0;
        }
    }
}

static int check_end(struct reader *rd)
{
    yaml_event_t event;
    int r = next_start(rd, &event);
    if (r < 0)
        return r;
    if (event.type != YAML_STREAM_END_EVENT)
        r = error_at(rd, &event.start_mark, ERR_SYNTAX,
                     "a second document begins here, and a file has one");
    yaml_event_delete(&event);
    return r;
}

static int read_document(struct reader *rd, struct node *root)
{
    yaml_event_t event;
    int r = next_start(rd, &event);
    if (r < 0)
        return r;
    bool empty = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
    if (empty)
        return config_error_set(rd->error, ERR_SYNTAX, 1, NULL, "there is nothing in it");
    r = next_event(rd, &event);
    if (r < 0)
        return r;
    r = read_node(rd, &event, root, 0);
    yaml_event_delete(&event);
    return r < 0 ? r : check_end(rd);
}

static void clear(struct reader *rd)
{
    for (size_t i = 0; i < rd->anchor_count; i++)
        free(rd->anchors[i].name);
    free(rd->anchors);
    node_clear(&rd->merged);
    yaml_parser_delete(&rd->parser);
}

int yaml_read(const char *text, size_t len, struct node *ret_root, struct config_error *reterr)
{
    struct reader rd = {.error = reterr};
    struct node *root = ret_root;
    if (!yaml_parser_initialize(&rd.parser))
        return config_error_set(reterr, ERR_TOO_BIG, 0, NULL, "there is no memory for it");
    yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, len);
    int r = read_document(&rd, root);
    if (r < 0)
        node_clear(root);
    clear(&rd);
    return r;
}
