#include "lib/profile/cpuprofile.h"

#include <inttypes.h>

#include "lib/base/err.h"
#include "lib/profile/profile.h"
#include "lib/profile/reader.h"
#include "lib/profile/tree.h"

enum { BLOCK = 512 };

/* Nanoseconds in 63 bits are 292 years. */
#define MAX_US (INT64_MAX / 1000)

enum has {
    HAS_NODES = 1,
    HAS_SAMPLES = 2,
    HAS_DELTAS = 4,
    HAS_START = 8,
    HAS_END = 16,
};

struct cpu_reader {
    struct reader r;
    struct tree tree;
    struct idmap map;
    unsigned has;
    int64_t start_us, end_us;
    /* Cursors before the two arrays, which are read side by side once the nodes are known. */
    struct jscan samples, deltas;
    int64_t sample_block[BLOCK], delta_block[BLOCK];
};

/* Where the walk through the samples stands. */
struct walk {
    struct profile_node *node; /* of the last sample; NULL before the first */
    int64_t now_us;
    int64_t all_us;
};

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool add_child(void *arg, int64_t id)
{
    struct cpu_reader *c = arg;
    int code = tree_add_child(&c->tree, id);
    if (code < 0)
        (void)reader_full(&c->r, code);
    return code == 0;
}

static int read_children(struct cpu_reader *c)
{
    struct tree_node *node = &c->tree.nodes[c->tree.node_count - 1];
    if (c->tree.child_count != node->first_child)
        return reader_fail(&c->r, "\"children\" stands here twice");
    if (jscan_int_array(&c->r.s, add_child, c))
        return 0;
    return c->r.s.error == JSCAN_OK ? ERR_TOO_BIG : reader_syntax(&c->r);
}

static int read_node_member(struct cpu_reader *c)
{
    struct reader *r = &c->r;
    struct tree_node *node = &c->tree.nodes[c->tree.node_count - 1];
    if (READER_KEY(r, "callFrame"))
        return reader_frame(r, &node->function);
    if (READER_KEY(r, "id"))
        return reader_int(r, "id", 0, INT64_MAX - 1, &node->id);
    if (READER_KEY(r, "children"))
        return read_children(c);
    return reader_skip(r);
}

/* Behind the opening brace of a node. */
static int read_node(struct cpu_reader *c)
{
    struct reader *r = &c->r;
    size_t offset = reader_offset(r);
    int code = tree_add_node(&c->tree, offset);
    if (code < 0)
        return reader_full(r, code);
    enum jscan_token t;
    while ((t = jscan_next(&r->s)) == JSCAN_KEY) {
        code = read_node_member(c);
        if (code < 0)
            return code;
    }
    if (t == JSCAN_ERROR)
        return reader_syntax(r);
    const struct tree_node *node = &c->tree.nodes[c->tree.node_count - 1];
    if (node->id < 0)
        return reader_fail_at(r, offset, "a node has no \"id\"");
    if (node->function == UINT32_MAX)
        return reader_fail_at(r, offset, "node %" PRId64 " has no \"callFrame\"", node->id);
    if (node->id > c->tree.max_id)
        c->tree.max_id = node->id;
    return 0;
}

static int read_nodes(struct cpu_reader *c)
{
    struct reader *r = &c->r;
    int code = reader_expect(r, JSCAN_ARRAY, "\"nodes\" is no array");
    if (code < 0)
        return code;
    enum jscan_token t;
    while ((t = jscan_next(&r->s)) == JSCAN_OBJECT) {
        code = read_node(c);
        if (code < 0)
            return code;
    }
    if (t == JSCAN_ERROR)
        return reader_syntax(r);
    if (t != JSCAN_ARRAY_END)
        return reader_fail(r, "a node is no object");
    return tree_build(&c->tree, r, &c->map);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* The same element again, alone, to find where it stands. */
static int unknown_node(struct cpu_reader *c, struct jscan before, int index)
{
    int64_t id = 0;
    for (int i = 0; i <= index; i++)
        (void)jscan_int_block(&before, &id, 1);
    return reader_fail_at(&c->r, (size_t)(before.start - before.text),
                          "a sample hit node %" PRId64 ", which does not exist", id);
}

/* Gives the last sample the time up to `now`. */
static inline bool spend(struct walk *w, int64_t us)
{
    if (!w->node || us <= 0)
        return true;
    if (us > MAX_US - w->all_us)
        return false;
    w->all_us += us;
    w->node->self += (uint64_t)us * 1000;
    return true;
}

static int too_long(struct cpu_reader *c, const struct jscan *s)
{
    return reader_fail_at(&c->r, s->pos, "the times add up to more than 292 years");
}

static int walk_block(struct cpu_reader *c, struct walk *w, int count)
{
    struct profile *p = c->r.profile;
    struct jscan before = c->samples;
    int got = jscan_int_block(&c->samples, c->sample_block, count);
    if (got != count)
        return reader_fail_at(&c->r, (size_t)(c->samples.start - c->samples.text),
                              "\"samples\" has fewer elements than \"timeDeltas\"");
    for (int i = 0; i < count; i++) {
        int64_t delta_us = c->delta_block[i];
        uint32_t number = idmap_find(&c->map, c->sample_block[i]);
        if (number == IDMAP_NONE)
            return unknown_node(c, before, i);
        if (!spend(w, delta_us) || __builtin_add_overflow(w->now_us, delta_us, &w->now_us))
            return too_long(c, &c->deltas);
        w->node = &p->nodes[number];
        w->node->samples++;
    }
    p->sample_count += (uint64_t)count;
    return 0;
}

static int cursor_syntax(struct cpu_reader *c, const struct jscan *cursor)
{
    c->r.s = *cursor;
    return reader_syntax(&c->r);
}

static int walk_samples(struct cpu_reader *c)
{
    struct walk w = {.now_us = c->start_us};
    int count;
    while ((count = jscan_int_block(&c->deltas, c->delta_block, BLOCK)) > 0) {
        int code = walk_block(c, &w, count);
        if (c->samples.error != JSCAN_OK)
            return cursor_syntax(c, &c->samples);
        if (code < 0)
            return code;
    }
    if (count < 0)
        return cursor_syntax(c, &c->deltas);
    int64_t rest_us;
    if (__builtin_sub_overflow(c->end_us, w.now_us, &rest_us) || !spend(&w, rest_us))
        return too_long(c, &c->deltas);
    int more = jscan_int_block(&c->samples, c->sample_block, 1);
    if (more < 0)
        return cursor_syntax(c, &c->samples);
    return more == 0 ? 0
                     : reader_fail_at(&c->r, (size_t)(c->samples.start - c->samples.text),
                                      "\"samples\" has more elements than \"timeDeltas\"");
}

/* ---- the file -------------------------------------------------------------------------------- */

static int jump(struct cpu_reader *c, struct jscan *cursor)
{
    *cursor = c->r.s;
    return jscan_jump(&c->r.s) ? 0 : reader_syntax(&c->r);
}

static enum has which_key(const struct reader *r)
{
    if (READER_KEY(r, "nodes"))
        return HAS_NODES;
    if (READER_KEY(r, "samples"))
        return HAS_SAMPLES;
    if (READER_KEY(r, "timeDeltas"))
        return HAS_DELTAS;
    if (READER_KEY(r, "startTime"))
        return HAS_START;
    return READER_KEY(r, "endTime") ? HAS_END : (enum has)0;
}

static int read_member(struct cpu_reader *c)
{
    struct reader *r = &c->r;
    enum has key = which_key(r);
    if (c->has & key)
        return reader_fail(r, "\"%.*s\" stands here twice", (int)r->s.token_len, r->s.start);
    c->has |= key;
    if (key == HAS_NODES)
        return read_nodes(c);
    if (key == HAS_SAMPLES)
        return jump(c, &c->samples);
    if (key == HAS_DELTAS)
        return jump(c, &c->deltas);
    if (key == HAS_START)
        return reader_int(r, "startTime", -MAX_US, MAX_US, &c->start_us);
    if (key == HAS_END)
        return reader_int(r, "endTime", -MAX_US, MAX_US, &c->end_us);
    return reader_skip(r);
}

static int check_keys(struct cpu_reader *c)
{
    static const struct {
        enum has has;
        const char *name;
    } keys[] = {{HAS_NODES, "nodes"},
                {HAS_SAMPLES, "samples"},
                {HAS_DELTAS, "timeDeltas"},
                {HAS_START, "startTime"},
                {HAS_END, "endTime"}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!(c->has & keys[i].has))
            return reader_fail_at(&c->r, 0, "there is no \"%s\"", keys[i].name);
    if (c->end_us < c->start_us)
        return reader_fail_at(&c->r, 0, "\"endTime\" lies before \"startTime\"");
    return 0;
}

static int read_file(struct cpu_reader *c)
{
    struct reader *r = &c->r;
    int code = reader_expect(r, JSCAN_OBJECT, "this is no JSON object");
    while (code == 0 && jscan_next(&r->s) == JSCAN_KEY)
        code = read_member(c);
    if (code < 0)
        return code;
    if (r->s.error != JSCAN_OK || jscan_next(&r->s) == JSCAN_ERROR)
        return reader_syntax(r);
    code = check_keys(c);
    if (code == 0)
        code = walk_samples(c);
    r->profile->duration_us = (uint64_t)(c->end_us - c->start_us);
    return code;
}

int cpuprofile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr)
{
    *p = (struct profile){.kind = PROFILE_CPU};
    struct cpu_reader c = {.has = 0};
    reader_init(&c.r, p, text, len, reterr);
    int code = read_file(&c);
    tree_clear(&c.tree);
    idmap_clear(&c.map);
    reader_clear(&c.r);
    if (code < 0)
        profile_clear(p);
    else
        profile_sum(p);
    return code;
}
