#include "supervisor/inspector_keep.h"

#include <stdio.h>

#include "lib/base/json.h"
#include "supervisor/inspector.h"
#include "supervisor/instance.h"
#include "supervisor/kept_json.h"
#include "supervisor/supervisor.h"

/* ---- writing --------------------------------------------------------------------------------- */

static bool is_worth_it(const struct inspector *i)
{
    return i->state != INSPECTOR_CLOSED || i->user_port || i->keep_open || i->silent_pid;
}

static json_t *children_to_json(const struct inspector *i)
{
    json_t *all = json_array();
    for (unsigned n = 0; n < i->child_count; n++) {
        json_t *child = json_object();
        json_set_int(child, "pid", i->children[n].pid);
        json_set_int(child, "port", i->children[n].port);
        json_set_string(child, "path", i->children[n].path);
        (void)json_array_append_new(all, child);
    }
    return all;
}

static json_t *old_ports_to_json(const struct inspector *i)
{
    json_t *all = json_array();
    for (size_t n = 0; n < i->old_port_count; n++)
        (void)json_array_append_new(all, json_integer(i->old_ports[n]));
    return all;
}

/* What is due on stderr, so that nothing more and nothing less is cut. */
static json_t *lines_to_json(const struct stderr_lines *f)
{
    json_t *j = json_object();
    json_t *paths = json_array();
    json_set_bool(j, "mid_line", f->mid_line);
    json_set_int(j, "help_due", f->help_due);
    json_set_int(j, "attach_expected", f->attach_expected);
    json_set_int(j, "attached", f->attached);
    json_set_int(j, "path_count", f->path_count);
    for (unsigned n = 0; n < f->path_count && n < INSPECTOR_PATHS; n++)
        (void)json_array_append_new(paths, json_integer((json_int_t)f->paths[n]));
    (void)json_object_set_new(j, "paths", paths);
    return j;
}

static json_t *to_json(const struct inspector *i)
{
    json_t *j = json_object();
    json_set_int(j, "process", instance_pid(i->instance));
    json_set_int(j, "state", i->state);
    json_set_int(j, "deadline_ms", i->deadline_ms);
    json_set_int(j, "pid", i->pid);
    json_set_int(j, "port", i->port);
    json_set_string(j, "path", i->path);
    json_set_bool(j, "ours", i->ours);
    json_set_int(j, "clients", i->clients);
    json_set_int(j, "silent_pid", i->silent_pid);
    json_set_int(j, "signalled_pid", i->signalled_pid);
    json_set_bool(j, "line_due", i->line_due);
    json_set_bool(j, "sent", i->sent);
    json_set_bool(j, "unsure", i->unsure);
    json_set_bool(j, "reopens", i->reopens);
    json_set_bool(j, "keep_open", i->keep_open);
    json_set_int(j, "user_port", i->user_port);
    json_set_string(j, "user_path", i->user_path);
    (void)json_object_set_new(j, "children", children_to_json(i));
    (void)json_object_set_new(j, "old_ports", old_ports_to_json(i));
    (void)json_object_set_new(j, "lines", lines_to_json(&i->instance->err.lines));
    return j;
}

void inspector_keep(const struct inspector *i)
{
    struct keep_link *k = &i->instance->sup->keep;
    int pm_id = i->instance->pm_id;
    if (k->sock < 0)
        return;
    if (!is_worth_it(i)) {
        keep_drop(k, "i%d.inspector", pm_id);
        return;
    }
    AUTOJSON json_t *j = to_json(i);
    kept_json_put(k, j, "i%d.inspector", pm_id);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void children_from_json(struct inspector *i, const json_t *all)
{
    size_t n;
    const json_t *j;
    json_array_foreach(all, n, j)
    {
        if (i->child_count == INSPECTOR_CHILDREN)
            return;
        struct inspector_child *child = &i->children[i->child_count++];
        child->pid = (pid_t)json_get_int(j, "pid", 0);
        child->port = (unsigned)json_get_int(j, "port", 0);
        (void)snprintf(child->path, sizeof child->path, "%s", json_get_string(j, "path", ""));
    }
}

static void old_ports_from_json(struct inspector *i, const json_t *all)
{
    size_t n;
    const json_t *j;
    json_array_foreach(all, n, j) if (i->old_port_count < INSPECTOR_PORTS)
        i->old_ports[i->old_port_count++] = (unsigned)json_integer_value(j);
}

static void lines_from_json(struct stderr_lines *f, const json_t *j)
{
    size_t n;
    const json_t *path;
    const json_t *paths = json_object_get(j, "paths");
    f->mid_line = json_get_bool(j, "mid_line", false);
    f->help_due = (unsigned)json_get_int(j, "help_due", 0);
    f->attach_expected = (unsigned)json_get_int(j, "attach_expected", 0);
    f->attached = (unsigned)json_get_int(j, "attached", 0);
    f->path_count = (unsigned)json_get_int(j, "path_count", 0);
    json_array_foreach(paths, n, path) if (n < INSPECTOR_PATHS) f->paths[n] =
        (unsigned long)json_integer_value(path);
}

bool inspector_read_kept(struct inspector *i, bool *ret_same)
{
    struct instance *in = i->instance;
    AUTOJSON json_t *j = kept_json_get(&in->sup->keep, "i%d.inspector", in->pm_id);
    if (!j)
        return false;
    i->state = (enum inspector_state)json_get_int(j, "state", INSPECTOR_CLOSED);
    i->deadline_ms = json_get_int(j, "deadline_ms", 0);
    i->pid = (pid_t)json_get_int(j, "pid", 0);
    i->port = (unsigned)json_get_int(j, "port", 0);
    (void)snprintf(i->path, sizeof i->path, "%s", json_get_string(j, "path", ""));
    i->ours = json_get_bool(j, "ours", false);
    i->clients = (unsigned)json_get_int(j, "clients", 0);
    i->silent_pid = (pid_t)json_get_int(j, "silent_pid", 0);
    i->signalled_pid = (pid_t)json_get_int(j, "signalled_pid", 0);
    i->line_due = json_get_bool(j, "line_due", false);
    i->sent = json_get_bool(j, "sent", false);
    i->unsure = json_get_bool(j, "unsure", false);
    i->reopens = json_get_bool(j, "reopens", false);
    i->keep_open = json_get_bool(j, "keep_open", false);
    i->user_port = (unsigned)json_get_int(j, "user_port", 0);
    (void)snprintf(i->user_path, sizeof i->user_path, "%s", json_get_string(j, "user_path", ""));
    children_from_json(i, json_object_get(j, "children"));
    old_ports_from_json(i, json_object_get(j, "old_ports"));
    lines_from_json(&in->err.lines, json_object_get(j, "lines"));
    *ret_same = instance_pid(in) > 0 && json_get_int(j, "process", 0) == instance_pid(in);
    return true;
}
