#include "agent/logs.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"
#include "lib/base/uuid.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

/* Before the console's id, in the ids of our requests. */
#define PREFIX "log:"

void logs_init(struct logs *l, struct conn *conn, logs_send_cb send, void *arg)
{
    *l = (struct logs){.conn = conn, .send = send, .arg = arg};
}

void logs_open(struct logs *l)
{
    l->open = true;
}

void logs_close(struct logs *l)
{
    l->open = false;
}

static void refuse(struct logs *l, const char *id, int code, const char *text)
{
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", id);
    json_set_string(fields, "code", err_name(code));
    json_set_string(fields, "text", text);
    (void)l->send(l->arg, "log.refused", fields);
}

void logs_ask_again(struct logs *l)
{
    const char *id;
    json_t *params;
    json_object_foreach(l->asked, id, params)(void)
        conn_request(l->conn, id, "log.tail", params, -1);
}

void logs_clear(struct logs *l)
{
    json_decref(l->asked);
    l->asked = NULL;
}

void logs_get(struct logs *l, const json_t *message)
{
    char id[sizeof PREFIX + UUID_TEXT];
    const char *given = json_get_string(message, "id", "");
    if (!l->asked)
        l->asked = json_object();
    if (json_object_size(l->asked) >= LIMIT_LOG_WAITING) {
        refuse(l, given, ERR_BUSY, "too many questions for logs wait already");
        return;
    }
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "app", json_get_string(message, "app", ""));
    json_set_int(params, "instance", json_get_int(message, "instance", 0));
    json_set_string(params, "stream", json_get_string(message, "stream", ""));
    json_set_int(params, "lines", json_get_int(message, "lines", 1));
    (void)snprintf(id, sizeof id, PREFIX "%s", given);
    (void)json_object_set(l->asked, id, params);
    (void)conn_request(l->conn, id, "log.tail", params, -1);
}

/* The later half, from the begin of a line where there is one. */
static const char *later_half(const char *text)
{
    const char *at = text + strlen(text) / 2 + 1;
    const char *newline = strchr(at, '\n');
    if (newline && newline[1])
        return newline + 1;
    while (((unsigned char)*at & 0xc0) == 0x80)
        at++;
    return at;
}

/* Control characters take six bytes in JSON: what does not fit into a message is told without its beginning. */
static void tell(struct logs *l, const char *id, const json_t *result)
{
    const char *text = json_get_string(result, "text", "");
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", id);
    json_set_string(fields, "text", text);
    json_set_int(fields, "at_ms", json_get_int(result, "at_ms", loop_wall_ms()));
    json_set_bool(fields, "cut", json_get_bool(result, "cut", false));
    while (l->send(l->arg, "log", fields) == ERR_TOO_BIG && *text) {
        text = later_half(text);
        json_set_string(fields, "text", text);
        json_set_bool(fields, "cut", true);
    }
}

bool logs_on_answer(struct logs *l, const struct msg *m)
{
    if (!str_starts(m->id, PREFIX))
        return false;
    const char *id = m->id + strlen(PREFIX);
    /* One that was asked again may be answered twice. */
    if (!l->asked || json_object_del(l->asked, m->id) < 0 || !l->open)
        return true;
    if (m->kind == MSG_RESULT)
        tell(l, id, m->result);
    else
        refuse(l, id, m->error, m->error_text);
    return true;
}
