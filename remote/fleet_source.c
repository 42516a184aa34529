/* fleet_source.c -- lists of hosts and processes for clients, made on the loop while they take them.
 *
 * A list of everything may be many MB long, so it is nowhere in memory: a source knows the host that
 * it is at, and holds one list of processes, which it shares with the fleet and with others. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/fleet_private.h"
#include "remote/http.h"

struct fleet_source {
    struct http_source base; /* first: the source is one */
    struct list link;        /* in fleet->sources */
    struct fleet *fleet;
    bool processes; /* else hosts */
    bool one;       /* only of the host that it begins with */
    bool first;     /* nothing stands before the next element */
    bool over;
    size_t bucket;     /* where `host` stands */
    struct host *host; /* the next one; NULL: look in `bucket` and on */
    struct told *told; /* what is being told of the host before; NULL: nothing */
    const char *at;    /* in its text: the next process */
    char suffix[FLEET_SUFFIX];
    size_t suffix_len;
    char *left; /* made, and not taken yet; NULL: nothing */
    size_t left_at, left_len;
};

/* What there is room for. */
struct room {
    char *out;
    size_t size, used;
};

static int source_read(struct http_source *base, void *out, size_t size);
static void source_close(struct http_source *base);

/* ---- pieces ---------------------------------------------------------------------------------- */

static bool is_full(const struct room *r)
{
    return r->used == r->size;
}

/* What does not fit stays for the next time; there is never more than one element of it. */
static void put(struct fleet_source *s, struct room *r, const char *data, size_t len)
{
    size_t n = len < r->size - r->used ? len : r->size - r->used;
    memcpy(r->out + r->used, data, n);
    r->used += n;
    if (n == len)
        return;
    s->left = xreallocarray(s->left, 1, s->left_len + len - n);
    memcpy(s->left + s->left_len, data + n, len - n);
    s->left_len += len - n;
}

static void put_left(struct fleet_source *s, struct room *r)
{
    size_t len = s->left_len - s->left_at;
    size_t n = len < r->size - r->used ? len : r->size - r->used;
    if (n > 0)
        memcpy(r->out + r->used, s->left + s->left_at, n);
    r->used += n;
    s->left_at += n;
    if (s->left_at < s->left_len)
        return;
    free(s->left);
    s->left = NULL;
    s->left_at = s->left_len = 0;
}

static void put_comma(struct fleet_source *s, struct room *r)
{
    if (!s->first)
        put(s, r, ",", 1);
    s->first = false;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* Moves on to the next host; NULL past the last. */
static struct host *next_host(struct fleet_source *s)
{
    struct host *h = s->host;
    if (!h)
        while (!h && s->bucket < FLEET_BUCKETS) {
            struct list *bucket = &s->fleet->buckets[s->bucket];
            h = list_empty(bucket) ? NULL : bucket->next->owner;
            s->bucket += h == NULL;
        }
    if (!h)
        return NULL;
    /* A head has no owner. */
    s->host = s->one ? NULL : h->link.next->owner;
    s->bucket += s->host == NULL;
    return h;
}

static void put_host(struct fleet_source *s, struct room *r, const struct host *h)
{
    AUTOJSON json_t *view = fleet_host_view(h);
    AUTOFREE char *text = json_dumps(view, JSON_COMPACT);
    put_comma(s, r);
    put(s, r, text ? text : "null", text ? strlen(text) : 4);
}

static void begin_told(struct fleet_source *s, const struct host *h)
{
    if (!h->told || h->told->processes == 0)
        return;
    s->told = fleet_told_ref(h->told);
    s->at = s->told->text + 1;
    s->suffix_len = fleet_suffix(h, s->told, s->suffix, sizeof s->suffix);
}

static void end_told(struct fleet_source *s)
{
    fleet_told_unref(s->fleet, s->told);
    s->told = NULL;
}

/* "{…}\n" or, of those after the first, ",{…}\n"; then "]". */
static void put_process(struct fleet_source *s, struct room *r)
{
    const char *end = strchr(s->at, '\n');
    if (!end) {
        end_told(s);
        return;
    }
    const char *begin = s->at + (*s->at == ',');
    put_comma(s, r);
    put(s, r, begin, (size_t)(end - begin) - 1);
    put(s, r, s->suffix, s->suffix_len);
    put(s, r, "}", 1);
    s->at = end + 1;
}

static void put_next(struct fleet_source *s, struct room *r)
{
    if (s->told) {
        put_process(s, r);
        return;
    }
    const struct host *h = next_host(s);
    if (!h) {
        s->over = true;
        put(s, r, "]}", 2);
    } else if (s->processes) {
        begin_told(s, h);
    } else {
        put_host(s, r, h);
    }
}

/* ---- the source ------------------------------------------------------------------------------ */

static int source_read(struct http_source *base, void *out, size_t size)
{
    struct fleet_source *s = (struct fleet_source *)base;
    struct room r = {.out = out, .size = size};
    if (!s->fleet)
        return ERR_BUSY;
    put_left(s, &r);
    while (!is_full(&r) && !s->left && !s->over)
        put_next(s, &r);
    return (int)r.used;
}

static void source_close(struct http_source *base)
{
    struct fleet_source *s = (struct fleet_source *)base;
    if (s->fleet)
        end_told(s);
    list_remove(&s->link);
    free(s->left);
    free(s);
}

static struct fleet_source *source_new(struct fleet *f, bool processes)
{
    struct fleet_source *s = xcalloc(1, sizeof *s);
    s->base = (struct http_source){.read = source_read, .close = source_close};
    s->fleet = f;
    s->processes = processes;
    s->first = true;
    list_add(&f->sources, &s->link, s);
    return s;
}

static void begin(struct fleet_source *s, const char *text)
{
    s->left = xstrdup(text);
    s->left_len = strlen(text);
}

struct http_source *fleet_hosts_source(struct fleet *f)
{
    struct fleet_source *s = source_new(f, false);
    begin(s, "{\"hosts\":[");
    return &s->base;
}

struct http_source *fleet_processes_source(struct fleet *f, const char *host)
{
    struct fleet_source *s = source_new(f, true);
    begin(s, "{\"processes\":[");
    if (host) {
        s->one = true;
        s->bucket = FLEET_BUCKETS;
        s->host = fleet_find(f, host);
    }
    return &s->base;
}

/* Its next read fails, so that the client does not take what it has for whole. */
static void cut(struct fleet_source *s)
{
    end_told(s);
    list_remove(&s->link);
    s->fleet = NULL;
}

void fleet_sources_cut(struct fleet *f)
{
    struct fleet_source *s;
    LIST_EACH(s, &f->sources)
    if (s->told && s->told->old)
        cut(s);
}
