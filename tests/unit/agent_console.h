/* agent_console.h -- a console for tests of the agent: TLS, the channel and the enrolment on one port, on the test's loop.  It
 * judges little and remembers everything. */
#pragma once

#include "tests/unit/support.h"

#include <jansson.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <time.h>
#include <uv.h>

#include "agent/identity.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/secure/cert.h"
#include "lib/secure/tls.h"
#include "lib/secure/token.h"
#include "lib/wire/channel.h"

enum { CONSOLE_MESSAGES = 400, CONSOLE_QUEUE = 64, CONSOLE_WAIT_MS = 10000 };

#define CONSOLE_HOST_ID "01890a5d-ac96-774b-bcce-b302099a8057"

struct console {
    uv_loop_t loop;
    char *ca_key, *ca_pem, *server_key, *server_pem;
    struct lws_context *lws;
    unsigned port;
    struct lws *wsi; /* the agent's connection; NULL: none */
    enum channel_phase phase;
    unsigned connections;
    char peer_serial[CERT_SERIAL_TEXT];
    struct buf in;
    char *queue[CONSOLE_QUEUE];
    unsigned queued;
    json_t *got[CONSOLE_MESSAGES]; /* NULL: taken */
    unsigned got_count;
    size_t binary_bytes, binary_before_mark;
    bool says_no_hello; /* a console that hangs */
    int64_t life_s;     /* of the certificates it issues */
    /* the enrolment */
    struct buf request;
    int status;
    const char *answer; /* NULL: what is right */
    unsigned enrolments;
};

static struct console console;

/* libwebsockets makes a client's SSL_CTX for our server too, and does not free it: known by who made it, which takes whole stacks.
 * The agent's own context is not meant. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:console_open\n";
}

/* ---- certificates ---------------------------------------------------------------------------- */

static inline void console_make_ca(char **ret_key, char **ret_pem)
{
    const struct cert_plan plan = {.common_name = "test CA",
                                   .not_before_s = time(NULL) - 60,
                                   .not_after_s = time(NULL) + 3600,
                                   .ca = true};
    assert_int_equal(key_make(ret_key), 0);
    assert_int_equal(cert_make_ca(*ret_key, &plan, ret_pem), 0);
}

static inline char *console_issue(const char *csr, const char *name, bool server, int64_t from_s,
                                  int64_t until_s)
{
    static const char *const names[] = {"127.0.0.1", "::1", NULL};
    const struct cert_plan plan = {.common_name = name,
                                   .dns_names = server ? names : NULL,
                                   .not_before_s = from_s,
                                   .not_after_s = until_s,
                                   .server = server};
    char *pem = NULL;
    assert_int_equal(cert_issue(console.ca_pem, console.ca_key, csr, &plan, &pem), 0);
    return pem;
}

/* A host's identity with a new key; the certificate is valid from and until so many seconds from now. */
static inline void console_identity(struct identity *id, int64_t from_s, int64_t until_s)
{
    AUTOFREE char *csr = NULL;
    *id = (struct identity){.ca_pem = xstrdup(console.ca_pem),
                            .host = xstrdup(CONSOLE_HOST_ID),
                            .agents = xasprintf("127.0.0.1:%u", console.port),
                            .web = xasprintf("127.0.0.1:%u", console.port),
                            .name = xstrdup("test"),
                            .issued_ms = (int64_t)time(NULL) * 1000};
    assert_int_equal(key_make(&id->key_pem), 0);
    assert_int_equal(csr_make(id->key_pem, "x", &csr), 0);
    id->cert_pem =
        console_issue(csr, CONSOLE_HOST_ID, false, time(NULL) + from_s, time(NULL) + until_s);
}

/* The string that `proctor link` gets. */
static inline char *console_token(const char *ca_pem)
{
    struct cert_facts facts;
    struct enrol_token t = {.port = console.port};
    assert_int_equal(cert_read(ca_pem, &facts), 0);
    memcpy(t.ca_sha256, facts.sha256, sizeof t.ca_sha256);
    (void)snprintf(t.address, sizeof t.address, "127.0.0.1:%u", console.port);
    secret_make(t.secret);
    return enrol_token_text(&t);
}

/* ---- what it says ---------------------------------------------------------------------------- */

/* Queues a message, taken from JSON text. */
static inline void console_say(const char *text)
{
    assert_in_range(console.queued, 0, CONSOLE_QUEUE - 1);
    console.queue[console.queued++] = xstrdup(text);
    if (console.wsi)
        (void)lws_callback_on_writable(console.wsi);
}

static inline void console_say_hello(void)
{
    console_say("{\"type\":\"hello\",\"min_version\":1,\"max_version\":9,\"version\":1,"
                "\"capabilities\":[\"capture\",\"blob\",\"renew\",\"unlink\",\"blob.x\",\"new\"],"
                "\"release\":\"9\",\"host\":\"" CONSOLE_HOST_ID
                "\",\"name\":\"test\",\"now_ms\":1,\"later\":{}}");
}

static inline void console_renew(const json_t *message)
{
    AUTOFREE char *pem = console_issue(json_get_string(message, "csr", ""), CONSOLE_HOST_ID, false,
                                       time(NULL) - 60, time(NULL) + console.life_s);
    AUTOJSON json_t *renewed = json_pack("{s:s,s:s}", "type", "renewed", "certificate", pem);
    AUTOFREE char *text = json_dumps(renewed, 0);
    console_say(text);
}

static inline void console_take(const char *text, size_t len)
{
    const struct channel_type *type = NULL;
    json_t *message = NULL;
    char why[300] = "";
    int r =
        channel_parse(text, len, CHANNEL_AGENT, console.phase, &type, &message, why, sizeof why);
    console.phase = CHANNEL_OPEN;
    if (r < 0)
        fail_msg("the agent sent what is not in the table: %s: %.*s", why, (int)len, text);
    assert_in_range(console.got_count, 0, CONSOLE_MESSAGES - 1);
    console.got[console.got_count++] = message;
    if (str_eq(type->name, "hello") && !console.says_no_hello)
        console_say_hello();
    if (str_eq(type->name, "renew"))
        console_renew(message);
    if (str_eq(type->name, "unlink"))
        console_say("{\"type\":\"bye\",\"code\":\"REVOKED\",\"text\":\"as you wish\"}");
    if (str_eq(type->name, "ping"))
        console_say("{\"type\":\"pong\"}");
    if (str_eq(type->name, "pong"))
        console.binary_before_mark = console.binary_bytes;
}

/* ---- enrolment ------------------------------------------------------------------------------- */

static inline char *console_grant(void)
{
    AUTOJSON json_t *request = json_object_parse(console.request.data, console.request.len);
    assert_non_null(request);
    assert_int_equal(strlen(json_get_string(request, "secret", "")), SECRET_TEXT - 1);
    assert_true(strlen(json_get_string(request, "hostname", "")) > 0);
    AUTOFREE char *pem = console_issue(json_get_string(request, "csr", ""), CONSOLE_HOST_ID, false,
                                       time(NULL) - 60, time(NULL) + console.life_s);
    AUTOFREE char *agents = xasprintf("127.0.0.1:%u", console.port);
    AUTOJSON json_t *answer =
        json_pack("{s:s,s:s,s:s,s:s,s:s}", "host", CONSOLE_HOST_ID, "certificate", pem, "ca",
                  console.ca_pem, "agents", agents, "name", "the test's");
    return json_dumps(answer, 0);
}

static inline int console_answer(struct lws *wsi)
{
    unsigned char head[LWS_PRE + 1024];
    unsigned char *p = head + LWS_PRE, *start = p, *end = head + sizeof head - 1;
    AUTOFREE char *body = console.answer ? xstrdup(console.answer) : console_grant();
    size_t len = strlen(body);
    console.enrolments++;
    assert_int_equal(lws_add_http_common_headers(wsi, (unsigned)console.status, "application/json",
                                                 (lws_filepos_t)len, &p, end),
                     0);
    assert_int_equal(lws_finalize_write_http_header(wsi, start, &p, end), 0);
    AUTOFREE unsigned char *out = xcalloc(1, LWS_PRE + len + 1);
    memcpy(out + LWS_PRE, body, len);
    (void)lws_write(wsi, out + LWS_PRE, len, LWS_WRITE_HTTP_FINAL);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* ---- libwebsockets --------------------------------------------------------------------------- */

static inline int console_write(struct lws *wsi)
{
    if (console.queued == 0)
        return 0;
    char *text = console.queue[0];
    memmove(console.queue, console.queue + 1, --console.queued * sizeof text);
    size_t len = strlen(text);
    AUTOFREE unsigned char *out = xcalloc(1, LWS_PRE + len + 1);
    memcpy(out + LWS_PRE, text, len);
    bool binary = text[0] == '#';
    free(text);
    if (lws_write(wsi, out + LWS_PRE, len, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)len)
        return -1;
    (void)lws_callback_on_writable(wsi);
    return 0;
}

static inline void console_receive(struct lws *wsi, const char *data, size_t len)
{
    if (lws_frame_is_binary(wsi)) {
        console.binary_bytes += len;
        return;
    }
    assert_int_equal(buf_add(&console.in, data, len), 0);
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
        return;
    console_take(console.in.data, console.in.len);
    buf_reset(&console.in);
}

static inline int console_on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                                   void *in, size_t len)
{
    struct cert_facts facts;
    const struct tls_setup setup = {.cert_pem = console.server_pem,
                                    .chain_pem = console.ca_pem,
                                    .key_pem = console.server_key,
                                    .ca_pem = console.ca_pem,
                                    .server = true};
    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        assert_int_equal(tls_setup(user, &setup), 0);
        return 0;
    case LWS_CALLBACK_HTTP:
        buf_reset(&console.request);
        return 0;
    case LWS_CALLBACK_HTTP_BODY:
        assert_int_equal(buf_add(&console.request, in, len), 0);
        return 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return console_answer(wsi);
    case LWS_CALLBACK_ESTABLISHED:
        console.wsi = wsi;
        console.phase = CHANNEL_HELLO;
        console.connections++;
        assert_int_equal(tls_peer(lws_get_ssl(wsi), &facts), 0);
        (void)snprintf(console.peer_serial, sizeof console.peer_serial, "%s", facts.serial);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        console_receive(wsi, in, len);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return console_write(wsi);
    case LWS_CALLBACK_CLOSED:
        if (console.wsi == wsi)
            console.wsi = NULL;
        return 0;
    }
    return lws_callback_http_dummy(wsi, reason, user, in, len);
}

/* ---- the test's life ------------------------------------------------------------------------- */

static inline void console_open(void)
{
    static const struct lws_protocols protocols[] = {
        {.name = CHANNEL_SUBPROTOCOL, .callback = console_on_event, .rx_buffer_size = 65536},
        {.name = NULL},
    };
    AUTOFREE char *csr = NULL;
    void *loops[] = {&console.loop};
    console = (struct console){
        .in = BUF_INIT(2 << 20), .request = BUF_INIT(2 << 20), .status = 201, .life_s = 3600};
    assert_int_equal(uv_loop_init(&console.loop), 0);
    console_make_ca(&console.ca_key, &console.ca_pem);
    assert_int_equal(key_make(&console.server_key), 0);
    assert_int_equal(csr_make(console.server_key, "console", &csr), 0);
    console.server_pem = console_issue(csr, "console", true, time(NULL) - 60, time(NULL) + 3600);
    lws_set_log_level(0, NULL);
    struct lws_context_creation_info info = {
        .port = 0,
        .protocols = protocols,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .fd_limit_per_thread = 64,
        .foreign_loops = loops,
    };
    console.lws = lws_create_context(&info);
    assert_non_null(console.lws);
    struct lws_vhost *vhost = lws_create_vhost(console.lws, &info);
    assert_non_null(vhost);
    console.port = (unsigned)lws_get_vhost_listen_port(vhost);
}

static inline void console_close(void)
{
    lws_context_destroy(console.lws);
    while (uv_run(&console.loop, UV_RUN_DEFAULT) != 0)
        continue;
    lws_context_destroy(console.lws);
    assert_int_equal(uv_loop_close(&console.loop), 0);
    for (unsigned i = 0; i < console.got_count; i++)
        json_decref(console.got[i]);
    while (console.queued > 0)
        free(console.queue[--console.queued]);
    free(console.ca_key);
    free(console.ca_pem);
    free(console.server_key);
    free(console.server_pem);
    buf_clear(&console.in);
    buf_clear(&console.request);
}

static inline void console_on_late(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs the loop until `*done`; fails after a while. */
static inline void console_run_until(const bool *done)
{
    uv_timer_t deadline;
    bool late = false;
    (void)uv_timer_init(&console.loop, &deadline);
    deadline.data = &late;
    (void)uv_timer_start(&deadline, console_on_late, CONSOLE_WAIT_MS, 0);
    while (!*done && !late)
        (void)uv_run(&console.loop, UV_RUN_ONCE);
    bool closed = false;
    deadline.data = &closed;
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&console.loop, UV_RUN_NOWAIT);
    if (!*done)
        fail_msg("nothing happened for %d s", CONSOLE_WAIT_MS / 1000);
}

/* Runs the loop for a moment. */
static inline void console_run_for(unsigned ms)
{
    uv_timer_t timer;
    bool over = false;
    (void)uv_timer_init(&console.loop, &timer);
    timer.data = &over;
    (void)uv_timer_start(&timer, console_on_late, ms, 0);
    while (!over)
        (void)uv_run(&console.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&console.loop, UV_RUN_NOWAIT);
}

/* Runs the loop until the agent has sent a message of this type, and takes it.  The caller releases it. */
static inline json_t *console_wait(const char *type)
{
    uv_timer_t deadline;
    bool late = false;
    json_t *found = NULL;
    (void)uv_timer_init(&console.loop, &deadline);
    deadline.data = &late;
    (void)uv_timer_start(&deadline, console_on_late, CONSOLE_WAIT_MS, 0);
    while (!found && !late) {
        for (unsigned i = 0; i < console.got_count && !found; i++)
            if (str_eq(json_get_string(console.got[i], "type", ""), type))
                found = TAKE(console.got[i]);
        if (!found)
            (void)uv_run(&console.loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&console.loop, UV_RUN_NOWAIT);
    if (!found)
        fail_msg("no %s came", type);
    return found;
}
