#include "lib/profile/heapprofile.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/profile/profile.h"
#include "lib/profile/reader.h"

#define NO_FUNCTION UINT32_MAX

/* Each node lies two JSON levels below its parent, the first two levels deep, and its callFrame one below itself: a node
 * more than these would be too deep for the scanner. */
enum { OPEN_MAX = (LIMIT_PROFILE_DEPTH - 1) / 2 };

struct heap_reader {
    struct reader r;
    uint64_t all;
    bool has_head;
    /* The nodes that are open, and where each begins in the text. */
    unsigned depth;
    uint32_t open[OPEN_MAX];
    size_t offsets[OPEN_MAX];
};

/* Behind the opening brace of a node. */
static int open_node(struct heap_reader *h)
{
    struct profile *p = h->r.profile;
    uint32_t parent = h->depth > 0 ? h->open[h->depth - 1] : PROFILE_NO_PARENT;
    if (h->depth == OPEN_MAX)
        return reader_fail(&h->r, "the stack is deeper than %d frames", (int)OPEN_MAX);
    int code = profile_add_node(p, parent, NO_FUNCTION);
    if (code < 0)
        return reader_full(&h->r, code);
    h->offsets[h->depth] = reader_offset(&h->r);
    h->open[h->depth++] = p->node_count - 1;
    return 0;
}

static int close_node(struct heap_reader *h)
{
    struct profile *p = h->r.profile;
    struct profile_node *node = &p->nodes[h->open[--h->depth]];
    if (node->function == NO_FUNCTION)
        return reader_fail_at(&h->r, h->offsets[h->depth], "a node has no \"callFrame\"");
    node->end = p->node_count;
    return 0;
}

static int read_size(struct heap_reader *h, struct profile_node *node)
{
    int64_t size;
    int code = reader_int(&h->r, "selfSize", 0, INT64_MAX, &size);
    if (code < 0)
        return code;
    h->all += (uint64_t)size - node->self;
    node->self = (uint64_t)size;
    return h->all > INT64_MAX ? reader_fail(&h->r, "the sizes add up to more than 8 EiB") : 0;
}

/* Between the members of the innermost open node. */
static int read_member(struct heap_reader *h)
{
    struct reader *r = &h->r;
    struct profile_node *node = &r->profile->nodes[h->open[h->depth - 1]];
    enum jscan_token t = jscan_next(&r->s);
    if (t == JSCAN_ERROR)
        return reader_syntax(r);
    if (t == JSCAN_OBJECT_END)
        return close_node(h);
    if (READER_KEY(r, "callFrame"))
        return reader_frame(r, &node->function);
    if (READER_KEY(r, "selfSize"))
        return read_size(h, node);
    if (READER_KEY(r, "children"))
        return reader_expect(r, JSCAN_ARRAY, "\"children\" is no array");
    return reader_skip(r);
}

/* Between the elements of the children of the innermost open node. */
static int read_child(struct heap_reader *h)
{
    enum jscan_token t = jscan_next(&h->r.s);
    if (t == JSCAN_ERROR)
        return reader_syntax(&h->r);
    if (t == JSCAN_OBJECT)
        return open_node(h);
    return t == JSCAN_ARRAY_END ? 0 : reader_fail(&h->r, "a child is no object");
}

static int read_tree(struct heap_reader *h)
{
    struct jscan *s = &h->r.s;
    if (h->has_head)
        return reader_fail(&h->r, "\"head\" stands here twice");
    h->has_head = true;
    int code = reader_expect(&h->r, JSCAN_OBJECT, "\"head\" is no object");
    unsigned outside = s->depth - 1;
    if (code == 0)
        code = open_node(h);
    /* A node's object is an odd number of levels below, the array of its children an even one. */
    while (code == 0 && h->depth > 0)
        code = (s->depth - outside) % 2 ? read_member(h) : read_child(h);
    return code;
}

static int read_file(struct heap_reader *h)
{
    struct reader *r = &h->r;
    int code = reader_expect(r, JSCAN_OBJECT, "this is no JSON object");
    while (code == 0 && jscan_next(&r->s) == JSCAN_KEY)
        code = READER_KEY(r, "head") ? read_tree(h) : reader_skip(r);
    if (code < 0)
        return code;
    if (r->s.error != JSCAN_OK || jscan_next(&r->s) == JSCAN_ERROR)
        return reader_syntax(r);
    return h->has_head ? 0 : reader_fail_at(r, 0, "there is no \"head\"");
}

int heapprofile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr)
{
    *p = (struct profile){.kind = PROFILE_HEAP};
    struct heap_reader *h = calloc(1, sizeof *h);
    if (!h) {
        *reterr = (struct profile_error){.text = "no memory left to read the profile"};
        return -ENOMEM;
    }
    reader_init(&h->r, p, text, len, reterr);
    int code = read_file(h);
    reader_clear(&h->r);
    free(h);
    if (code < 0)
        profile_clear(p);
    else
        profile_sum(p);
    return code;
}
