#include "agent/amend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record.h"
#include "agent/spool.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

struct amend {
    struct list link;
    struct amends *owner;
    uv_work_t work;
    char id[UUID_TEXT];
    struct record record;
    int result;
    amend_change change;
    amend_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static void begin_next(struct amends *as);
static void rewrite(uv_work_t *work); /* in a thread */
static void on_rewritten(uv_work_t *work, int status);
static void end(struct amend *a, int result);

void amends_init(struct amends *as, uv_loop_t *loop, struct spool *spool)
{
    *as = (struct amends){.loop = loop, .spool = spool};
    list_init(&as->waiting);
}

void amends_close(struct amends *as)
{
    /* What waits is told when the one that is being written is done: nothing waits without one. */
    as->closing = true;
}

void amend_start(struct amends *as, const char *id, amend_change change, amend_cb done, void *arg)
{
    struct amend *a = xcalloc(1, sizeof *a);
    *a = (struct amend){.owner = as, .change = change, .done = done, .arg = arg};
    a->work.data = a;
    (void)snprintf(a->id, sizeof a->id, "%s", id);
    record_init(&a->record);
    list_add(&as->waiting, &a->link, a);
    if (!as->current)
        begin_next(as);
}

static void begin_next(struct amends *as)
{
    if (list_empty(&as->waiting))
        return;
    struct amend *a = as->waiting.next->owner;
    list_remove(&a->link);
    as->current = a;
    spool_hold(as->spool, a->id, true);
    int r = uv_queue_work(as->loop, &a->work, rewrite, on_rewritten);
    assert(r == 0);
}

static void rewrite(uv_work_t *work)
{
    char why[RECORD_TEXT];
    struct amend *a = work->data;
    a->result = spool_read(a->owner->spool, a->id, &a->record, why);
    if (a->result < 0)
        return;
    if (!a->change(&a->record, a->arg))
        a->result = ERR_CANCELLED;
    else
        a->result = spool_rewrite(a->owner->spool, &a->record);
}

static void on_rewritten(uv_work_t *work, int status)
{
    struct amend *a = work->data;
    struct amends *as = a->owner;
    spool_hold(as->spool, a->id, false);
    if (a->result == 0)
        spool_ended(as->spool, &a->record);
    if (a->result == -ENOENT)
        log_debug("the record of capture %s has gone before it could be changed", a->id);
    else if (a->result < 0 && a->result != ERR_CANCELLED)
        log_warn(a->result, "cannot change the record of capture %s", a->id);
    as->current = NULL;
    end(a, a->result);
    while (as->closing && !list_empty(&as->waiting))
        end(as->waiting.next->owner, ERR_STOPPING);
    if (!as->current)
        begin_next(as);
}

static void end(struct amend *a, int result)
{
    bool has_record = result == 0 || result == ERR_CANCELLED;
    list_remove(&a->link);
    if (a->done)
        a->done(a->arg, result, has_record ? &a->record : NULL);
    record_clear(&a->record);
    free(a);
}

/* Retention may have been faster. */
static bool lose(struct record *r, const char *warning)
{
    if (!record_has_result(r))
        return false;
    record_warn(r, warning);
    return true;
}

bool amend_missing(struct record *r, void *arg)
{
    return lose(r, RECORD_RESULT_MISSING);
}

bool amend_damaged(struct record *r, void *arg)
{
    return lose(r, RECORD_RESULT_DAMAGED);
}

bool amend_too_large(struct record *r, void *arg)
{
    return lose(r, RECORD_RESULT_TOO_LARGE);
}
