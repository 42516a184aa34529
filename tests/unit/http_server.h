/* http_server.h -- a real web server on loopback for unit tests, with curl and openssl s_client
 * as strangers, and a stand-in for auth.c: whoever has the cookie AUTH_COOKIE=good is somebody,
 * while `session_good`. */
#pragma once

#include "tests/unit/support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"
#include "remote/auth.h"
#include "remote/http.h"
#include "remote/live.h"

enum { SILENT_S = 1, MOST_OF_ONE = 12 };

static uv_loop_t loop;
static struct http *server;
static struct live *live;
static bool closed, session_good;
static unsigned checks;

/* ---- who may look: a stand-in for auth.c ----------------------------------------------------- */

struct asked {
    uv_timer_t timer;
    auth_cb done;
    void *arg;
    int r;
};

static inline void on_asked_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static inline void on_asked(uv_timer_t *timer)
{
    static const struct auth_who who = {.name = "user ann", .role = ROLE_VIEWER};
    struct asked *a = timer->data;
    a->done(a->arg, a->r, a->r == 0 ? &who : NULL);
    uv_close((uv_handle_t *)timer, on_asked_closed);
}

void auth_check(struct auth *a, const char *cookie, const char *authorization, const char *address,
                auth_cb done, void *arg)
{
    struct asked *asked = xcalloc(1, sizeof *asked);
    *asked = (struct asked){.done = done, .arg = arg};
    checks++;
    asked->r = session_good && cookie && strstr(cookie, AUTH_COOKIE "=good") ? 0 : ERR_LOGIN;
    asked->timer.data = asked;
    (void)uv_timer_init(&loop, &asked->timer);
    (void)uv_timer_start(&asked->timer, on_asked, 1, 0);
}

/* ---- a server and a stranger ----------------------------------------------------------------- */

static char *ca_pem, *ca_key, *server_pem, *server_key;

/* A certificate for us, and its key; the caller frees. */
static inline void issue_server(const char *by_pem, const char *by_key, char **ret_pem,
                                char **ret_key)
{
    static const char *const names[] = {"localhost", "127.0.0.1", NULL};
    const struct cert_plan plan = {.common_name = "localhost",
                                   .dns_names = names,
                                   .not_before_s = time(NULL) - 60,
                                   .not_after_s = time(NULL) + 3600,
                                   .server = true};
    AUTOFREE char *csr = NULL;
    assert_int_equal(key_make(ret_key), 0);
    assert_int_equal(csr_make(*ret_key, "localhost", &csr), 0);
    assert_int_equal(cert_issue(by_pem, by_key, csr, &plan, ret_pem), 0);
}

static inline void make_certificates(void)
{
    const struct cert_plan plan = {.common_name = "test CA",
                                   .not_before_s = time(NULL) - 60,
                                   .not_after_s = time(NULL) + 3600,
                                   .ca = true};
    assert_int_equal(key_make(&ca_key), 0);
    assert_int_equal(cert_make_ca(ca_key, &plan, &ca_pem), 0);
    issue_server(ca_pem, ca_key, &server_pem, &server_key);
    AUTOFREE char *path = in_folder("ca.pem");
    put_file(path, ca_pem);
}

static inline int start_server(void **state, http_handler_cb handle)
{
    static const char *const names[] = {"console.example.com", NULL};
    assert_int_equal(make_folder(state), 0);
    make_certificates();
    assert_int_equal(uv_loop_init(&loop), 0);
    live = live_new(&loop, NULL);
    const struct http_settings settings = {.listen = "127.0.0.1:0",
                                           .names = names,
                                           .cert_pem = server_pem,
                                           .chain_pem = ca_pem,
                                           .key_pem = server_key,
                                           .handler = handle,
                                           .live = live,
                                           .silent_s = SILENT_S,
                                           .most_of_one = MOST_OF_ONE};
    closed = false;
    session_good = true;
    checks = 0;
    assert_int_equal(http_open(&server, &loop, &settings), 0);
    return 0;
}

static inline void on_closed(void *arg)
{
    closed = true;
}

static inline int stop_server(void **state)
{
    if (!closed) {
        live_close(live);
        http_close(server, on_closed, NULL);
    }
    while (!closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
    live_free(live);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_no_child();
    free(ca_pem);
    free(ca_key);
    free(server_pem);
    free(server_key);
    return remove_folder(state);
}

static inline const char *port(void)
{
    return strrchr(http_address(server), ':') + 1;
}

static inline void on_tick(uv_timer_t *timer)
{
}

/* Runs the loop until the condition holds; fails after 20 s. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        uv_timer_t tick_;                                                                          \
        (void)uv_timer_init(&loop, &tick_);                                                        \
        (void)uv_timer_start(&tick_, on_tick, 5, 5);                                               \
        uint64_t end_ms_ = uv_now(&loop) + 20000;                                                  \
        while (!(condition)) {                                                                     \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
            if (uv_now(&loop) > end_ms_)                                                           \
                fail_msg("not within 20 s: " #condition);                                          \
        }                                                                                          \
        uv_close((uv_handle_t *)&tick_, NULL);                                                     \
        (void)uv_run(&loop, UV_RUN_NOWAIT);                                                        \
    } while (0)

static inline void wait_ms(unsigned ms)
{
    uint64_t end_ms = uv_now(&loop) + ms;
    UNTIL(uv_now(&loop) >= end_ms);
}

static inline pid_t spawn_shell(const char *command)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (chdir(folder) == 0)
            (void)execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    return pid;
}

static int last_status;

static inline bool has_ended(pid_t pid)
{
    return waitpid(pid, &last_status, WNOHANG) == pid;
}

static char output[256 << 10];

/* What the command printed; the server runs meanwhile. */
static inline const char *shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline const char *shell(const char *fmt, ...)
{
    AUTOBUF struct buf command = BUF_INIT(100000);
    AUTOFREE char *path = in_folder("out");
    va_list ap;
    assert_int_equal(buf_addstr(&command, "exec >out 2>&1; "), 0);
    va_start(ap, fmt);
    assert_int_equal(buf_vaddf(&command, fmt, ap), 0);
    va_end(ap);
    pid_t pid = spawn_shell(buf_str(&command));
    UNTIL(has_ended(pid));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    (void)fclose(f);
    return output;
}

/* curl with our CA; `options` and the path. */
static inline const char *curl(const char *options, const char *path)
{
    return shell("curl -sS --max-time 15 --cacert ca.pem %s 'https://127.0.0.1:%s%s'", options,
                 port(), path);
}

/* Bytes over TLS; what comes back until the server closes, for 4 s at most. */
static inline const char *raw(const char *bytes)
{
    AUTOFREE char *path = in_folder("in");
    put_file(path, bytes);
    return shell("timeout 6 openssl s_client -quiet -connect 127.0.0.1:%s <in 2>/dev/null", port());
}

/* The same from a client that leaves after a moment. */
static inline const char *raw_short(const char *bytes)
{
    AUTOFREE char *path = in_folder("in");
    put_file(path, bytes);
    return shell("(cat in; sleep 0.3) | timeout 6 openssl s_client -quiet -no_ign_eof "
                 "-connect 127.0.0.1:%s 2>/dev/null",
                 port());
}

static inline void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in: %s", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in: %s", part, text);
}

static inline unsigned count_of(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        n++;
    return n;
}

static inline void assert_secured(const char *text)
{
    static const char *const headers[] = {"Content-Security-Policy: default-src 'none'",
                                          "X-Content-Type-Options: nosniff",
                                          "X-Frame-Options: DENY",
                                          "Referrer-Policy: no-referrer",
                                          "Cross-Origin-Opener-Policy: same-origin",
                                          "Cross-Origin-Resource-Policy: same-origin",
                                          "Permissions-Policy: ",
                                          NULL};
    for (size_t i = 0; headers[i]; i++)
        assert_has(text, headers[i]);
    assert_lacks(text, "libwebsockets");
    assert_lacks(text, "Server:");
}
