#include "remote/analysis.h"

#include <errno.h>
#include <stdio.h>
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
enum { ANALYSIS_VERSION = 1, CHILDREN_MAX = 2, JOBS_MAX = 100, WAITERS_MAX = 100, SENTENCE = 400 };

static const char *const names[] = {"top", "top-total", "tree"};

/* The name under which it is kept that there is nothing to see: "NAME sentence". */
#define KEPT_ERROR "error"

#define GIB (1 << 30)
#define TOO_MANY "too many analyses are before this one; try again later"
#define NONSENSE "the analysis printed nonsense"

struct waiter {
    struct list link;
    char name[16];
    analysis_cb done;
    void *arg;
};

/* One profile that somebody wants to see.
 *
 *     look up (store) → kept, also a failure: answered
 *                     → not: queued → child → its pieces, or its failure, are stored → answered */
struct job {
    struct list link;
    struct analysis *owner;
    char id[UUID_TEXT];
    struct list waiters;
    struct analysis_child *child;
    bool waiting;      /* for its turn, */
    uint64_t since_ms; /* since then */
    /* between the loop and the store's threads */
    struct profile_row row;
    int fd;
    struct kept {
        char *text;
        size_t len;
    } kept[ARRAY_SIZE(names)];
    int result;
    char sentence[SENTENCE]; /* "": err_str() */
};

struct analysis {
    uv_loop_t *loop;
    struct store *store;
    struct analysis_settings settings;
    struct list jobs;
    unsigned children;
    bool noted; /* what the program had to say was logged */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    uv_timer_t
        patience; /* runs while a job waits for its turn; the last to be closed, from the loop */
};

/* The steps, in the order in which they run. */
static int look_up(struct db *db, void *arg);
static void on_looked_up(void *arg, int r);
static void start_next(struct analysis *a);
static void on_patience(uv_timer_t *timer);
static void on_child(void *arg, int r, const char *text, const struct buf *out);
static int keep(struct db *db, void *arg);
static void on_kept(void *arg, int r);
static void job_end(struct job *j, int r);
static void close_when_idle(struct analysis *a);

/* ---- opening and closing --------------------------------------------------------------------- */

struct analysis *analysis_new(uv_loop_t *loop, struct store *store,
                              const struct analysis_settings *settings)
{
    struct analysis *a = xcalloc(1, sizeof *a);
    a->loop = loop;
    a->store = store;
    if (settings)
        a->settings = *settings;
    if (a->settings.wait_ms == 0)
        a->settings.wait_ms = LIMIT_ANALYSIS_WAIT_S * 1000;
    list_init(&a->jobs);
    (void)uv_timer_init(loop, &a->patience);
    a->patience.data = a;
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

static void on_patience_closed(uv_handle_t *handle)
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
    if (a->closing && list_count(&a->jobs) == 0 && !uv_is_closing((uv_handle_t *)&a->patience))
        uv_close((uv_handle_t *)&a->patience, on_patience_closed);
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

/* Returns `r`, which is remembered with the sentence. */
static int fail(struct job *j, int r, const char *sentence)
{
    j->result = r;
    (void)snprintf(j->sentence, sizeof j->sentence, "%s", sentence);
    return r;
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
    if (!known)
        (void)fail(j, ERR_NOT_FOUND, "there is no such profile");
    else if (full || a->closing)
        (void)fail(j, full ? ERR_BUSY : ERR_STOPPING, full ? TOO_MANY : "");
    store_read(a->store, look_up, on_looked_up, j);
}

/* "NAME sentence", as the program prints it and as it is kept. */
static int take_error(struct job *j, const char *text, size_t len)
{
    AUTOFREE char *line = xstrndup(text, len);
    char *blank = strchr(line, ' ');
    if (!blank)
        return fail(j, ERR_PROTOCOL, NONSENSE);
    *blank = '\0';
    return fail(j, err_from_name(line), blank + 1);
}

static int look_up_kept_error(struct db *db, struct job *j)
{
    size_t len;
    AUTOFREE char *text = NULL;
    int r = analyses_get(db, j->row.sums.sha256, KEPT_ERROR, ANALYSIS_VERSION, &text, &len);
    if (r < 0)
        return r == ERR_NOT_FOUND ? 0 : r;
    return take_error(j, text, len);
}

static int too_big(struct job *j)
{
    char text[SENTENCE];
    (void)snprintf(text, sizeof text,
                   "the result of %.2f GiB is larger than what is analysed (%.0f GiB): download it",
                   (double)j->row.sums.bytes / GIB, (double)LIMIT_ANALYSIS_RESULT / GIB);
    return fail(j, ERR_TOO_BIG, text);
}

/* All of the views, or else the row's file. */
static int look_up_views(struct db *db, struct job *j)
{
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        found += analyses_get(db, j->row.sums.sha256, names[i], ANALYSIS_VERSION, &j->kept[i].text,
                              &j->kept[i].len) == 0;
    if (found == ARRAY_SIZE(names))
        return 0;
    int r = look_up_kept_error(db, j);
    if (r < 0)
        return r;
    if (j->row.sums.bytes > LIMIT_ANALYSIS_RESULT)
        return too_big(j);
    return profiles_open(db, &j->row, &j->fd);
}

/* In the store's thread.  A job that is refused takes this way only to be answered from the loop. */
static int look_up(struct db *db, void *arg)
{
    struct job *j = arg;
    if (j->result < 0)
        return j->result;
    int r = profiles_get(db, j->id, &j->row);
    if (r == ERR_NOT_FOUND)
        return fail(j, r, "there is no such profile");
    if (r < 0)
        return r;
    if (j->row.removed)
        return fail(j, ERR_NOT_FOUND, "the bytes of this profile were removed");
    return look_up_views(db, j);
}

static void on_looked_up(void *arg, int r)
{
    struct job *j = arg;
    struct analysis *a = j->owner;
    if (r < 0 || j->fd < 0 || a->closing) {
        job_end(j, r < 0 ? r : j->fd < 0 ? 0 : ERR_STOPPING);
        return;
    }
    j->waiting = true;
    j->since_ms = uv_now(a->loop);
    start_next(a);
}

/* ---- the child ------------------------------------------------------------------------------- */

static uint64_t wait_left(const struct job *j)
{
    uint64_t until_ms = j->since_ms + j->owner->settings.wait_ms, now_ms = uv_now(j->owner->loop);
    return until_ms > now_ms ? until_ms - now_ms : 0;
}

static void start(struct job *j)
{
    const struct analysis_settings *s = &j->owner->settings;
    const struct analysis_run run = {.program = s->program,
                                     .deadline_ms = s->deadline_ms,
                                     .fd = TAKE_FD(j->fd),
                                     .offset = j->row.offset,
                                     .len = j->row.sums.stored_bytes,
                                     .bytes = j->row.sums.bytes};
    j->waiting = false;
    int r = analysis_child_start(&j->child, j->owner->loop, &run, on_child, j);
    if (r < 0) {
        log_err(r, "cannot start proctor-analyze");
        job_end(j, r);
        return;
    }
    j->owner->children++;
}

/* Those that still wait have a deadline: the timer runs out with that of the oldest, which is the first. */
static void start_next(struct analysis *a)
{
    struct job *j;
    uv_timer_stop(&a->patience);
    LIST_EACH(j, &a->jobs)
    {
        if (j->waiting && a->children < CHILDREN_MAX)
            start(j);
        else if (j->waiting && !uv_is_active((uv_handle_t *)&a->patience))
            (void)uv_timer_start(&a->patience, on_patience, wait_left(j), 0);
    }
}

static void on_patience(uv_timer_t *timer)
{
    struct analysis *a = timer->data;
    struct job *j;
    LIST_EACH(j, &a->jobs)
    if (j->waiting && wait_left(j) == 0)
        job_end(j, fail(j, ERR_BUSY, TOO_MANY));
    start_next(a);
}

/* About the program, not about this result. */
static void take_note(struct analysis *a, const struct analysis_piece *piece)
{
    if (!a->noted)
        log_warn(0, "proctor-analyze: %.*s", (int)piece->len, piece->data);
    a->noted = true;
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
            return take_error(j, piece.data, piece.len);
        if (str_eq(piece.name, "note"))
            take_note(j->owner, &piece);
        whole = whole || str_eq(piece.name, "end");
        if (i < 0)
            continue;
        free(j->kept[i].text);
        j->kept[i] = (struct kept){xstrndup(piece.data, piece.len), piece.len};
    }
    return r == 0 && whole ? 0 : fail(j, ERR_PROTOCOL, NONSENSE);
}

/* The same would come again for these bytes, so nobody has to ask anew.  The rest is the machine's. */
static bool is_lasting(int r)
{
    static const int errors[] = {ERR_INVALID, ERR_SYNTAX,   ERR_TOO_BIG,
                                 ERR_FAILED,  ERR_PROTOCOL, -ETIMEDOUT};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (errors[i] == r)
            return true;
    return false;
}

static void on_child(void *arg, int r, const char *text, const struct buf *out)
{
    struct job *j = arg;
    struct analysis *a = j->owner;
    j->child = NULL;
    a->children--;
    r = r < 0 ? fail(j, r, text) : take_pieces(j, out);
    if (r < 0 && r != ERR_CANCELLED)
        log_warn(0, "profile %s cannot be analysed: %s", j->id, j->sentence);
    if (r == 0 || is_lasting(r))
        store_write(a->store, keep, on_kept, j);
    else
        job_end(j, r);
    if (!a->closing)
        start_next(a);
}

static int keep_error(struct db *db, const struct job *j)
{
    AUTOFREE char *text = xasprintf("%s %s", err_name(j->result), j->sentence);
    return analyses_put(db, j->row.sums.sha256, KEPT_ERROR, ANALYSIS_VERSION, text, strlen(text));
}

static int keep(struct db *db, void *arg)
{
    struct job *j = arg;
    int r = j->result < 0 ? keep_error(db, j) : 0;
    for (size_t i = 0; r == 0 && j->result == 0 && i < ARRAY_SIZE(names); i++)
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
    job_end(j, j->result);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void refuse(const struct waiter *w, int r, const char *sentence)
{
    w->done(w->arg, r, sentence, strlen(sentence));
}

static void answer(const struct job *j, const struct waiter *w, int r)
{
    int i = name_number(w->name);
    if (r < 0)
        refuse(w, r, j->sentence[0] ? j->sentence : err_str(r));
    else if (i >= 0 && j->kept[i].text)
        w->done(w->arg, 0, j->kept[i].text, j->kept[i].len);
    else
        refuse(w, ERR_UNSUPPORTED, "there is no such view of this profile");
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
    free(j);
    close_when_idle(a);
}
