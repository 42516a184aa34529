#include "agent/listing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record.h"
#include "agent/spool.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/uuid.h"

/* The longest list; below LIMIT_CONTROL_LINE, with room for what is around it. */
enum { LIST_BYTES = 3 << 20 };

struct row {
    char id[UUID_TEXT];
    json_t *record; /* NULL: in its file */
};

struct listing {
    uv_work_t work;
    const struct spool *spool;
    struct row *rows; /* the newest first */
    size_t count;
    size_t capacity;
    json_t *result;
    listing_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static void gather(uv_work_t *work); /* in a thread */
static void on_gathered(uv_work_t *work, int status);

struct listing *listing_new(const struct spool *s)
{
    struct listing *l = xcalloc(1, sizeof *l);
    l->work.data = l;
    l->spool = s;
    return l;
}

void listing_add(struct listing *l, const char *id, json_t *record)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? l->capacity * 2 : 64;
        l->rows = xreallocarray(l->rows, l->capacity, sizeof *l->rows);
    }
    struct row *row = &l->rows[l->count++];
    *row = (struct row){.record = record};
    memcpy(row->id, id, UUID_TEXT);
}

void listing_start(struct listing *l, uv_loop_t *loop, listing_cb done, void *arg)
{
    l->done = done;
    l->arg = arg;
    int r = uv_queue_work(loop, &l->work, gather, on_gathered);
    assert(r == 0);
}

void *listing_arg(const struct listing *l)
{
    return l->arg;
}

/* The record as JSON (the caller's); NULL when it cannot be read. */
static json_t *read_row(const struct listing *l, struct row *row)
{
    char why[RECORD_TEXT];
    if (row->record)
        return json_incref(row->record);
    AUTORECORD struct record r;
    record_init(&r);
    int e = spool_read(l->spool, row->id, &r, why);
    if (e == 0)
        return record_to_json(&r);
    /* Retention may have been faster. */
    if (e != -ENOENT)
        log_warn(e, "cannot read the record of capture %s, leaving it out of the list", row->id);
    return NULL;
}

/* An answer is one line and has a limit; what is left out is the oldest, and the answer says how
 * many that are. */
static void gather(uv_work_t *work)
{
    struct listing *l = work->data;
    json_t *list = json_array();
    size_t bytes = 0, i = 0;
    l->result = json_object();
    (void)json_object_set_new(l->result, "captures", list);
    for (; i < l->count && bytes < LIST_BYTES; i++) {
        json_t *record = read_row(l, &l->rows[i]);
        if (!record)
            continue;
        bytes += json_dumpb(record, NULL, 0, JSON_COMPACT) + 1;
        (void)json_array_append_new(list, record);
    }
    if (i < l->count)
        json_set_int(l->result, "left_out", (int64_t)(l->count - i));
}

static void on_gathered(uv_work_t *work, int status)
{
    struct listing *l = work->data;
    for (size_t i = 0; i < l->count; i++)
        json_decref(l->rows[i].record);
    l->done(l, l->result);
    json_decref(l->result);
    free(l->rows);
    free(l);
}
