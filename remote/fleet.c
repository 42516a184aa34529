#include "remote/fleet.h"

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
#include "remote/foreign.h"
#include "remote/id_hash.h"
#include "remote/live.h"
#include "remote/processes.h"
#include "remote/store/store.h"

enum { BUCKETS = 4096, SENTENCE = 512 };

struct host {
    struct list link;
    struct host_row row;
    bool connected;
    bool captures;        /* it can be told to capture */
    int64_t since_ms;     /* of `connected`; 0: not since we started */
    int64_t processes_ms; /* by its own clock */
    int processes;
    char *list; /* of processes_take(); NULL: it has told none */
};

struct fleet {
    struct store *store;
    struct live *live;
    struct list buckets[BUCKETS]; /* of struct host, by id */
    void (*on_revoked)(void *arg, const char *host);
    void *revoked_arg;
};

/* ---- hosts ----------------------------------------------------------------------------------- */

struct fleet *fleet_new(struct store *store, struct live *live)
{
    struct fleet *f = xcalloc(1, sizeof *f);
    f->store = store;
    f->live = live;
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&f->buckets[i]);
    return f;
}

void fleet_free(struct fleet *f)
{
    struct host *h;
    if (!f)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_EACH(h, &f->buckets[i])
        {
            list_remove(&h->link);
            free(h->list);
            free(h);
        }
    free(f);
}

static struct host *find(const struct fleet *f, const char *id)
{
    struct host *h;
    LIST_EACH(h, (struct list *)&f->buckets[id_bucket(id, BUCKETS)])
    if (str_eq(h->row.id, id))
        return h;
    return NULL;
}

const struct host_row *fleet_get(const struct fleet *f, const char *host)
{
    const struct host *h = find(f, host);
    return h ? &h->row : NULL;
}

bool fleet_connected(const struct fleet *f, const char *host)
{
    const struct host *h = find(f, host);
    return h && h->connected;
}

int64_t fleet_since_ms(const struct fleet *f, const char *host)
{
    const struct host *h = find(f, host);
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

static json_t *host_view(const struct host *h)
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
    json_set_int(j, "processes", h->processes);
    return j;
}

static void add_processes(const struct host *h, json_t *out)
{
    size_t i;
    json_t *process;
    AUTOJSON json_t *list = h->list ? json_loads(h->list, 0, NULL) : NULL;
    json_array_foreach(list, i, process)
    {
        json_set_string(process, "host", h->row.id);
        json_set_string(process, "host_name", h->row.name);
        json_set_int(process, "at_ms", h->processes_ms);
        json_set_bool(process, "stale", !h->connected);
        (void)json_array_append(out, process);
    }
}

json_t *fleet_hosts(const struct fleet *f)
{
    json_t *out = json_array();
    struct host *h;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_EACH(h, (struct list *)&f->buckets[i])
    (void)json_array_append_new(out, host_view(h));
    return out;
}

json_t *fleet_host(const struct fleet *f, const char *host)
{
    const struct host *h = find(f, host);
    return h ? host_view(h) : NULL;
}

json_t *fleet_processes(const struct fleet *f, const char *host)
{
    json_t *out = json_array();
    struct host *h;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_EACH(h, (struct list *)&f->buckets[i])
    if (!host || str_eq(h->row.id, host))
        add_processes(h, out);
    return out;
}

static void publish_host(const struct fleet *f, const struct host *h)
{
    if (!live_watched(f->live))
        return;
    AUTOJSON json_t *event = json_object();
    json_set_string(event, "type", "host");
    (void)json_object_set_new(event, "host", host_view(h));
    live_publish(f->live, event);
}

static void publish_processes(const struct fleet *f, const struct host *h)
{
    if (!live_watched(f->live))
        return;
    AUTOJSON json_t *event = json_object();
    json_t *list = json_array();
    add_processes(h, list);
    json_set_string(event, "type", "processes");
    json_set_string(event, "host", h->row.id);
    json_set_int(event, "at_ms", h->processes_ms);
    (void)json_object_set_new(event, "processes", list);
    live_publish(f->live, event);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct host *add(struct fleet *f, const struct host_row *row)
{
    struct host *h = xcalloc(1, sizeof *h);
    h->row = *row;
    list_add(&f->buckets[id_bucket(row->id, BUCKETS)], &h->link, h);
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
    struct host *h = find(f, row->id);
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
    struct host *h = find(f, host);
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
    struct host *h = find(f, host);
    AUTOBUF struct buf text = BUF_INIT(2 * LIMIT_CHANNEL_MESSAGE);
    if (!h)
        return 0;
    int r = processes_take(json_object_get(message, "processes"), &text, reterr_text, size);
    if (r < 0)
        return r;
    free(h->list);
    /* The buffer has room that is not needed, times the number of hosts. */
    h->list = xstrdup(buf_str(&text));
    h->processes = r;
    h->processes_ms = json_get_int(message, "at_ms", 0);
    publish_processes(f, h);
    return 0;
}

/* ---- questions ------------------------------------------------------------------------------- */

int fleet_check_target(const struct fleet *f, const char *host, const char *app, int64_t instance,
                       const char *kind, char *reterr_text, size_t size)
{
    char why[SENTENCE];
    const struct host *h = find(f, host);
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
    int r = h->list ? processes_check(h->list, app, instance, kind, why, sizeof why) : 0;
    if (r < 0)
        (void)snprintf(reterr_text, size, "host %s: %s", h->row.name, why);
    return r;
}
