#include "remote/history.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/secure/hash.h"
#include "remote/foreign.h"
#include "remote/id_hash.h"
#include "remote/store/exits.h"
#include "remote/store/history.h"
#include "remote/store/store.h"

enum {
    HOST_BUCKETS = 1024,
    PROCESS_BUCKETS = 8192,
    BATCH = 1000, /* rows of one piece of work of the store */
    /* After the end of a minute: what was sent in it is here. */
    LATE_MS = 200,
};

/* How often a process is noted as seen in the store. */
#define SEEN_EACH_MS (6 * 3600 * INT64_C(1000))

struct batch;

struct gathering { /* of one host */
    struct list link;
    char id[UUID_TEXT];
    unsigned processes;
    bool writing_exits;
};

struct process {
    struct list link; /* in its bucket */
    struct gathering *host;
    struct row *row; /* on its way to the store; NULL: none */
    int64_t id;      /* in the store; 0: not known */
    int64_t seen_ms; /* when the store was told */
    int64_t heard;   /* in which minute */
    int64_t exit_ms; /* the last end that was given to the store */
    unsigned exit_try;
    int instance;
    struct minute minute;
    char app[];
};

struct row {
    struct history_row of_store;
    struct process *process; /* NULL: forgotten meanwhile */
    int result;
};

struct batch {
    struct history *history;
    size_t count;
    struct row rows[BATCH];
};

struct history {
    struct store *store;
    uv_timer_t *clock; /* freed in its close callback */
    int64_t minute;    /* the present one */
    uint32_t seed;     /* names are chosen outside */
    unsigned exit_try; /* one more: ends are given to the store anew */
    bool exit_failed;
    bool failing; /* said once */
    struct list hosts[HOST_BUCKETS];
    struct list processes[PROCESS_BUCKETS];
};

static void on_clock(uv_timer_t *timer);

/* ---- beginning and end ----------------------------------------------------------------------- */

static void start_clock(struct history *h)
{
    uint64_t left_ms = (uint64_t)(MINUTE_MS - loop_wall_ms() % MINUTE_MS);
    (void)uv_timer_start(h->clock, on_clock, left_ms + LATE_MS, 0);
}

struct history *history_new(uv_loop_t *loop, struct store *store)
{
    struct history *h = xcalloc(1, sizeof *h);
    h->store = store;
    h->minute = minute_of(loop_wall_ms());
    random_bytes(&h->seed, sizeof h->seed);
    for (size_t i = 0; i < HOST_BUCKETS; i++)
        list_init(&h->hosts[i]);
    for (size_t i = 0; i < PROCESS_BUCKETS; i++)
        list_init(&h->processes[i]);
    h->clock = xcalloc(1, sizeof *h->clock);
    h->clock->data = h;
    (void)uv_timer_init(loop, h->clock);
    start_clock(h);
    return h;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* A host that has ends on their way is freed when they are there. */
static void leave_host(struct gathering *host)
{
    if (host->processes > 0 || host->writing_exits)
        return;
    list_remove(&host->link);
    free(host);
}

static void process_free(struct process *p)
{
    struct gathering *host = p->host;
    if (p->row)
        p->row->process = NULL;
    list_remove(&p->link);
    free(p);
    host->processes--;
    leave_host(host);
}

void history_free(struct history *h)
{
    struct process *p;
    if (!h)
        return;
    for (size_t i = 0; i < PROCESS_BUCKETS; i++)
        LIST_EACH(p, &h->processes[i])
    process_free(p);
    free(h);
}

/* ---- who ------------------------------------------------------------------------------------- */

static struct gathering *find_host(const struct history *h, const char *id)
{
    struct gathering *host;
    LIST_EACH(host, (struct list *)&h->hosts[id_bucket(id, HOST_BUCKETS)])
    if (str_eq(host->id, id))
        return host;
    return NULL;
}

static struct gathering *add_host(struct history *h, const char *id)
{
    struct gathering *host = xcalloc(1, sizeof *host);
    (void)snprintf(host->id, sizeof host->id, "%s", id);
    list_add(&h->hosts[id_bucket(id, HOST_BUCKETS)], &host->link, host);
    return host;
}

/* FNV-1a from a number that nobody knows: a host does not put all its processes into one list. */
static struct list *bucket(const struct history *h, const char *host, const char *app, int instance)
{
    uint32_t hash = h->seed ^ (uint32_t)instance * 2654435761u;
    for (; *host; host++)
        hash = (hash ^ (unsigned char)*host) * 16777619u;
    for (; *app; app++)
        hash = (hash ^ (unsigned char)*app) * 16777619u;
    return (struct list *)&h->processes[hash % PROCESS_BUCKETS];
}

static struct process *find(const struct history *h, const char *host, const char *app,
                            int64_t instance)
{
    struct process *p;
    LIST_EACH(p, bucket(h, host, app, (int)instance))
    if (p->instance == instance && str_eq(p->app, app) && str_eq(p->host->id, host))
        return p;
    return NULL;
}

/* NULL: it has too many. */
static struct process *find_or_add(struct history *h, struct gathering *host, const char *app,
                                   int instance)
{
    struct process *p = find(h, host->id, app, instance);
    if (p || host->processes >= LIMIT_INSTANCES)
        return p;
    size_t len = strlen(app) + 1;
    p = xcalloc(1, sizeof *p + len);
    p->host = host;
    p->instance = instance;
    memcpy(p->app, app, len);
    host->processes++;
    list_add(bucket(h, host->id, app, instance), &p->link, p);
    return p;
}

/* ---- a minute's rows ------------------------------------------------------------------------- */

static int write_batch(struct db *db, void *arg)
{
    struct batch *b = arg;
    for (size_t i = 0; i < b->count; i++) {
        struct row *row = &b->rows[i];
        row->result = history_add(db, &row->of_store);
        /* One host's matter. */
        if (row->result < 0 && row->result != ERR_TOO_BIG && row->result != ERR_NOT_FOUND)
            return row->result;
    }
    return 0;
}

static void settle_row(struct row *row, int r)
{
    struct process *p = row->process;
    if (p) {
        p->row = NULL;
        if (r >= 0 && row->result == 0) {
            p->id = row->of_store.process;
            if (row->of_store.seen_ms)
                p->seen_ms = row->of_store.seen_ms;
        }
    }
    history_row_clear(&row->of_store);
}

static void on_written(void *arg, int r)
{
    struct batch *b = arg;
    struct history *h = b->history;
    if (r < 0 && !h->failing)
        log_warn(r, "what the processes use cannot be stored, there will be a gap");
    h->failing = r < 0;
    for (size_t i = 0; i < b->count; i++)
        settle_row(&b->rows[i], r);
    free(b);
}

static void send_batch(struct history *h, struct batch **b)
{
    if (*b)
        store_write(h->store, write_batch, on_written, *b);
    *b = NULL;
}

static void add_row(struct history *h, struct batch **b, struct process *p, int64_t now_ms)
{
    if (!*b) {
        *b = xcalloc(1, sizeof **b);
        (*b)->history = h;
    }
    struct row *row = &(*b)->rows[(*b)->count++];
    struct history_row *to = &row->of_store;
    row->process = p;
    p->row = row;
    to->process = p->id;
    to->minute = p->minute;
    to->instance = p->instance;
    if (p->id == 0 || now_ms - p->seen_ms >= SEEN_EACH_MS || now_ms < p->seen_ms) {
        to->seen_ms = now_ms;
        to->app = xstrdup(p->app);
        memcpy(to->host, p->host->id, sizeof to->host);
    }
    p->minute = (struct minute){0};
    if ((*b)->count == BATCH)
        send_batch(h, b);
}

/* One whose last row is still on its way (a disk that hangs) gets no other: its values give way to new ones. */
static bool has_row(const struct process *p, int64_t now_ms)
{
    bool unseen = p->id != 0 && now_ms - p->seen_ms >= SEEN_EACH_MS;
    return !p->row && (p->minute.have || unseen);
}

static void flush(struct history *h, int64_t now_ms)
{
    struct process *p;
    struct batch *b = NULL;
    for (size_t i = 0; i < PROCESS_BUCKETS; i++)
        LIST_EACH(p, &h->processes[i])
        {
            bool silent = p->heard != h->minute;
            if (has_row(p, now_ms))
                add_row(h, &b, p, now_ms);
            if (silent)
                process_free(p);
        }
    send_batch(h, &b);
    if (h->exit_failed)
        h->exit_try++;
    h->exit_failed = false;
}

void history_tick(struct history *h, int64_t now_ms)
{
    int64_t minute = minute_of(now_ms);
    if (minute == h->minute)
        return;
    flush(h, now_ms);
    h->minute = minute;
}

static void on_clock(uv_timer_t *timer)
{
    struct history *h = timer->data;
    history_tick(h, loop_wall_ms());
    start_clock(h);
}

void history_close(struct history *h)
{
    if (!h->clock)
        return;
    uv_close((uv_handle_t *)h->clock, free_handle);
    h->clock = NULL;
    flush(h, loop_wall_ms());
}

/* ---- ends ------------------------------------------------------------------------------------ */

struct ending {
    char app[LIMIT_NAME + 1];
    int instance;
    struct exit_row row;
};

/* Of one message. */
struct endings {
    struct history *history;
    struct gathering *host;
    char id[UUID_TEXT];
    int64_t now_ms;
    size_t count;
    struct ending *items;
};

static int write_endings(struct db *db, void *arg)
{
    const struct endings *e = arg;
    for (size_t i = 0; i < e->count; i++) {
        const struct ending *one = &e->items[i];
        int r = exits_add(db, e->id, one->app, one->instance, &one->row, e->now_ms);
        if (r < 0 && r != ERR_TOO_BIG && r != ERR_NOT_FOUND)
            return r;
    }
    return 0;
}

static void on_endings(void *arg, int r)
{
    struct endings *e = arg;
    if (r < 0)
        e->history->exit_failed = true;
    e->host->writing_exits = false;
    leave_host(e->host);
    free(e->items);
    free(e);
}

static void add_ending(struct endings *e, struct process *p, const json_t *j)
{
    const json_t *signal = json_object_get(j, "signal");
    if ((e->count & (e->count - 1)) == 0)
        e->items = xreallocarray(e->items, e->count ? 2 * e->count : 1, sizeof *e->items);
    struct ending *one = &e->items[e->count++];
    *one = (struct ending){.instance = p->instance,
                           .row = {.at_ms = json_get_int(j, "at_ms", 0),
                                   .by_signal = signal != NULL,
                                   .number = json_get_int(j, signal ? "signal" : "code", 0),
                                   .core = json_get_bool(j, "core", false),
                                   .asked = json_get_bool(j, "asked", false),
                                   .uptime_ms = json_get_int(j, "uptime_ms", 0)}};
    (void)snprintf(one->app, sizeof one->app, "%s", p->app);
    p->exit_ms = one->row.at_ms;
    p->exit_try = e->history->exit_try;
}

/* While some are on their way, others wait for the next message. */
static void look_for_end(struct endings *e, struct process *p, const json_t *process)
{
    const json_t *j = json_object_get(process, "exit");
    int64_t at_ms = json_get_int(j, "at_ms", 0);
    bool known = p->exit_ms == at_ms && p->exit_try == e->history->exit_try;
    if (at_ms > 0 && !known && !e->host->writing_exits)
        add_ending(e, p, j);
}

static void send_endings(const struct endings *found)
{
    if (found->count == 0)
        return;
    struct endings *e = xcalloc(1, sizeof *e);
    *e = *found;
    memcpy(e->id, e->host->id, sizeof e->id);
    e->host->writing_exits = true;
    store_write(e->history->store, write_endings, on_endings, e);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void take_process(struct history *h, struct endings *e, const json_t *process,
                         int64_t now_ms)
{
    char app[LIMIT_NAME + 1];
    foreign_copy(app, sizeof app, json_get_string(process, "app", ""));
    struct process *p = find_or_add(h, e->host, app, (int)json_get_int(process, "instance", 0));
    if (!p)
        return;
    p->heard = h->minute;
    look_for_end(e, p, process);
    /* One that does not run uses nothing, which is not the same as none of it. */
    if (json_get_int(process, "pid", 0) == 0)
        return;
    if (p->minute.number != h->minute)
        p->minute = (struct minute){.number = h->minute};
    minute_set(&p->minute, now_ms, json_get_number(process, "cpu", 0),
               json_get_int(process, "memory", 0));
}

void history_take(struct history *h, const char *host, const json_t *processes, int64_t now_ms)
{
    size_t i;
    json_t *process;
    if (!h || !h->clock)
        return;
    history_tick(h, now_ms);
    struct gathering *from = find_host(h, host);
    struct endings e = {.history = h, .host = from ? from : add_host(h, host), .now_ms = now_ms};
    json_array_foreach(processes, i, process) take_process(h, &e, process, now_ms);
    send_endings(&e);
    leave_host(e.host);
}

size_t history_recent(const struct history *h, const char *host, const char *app, int64_t instance,
                      struct minute ret_minutes[static HISTORY_RECENT])
{
    size_t count = 0;
    const struct process *p = h ? find(h, host, app, instance) : NULL;
    if (p && p->row && p->row->of_store.minute.have)
        ret_minutes[count++] = p->row->of_store.minute;
    if (p && p->minute.have)
        ret_minutes[count++] = p->minute;
    return count;
}
