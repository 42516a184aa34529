#include "lib/wire/msg.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

/* ---- reading --------------------------------------------------------------------------------- */

static int read_error(struct msg *m, json_t *error)
{
    if (!json_is_object(error) || !m->id)
        return ERR_PROTOCOL;
    m->kind = MSG_ERROR;
    m->error_data = json_object_get(error, "data");
    m->error_text = json_get_string(error, "message", "");
    m->error = err_from_name(json_get_string(m->error_data, "name", ""));
    return 0;
}

static int read_call(struct msg *m)
{
    m->kind = m->id ? MSG_REQUEST : MSG_NOTIFICATION;
    m->params = json_object_get(m->root, "params");
    if (!m->params) {
        m->params = json_object();
        (void)json_object_set_new(m->root, "params", m->params);
    }
    return json_is_object(m->params) ? 0 : ERR_PROTOCOL;
}

static int read_members(struct msg *m)
{
    json_t *id = json_object_get(m->root, "id");
    if (!str_eq(json_get_string(m->root, "jsonrpc", NULL), "2.0"))
        return ERR_PROTOCOL;
    if (id && !json_is_string(id))
        return ERR_PROTOCOL;
    m->id = json_string_value(id);
    int64_t fds = json_get_int(m->root, "fds", 0);
    if (fds < 0 || fds > LIMIT_CONTROL_FDS)
        return ERR_PROTOCOL;
    m->fds_wanted = (unsigned)fds;
    m->method = json_get_string(m->root, "method", NULL);
    if (m->method)
        return read_call(m);
    json_t *error = json_object_get(m->root, "error");
    if (error)
        return read_error(m, error);
    m->result = json_object_get(m->root, "result");
    m->kind = MSG_RESULT;
    return m->result && m->id ? 0 : ERR_PROTOCOL;
}

int msg_parse(const char *line, size_t len, struct msg *ret_msg)
{
    struct msg m = {.root = json_object_parse(line, len)};
    if (!m.root)
        return ERR_SYNTAX;
    int r = read_members(&m);
    if (r < 0) {
        msg_clear(&m);
        return r;
    }
    *ret_msg = m;
    return 0;
}

void msg_clear(struct msg *m)
{
    for (unsigned i = 0; i < m->fd_count; i++)
        (void)close(m->fds[i]);
    json_decref(m->root);
    *m = (struct msg){0};
}

int msg_take_fd(struct msg *m)
{
    if (m->fd_count == 0)
        return -1;
    int fd = m->fds[0];
    m->fd_count--;
    memmove(m->fds, m->fds + 1, m->fd_count * sizeof m->fds[0]);
    return fd;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Finishes the object `root` (taken) as one line. */
static int add_line(struct buf *out, json_t *root, unsigned fds)
{
    AUTOJSON json_t *owned = root;
    size_t before = out->len;
    json_set_string(owned, "jsonrpc", "2.0");
    if (fds > 0)
        json_set_int(owned, "fds", fds);
    int r = json_to_buf(owned, out);
    if (r == 0)
        r = buf_addc(out, '\n');
    if (r < 0)
        buf_cut(out, before);
    return r;
}

static void set_or_empty(json_t *root, const char *key, json_t *value)
{
    (void)json_object_set_new(root, key, value ? json_incref(value) : json_object());
}

int msg_add_request(struct buf *out, const char *id, const char *method, json_t *params,
                    unsigned fds)
{
    json_t *root = json_object();
    json_set_string(root, "id", id);
    json_set_string(root, "method", method);
    set_or_empty(root, "params", params);
    return add_line(out, root, fds);
}

int msg_add_notification(struct buf *out, const char *method, json_t *params)
{
    return msg_add_request(out, NULL, method, params, 0);
}

int msg_add_result(struct buf *out, const char *id, json_t *result, unsigned fds)
{
    json_t *root = json_object();
    json_set_string(root, "id", id);
    set_or_empty(root, "result", result);
    return add_line(out, root, fds);
}

int msg_add_error(struct buf *out, const char *id, int error, const char *text, json_t *data)
{
    json_t *root = json_object();
    json_t *object = json_object();
    json_t *details = data ? json_copy(data) : json_object();
    json_set_string(details, "name", err_name(error));
    json_set_int(object, "code", error);
    json_set_string(object, "message", text ? text : err_str(error));
    (void)json_object_set_new(object, "data", details);
    json_set_string(root, "id", id);
    (void)json_object_set_new(root, "error", object);
    return add_line(out, root, 0);
}
