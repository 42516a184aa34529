#include "supervisor/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/control.h"
#include "supervisor/instance.h"
#include "supervisor/operations.h"
#include "supervisor/supervisor.h"

/* A new field that an older supervisor may ignore raises the minor version, everything else the version. */
enum {
    STATE_VERSION = 1,
#ifdef PROCTOR_NEXT
    STATE_MINOR_VERSION = 2, /* the tests of upgrades */
#else
    STATE_MINOR_VERSION = 1,
#endif
};

void state_file_init(struct state_file *s, struct supervisor *sup, const char *path)
{
    *s = (struct state_file){.sup = sup, .path = xstrdup(path)};
}

void state_file_clear(struct state_file *s)
{
    free(s->path);
    free(s->text);
    free(s->fallback);
    s->path = s->text = s->fallback = NULL;
}

/* ---- making the text ------------------------------------------------------------------------- */

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

/* One that is being deleted is not in the file, but in the record until it is gone. */
static bool is_left_out(const struct instance *in, bool kept)
{
    return in->delete_when_stopped && (!kept || in->state == INSTANCE_STOPPED);
}

static json_t *app_to_json(const struct app *app, bool kept)
{
    json_t *j = json_object();
    json_t *list = json_array();
    struct instance *in;
    (void)json_object_set_new(j, "spec", app_spec_to_json(&app->spec));
    (void)json_object_set_new(j, "shell_env", json_from_env(&app->shell_env));
    LIST_EACH(in, &app->instances)
    if (!is_left_out(in, kept))
        (void)json_array_append_new(list, instance_to_json(in));
    (void)json_object_set_new(j, "instances", list);
    return j;
}

static json_t *make_root(const struct supervisor *sup, bool kept)
{
    json_t *root = json_object();
    json_t *apps = json_array();
    struct app *app;
    LIST_EACH(app, &sup->apps)
    {
        json_t *j = app_to_json(app, kept);
        if (json_array_size(json_object_get(j, "instances")) > 0)
            (void)json_array_append(apps, j);
        json_decref(j);
    }
    json_set_int(root, "version", STATE_VERSION);
    json_set_int(root, "minor_version", STATE_MINOR_VERSION);
    (void)json_object_set_new(root, "apps", apps);
    return root;
}

static int make_text(struct state_file *s)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    AUTOJSON json_t *root = make_root(s->sup, false);
    int r = json_to_buf(root, &text);
    if (r < 0)
        return r;
    s->len = text.len;
    s->text = buf_take(&text);
    return 0;
}

/* ---- the keeper's record --------------------------------------------------------------------- */

void state_file_store(struct state_file *s)
{
    struct supervisor *sup = s->sup;
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    if (sup->keep.sock < 0)
        return;
    AUTOJSON json_t *root = make_root(sup, true);
    json_set_int(root, "next_pm_id", sup->next_pm_id);
    if (sup->ending)
        json_set_string(root, "ending", sup->forget_apps ? "forget" : "keep");
    (void)json_object_set_new(root, "operations", operations_to_json(&sup->operations));
    int r = json_to_buf(root, &text);
    if (r == 0)
        r = keep_put(&sup->keep, text.data, text.len, "state");
    if (r < 0)
        log_err(r, "the state cannot be kept; a supervisor that dies now is followed by one that "
                   "does not know the last change");
}

/* ---- writing --------------------------------------------------------------------------------- */

/* state.json stays in its place until the rename, so that one of the two is whole at any moment. */
static int keep_previous(const char *path)
{
    AUTOFREE char *previous = xasprintf("%s.previous", path);
    AUTOFREE char *temp = xasprintf("%s.previous.tmp", path);
    (void)unlink(temp);
    if (link(path, temp) < 0)
        return errno == ENOENT ? 0 : -errno;
    return rename(temp, previous) < 0 ? -errno : 0;
}

static void write_text(uv_work_t *work)
{
    struct state_file *s = work->data;
    /* Without a predecessor there is still the file itself. */
    (void)keep_previous(s->path);
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
    state_file_store(s);
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
    s->last_result = s->result;
    if (s->result < 0)
        log_err(s->result, "%s cannot be written", s->path);
    free(s->text);
    s->text = NULL;
}

bool state_file_busy(const struct state_file *s)
{
    return s->writing;
}

/* ---- telling --------------------------------------------------------------------------------- */

void state_file_warn(const struct state_file *s, json_t *answer)
{
    if (s->fallback)
        answer_warn(answer, s->fallback);
    if (s->last_result >= 0)
        return;
    AUTOFREE char *text =
        xasprintf("state.json cannot be written: %s; a reboot would bring back an older state",
                  err_str(s->last_result));
    answer_warn(answer, text);
}

void state_file_warned(struct state_file *s)
{
    free(s->fallback);
    s->fallback = NULL;
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

/* What is in the record alone. */
static void load_kept(struct state_file *s, const json_t *root)
{
    struct supervisor *sup = s->sup;
    const char *ending = json_get_string(root, "ending", NULL);
    int64_t next_pm_id = json_get_int(root, "next_pm_id", 0);
    if (next_pm_id > sup->next_pm_id && next_pm_id < INT32_MAX)
        sup->next_pm_id = (int)next_pm_id;
    s->ending = ending != NULL;
    sup->forget_apps = ending && str_eq(ending, "forget");
    operations_from_json(&sup->operations, json_object_get(root, "operations"));
}

/* Nothing is taken from a text that is not whole, or that is of another version. */
static int load_text(struct state_file *s, const struct buf *text, const char *name, bool kept)
{
    size_t i;
    json_t *item;
    char why[400];
    AUTOJSON json_t *root = json_object_parse(text->len ? text->data : "", text->len);
    int64_t version = json_get_int(root, "version", 0);
    if (root && version > STATE_VERSION)
        return ERR_UNSUPPORTED;
    if (!root || version != STATE_VERSION || !json_is_array(json_object_get(root, "apps")))
        return ERR_SYNTAX;
    json_array_foreach(json_object_get(root, "apps"), i, item)
    {
        /* One app that cannot be read does not keep the others down. */
        if (load_app(s->sup, item, why, sizeof why) < 0)
            log_err(0, "%s: app %zu is left out: %s", name, i, why);
    }
    if (kept)
        load_kept(s, root);
    return 0;
}

static int load_record(struct state_file *s)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    int r = keep_get(&s->sup->keep, &text, "state");
    if (r == 0)
        r = load_text(s, &text, "the kept state", true);
    if (r < 0 && r != -ENOENT)
        log_err(r, "the kept state cannot be used; going by %s", s->path);
    return r;
}

static int load_file(struct state_file *s, const char *path)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    int r = path_read(path, &text);
    return r < 0 ? r : load_text(s, &text, path, false);
}

/* Why a file cannot be used, for a sentence. */
static const char *reason(int r)
{
    switch (r) {
    case ERR_SYNTAX:
        return "it is torn or damaged";
    case ERR_UNSUPPORTED:
        return "it is of a newer version";
    case -ENOENT:
        return "it is missing";
    default:
        return err_str(r);
    }
}

/* state.json failed with `r`. */
static int load_previous(struct state_file *s, int r)
{
    AUTOFREE char *previous = xasprintf("%s.previous", s->path);
    AUTOFREE char *aside = xasprintf("%s.broken", s->path);
    int older = load_file(s, previous);
    if (r == -ENOENT && older == -ENOENT)
        return 0;
    if (r != -ENOENT)
        (void)rename(s->path, aside);
    const char *lies = r == -ENOENT ? "" : " and lies as state.json.broken now";
    state_file_warned(s);
    if (older == 0)
        s->fallback =
            xasprintf("state.json could not be used (%s)%s; the one before it was: the last "
                      "change before this start may be missing",
                      reason(r), lies);
    else
        s->fallback =
            xasprintf("state.json could not be used (%s)%s, nor could the one before it (%s): "
                      "no apps were started from it",
                      reason(r), lies, reason(older));
    log_err(0, "%s: %s", s->path, s->fallback);
    return older == 0 ? 0 : r;
}

int state_file_load(struct state_file *s)
{
    int r = load_record(s);
    if (r == 0 || (r == ERR_UNSUPPORTED && (s->sup->keep.flags & KEEP_UPGRADED)))
        return r;
    r = load_file(s, s->path);
    return r == 0 ? 0 : load_previous(s, r);
}
