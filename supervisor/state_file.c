#include "supervisor/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ecosystem/spec.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/supervisor.h"

enum { STATE_VERSION = 1 };

void state_file_init(struct state_file *s, struct supervisor *sup, const char *path)
{
    *s = (struct state_file){.sup = sup, .path = xstrdup(path)};
}

void state_file_clear(struct state_file *s)
{
    free(s->path);
    free(s->text);
    s->path = s->text = NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *instance_to_json(const struct instance *in)
{
    json_t *j = json_object();
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_bool(j, "wanted", in->wanted);
    json_set_int(j, "created_at_ms", in->created_wall_ms);
    json_set_int(j, "restart_time", in->restarts);
    return j;
}

static json_t *app_to_json(const struct app *app)
{
    json_t *j = json_object();
    json_t *list = json_array();
    struct instance *in;
    (void)json_object_set_new(j, "spec", app_spec_to_json(&app->spec));
    (void)json_object_set_new(j, "shell_env", json_from_env(&app->shell_env));
    LIST_EACH(in, &app->instances)
    if (!in->delete_when_stopped)
        (void)json_array_append_new(list, instance_to_json(in));
    (void)json_object_set_new(j, "instances", list);
    return j;
}

static int make_text(struct state_file *s)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    AUTOJSON json_t *root = json_object();
    json_t *apps = json_array();
    struct app *app;
    LIST_EACH(app, &s->sup->apps)
    {
        json_t *j = app_to_json(app);
        if (json_array_size(json_object_get(j, "instances")) > 0)
            (void)json_array_append(apps, j);
        json_decref(j);
    }
    json_set_int(root, "version", STATE_VERSION);
    (void)json_object_set_new(root, "apps", apps);
    int r = json_to_buf(root, &text);
    if (r < 0)
        return r;
    s->len = text.len;
    s->text = buf_take(&text);
    return 0;
}

static void write_text(uv_work_t *work)
{
    struct state_file *s = work->data;
    s->result = path_write_atomic(s->path, s->text, s->len, 0600);
}

static void on_written(uv_work_t *work, int status)
{
    struct state_file *s = work->data;
    s->last_result = s->result;
    if (s->result < 0)
        log_err(s->result, "%s cannot be written; a reboot would bring back an older state",
                s->path);
    free(s->text);
    s->text = NULL;
    s->writing = false;
    if (s->dirty)
        state_file_changed(s);
    else
        supervisor_state_written(s->sup);
}

void state_file_changed(struct state_file *s)
{
    s->dirty = s->writing;
    if (s->writing)
        return;
    int r = make_text(s);
    if (r < 0) {
        s->last_result = r;
        log_err(r, "%s cannot be made", s->path);
        return;
    }
    s->writing = true;
    s->work.data = s;
    (void)uv_queue_work(&s->sup->loop, &s->work, write_text, on_written);
}

void state_file_flush(struct state_file *s)
{
    if (s->writing || make_text(s) < 0)
        return;
    s->work.data = s;
    write_text(&s->work);
    if (s->result < 0)
        log_err(s->result, "%s cannot be written", s->path);
    free(s->text);
    s->text = NULL;
}

bool state_file_busy(const struct state_file *s)
{
    return s->writing;
}

void state_file_warn(const struct state_file *s, json_t *answer)
{
    if (s->last_result >= 0)
        return;
    AUTOFREE char *text =
        xasprintf("state.json cannot be written: %s; a reboot would bring back an older state",
                  err_str(s->last_result));
    json_t *warnings = json_array();
    (void)json_array_append_new(warnings, json_string(text));
    (void)json_object_set_new(answer, "warnings", warnings);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void load_instances(struct supervisor *sup, struct app *app, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        int64_t number = json_get_int(item, "instance", -1);
        int64_t pm_id = json_get_int(item, "pm_id", sup->next_pm_id);
        if (number < 0 || number >= LIMIT_INSTANCES || app_instance(app, (unsigned)number) ||
            pm_id < 0 || pm_id >= INT32_MAX)
            continue;
        struct instance *in = instance_new(app, (unsigned)number, (int)pm_id);
        in->wanted = json_get_bool(item, "wanted", false);
        in->created_wall_ms = json_get_int(item, "created_at_ms", in->created_wall_ms);
        in->restarts = (unsigned)json_get_int(item, "restart_time", 0);
        if (in->pm_id >= sup->next_pm_id)
            sup->next_pm_id = in->pm_id + 1;
    }
}

static int load_app(struct supervisor *sup, const json_t *j, char *text, size_t size)
{
    AUTOSPEC struct app_spec spec = {0};
    AUTOSTRLIST struct strlist shell_env = {0};
    int r = app_spec_from_json(json_object_get(j, "spec"), &spec, text, size);
    if (r < 0)
        return r;
    if (supervisor_app(sup, spec.name))
        return 0;
    json_to_env(json_object_get(j, "shell_env"), &shell_env);
    struct app *app = app_new(sup, &spec, &shell_env);
    load_instances(sup, app, json_object_get(j, "instances"));
    return 0;
}

static int load_root(struct state_file *s, const json_t *root)
{
    size_t i;
    json_t *item;
    char text[400];
    if (!root || json_get_int(root, "version", 0) != STATE_VERSION)
        return ERR_SYNTAX;
    json_array_foreach(json_object_get(root, "apps"), i, item)
    {
        /* One app that cannot be read does not keep the others down. */
        if (load_app(s->sup, item, text, sizeof text) < 0)
            log_err(0, "%s: app %zu is left out: %s", s->path, i, text);
    }
    return 0;
}

int state_file_load(struct state_file *s)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    int r = path_read(s->path, &text);
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        AUTOJSON json_t *root = json_object_parse(buf_str(&text), text.len);
        r = load_root(s, root);
    }
    if (r == 0)
        return 0;
    AUTOFREE char *aside = xasprintf("%s.broken", s->path);
    (void)rename(s->path, aside);
    log_err(r, "%s cannot be used and lies as %s now; no apps are started from it", s->path, aside);
    return r;
}
