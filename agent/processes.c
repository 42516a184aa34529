#include "agent/processes.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/wire/channel.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

enum {
    ASK_MS = 1000,
    /* A supervisor that has not answered by then is asked anew. */
    ANSWER_MS = 10000,
    /* The timer is not exact: half a turn earlier is better than one turn later. */
    BEAT_MS = CHANNEL_BEAT_MS - ASK_MS / 2,
};

static void on_timer(uv_timer_t *timer);

void processes_init(struct processes *p, uv_loop_t *loop, struct conn *conn, processes_send_cb send,
                    void *arg)
{
    *p = (struct processes){.conn = conn, .send = send, .arg = arg};
    (void)uv_timer_init(loop, &p->timer);
    p->timer.data = p;
}

static int64_t now_ms(const struct processes *p)
{
    return (int64_t)uv_now(p->timer.loop);
}

static void ask(struct processes *p)
{
    if (p->asked_ms && now_ms(p) - p->asked_ms < ANSWER_MS)
        return;
    p->asked_ms = now_ms(p);
    (void)conn_request(p->conn, PROCESSES_REQUEST, "host.list", NULL, -1);
}

void processes_ask_again(struct processes *p)
{
    p->asked_ms = 0;
    if (p->open)
        ask(p);
}

static void on_timer(uv_timer_t *timer)
{
    ask(timer->data);
}

void processes_open(struct processes *p)
{
    p->open = true;
    p->sent = false;
    (void)uv_timer_start(&p->timer, on_timer, ASK_MS, ASK_MS);
    ask(p);
}

void processes_close(struct processes *p)
{
    p->open = false;
    (void)uv_timer_stop(&p->timer);
}

void processes_end(struct processes *p)
{
    processes_close(p);
    uv_close((uv_handle_t *)&p->timer, NULL);
}

/* ---- what has changed ------------------------------------------------------------------------ */

static uint64_t add_bytes(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t add_text(uint64_t hash, const json_t *process, const char *key)
{
    const char *text = json_get_string(process, key, "");
    return add_bytes(hash, text, strlen(text) + 1);
}

static uint64_t add_number(uint64_t hash, const json_t *process, const char *key)
{
    int64_t number = json_get_int(process, key, -1);
    return add_bytes(hash, &number, sizeof number);
}

uint64_t processes_hash(const json_t *list)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t i;
    const json_t *process;
    json_array_foreach(list, i, process)
    {
        hash = add_text(hash, process, "app");
        hash = add_number(hash, process, "instance");
        hash = add_number(hash, process, "pid");
        hash = add_text(hash, process, "status");
    }
    return hash;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The list says how many are missing. */
static void cut(struct processes *p, json_t *fields, size_t keep)
{
    json_t *list = json_object_get(fields, "processes");
    size_t left_out = json_array_size(list) - keep;
    if (!p->cut)
        log_warn(
            0, "this host has too many processes for one message, the console is not told of all");
    p->cut = true;
    while (json_array_size(list) > keep)
        (void)json_array_remove(list, json_array_size(list) - 1);
    json_set_int(fields, "left_out", json_get_int(fields, "left_out", 0) + (int64_t)left_out);
}

static void tell(struct processes *p, json_t *list)
{
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "at_ms", loop_wall_ms());
    (void)json_object_set(fields, "processes", list);
    if (json_array_size(list) > LIMIT_INSTANCES)
        cut(p, fields, LIMIT_INSTANCES);
    while (p->send(p->arg, "processes", fields) == ERR_TOO_BIG && json_array_size(list) > 0)
        cut(p, fields, json_array_size(list) / 4 * 3);
    p->sent = true;
    p->sent_ms = now_ms(p);
}

void processes_on_answer(struct processes *p, const struct msg *m)
{
    p->asked_ms = 0;
    if (!p->open)
        return;
    json_t *list = m->kind == MSG_RESULT ? json_object_get(m->result, "processes") : NULL;
    if (!json_is_array(list)) {
        log_debug("the supervisor does not list its processes: %s",
                  m->kind == MSG_ERROR ? m->error_text : "no list");
        return;
    }
    uint64_t hash = processes_hash(list);
    if (p->sent && hash == p->last_hash && now_ms(p) - p->sent_ms < BEAT_MS)
        return;
    p->last_hash = hash;
    tell(p, list);
}
