#include "supervisor/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"
#include "supervisor/agent_link.h"
#include "supervisor/commands.h"
#include "supervisor/operations.h"
#include "supervisor/supervisor.h"

enum { ACCEPT_AGAIN_MS = 100, FLUSH_MS = 2000 };

/* The steps of a connection, in the order in which they run. */
static void on_connection(uv_poll_t *poll, int status, int events);
static void on_accept_again(uv_timer_t *timer);
static void on_flush_over(uv_timer_t *timer);
static void control_rest(struct control *c);
static void on_msg(struct conn *c, struct msg *m);
static void on_peer_closed(struct conn *c, int reason);

/* ---- listening ------------------------------------------------------------------------------- */

/* A new socket at `path`, not listening yet. */
static int bind_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* We hold the home's lock, so a socket that lies there is a leftover. */
    (void)unlink(path);
    mode_t before = umask(0177);
    int r = bind(fd, (const struct sockaddr *)&address, sizeof address);
    int error = errno;
    (void)umask(before);
    return r < 0 ? -error : TAKE_FD(fd);
}

/* The socket of the supervisor before us, or a new one when its file is gone: then nobody finds it any more. */
static int take_socket(struct control *c)
{
    struct stat st;
    AUTOCLOSE int fd = keep_take(&c->sup->keep, "control");
    if (fd >= 0 && lstat(c->path, &st) == 0 && S_ISSOCK(st.st_mode))
        return TAKE_FD(fd);
    return bind_to(c->path);
}

/* Stored before anybody can connect. */
static int start_listening(struct control *c)
{
    int fd = take_socket(c);
    if (fd < 0)
        return fd;
    int r = keep_store(&c->sup->keep, fd, "control");
    /* Also for one that listens already: from here on the kernel tells our pid to those who connect. */
    if (r == 0 && listen(fd, 128) < 0)
        r = -errno;
    if (r < 0)
        (void)close(fd);
    return r < 0 ? r : fd;
}

int control_open(struct control *c, struct supervisor *sup, const char *path)
{
    *c = (struct control){.sup = sup, .path = xstrdup(path)};
    list_init(&c->peers);
    c->fd = start_listening(c);
    if (c->fd < 0)
        return c->fd;
    c->poll.data = c->timer.data = c;
    int r = uv_poll_init(&sup->loop, &c->poll, c->fd);
    if (r < 0)
        return r;
    (void)uv_timer_init(&sup->loop, &c->timer);
    c->open = true;
    return uv_poll_start(&c->poll, UV_READABLE, on_connection);
}

void control_close(struct control *c)
{
    struct peer *p;
    if (!c->open)
        return;
    c->open = false;
    uv_close((uv_handle_t *)&c->poll, NULL);
    (void)unlink(c->path);
    (void)close(c->fd);
    free(c->path);
    c->path = NULL;
    LIST_EACH(p, &c->peers)
    conn_close_after_flush(&p->conn);
    (void)uv_timer_start(&c->timer, on_flush_over, FLUSH_MS, 0);
    control_rest(c);
}

static void on_flush_over(uv_timer_t *timer)
{
    struct control *c = timer->data;
    struct peer *p;
    LIST_EACH(p, &c->peers)
    conn_close(&p->conn);
}

/* The timer is the last handle: it goes with the last connection. */
static void control_rest(struct control *c)
{
    if (!c->open && list_empty(&c->peers) && !uv_is_closing((uv_handle_t *)&c->timer))
        uv_close((uv_handle_t *)&c->timer, NULL);
}

bool control_idle(const struct control *c)
{
    return list_empty(&c->peers);
}

/* The same user or root; nobody else, whatever the file's mode says. */
static bool is_welcome(const struct conn *conn)
{
    pid_t pid;
    uid_t uid;
    int r = conn_peer(conn, &pid, &uid);
    if (r == 0 && (uid == geteuid() || uid == 0))
        return true;
    log_warn(r, "control connection of user %d, process %d refused", (int)uid, (int)pid);
    return false;
}

static void accept_one(struct control *c, int fd)
{
    struct peer *p = xcalloc(1, sizeof *p);
    p->sup = c->sup;
    if (list_count(&c->peers) >= LIMIT_CONTROL_PEERS) {
        log_warn(0, "more than %u control connections, one is refused", LIMIT_CONTROL_PEERS);
        (void)close(fd);
        free(p);
        return;
    }
    if (conn_open(&p->conn, &c->sup->loop, fd, on_msg, on_peer_closed, p) < 0) {
        free(p);
        return;
    }
    list_add(&c->peers, &p->link, p);
    if (!is_welcome(&p->conn))
        conn_close(&p->conn);
}

static void on_accept_again(uv_timer_t *timer)
{
    struct control *c = timer->data;
    if (c->open)
        (void)uv_poll_start(&c->poll, UV_READABLE, on_connection);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct control *c = poll->data;
    for (;;) {
        int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && errno != EAGAIN) {
            log_warn(-errno, "a control connection cannot be taken now");
            (void)uv_poll_stop(&c->poll);
            (void)uv_timer_start(&c->timer, on_accept_again, ACCEPT_AGAIN_MS, 0);
        }
        if (fd < 0)
            return;
        accept_one(c, fd);
    }
}

static void on_peer_closed(struct conn *c, int reason)
{
    struct peer *p = c->arg;
    struct supervisor *sup = p->sup;
    if (reason < 0 && reason != UV_EOF && reason != -ECONNRESET && reason != -EPIPE)
        log_warn(reason, "control connection ended");
    agent_link_forget_peer(&sup->agent, p);
    operations_forget_peer(&sup->operations, p);
    triggers_forget_peer(&sup->triggers, p);
    if (sup->end_peer == p)
        sup->end_peer = NULL;
    list_remove(&p->link);
    free(p);
    control_rest(&sup->control);
    supervisor_peer_gone(sup);
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static void hello(struct peer *p, const char *id, json_t *params)
{
    AUTOJSON json_t *answer = json_object();
    int64_t version = json_get_int(params, "version", 0);
    if (version != WIRE_VERSION) {
        char text[120];
        (void)snprintf(text, sizeof text,
                       "this supervisor speaks protocol %d, the command protocol %lld",
                       WIRE_VERSION, (long long)version);
        peer_error(p, id, ERR_UNSUPPORTED, text);
        conn_close_after_flush(&p->conn);
        return;
    }
    p->greeted = true;
    json_set_int(answer, "version", WIRE_VERSION);
    json_set_string(answer, "program", "proctord");
    json_set_string(answer, "release", PROCTOR_VERSION);
    json_set_int(answer, "pid", getpid());
    peer_result(p, id, answer, -1);
}

static void relay(struct peer *p, const struct msg *m)
{
    if (str_eq(m->method, "capture.start"))
        captures_expect(&p->sup->captures, json_get_string(m->params, "id", ""));
    agent_link_relay(&p->sup->agent, p, m->id, m->method, m->params);
}

static void handle(struct peer *p, const struct msg *m)
{
    if (str_starts(m->method, "capture.") || str_starts(m->method, "link."))
        relay(p, m);
    else if (!command_run(p, m->id, m->method, m->params))
        peer_error(p, m->id, ERR_UNSUPPORTED, "this message is not answered here");
}

static void on_msg(struct conn *c, struct msg *m)
{
    struct peer *p = c->arg;
    char text[300];
    const struct wire_method *method =
        m->method ? wire_method_find(m->method, WIRE_CLI_TO_SUPERVISOR) : NULL;
    bool is_hello = method && str_eq(m->method, "hello");
    if (!method || m->kind != MSG_REQUEST || p->greeted == is_hello) {
        log_warn(ERR_PROTOCOL, "control: message %s", m->method ? m->method : "without a method");
        conn_close(c);
        return;
    }
    int r = wire_method_check(method, m->params, text, sizeof text);
    if (r < 0)
        peer_error(p, m->id, r, text);
    else if (is_hello)
        hello(p, m->id, m->params);
    else if (p->sup->ending && !str_eq(m->method, "ping"))
        peer_error(p, m->id, ERR_STOPPING, "the supervisor is shutting down");
    else
        handle(p, m);
}

/* ---- answers --------------------------------------------------------------------------------- */

void peer_result(struct peer *p, const char *id, json_t *result, int fd)
{
    (void)conn_result(&p->conn, id, result, fd);
}

void peer_error(struct peer *p, const char *id, int error, const char *text)
{
    (void)conn_error(&p->conn, id, error, text, NULL);
}

void peer_progress(struct peer *p, const char *id, json_t *params)
{
    (void)conn_progress(&p->conn, id, params);
}

void answer_warn(json_t *answer, const char *text)
{
    json_t *warnings = json_object_get(answer, "warnings");
    if (!warnings) {
        warnings = json_array();
        (void)json_object_set_new(answer, "warnings", warnings);
    }
    (void)json_array_append_new(warnings, json_string(text));
}
