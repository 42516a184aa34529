#include "remote/analysis.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "remote/analysis_child.h"
#include "remote/store/profiles.h"
#include "remote/store/store.h"

/* Of what is kept: another version is computed anew. */
enum { ANALYSIS_VERSION = 1, CHILDREN_MAX = 2, JOBS_MAX = 100, WAITERS_MAX = 100 };

static const char *const names[] = {"top", "top-total", "tree"};

struct waiter {
    struct list link;
    char name[16];
    analysis_cb done;
    void *arg;
};

/* One profile that somebody wants to see.
 *
 *     look up (store) → kept: answered
 *                     → not: queued → child → its pieces are stored → answered */
struct job {
    struct list link;
    struct analysis *owner;
    char id[UUID_TEXT];
    struct list waiters;
    struct analysis_child *child;
    bool waiting; /* for its turn */
    /* between the loop and the store's threads */
    struct profile_row row;
    int fd;
    struct kept {
        char *text;
        size_t len;
    } kept[ARRAY_SIZE(names)];
    int result;
    char *sentence;
};

struct analysis {
    uv_loop_t *loop;
    struct store *store;
    struct list jobs;
    unsigned children;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    uv_idle_t last; /* calls `closed` from the loop */
};

/* The steps, in the order in which they run. */
static int look_up(struct db *db, void *arg);
static void on_looked_up(void *arg, int r);
static void start_next(struct analysis *a);
static void on_child(void *arg, int r, const char *text, const struct buf *out);
static int keep(struct db *db, void *arg);
static void on_kept(void *arg, int r);
static void job_end(struct job *j, int r);
static void close_when_idle(struct analysis *a);

/* ---- opening and closing --------------------------------------------------------------------- */

struct analysis *analysis_new(uv_loop_t *loop, struct store *store)
{
    struct analysis *a = xcalloc(1, sizeof *a);
    a->loop = loop;
    a->store = store;
    list_init(&a->jobs);
    (void)uv_idle_init(loop, &a->last);
    a->last.data = a;
    return a;
}

void analysis_close(struct analysis *a, void (*closed)(void *arg), void *arg)
{
    struct job *j;
    a->closing = true;
    a->closed = closed;
    a->closed_arg = arg;
    LIST_EACH(j, &a->jobs)
    {
        if (j->child)
            analysis_child_cancel(j->child);
        else if (j->waiting)
            job_end(j, ERR_STOPPING);
    }
    close_when_idle(a);
}

static void on_last_closed(uv_handle_t *handle)
{
    struct analysis *a = handle->data;
    void (*closed)(void *arg) = a->closed;
    void *arg = a->closed_arg;
    free(a);
    if (closed)
        closed(arg);
}

static void close_when_idle(struct analysis *a)
{
    if (a->closing && list_count(&a->jobs) == 0 && !uv_is_closing((uv_handle_t *)&a->last))
        uv_close((uv_handle_t *)&a->last, on_last_closed);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int name_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(names[i], name))
            return (int)i;
    return -1;
}

static struct job *find(struct analysis *a, const char *id)
{
    struct job *j;
    LIST_EACH(j, &a->jobs)
    if (str_eq(j->id, id))
        return j;
    return NULL;
}

static struct job *job_new(struct analysis *a, const char *id)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->owner = a;
    j->fd = -1;
    memcpy(j->id, id, UUID_TEXT);
    list_init(&j->waiters);
    list_add(&a->jobs, &j->link, j);
    return j;
}

static void add_waiter(struct job *j, const char *name, analysis_cb done, void *arg)
{
    struct waiter *w = xcalloc(1, sizeof *w);
    (void)strncpy(w->name, name, sizeof w->name - 1);
    w->done = done;
    w->arg = arg;
    list_add(&j->waiters, &w->link, w);
}

void analysis_get(struct analysis *a, const char *profile_id, const char *name, analysis_cb done,
                  void *arg)
{
    struct job *j = uuid_valid_v7(profile_id) ? find(a, profile_id) : NULL;
    bool known = uuid_valid_v7(profile_id) && name_number(name) >= 0;
    bool full = j ? list_count(&j->waiters) >= WAITERS_MAX : list_count(&a->jobs) >= JOBS_MAX;
    if (j && known && !full) {
        add_waiter(j, name, done, arg);
        return;
    }
    j = job_new(a, known ? profile_id : "00000000-0000-7000-8000-000000000000");
    add_waiter(j, name, done, arg);
    if (!known || full || a->closing)
        j->result = !known ? ERR_NOT_FOUND : full ? ERR_BUSY : ERR_STOPPING;
    store_read(a->store, look_up, on_looked_up, j);
}

/* In the store's thread.  A job that is refused takes this way only to be answered from the loop. */
static int look_up(struct db *db, void *arg)
{
    struct job *j = arg;
    if (j->result < 0)
        return j->result;
    int r = profiles_get(db, j->id, &j->row);
    if (r == 0 && j->row.removed)
        r = ERR_NOT_FOUND;
    size_t found = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
        found += analyses_get(db, j->row.sums.sha256, names[i], ANALYSIS_VERSION, &j->kept[i].text,
                              &j->kept[i].len) == 0;
    if (r == 0 && found < ARRAY_SIZE(names))
        r = profiles_open(db, &j->row, &j->fd);
    return r;
}

static void on_looked_up(void *arg, int r)
{
    struct job *j = arg;
    if (r < 0 || j->fd < 0 || j->owner->closing) {
        job_end(j, r < 0 ? r : j->fd < 0 ? 0 : ERR_STOPPING);
        return;
    }
    j->waiting = true;
    start_next(j->owner);
}

/* ---- the child ------------------------------------------------------------------------------- */

static void start(struct job *j)
{
    j->waiting = false;
    int r = analysis_child_start(&j->child, j->owner->loop, TAKE_FD(j->fd), j->row.offset,
                                 j->row.sums.stored_bytes, on_child, j);
    if (r < 0) {
        log_err(r, "cannot start proctor-analyze");
        job_end(j, r);
        return;
    }
    j->owner->children++;
}

static void start_next(struct analysis *a)
{
    struct job *j;
    LIST_EACH(j, &a->jobs)
    if (j->waiting && a->children < CHILDREN_MAX)
        start(j);
}

/* Its own error, "NAME sentence". */
static int take_error(struct job *j, const struct analysis_piece *piece)
{
    AUTOFREE char *line = xstrndup(piece->data, piece->len);
    char *blank = strchr(line, ' ');
    if (!blank)
        return ERR_PROTOCOL;
    *blank = '\0';
    free(j->sentence);
    j->sentence = xstrdup(blank + 1);
    return err_from_name(line);
}

static int take_pieces(struct job *j, const struct buf *out)
{
    struct analysis_piece piece;
    size_t pos = 0;
    bool whole = false;
    int r;
    while ((r = analysis_piece_next(out, &pos, &piece)) > 0) {
        int i = name_number(piece.name);
        if (str_eq(piece.name, "error"))
            return take_error(j, &piece);
        whole = whole || str_eq(piece.name, "end");
        if (i < 0)
            continue;
        free(j->kept[i].text);
        j->kept[i] = (struct kept){xstrndup(piece.data, piece.len), piece.len};
    }
    return r < 0 ? r : whole ? 0 : ERR_PROTOCOL;
}

static void on_child(void *arg, int r, const char *text, const struct buf *out)
{
    struct job *j = arg;
    struct analysis *a = j->owner;
    j->child = NULL;
    a->children--;
    if (r < 0)
        j->sentence = xstrdup(text);
    else
        r = take_pieces(j, out);
    if (r < 0 && r != ERR_CANCELLED)
        log_warn(r, "profile %s cannot be analysed: %s", j->id, j->sentence ? j->sentence : "");
    if (r < 0)
        job_end(j, r);
    else
        store_write(a->store, keep, on_kept, j);
    if (!a->closing)
        start_next(a);
}

static int keep(struct db *db, void *arg)
{
    struct job *j = arg;
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++)
        if (j->kept[i].text)
            r = analyses_put(db, j->row.sums.sha256, names[i], ANALYSIS_VERSION, j->kept[i].text,
                             j->kept[i].len);
    return r;
}

/* What cannot be kept is computed again the next time. */
static void on_kept(void *arg, int r)
{
    struct job *j = arg;
    if (r < 0)
        log_warn(r, "what the analysis of profile %s found cannot be kept, ignoring", j->id);
    job_end(j, 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void answer(const struct job *j, const struct waiter *w, int r)
{
    int i = name_number(w->name);
    if (r == 0 && i >= 0 && j->kept[i].text)
        w->done(w->arg, 0, j->kept[i].text, j->kept[i].len);
    else if (r == 0)
        w->done(w->arg, ERR_UNSUPPORTED, "there is no such view of this profile", 0);
    else
        w->done(w->arg, r, j->sentence ? j->sentence : err_str(r), 0);
}

static void job_end(struct job *j, int r)
{
    struct analysis *a = j->owner;
    struct waiter *w;
    list_remove(&j->link);
    LIST_EACH(w, &j->waiters)
    {
        list_remove(&w->link);
        answer(j, w, r);
        free(w);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        free(j->kept[i].text);
    if (j->fd >= 0)
        (void)close(j->fd);
    free(j->sentence);
    free(j);
    close_when_idle(a);
}
