#include "remote/fleet.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/fleet_private.h"
#include "remote/foreign.h"
#include "remote/id_hash.h"
#include "remote/live.h"
#include "remote/processes.h"
#include "remote/store/store.h"

enum {
    SENTENCE = 512,
    /* Viewers are told of one host's processes so often, whatever it tells. */
    PUBLISH_EACH_MS = 1000,
};

/* An event is a list and what we add to each of its processes. */
#define EVENT_MAX ((size_t)16 * LIMIT_CHANNEL_MESSAGE)

/* ---- hosts ----------------------------------------------------------------------------------- */

struct fleet *fleet_new(struct store *store, struct live *live)
{
    struct fleet *f = xcalloc(1, sizeof *f);
    f->store = store;
    f->live = live;
    list_init(&f->sources);
    for (size_t i = 0; i < FLEET_BUCKETS; i++)
        list_init(&f->buckets[i]);
    return f;
}

void fleet_free(struct fleet *f)
{
    struct host *h;
    if (!f)
        return;
    for (size_t i = 0; i < FLEET_BUCKETS; i++)
        LIST_EACH(h, &f->buckets[i])
        {
            list_remove(&h->link);
            fleet_told_unref(f, h->told);
            free(h);
        }
    free(f);
}

struct host *fleet_find(const struct fleet *f, const char *id)
{
    struct host *h;
    LIST_EACH(h, (struct list *)&f->buckets[id_bucket(id, FLEET_BUCKETS)])
    if (str_eq(h->row.id, id))
        return h;
    return NULL;
}

const struct host_row *fleet_get(const struct fleet *f, const char *host)
{
    const struct host *h = fleet_find(f, host);
    return h ? &h->row : NULL;
}

bool fleet_connected(const struct fleet *f, const char *host)
{
    const struct host *h = fleet_find(f, host);
    return h && h->connected;
}

int64_t fleet_since_ms(const struct fleet *f, const char *host)
{
    const struct host *h = fleet_find(f, host);
    if (!h)
        return 0;
    return h->since_ms ? h->since_ms : h->row.seen_ms;
}

void fleet_on_revoked(struct fleet *f, void (*on_revoked)(void *arg, const char *host), void *arg)
{
    f->on_revoked = on_revoked;
    f->revoked_arg = arg;
}

/* ---- views ----------------------------------------------------------------------------------- */

static void set_time(json_t *j, const char *name, int64_t at_ms)
{
    (void)json_object_set_new(j, name, at_ms ? json_integer(at_ms) : json_null());
}

json_t *fleet_host_view(const struct host *h)
{
    json_t *j = json_object();
    json_set_string(j, "id", h->row.id);
    json_set_string(j, "name", h->row.name);
    json_set_string(j, "release", h->row.release);
    json_set_bool(j, "connected", h->connected);
    set_time(j, "since_ms", h->since_ms ? h->since_ms : h->row.seen_ms);
    set_time(j, "seen_ms", h->row.seen_ms);
    json_set_int(j, "enrolled_ms", h->row.enrolled_ms);
    json_set_bool(j, "revoked", h->row.revoked_ms != 0);
    json_set_int(j, "certificate_until_ms", h->row.cert_not_after_ms);
    json_set_int(j, "processes", h->told ? h->told->processes : 0);
    return j;
}

json_t *fleet_host(const struct fleet *f, const char *host)
{
    const struct host *h = fleet_find(f, host);
    return h ? fleet_host_view(h) : NULL;
}

static void publish_host(const struct fleet *f, const struct host *h)
{
    if (!live_watched(f->live))
        return;
    AUTOJSON json_t *event = json_object();
    json_set_string(event, "type", "host");
    (void)json_object_set_new(event, "host", fleet_host_view(h));
    live_publish(f->live, event);
}

/* ---- lists of processes ---------------------------------------------------------------------- */

struct told *fleet_told_ref(struct told *t)
{
    t->refs++;
    return t;
}

void fleet_told_unref(struct fleet *f, struct told *t)
{
    if (!t || --t->refs > 0)
        return;
    if (t->old)
        f->old_bytes -= t->len;
    free(t);
}

static struct told *told_new(const struct buf *text, int processes, int64_t at_ms)
{
    struct told *t = xcalloc(1, sizeof *t + text->len + 1);
    t->refs = 1;
    t->processes = processes;
    t->at_ms = at_ms;
    t->len = text->len;
    memcpy(t->text, buf_str(text), text->len);
    return t;
}

/* Clients in the middle of the list before may go on with it, unless too much is held for them. */
static void replace_told(struct fleet *f, struct host *h, struct told *t)
{
    struct told *before = h->told;
    h->told = t;
    if (!before)
        return;
    before->old = true;
    f->old_bytes += before->len;
    fleet_told_unref(f, before);
    if (f->old_bytes > LIMIT_OLD_LISTS)
        fleet_sources_cut(f);
}

size_t fleet_suffix(const struct host *h, const struct told *t, char *out, size_t size)
{
    AUTOBUF struct buf text = BUF_INIT(size - 1);
    int r = buf_addf(&text, ",\"host\":\"%s\",\"host_name\":", h->row.id);
    if (r == 0)
        r = buf_add_json_string(&text, h->row.name);
    if (r == 0)
        r = buf_addf(&text, ",\"at_ms\":%lld,\"stale\":%s", (long long)t->at_ms,
                     h->connected ? "false" : "true");
    /* A name has LIMIT_NAME bytes at most, of six characters each. */
    assert(r == 0);
    memcpy(out, text.data, text.len);
    return text.len;
}

static int add_list(struct buf *out, const struct host *h)
{
    char suffix[FLEET_SUFFIX];
    size_t suffix_len = fleet_suffix(h, h->told, suffix, sizeof suffix);
    const char *at = h->told->text, *end;
    int r = 0;
    for (; r == 0 && (end = strchr(at, '\n')); at = end + 1) {
        r = buf_add(out, at, (size_t)(end - at) - 1);
        if (r == 0)
            r = buf_add(out, suffix, suffix_len);
        if (r == 0)
            r = buf_addc(out, '}');
    }
    return r == 0 ? buf_addstr(out, at) : r;
}

static void publish_processes(struct fleet *f, struct host *h)
{
    AUTOBUF struct buf text = BUF_INIT(EVENT_MAX);
    h->published_ms = uv_hrtime() / 1000000;
    if (!live_watched(f->live))
        return;
    int r = buf_addf(&text, "{\"type\":\"processes\",\"host\":\"%s\",\"at_ms\":%lld,\"processes\":",
                     h->row.id, (long long)h->told->at_ms);
    if (r == 0)
        r = add_list(&text, h);
    if (r == 0)
        r = buf_addc(&text, '}');
    if (r == 0)
        live_publish_text(f->live, text.data, text.len);
    else
        log_warn(r, "host %s: viewers are not told of its processes", h->row.name);
}

static bool may_publish(const struct host *h)
{
    return h->published_ms == 0 || uv_hrtime() / 1000000 - h->published_ms >= PUBLISH_EACH_MS;
}

static void set_untold(struct fleet *f, struct host *h, bool untold)
{
    f->untold += (size_t)untold - (size_t)h->untold;
    h->untold = untold;
}

/* The latest counts: what is told too soon after another waits for fleet_tick(). */
static void tell_viewers(struct fleet *f, struct host *h)
{
    bool now = may_publish(h);
    set_untold(f, h, !now);
    if (now)
        publish_processes(f, h);
}

void fleet_tick(struct fleet *f)
{
    struct host *h;
    for (size_t i = 0; i < FLEET_BUCKETS && f->untold > 0; i++)
        LIST_EACH(h, &f->buckets[i])
    if (h->untold)
        tell_viewers(f, h);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct host *add(struct fleet *f, const struct host_row *row)
{
    struct host *h = xcalloc(1, sizeof *h);
    h->row = *row;
    list_add(&f->buckets[id_bucket(row->id, FLEET_BUCKETS)], &h->link, h);
    return h;
}

/* What was read may be older than what we know: nothing that only grows goes back. */
static void merge(struct host *h, const struct host_row *row)
{
    const struct host_row known = h->row;
    h->row = *row;
    if (known.revoked_ms)
        h->row.revoked_ms = known.revoked_ms;
    if (known.cert_not_after_ms > row->cert_not_after_ms)
        h->row.cert_not_after_ms = known.cert_not_after_ms;
    if (known.seen_ms <= row->seen_ms && !h->connected)
        return;
    h->row.seen_ms = known.seen_ms;
    memcpy(h->row.name, known.name, sizeof known.name);
    memcpy(h->row.release, known.release, sizeof known.release);
}

void fleet_put(struct fleet *f, const struct host_row *row)
{
    struct host *h = fleet_find(f, row->id);
    bool is_new = !h, was_revoked = h && h->row.revoked_ms;
    int64_t until_ms = h ? h->row.cert_not_after_ms : 0;
    if (h)
        merge(h, row);
    else
        h = add(f, row);
    bool revoked = !was_revoked && h->row.revoked_ms;
    if (is_new || revoked || until_ms != h->row.cert_not_after_ms)
        publish_host(f, h);
    if (revoked && !is_new && f->on_revoked)
        f->on_revoked(f->revoked_arg, h->row.id);
}

struct loading {
    struct fleet *fleet;
    struct host_list hosts;
    void (*done)(void *arg, int r);
    void *arg;
};

static int read_hosts(struct db *db, void *arg)
{
    struct loading *l = arg;
    return hosts_list(db, &l->hosts);
}

static void on_read(void *arg, int r)
{
    struct loading *l = arg;
    for (size_t i = 0; i < l->hosts.count; i++)
        fleet_put(l->fleet, &l->hosts.rows[i]);
    if (r < 0 && !l->done)
        log_warn(r, "cannot read the hosts again, ignoring");
    if (l->done)
        l->done(l->arg, r < 0 ? r : 0);
    host_list_clear(&l->hosts);
    free(l);
}

void fleet_load(struct fleet *f, void (*done)(void *arg, int r), void *arg)
{
    struct loading *l = xcalloc(1, sizeof *l);
    *l = (struct loading){.fleet = f, .done = done, .arg = arg};
    store_read(f->store, read_hosts, on_read, l);
}

/* ---- what agents say ------------------------------------------------------------------------- */

struct seen {
    char id[UUID_TEXT];
    char name[LIMIT_NAME + 1];
    char release[LIMIT_NAME + 1];
    int64_t now_ms;
};

static int write_seen(struct db *db, void *arg)
{
    const struct seen *s = arg;
    return hosts_seen(db, s->id, s->name, s->release, s->now_ms);
}

static void on_seen(void *arg, int r)
{
    struct seen *s = arg;
    if (r < 0)
        log_warn(r, "cannot store when the host %s was connected last, ignoring", s->name);
    free(s);
}

/* Only when it comes and goes: what happens every 5 s stays in memory. */
static void store_seen(struct fleet *f, const struct host *h)
{
    struct seen *s = xcalloc(1, sizeof *s);
    memcpy(s->id, h->row.id, sizeof s->id);
    memcpy(s->name, h->row.name, sizeof s->name);
    memcpy(s->release, h->row.release, sizeof s->release);
    s->now_ms = h->row.seen_ms;
    store_write(f->store, write_seen, on_seen, s);
}

static bool names(const json_t *list, const char *word)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (str_eq(json_string_value(item), word)) return true;
    return false;
}

void fleet_set_connected(struct fleet *f, const char *host, bool connected, const json_t *hello,
                         int64_t now_ms)
{
    struct host *h = fleet_find(f, host);
    if (!h)
        return;
    if (h->connected != connected || h->since_ms == 0)
        h->since_ms = now_ms;
    h->connected = connected;
    h->row.seen_ms = now_ms;
    if (hello) {
        foreign_copy(h->row.name, sizeof h->row.name, json_get_string(hello, "hostname", "?"));
        foreign_copy(h->row.release, sizeof h->row.release, json_get_string(hello, "release", ""));
        h->captures = names(json_object_get(hello, "capabilities"), "capture");
    }
    store_seen(f, h);
    publish_host(f, h);
}

int fleet_set_processes(struct fleet *f, const char *host, const json_t *message, char *reterr_text,
                        size_t size)
{
    struct host *h = fleet_find(f, host);
    AUTOBUF struct buf text = BUF_INIT(2 * LIMIT_CHANNEL_MESSAGE);
    if (!h)
        return 0;
    int r = processes_take(json_object_get(message, "processes"), &text, reterr_text, size);
    if (r < 0)
        return r;
    /* A copy: the buffer has room that is not needed, times the number of hosts. */
    replace_told(f, h, told_new(&text, r, json_get_int(message, "at_ms", 0)));
    tell_viewers(f, h);
    return 0;
}

/* ---- questions ------------------------------------------------------------------------------- */

int fleet_check_target(const struct fleet *f, const char *host, const char *app, int64_t instance,
                       const char *kind, char *reterr_text, size_t size)
{
    char why[SENTENCE];
    const struct host *h = fleet_find(f, host);
    if (!h) {
        (void)snprintf(reterr_text, size, "there is no host %s", host);
        return ERR_NOT_FOUND;
    }
    if (h->row.revoked_ms) {
        (void)snprintf(reterr_text, size, "the host %s is revoked", h->row.name);
        return ERR_REVOKED;
    }
    if (!h->connected)
        return 0;
    if (!h->captures) {
        (void)snprintf(reterr_text, size, "the agent of host %s takes no captures", h->row.name);
        return ERR_UNSUPPORTED;
    }
    int r = h->told ? processes_check(h->told->text, app, instance, kind, why, sizeof why) : 0;
    if (r < 0)
        (void)snprintf(reterr_text, size, "host %s: %s", h->row.name, why);
    return r;
}
