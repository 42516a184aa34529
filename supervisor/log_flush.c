#include "supervisor/log_flush.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/log_drop.h"
#include "supervisor/log_rotate.h"
#include "supervisor/supervisor.h"

/* Nobody writes it. */
static int empty_file(const char *path)
{
    AUTOFREE char *index = xasprintf("%s.idx", path);
    if (truncate(index, 0) < 0 && errno != ENOENT)
        return -errno;
    return truncate(path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int empty_open(struct logstream *s)
{
    logstream_archived_cb on_archived = s->on_archived;
    logstream_drain(s);
    if (log_drop_active(s))
        logstream_tick(s);
    if (log_drop_active(s))
        return -ENOSPC;
    /* Not to be packed. */
    s->on_archived = NULL;
    int r = log_rotate(s, TURN_STEPS);
    s->on_archived = on_archived;
    return r;
}

static int flush(struct instance *in, struct logstream *s, const char *stream, char *text)
{
    struct log_archives *archives = &in->sup->logs.archives;
    AUTOFREE char *path =
        xasprintf("%s/logs/%s-%u.%s", in->sup->home, in->app->spec.name, in->number, stream);
    /* Room first: on a full disk nothing else can be done. */
    log_archives_drop(archives, path_base(path));
    int r = in->logs_open ? empty_open(s) : empty_file(path);
    log_archives_drop(archives, path_base(path));
    if (r < 0)
        (void)snprintf(text, LOG_FLUSH_TEXT, "%s cannot be emptied: %s", path, err_str(r));
    return r;
}

int log_flush(struct instance *in, char reterr_text[static LOG_FLUSH_TEXT])
{
    int r = flush(in, &in->out, "out", reterr_text);
    int r_err = flush(in, &in->err, "err", reterr_text);
    in->err_from = in->logs_open ? in->err.offset : 0;
    instance_commit(in);
    return r < 0 ? r : r_err;
}

int log_flush_own(struct supervisor *sup, char reterr_text[static LOG_FLUSH_TEXT])
{
    AUTOFREE char *path = path_join(sup->home, "proctor.log");
    int r = empty_file(path);
    if (r < 0)
        (void)snprintf(reterr_text, LOG_FLUSH_TEXT, "%s cannot be emptied: %s", path, err_str(r));
    return r;
}
