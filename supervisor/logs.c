#include "supervisor/logs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum {
    TICK_MS = 1000,
    FIRST_TICK_MS = 200,
    LOOK_TICKS = 60, /* at archives and quota, when nothing is rotated */
};

static void on_tick(uv_timer_t *timer);
static void on_usr2(uv_signal_t *signal, int number);

/* ---- life ------------------------------------------------------------------------------------ */

static int read_settings(struct logs *l, char reterr_text[SETTINGS_TEXT])
{
    struct settings settings;
    int r = settings_read(l->settings_path, &settings, reterr_text);
    if (r < 0)
        return r;
    l->archives.quota_bytes = settings.log_quota_bytes;
    return metrics_http_listen(&l->sup->metrics_http, settings.metrics_listen, reterr_text);
}

void logs_start(struct logs *l, struct supervisor *sup)
{
    char text[SETTINGS_TEXT];
    AUTOFREE char *dir = path_join(sup->home, "logs");
    l->sup = sup;
    l->settings_path = path_join(sup->home, "settings.json");
    l->ticks = 0;
    log_archives_init(&l->archives, &sup->loop, dir);
    if (read_settings(l, text) < 0)
        log_err(0, "%s; what is missing has its default", text);
    (void)uv_timer_init(&sup->loop, &l->timer);
    (void)uv_signal_init(&sup->loop, &l->on_usr2);
    l->timer.data = l->on_usr2.data = l;
    (void)uv_timer_start(&l->timer, on_tick, FIRST_TICK_MS, TICK_MS);
    (void)uv_signal_start(&l->on_usr2, on_usr2, SIGUSR2);
}

void logs_stop(struct logs *l)
{
    log_archives_stop(&l->archives);
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->on_usr2, NULL);
}

void logs_clear(struct logs *l)
{
    log_archives_clear(&l->archives);
    free(l->settings_path);
    l->settings_path = NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

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

static void on_archived(void *arg, const char *path, unsigned keep)
{
    struct logs *l = arg;
    log_archives_add(&l->archives, path, keep);
}

int logs_open(struct instance *in)
{
    const struct app_spec *spec = &in->app->spec;
    const struct log_limits limits = {.max_bytes = spec->log_max_size,
                                      .every_ms = spec->log_rotate_every_ms,
                                      .keep = (unsigned)spec->log_keep};
    int r = in->logs_open ? 0 : open_both(in);
    if (r < 0)
        return r;
    logstream_rotate_by(&in->out, &limits, on_archived, &in->sup->logs);
    logstream_rotate_by(&in->err, &limits, on_archived, &in->sup->logs);
    return 0;
}

/* ---- what is due, and rotations from outside ------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    struct logs *l = timer->data;
    struct app *app;
    struct instance *in;
    /* What could not be packed on a full disk is tried again. */
    if (l->ticks % LOOK_TICKS == 0)
        log_archives_scan(&l->archives);
    l->ticks++;
    LIST_EACH(app, &l->sup->apps)
    LIST_EACH(in, &app->instances)
    {
        if (!in->logs_open)
            continue;
        logstream_tick(&in->out);
        logstream_tick(&in->err);
    }
}

static int reopen(struct logstream *s, char reterr_text[SETTINGS_TEXT])
{
    int r = logstream_reopen(s);
    if (r < 0)
        (void)snprintf(reterr_text, SETTINGS_TEXT, "cannot open %s anew: %s", s->path, err_str(r));
    return r;
}

int logs_reopen(struct supervisor *sup, char reterr_text[SETTINGS_TEXT])
{
    struct app *app;
    struct instance *in;
    char text[SETTINGS_TEXT];
    int result = read_settings(&sup->logs, reterr_text);
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    {
        struct logstream *streams[] = {&in->out, &in->err};
        for (size_t i = 0; in->logs_open && i < ARRAY_SIZE(streams); i++) {
            int r = reopen(streams[i], result == 0 ? reterr_text : text);
            if (result == 0)
                result = r;
        }
    }
    return result;
}

static void on_usr2(uv_signal_t *signal, int number)
{
    struct logs *l = signal->data;
    char text[SETTINGS_TEXT];
    int r = logs_reopen(l->sup, text);
    if (r < 0)
        log_err(0, "SIGUSR2: %s", text);
    else
        log_info("SIGUSR2: log files that were moved away have been opened anew");
}
