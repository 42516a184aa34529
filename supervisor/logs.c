#include "supervisor/logs.h"

#include <stdio.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

static int open_stream(struct instance *in, struct logstream *s, const char *stream,
                       struct slot_stream *kept)
{
    struct supervisor *sup = in->sup;
    char name[LOGSTREAM_NAME];
    AUTOFREE char *path =
        xasprintf("%s/logs/%s-%u.%s", sup->home, in->app->spec.name, in->number, stream);
    (void)snprintf(name, sizeof name, "i%d.%s", in->pm_id, stream);
    return logstream_open(s, &sup->loop, path, supervisor_pipe_bytes(sup), &sup->keep, name, kept);
}

static int open_both(struct instance *in)
{
    int r = open_stream(in, &in->out, "out", &in->slot->streams[0]);
    if (r < 0)
        return r;
    r = open_stream(in, &in->err, "err", &in->slot->streams[1]);
    if (r < 0)
        logstream_close(&in->out, NULL, NULL);
    in->logs_open = r == 0;
    return r;
}

int logs_open(struct instance *in)
{
    return in->logs_open ? 0 : open_both(in);
}
