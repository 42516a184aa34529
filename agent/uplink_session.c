#include "agent/uplink_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/foreign.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* What we take. */
static const char *const our_capabilities[] = {"capture", "blob", "renew", "log", NULL};

/* A capability, and the messages that need it: those of its name, and those that begin with it and a dot. */
static const struct {
    const char *name;
    enum uplink_capability bit;
} capabilities[] = {
    {"capture", UPLINK_CAPTURE}, {"blob", UPLINK_BLOB}, {"renew", UPLINK_RENEW},
    {"unlink", UPLINK_UNLINK},   {"log", UPLINK_LOG},
};

static void take_hello(struct uplink_session *s, const json_t *message);
static void take_bye(struct uplink_session *s, const json_t *message);

/* ---- sending --------------------------------------------------------------------------------- */

static void be_over(struct uplink_session *s, int code, const char *text)
{
    if (s->over)
        return;
    s->over = true;
    s->code = code;
    foreign_copy(s->text, sizeof s->text, text);
    s->callbacks->on_over(s->arg);
}

static bool has_room(const struct uplink_session *s, size_t len)
{
    return s->queued_bytes + len <= LIMIT_CHANNEL_QUEUE;
}

static void enqueue(struct uplink_session *s, const struct buf *message)
{
    struct uplink_text *t = xcalloc(1, sizeof *t + UPLINK_GAP + message->len);
    t->len = message->len;
    memcpy(t->bytes + UPLINK_GAP, message->data, message->len);
    s->queued_bytes += t->len;
    list_add(&s->queue, &t->link, t);
}

static unsigned needed_capability(const char *type)
{
    size_t len = strcspn(type, ".");
    for (size_t i = 0; i < sizeof capabilities / sizeof capabilities[0]; i++)
        if (strlen(capabilities[i].name) == len && strncmp(type, capabilities[i].name, len) == 0)
            return capabilities[i].bit;
    return 0;
}

int uplink_session_send(struct uplink_session *s, const char *type, json_t *fields)
{
    unsigned needed = needed_capability(type);
    if (s->over || (needed & ~s->capabilities))
        return 0;
    AUTOBUF struct buf message = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    int r = channel_add(&message, type, fields);
    if (r < 0)
        return r;
    if (!has_room(s, message.len)) {
        be_over(s, ERR_TOO_BIG, "the console does not read what this host has to say");
        return 0;
    }
    enqueue(s, &message);
    s->callbacks->on_queued(s->arg);
    return 0;
}

void uplink_session_end(struct uplink_session *s, int code, const char *text)
{
    if (s->over)
        return;
    AUTOJSON json_t *fields = json_object();
    AUTOBUF struct buf message = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    json_set_string(fields, "code", err_name(code));
    json_set_string(fields, "text", text);
    if (channel_add(&message, "bye", fields) == 0 && has_room(s, message.len))
        enqueue(s, &message);
    be_over(s, code, text);
}

struct uplink_text *uplink_session_next(struct uplink_session *s, int64_t now_ms)
{
    if (list_empty(&s->queue))
        return NULL;
    struct uplink_text *t = s->queue.next->owner;
    list_remove(&t->link);
    s->queued_bytes -= t->len;
    s->said_ms = now_ms;
    return t;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static json_t *our_hello(const char *agent_id)
{
    char hostname[LIMIT_NAME + 1] = "";
    struct utsname system;
    json_t *hello = json_object();
    json_t *list = json_array();
    for (size_t i = 0; our_capabilities[i]; i++)
        (void)json_array_append_new(list, json_string(our_capabilities[i]));
    (void)gethostname(hostname, sizeof hostname - 1);
    json_set_int(hello, "min_version", CHANNEL_VERSION_MIN);
    json_set_int(hello, "max_version", CHANNEL_VERSION);
    (void)json_object_set_new(hello, "capabilities", list);
    json_set_string(hello, "release", PROCTOR_VERSION);
    json_set_string(hello, "id", agent_id);
    json_set_string(hello, "hostname", hostname[0] ? hostname : "unknown");
    if (uname(&system) == 0) {
        json_set_string(hello, "os", system.sysname);
        json_set_string(hello, "arch", system.machine);
    }
    return hello;
}

void uplink_session_init(struct uplink_session *s, const char *host, const char *agent_id,
                         const struct uplink_session_callbacks *callbacks, void *arg,
                         int64_t now_ms)
{
    *s = (struct uplink_session){.callbacks = callbacks,
                                 .arg = arg,
                                 .phase = CHANNEL_HELLO,
                                 .in = BUF_INIT(LIMIT_CHANNEL_MESSAGE),
                                 .heard_ms = now_ms,
                                 .said_ms = now_ms};
    (void)snprintf(s->host, sizeof s->host, "%s", host);
    list_init(&s->queue);
    AUTOJSON json_t *hello = our_hello(agent_id);
    AUTOBUF struct buf message = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    if (channel_add(&message, "hello", hello) == 0)
        enqueue(s, &message);
}

void uplink_session_clear(struct uplink_session *s)
{
    struct uplink_text *t;
    while ((t = uplink_session_next(s, 0)))
        free(t);
    buf_clear(&s->in);
}

/* ---- what comes ------------------------------------------------------------------------------ */

void uplink_session_take(struct uplink_session *s, const char *text, size_t len)
{
    char why[UPLINK_TEXT];
    const struct channel_type *type = NULL;
    AUTOJSON json_t *message = NULL;
    if (s->over)
        return;
    int r = channel_parse(text, len, CHANNEL_CONSOLE, s->phase, &type, &message, why, sizeof why);
    if (r < 0) {
        uplink_session_end(s, r, why);
        return;
    }
    if (str_eq(type->name, "hello"))
        take_hello(s, message);
    else if (str_eq(type->name, "bye"))
        take_bye(s, message);
    else if (str_eq(type->name, "ping"))
        (void)uplink_session_send(s, "pong", NULL);
    else if (!str_eq(type->name, "pong"))
        s->callbacks->on_message(s->arg, type->name, message);
}

static unsigned read_capabilities(const json_t *words)
{
    unsigned bits = 0;
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word)
    {
        const char *name = json_string_value(word);
        if (!strchr(name, '.'))
            bits |= needed_capability(name);
    }
    return bits;
}

static void take_hello(struct uplink_session *s, const json_t *message)
{
    int64_t version = json_get_int(message, "version", 0);
    if (version < CHANNEL_VERSION_MIN || version > CHANNEL_VERSION) {
        char text[UPLINK_TEXT];
        (void)snprintf(text, sizeof text,
                       "the console chose version %lld of the channel, this agent speaks %d to %d",
                       (long long)version, (int)CHANNEL_VERSION_MIN, (int)CHANNEL_VERSION);
        uplink_session_end(s, ERR_UNSUPPORTED, text);
        return;
    }
    if (s->host[0] && !str_eq(json_get_string(message, "host", ""), s->host)) {
        uplink_session_end(s, ERR_PROTOCOL, "the console takes this host for another one");
        return;
    }
    s->capabilities = read_capabilities(json_object_get(message, "capabilities"));
    s->phase = CHANNEL_OPEN;
    s->callbacks->on_open(s->arg, message);
}

static void take_bye(struct uplink_session *s, const json_t *message)
{
    int code = err_from_name(json_get_string(message, "code", ""));
    char said[UPLINK_TEXT / 2];
    char text[UPLINK_TEXT];
    s->by_peer = !s->over;
    foreign_copy(said, sizeof said, json_get_string(message, "text", ""));
    (void)snprintf(text, sizeof text, "the console ended the connection: %s",
                   said[0] ? said : err_str(code));
    be_over(s, code, text);
}

void uplink_session_data(struct uplink_session *s, const char *data, size_t len, bool binary,
                         bool final, int64_t now_ms)
{
    s->heard_ms = now_ms;
    if (s->over)
        return;
    if (binary) {
        uplink_session_end(s, ERR_PROTOCOL,
                           "the console sent a binary frame, which agents do not take");
        return;
    }
    if (final && s->in.len == 0) {
        uplink_session_take(s, data, len);
        return;
    }
    if (buf_add(&s->in, data, len) < 0) {
        uplink_session_end(s, ERR_TOO_BIG, "a message of the console is longer than one may be");
        return;
    }
    if (!final)
        return;
    AUTOBUF struct buf whole = s->in;
    buf_init(&s->in, LIMIT_CHANNEL_MESSAGE);
    uplink_session_take(s, buf_str(&whole), whole.len);
}

/* ---- time ------------------------------------------------------------------------------------ */

void uplink_session_tick(struct uplink_session *s, int64_t now_ms)
{
    if (s->over)
        return;
    if (now_ms - s->heard_ms >= CHANNEL_SILENT_MS) {
        /* A bye would wait for a peer that does not read. */
        be_over(s, -ETIMEDOUT, "nothing was heard from the console for 30 s");
        return;
    }
    bool quiet = list_empty(&s->queue) && now_ms - s->said_ms >= UPLINK_PING_MS;
    if (quiet && s->phase == CHANNEL_OPEN)
        (void)uplink_session_send(s, "ping", NULL);
}
