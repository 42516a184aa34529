#include "lib/profile/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/jscan.h"
#include "lib/base/limits.h"
#include "lib/profile/cpuprofile.h"
#include "lib/profile/heapprofile.h"

void profile_clear(struct profile *p)
{
    functions_clear(&p->functions);
    free(p->nodes);
    *p = (struct profile){0};
}

int profile_add_node(struct profile *p, uint32_t parent, uint32_t function)
{
    if (p->node_count == p->node_cap) {
        if (p->node_count >= LIMIT_PROFILE_NODES)
            return ERR_TOO_BIG;
        uint32_t cap = p->node_cap ? p->node_cap * 2 : 256;
        struct profile_node *nodes = reallocarray(p->nodes, cap, sizeof *nodes);
        if (!nodes)
            return -ENOMEM;
        p->nodes = nodes;
        p->node_cap = cap;
    }
    p->nodes[p->node_count++] = (struct profile_node){.parent = parent, .function = function};
    return 0;
}

static void sum_role(struct profile *p, const struct profile_node *node)
{
    p->all += node->self;
    switch (p->functions.items[node->function].role) {
    case FUNCTION_IDLE:
        p->idle += node->self;
        break;
    case FUNCTION_PROGRAM:
        p->program += node->self;
        break;
    case FUNCTION_GC:
        p->gc += node->self;
        break;
    case FUNCTION_CODE:
    case FUNCTION_NO_FILE:
    case FUNCTION_ROOT:
        break;
    }
}

void profile_sum(struct profile *p)
{
    p->all = p->idle = p->program = p->gc = 0;
    for (uint32_t i = 0; i < p->node_count; i++)
        p->nodes[i].total = p->nodes[i].self;
    /* Backwards a node is complete before its parent takes it. */
    for (uint32_t i = p->node_count; i-- > 0;) {
        const struct profile_node *node = &p->nodes[i];
        sum_role(p, node);
        if (node->parent != PROFILE_NO_PARENT)
            p->nodes[node->parent].total += node->total;
    }
}

typedef int (*read_cb)(struct profile *p, const char *text, size_t len,
                       struct profile_error *reterr);

static int refuse(struct profile_error *reterr, int code, size_t offset, const char *sentence)
{
    reterr->offset = offset;
    (void)snprintf(reterr->text, sizeof reterr->text, "%s", sentence);
    return code;
}

static int refuse_syntax(const struct jscan *s, struct profile_error *reterr)
{
    char space[64];
    return refuse(reterr, ERR_SYNTAX, s->error_pos, jscan_error_text(s, space));
}

/* The reader for this file, told by its first telling key: in V8's own files that is the first of
 * all. */
static int choose_reader(const char *text, size_t len, read_cb *ret_reader,
                         struct profile_error *reterr)
{
    if (len == 0)
        return refuse(reterr, ERR_INVALID, 0, "the file is empty");
    if (len >= 2 && (unsigned char)text[0] == 0x1f && (unsigned char)text[1] == 0x8b)
        return refuse(reterr, ERR_INVALID, 0, "this is a gzip file, not a profile of V8");
    struct jscan s;
    jscan_init(&s, text, len, LIMIT_PROFILE_DEPTH);
    enum jscan_token t = jscan_next(&s);
    if (t != JSCAN_OBJECT && t != JSCAN_ERROR)
        return refuse(reterr, ERR_INVALID, 0, "this is no JSON object, so no profile of V8");
    while (t != JSCAN_ERROR && (t = jscan_next(&s)) == JSCAN_KEY) {
        size_t offset = (size_t)(s.start - text);
        if (jscan_is(&s, "snapshot"))
            return refuse(reterr, ERR_INVALID, offset, "this is a heap snapshot, not a profile");
        bool cpu = jscan_is(&s, "nodes") || jscan_is(&s, "timeDeltas");
        if (cpu || jscan_is(&s, "head")) {
            *ret_reader = cpu ? cpuprofile_read : heapprofile_read;
            return 0;
        }
        if (!jscan_skip(&s))
            t = JSCAN_ERROR;
    }
    if (t == JSCAN_ERROR)
        return refuse_syntax(&s, reterr);
    return refuse(reterr, ERR_INVALID, 0,
                  "neither a CPU profile (no \"nodes\") nor a heap profile (no \"head\") of V8");
}

int profile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr)
{
    read_cb read = NULL;
    int r = choose_reader(text, len, &read, reterr);
    return r < 0 ? r : read(p, text, len, reterr);
}
