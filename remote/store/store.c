#include "remote/store/store.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "remote/store/db_private.h"

/* What one transaction takes together.  More would keep the first of them waiting for the last, and open more files. */
enum { BATCH = 256 };

#define WATCH_NS (500 * UINT64_C(1000000))

struct job {
    struct list link;
    store_work_cb work;
    store_done_cb done;
    void *arg;
    int result;
};

/* One thread with its own db.  All that is shared stands under the store's lock. */
struct lane {
    struct store *store;
    struct db *db;
    uv_thread_t thread;
    uv_cond_t wake;
    struct list waiting; /* jobs */
    size_t waiting_count;
    void (*run)(struct lane *lane, struct list *batch);
    bool watches; /* looks for changes by others */
    bool started;
    bool ended;
    int failing; /* the writer: the error that commits end with, until one works */
};

struct store {
    uv_async_t report; /* ->data is the store */
    uv_mutex_t lock;
    struct lane reader;
    struct lane writer;
    struct list finished; /* jobs whose `done` is to be called */
    bool closing;         /* takes no more work */
    bool handle_closing;
    bool others_changed; /* to be told */
    void (*changed)(void *arg);
    void *changed_arg;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- in the threads -------------------------------------------------------------------------- */

static void finish(struct store *s, struct list *jobs)
{
    struct job *job;
    uv_mutex_lock(&s->lock);
    LIST_EACH(job, jobs)
    {
        list_remove(&job->link);
        list_add(&s->finished, &job->link, job);
    }
    uv_mutex_unlock(&s->lock);
    (void)uv_async_send(&s->report);
}

/* Each as soon as it is ready: the next one may take long. */
static void run_reads(struct lane *lane, struct list *batch)
{
    struct job *job;
    struct list ready = LIST_INIT(ready);
    LIST_EACH(job, batch)
    {
        job->result = job->work(lane->db, job->arg);
        list_remove(&job->link);
        list_add(&ready, &job->link, job);
        finish(lane->store, &ready);
    }
}

/* In a savepoint of its own.  Less than 0: the transaction cannot go on. */
static int run_write(struct db *db, struct job *job)
{
    int r = db_exec(db, "SAVEPOINT job");
    if (r < 0)
        return r;
    job->result = job->work(db, job->arg);
    if (db->failed)
        return db->failed;
    if (job->result < 0)
        r = db_exec(db, "ROLLBACK TO job");
    if (r == 0)
        r = db_exec(db, "RELEASE job");
    return r;
}

static int run_transaction(struct db *db, struct list *batch)
{
    struct job *job;
    int r = db_begin(db);
    if (r < 0)
        return r;
    LIST_EACH(job, batch)
    {
        r = run_write(db, job);
        if (r < 0) {
            db_rollback(db);
            return r;
        }
    }
    return db_commit(db);
}

/* Once when it begins, and once when it is over. */
static void tell(struct lane *lane, int r)
{
    if (r < 0 && lane->failing != r)
        log_err(r, "%s: what is to be stored cannot be written", db_dir(lane->db));
    if (r >= 0 && lane->failing < 0)
        log_info("%s: writing works again", db_dir(lane->db));
    lane->failing = r < 0 ? r : 0;
}

static void run_writes(struct lane *lane, struct list *batch)
{
    struct job *job;
    int r = run_transaction(lane->db, batch);
    tell(lane, r);
    LIST_EACH(job, batch)
    {
        if (r < 0 && job->result >= 0)
            job->result = r;
    }
    finish(lane->store, batch);
}

static bool is_watched(struct lane *lane)
{
    uv_mutex_lock(&lane->store->lock);
    bool watched = lane->watches;
    uv_mutex_unlock(&lane->store->lock);
    return watched;
}

static void look_for_changes(struct lane *lane, uint64_t *last_ns)
{
    struct store *s = lane->store;
    uint64_t now_ns = uv_hrtime();
    if (now_ns - *last_ns < WATCH_NS || !is_watched(lane))
        return;
    *last_ns = now_ns;
    if (!db_changed(lane->db))
        return;
    uv_mutex_lock(&s->lock);
    s->others_changed = true;
    uv_mutex_unlock(&s->lock);
    (void)uv_async_send(&s->report);
}

/* False: the store is closing and nothing waits. */
static bool take_batch(struct lane *lane, struct list *ret_batch)
{
    struct store *s = lane->store;
    struct job *job;
    int taken = 0;
    uv_mutex_lock(&s->lock);
    if (list_empty(&lane->waiting) && !s->closing) {
        if (lane->watches)
            (void)uv_cond_timedwait(&lane->wake, &s->lock, WATCH_NS);
        else
            uv_cond_wait(&lane->wake, &s->lock);
    }
    bool go_on = !s->closing || !list_empty(&lane->waiting);
    LIST_EACH(job, &lane->waiting)
    {
        if (taken++ == BATCH)
            break;
        list_remove(&job->link);
        list_add(ret_batch, &job->link, job);
        lane->waiting_count--;
    }
    uv_mutex_unlock(&s->lock);
    return go_on;
}

static void run_lane(void *arg)
{
    struct lane *lane = arg;
    uint64_t looked_ns = 0;
    struct list batch = LIST_INIT(batch);
    while (take_batch(lane, &batch)) {
        if (!list_empty(&batch))
            lane->run(lane, &batch);
        look_for_changes(lane, &looked_ns);
    }
    db_close(lane->db);
    uv_mutex_lock(&lane->store->lock);
    lane->ended = true;
    uv_mutex_unlock(&lane->store->lock);
    (void)uv_async_send(&lane->store->report);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static struct job *next_finished(struct store *s)
{
    struct job *job = NULL;
    uv_mutex_lock(&s->lock);
    if (!list_empty(&s->finished)) {
        job = s->finished.next->owner;
        list_remove(&job->link);
    }
    uv_mutex_unlock(&s->lock);
    return job;
}

static void call_finished(struct store *s)
{
    struct job *job;
    while ((job = next_finished(s))) {
        if (job->done)
            job->done(job->arg, job->result);
        free(job);
    }
}

static void tell_changes(struct store *s)
{
    uv_mutex_lock(&s->lock);
    bool tell_it = s->others_changed && !s->closing;
    s->others_changed = false;
    uv_mutex_unlock(&s->lock);
    if (tell_it && s->changed)
        s->changed(s->changed_arg);
}

static void store_free(struct store *s)
{
    uv_cond_destroy(&s->reader.wake);
    uv_cond_destroy(&s->writer.wake);
    uv_mutex_destroy(&s->lock);
    free(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct store *s = handle->data;
    /* Refusals of what was asked for since. */
    call_finished(s);
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;
    store_free(s);
    if (closed)
        closed(arg);
}

static bool lanes_ended(struct store *s)
{
    uv_mutex_lock(&s->lock);
    bool ended = s->reader.ended && s->writer.ended;
    uv_mutex_unlock(&s->lock);
    return ended;
}

static void on_report(uv_async_t *async)
{
    struct store *s = async->data;
    /* Asked first: what they finished stands in the list then. */
    bool ended = lanes_ended(s);
    call_finished(s);
    tell_changes(s);
    if (!ended || s->handle_closing)
        return;
    s->handle_closing = true;
    (void)uv_thread_join(&s->reader.thread);
    (void)uv_thread_join(&s->writer.thread);
    uv_close((uv_handle_t *)&s->report, on_closed);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask(struct store *s, struct lane *lane, store_work_cb work, store_done_cb done,
                void *arg)
{
    struct job *job = xcalloc(1, sizeof *job);
    *job = (struct job){.work = work, .done = done, .arg = arg};
    uv_mutex_lock(&s->lock);
    bool full = lane->waiting_count >= LIMIT_STORE_QUEUE;
    if (s->closing || full) {
        job->result = s->closing ? ERR_STOPPING : ERR_BUSY;
        list_add(&s->finished, &job->link, job);
    } else {
        list_add(&lane->waiting, &job->link, job);
        lane->waiting_count++;
        uv_cond_signal(&lane->wake);
    }
    bool refused = job->result < 0;
    uv_mutex_unlock(&s->lock);
    if (refused && !s->handle_closing)
        (void)uv_async_send(&s->report);
}

void store_read(struct store *s, store_work_cb work, store_done_cb done, void *arg)
{
    ask(s, &s->reader, work, done, arg);
}

void store_write(struct store *s, store_work_cb work, store_done_cb done, void *arg)
{
    ask(s, &s->writer, work, done, arg);
}

void store_watch(struct store *s, void (*changed)(void *arg), void *arg)
{
    uv_mutex_lock(&s->lock);
    s->changed = changed;
    s->changed_arg = arg;
    s->writer.watches = changed != NULL;
    uv_cond_signal(&s->writer.wake);
    uv_mutex_unlock(&s->lock);
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Signals are the loop's. */
static int start_lane(struct lane *lane)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = uv_thread_create(&lane->thread, run_lane, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    lane->started = r == 0;
    return r;
}

static void lane_init(struct lane *lane, struct store *s, void (*run)(struct lane *, struct list *))
{
    lane->store = s;
    lane->run = run;
    list_init(&lane->waiting);
    int r = uv_cond_init(&lane->wake);
    assert(r == 0);
}

static int open_dbs(struct store *s, const char *dir)
{
    int r = db_open(dir, &s->writer.db);
    if (r == 0)
        r = db_mend(s->writer.db);
    if (r == 0)
        r = db_open(dir, &s->reader.db);
    /* From here on, changes by others count. */
    if (r == 0)
        (void)db_changed(s->writer.db);
    return r;
}

static int start_lanes(struct store *s)
{
    int r = start_lane(&s->reader);
    return r < 0 ? r : start_lane(&s->writer);
}

/* A thread closes its own db; one that never ran cannot. */
static void end_lane(struct lane *lane)
{
    struct store *s = lane->store;
    if (!lane->started) {
        db_close(lane->db);
        return;
    }
    uv_mutex_lock(&s->lock);
    s->closing = true;
    uv_cond_signal(&lane->wake);
    uv_mutex_unlock(&s->lock);
    (void)uv_thread_join(&lane->thread);
}

static struct store *store_new(void)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->report.data = s;
    list_init(&s->finished);
    int r = uv_mutex_init(&s->lock);
    assert(r == 0);
    lane_init(&s->reader, s, run_reads);
    lane_init(&s->writer, s, run_writes);
    return s;
}

int store_open(struct store **ret_store, uv_loop_t *loop, const char *dir)
{
    struct store *s = store_new();
    int r = open_dbs(s, dir);
    if (r == 0)
        r = uv_async_init(loop, &s->report, on_report);
    if (r < 0) {
        end_lane(&s->reader);
        end_lane(&s->writer);
        store_free(s);
        return r;
    }
    r = start_lanes(s);
    if (r < 0) {
        log_err(r, "the threads of the store cannot be started");
        end_lane(&s->reader);
        end_lane(&s->writer);
        s->handle_closing = true;
        uv_close((uv_handle_t *)&s->report, on_closed);
        return r;
    }
    *ret_store = s;
    return 0;
}

void store_close(struct store *s, void (*closed)(void *arg), void *arg)
{
    s->closed = closed;
    s->closed_arg = arg;
    uv_mutex_lock(&s->lock);
    s->closing = true;
    uv_cond_signal(&s->reader.wake);
    uv_cond_signal(&s->writer.wake);
    uv_mutex_unlock(&s->lock);
}
