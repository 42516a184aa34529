/* The agent port as it is on the network: TLS, certificates, WebSocket, with a client of OpenSSL
 * in a thread. */
#include "remote/agents_private.h"

#include "tests/unit/remote_console.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/secure/cert.h"
#include "lib/secure/hash.h"
#include "lib/wire/blob.h"
#include "lib/wire/channel.h"
#include "remote/authority.h"

enum { CLIENT_WAIT_S = 20, BIG = 3 << 20 };

static struct agents *agents;
static struct authority authority;
static unsigned port;

static int set_up(void **state)
{
    lws_set_log_level(0, NULL);
    int r = make_console(state);
    AUTOFREE char *dir = in_folder("");
    assert_int_equal(authority_open(&authority, dir, NULL), 0);
    const struct agents_settings settings = {.loop = &loop,
                                             .listen = "127.0.0.1:0",
                                             .name = "console",
                                             .authority = &authority,
                                             .store = store,
                                             .fleet = fleet,
                                             .dispatch = dispatch};
    assert_int_equal(agents_open(&agents, &settings), 0);
    assert_true(strncmp(agents_address(agents), "127.0.0.1:", 10) == 0);
    port = (unsigned)strtoul(agents_address(agents) + 10, NULL, 10);
    return r;
}

static int tear_down(void **state)
{
    agents_close(agents);
    agents_free(agents);
    int r = remove_console(state);
    authority_close(&authority);
    return r;
}

/* ---- a client -------------------------------------------------------------------------------- */

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static SSL_CTX *client_context(const char *host, int version, int64_t life_s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    (void)SSL_CTX_set_max_proto_version(ctx, version);
    if (!host)
        return ctx;
    struct authority a = authority;
    int64_t until_s;
    AUTOFREE char *key = NULL;
    AUTOFREE char *csr = NULL;
    AUTOFREE char *cert = NULL;
    a.agent_life_s = life_s;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, host, &csr), 0);
    assert_int_equal(authority_issue(&a, host, csr, &cert, &until_s), 0);
    BIO *key_bio = BIO_new_mem_buf(key, -1), *cert_bio = BIO_new_mem_buf(cert, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    X509 *x509 = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, pkey), 1);
    EVP_PKEY_free(pkey);
    X509_free(x509);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return ctx;
}

static bool tls_connect(struct client *c, SSL_CTX *ctx)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct timeval wait = {.tv_sec = CLIENT_WAIT_S};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.ctx = ctx, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        return false;
    c->ssl = SSL_new(ctx);
    (void)SSL_set_fd(c->ssl, c->fd);
    return SSL_connect(c->ssl) == 1;
}

static void hang_up(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    (void)close(c->fd);
    ERR_clear_error();
}

static bool put(struct client *c, const void *data, size_t len)
{
    return SSL_write(c->ssl, data, (int)len) == (int)len;
}

/* Reads exactly so many bytes; false at the end. */
static bool get(struct client *c, void *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        int n = SSL_read(c->ssl, (char *)out + at, (int)(len - at));
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* The head of the reply; "" when the connection just closes. */
static void request(struct client *c, const char *extra, char *head, size_t size)
{
    AUTOFREE char *text = xasprintf("GET / HTTP/1.1\r\nHost: web\r\n%s\r\n", extra);
    size_t len = 0;
    head[0] = '\0';
    if (!put(c, text, strlen(text)))
        return;
    while (len < size - 1 && !strstr(head, "\r\n\r\n") && get(c, head + len, 1))
        head[++len] = '\0';
}

#define UPGRADE                                                                                    \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: proctor.v1\r\n"

static bool upgrade(struct client *c)
{
    char head[1000];
    request(c, UPGRADE PROTOCOL "Sec-WebSocket-Extensions: permessage-deflate\r\n", head,
            sizeof head);
    return strstr(head, " 101 ") && strstr(head, "proctor.v1") && !strstr(head, "deflate");
}

/* One frame, masked with zeros. */
static bool put_frame(struct client *c, unsigned first, const void *data, size_t len)
{
    AUTOFREE uint8_t *frame = xcalloc(1, len + 14);
    size_t at = 0;
    frame[at++] = (uint8_t)first;
    if (len < 126) {
        frame[at++] = (uint8_t)(0x80 | len);
    } else {
        frame[at++] = 0x80 | 127;
        for (int i = 7; i >= 0; i--)
            frame[at++] = (uint8_t)((uint64_t)len >> (8 * i));
    }
    at += 4;
    memcpy(frame + at, data, len);
    return put(c, frame, at + len);
}

static bool say(struct client *c, const char *text)
{
    return put_frame(c, 0x81, text, strlen(text));
}

/* The next text message; "close" for a close frame, "" at the end. */
static void hear(struct client *c, char *out, size_t size)
{
    uint8_t head[2], more[8] = {0};
    (void)snprintf(out, size, "%s", "");
    if (!get(c, head, 2))
        return;
    size_t len = head[1] & 127;
    if (len == 126 && !get(c, more, 2))
        return;
    if (len == 126)
        len = (size_t)more[0] << 8 | more[1];
    assert(len < size);
    if (!get(c, out, len))
        len = 0;
    out[len] = '\0';
    if ((head[0] & 15) == 8)
        (void)snprintf(out, size, "close");
}

static bool hear_until(struct client *c, const char *part, char *out, size_t size)
{
    do
        hear(c, out, size);
    while (out[0] && !strstr(out, part) && !str_eq(out, "close"));
    return strstr(out, part) != NULL;
}

static bool say_hello(struct client *c)
{
    char text[1000];
    AUTOJSON json_t *hello = a_hello(id_of(1));
    AUTOFREE char *message = json_dumps(hello, 0);
    return say(c, message) && hear_until(c, "\"hello\"", text, sizeof text);
}

/* ---- two threads ----------------------------------------------------------------------------- */

struct play {
    void (*run)(struct play *p);
    const char *host; /* NULL: no certificate */
    int version;
    int64_t life_s;
    const char *headers;
    bool ok;
    char text[2000];
};

static uv_async_t over;
static bool is_over;

static void on_over(uv_async_t *async)
{
    is_over = true;
}

static void run_play(void *arg)
{
    struct play *p = arg;
    p->run(p);
    (void)uv_async_send(&over);
}

static void play(struct play *p)
{
    uv_thread_t thread;
    is_over = false;
    p->version = p->version ? p->version : TLS1_3_VERSION;
    p->life_s = p->life_s ? p->life_s : 1000;
    assert_int_equal(uv_async_init(&loop, &over, on_over), 0);
    assert_int_equal(uv_thread_create(&thread, run_play, p), 0);
    while (!is_over)
        (void)uv_run(&loop, UV_RUN_ONCE);
    (void)uv_thread_join(&thread);
    uv_close((uv_handle_t *)&over, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void talk(struct play *p)
{
    struct client c;
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c) && say(&c, "{\"type\":\"ping\"}") &&
            hear_until(&c, "\"pong\"", p->text, sizeof p->text);
    hang_up(&c);
}

static void a_host_with_its_certificate_is_let_in(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct play p = {.run = talk, .host = HOST_1, .version = version};
        play(&p);
        assert_true(p.ok);
        for (int i = 0; i < 100 && fleet_connected(fleet, HOST_1); i++) {
            (void)usleep(5000);
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        }
        assert_false(fleet_connected(fleet, HOST_1));
    }
}

/* The serial number of the certificate that a handshake shows. */
static void look_at_certificate(struct play *p)
{
    struct client c;
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s));
    X509 *shown = p->ok ? SSL_get1_peer_certificate(c.ssl) : NULL;
    BIGNUM *serial = shown ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(shown), NULL) : NULL;
    char *text = serial ? BN_bn2hex(serial) : NULL;
    (void)snprintf(p->text, sizeof p->text, "%s", text ? text : "");
    OPENSSL_free(text);
    BN_free(serial);
    X509_free(shown);
    hang_up(&c);
}

static void takes_another_certificate_while_it_runs(void **state)
{
    struct play before = {.run = look_at_certificate, .host = HOST_1};
    struct play after = before, talks = {.run = talk, .host = HOST_1};
    struct cert_facts facts;
    play(&before);
    assert_true(before.ok);
    AUTOFREE char *dir = in_folder("");
    AUTOFREE char *old = TAKE(authority.server_cert_pem);
    authority.server_cert_pem = xstrdup("damaged");
    assert_int_equal(authority_renew(&authority, dir, NULL), 1);
    assert_string_not_equal(authority.server_cert_pem, old);
    assert_int_equal(agents_renew(agents), 0);
    play(&after);
    assert_int_equal(cert_read(authority.server_cert_pem, &facts), 0);
    assert_true(strcasecmp(after.text, facts.serial) == 0);
    assert_true(strcasecmp(before.text, facts.serial) != 0);
    play(&talks);
    assert_true(talks.ok);
}

static void knock(struct play *p)
{
    struct client c;
    char head[500] = "";
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s));
    /* In TLS 1.3 the client learns of it when it reads. */
    if (p->ok)
        request(&c, p->headers, head, sizeof head);
    (void)snprintf(p->text, sizeof p->text, "%s", head);
    hang_up(&c);
}

static void strangers_get_no_answer(void **state)
{
    static const struct play plays[] = {
        {.run = knock, .headers = UPGRADE PROTOCOL},
        {.run = knock, .headers = UPGRADE PROTOCOL, .version = TLS1_2_VERSION},
        {.run = knock, .headers = UPGRADE PROTOCOL, .version = TLS1_1_VERSION, .host = HOST_1},
        {.run = knock, .headers = UPGRADE PROTOCOL, .life_s = -10, .host = HOST_1},
        {.run = knock, .headers = "", .host = HOST_1},
        {.run = knock, .headers = UPGRADE, .host = HOST_1},
        {.run = knock, .headers = UPGRADE "Sec-WebSocket-Protocol: http\r\n", .host = HOST_1},
        {.run = knock, .headers = UPGRADE "Sec-WebSocket-Protocol: proctor.v2\r\n", .host = HOST_1},
        {.run = knock, .headers = "Upgrade: h2c\r\nConnection: Upgrade\r\n", .host = HOST_1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(plays); i++) {
        struct play p = plays[i];
        play(&p);
        if (p.text[0])
            fail_msg("play %zu was answered: %s", i, p.text);
    }
}

static void be_refused(struct play *p)
{
    struct client c;
    char text[500];
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            hear_until(&c, "\"bye\"", p->text, sizeof p->text);
    hear(&c, text, sizeof text);
    p->ok = p->ok && str_eq(text, "close");
    hang_up(&c);
}

static void a_revoked_host_is_told_so(void **state)
{
    struct host_row row = *fleet_get(fleet, HOST_1);
    row.revoked_ms = 1;
    fleet_put(fleet, &row);
    struct play p = {.run = be_refused, .host = HOST_1};
    play(&p);
    assert_true(p.ok);
    assert_non_null(strstr(p.text, "REVOKED"));
}

/* A message of just below the limit, in frames of all sizes, then one that is too long. */
static void talk_much(struct play *p)
{
    struct client c;
    AUTOFREE char *much = xcalloc(1, LIMIT_CHANNEL_MESSAGE + 2);
    static const char ping[] = "{\"type\":\"ping\",\"x\":\"";
    size_t len = LIMIT_CHANNEL_MESSAGE;
    memset(much, 'x', len);
    memcpy(much, ping, sizeof ping - 1);
    memcpy(much + len - 2, "\"}", 2);
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c);
    size_t at = 0;
    for (size_t piece = 1; p->ok && at < len; piece = piece * 3 + 1) {
        size_t n = len - at < piece ? len - at : piece;
        p->ok = put_frame(&c, (at ? 0 : 1) | (at + n == len ? 0x80u : 0), much + at, n);
        at += n;
    }
    p->ok = p->ok && hear_until(&c, "\"pong\"", p->text, sizeof p->text);
    memset(much, ' ', len + 1);
    p->ok = p->ok && put_frame(&c, 0x81, much, len + 1) &&
            hear_until(&c, "TOO_BIG", p->text, sizeof p->text);
    hang_up(&c);
}

static void long_messages_come_in_pieces(void **state)
{
    struct play p = {.run = talk_much, .host = HOST_1};
    play(&p);
    assert_true(p.ok);
}

/* ---- a slow store ---------------------------------------------------------------------------- */

static void on_started(void *arg, int r, const char *text, const struct capture_list *rows)
{
    assert_int_equal(r, 0);
}

static void order(unsigned n)
{
    const struct capture_target target = {.host = HOST_1, .app = "web"};
    const struct capture_order o = {.id = id_of(n),
                                    .kind = "cpu",
                                    .duration_ms = 10000,
                                    .targets = &target,
                                    .target_count = 1,
                                    .requester = "u",
                                    .role = "operator"};
    dispatch_start(dispatch, &o, on_started, NULL);
    settle();
}

static bool begin_blob(struct client *c, unsigned n)
{
    char text[1000];
    AUTOFREE char *record = xasprintf("{\"type\":\"capture\",\"record\":{\"id\":\"%s\",\"kind\":"
                                      "\"cpu\",\"app\":\"web\",\"instance\":0,"
                                      "\"state\":\"done\"}}",
                                      id_of(n));
    AUTOFREE char *begin =
        xasprintf("{\"type\":\"blob.begin\",\"blob\":%u,\"id\":\"%s\",\"stored_bytes\":%d,"
                  "\"stored_sha256\":\"%064d\"}",
                  n, id_of(n), BLOB_WINDOW, n);
    return say(c, record) && say(c, begin) && hear_until(c, "blob.go", text, sizeof text);
}

static uv_sem_t held, release;

/* Three results at once, all of whose pieces come while the store is held. */
static void bring_much(struct play *p)
{
    struct client c;
    char text[1000] = "";
    static uint8_t frame[BLOB_HEADER + BLOB_CHUNK];
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c);
    for (unsigned n = 1; n <= 3; n++)
        p->ok = p->ok && begin_blob(&c, n);
    uv_sem_post(&held);
    uv_sem_wait(&release);
    for (unsigned n = 1; n <= 3; n++)
        for (uint64_t at = 0; p->ok && at < BLOB_WINDOW; at += BLOB_CHUNK) {
            blob_header_put(frame, n, at);
            p->ok = put_frame(&c, 0x82, frame, sizeof frame);
        }
    for (unsigned n = 1; n <= 3; n++) {
        AUTOFREE char *ack = xasprintf("\"blob\":%u,\"offset\":%d}", n, BLOB_WINDOW);
        p->ok = p->ok && hear_until(&c, ack, text, sizeof text);
    }
    p->ok =
        p->ok && say(&c, "{\"type\":\"ping\"}") && hear_until(&c, "\"pong\"", text, sizeof text);
    hang_up(&c);
}

/* Holds the database for half a second when the client is ready. */
static void hold_the_store(void *arg)
{
    struct db *db;
    struct host_row row = {.enrolled_ms = 1};
    (void)strcpy(row.id, id_of(77));
    (void)strcpy(row.name, "x");
    uv_sem_wait(&held);
    assert(db_open(folder, &db) == 0);
    assert(db_begin(db) == 0);
    assert(hosts_add(db, &row) == 0);
    uv_sem_post(&release);
    (void)usleep(500000);
    db_rollback(db);
    db_close(db);
}

static void a_slow_store_slows_the_agent(void **state)
{
    uv_thread_t holder;
    struct play p = {.run = bring_much, .host = HOST_1};
    for (unsigned n = 1; n <= 3; n++)
        order(n);
    assert_int_equal(uv_sem_init(&held, 0), 0);
    assert_int_equal(uv_sem_init(&release, 0), 0);
    assert_int_equal(uv_thread_create(&holder, hold_the_store, NULL), 0);
    play(&p);
    (void)uv_thread_join(&holder);
    assert_true(p.ok);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static uv_idle_t idle;
static void (*when_there)(struct agent_conn *c);

static void on_idle(uv_idle_t *handle)
{
    if (uv_sem_trywait(&held) != 0)
        return;
    uv_close((uv_handle_t *)handle, NULL);
    when_there(agents_find(agents, HOST_1));
}

/* Does something when the client says that it is there. */
static void play_and(struct play *p, void (*then)(struct agent_conn *c))
{
    when_there = then;
    assert_int_equal(uv_sem_init(&held, 0), 0);
    assert_int_equal(uv_idle_init(&loop, &idle), 0);
    assert_int_equal(uv_idle_start(&idle, on_idle), 0);
    play(p);
}

static void wait_for_ping(struct play *p)
{
    struct client c;
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c);
    uv_sem_post(&held);
    p->ok = p->ok && hear_until(&c, "\"ping\"", p->text, sizeof p->text);
    hang_up(&c);
}

static void pause_and_ping(struct agent_conn *c)
{
    agents_flow(c->wsi, false);
    agent_conn_send(c, "ping", NULL);
}

static void one_that_is_not_read_is_spoken_to(void **state)
{
    struct play p = {.run = wait_for_ping, .host = HOST_1};
    play_and(&p, pause_and_ping);
    assert_true(p.ok);
}

/* Says hello, and then does not even read. */
static void be_dead(struct play *p)
{
    struct client c;
    char byte;
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c);
    uv_sem_post(&held);
    /* Until the other end is gone for the kernel. */
    while (p->ok && recv(c.fd, &byte, 1, 0) > 0)
        continue;
    hang_up(&c);
}

static void let_time_pass(struct agent_conn *c)
{
    agent_conn_tick(c, uv_now(&loop) + CHANNEL_SILENT_MS + 1, 1);
    assert_int_equal(c->phase, AGENT_BYE);
    agent_conn_tick(c, uv_now(&loop) + AGENTS_BYE_MS + 1, 1);
}

static void one_that_does_not_answer_is_cut_off(void **state)
{
    struct play p = {.run = be_dead, .host = HOST_1};
    play_and(&p, let_time_pass);
    assert_true(p.ok);
    for (int i = 0; i < 100 && !list_empty(&agents->conns); i++) {
        (void)usleep(5000);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(list_empty(&agents->conns));
}

/* Connects, and says nothing; or only a part of a request. */
static void dawdle(struct play *p)
{
    struct client c;
    char byte;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (p->host) {
        p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) &&
                put(&c, "GET / HT", 8);
    } else {
        c = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
        p->ok = connect(c.fd, (struct sockaddr *)&to, sizeof to) == 0;
    }
    uv_sem_post(&held);
    while (p->ok && recv(c.fd, &byte, 1, 0) > 0)
        continue;
    hang_up(&c);
}

static unsigned late_runs;

/* The time of newcomers, a moment after they were accepted. */
static void on_late_idle(uv_idle_t *handle)
{
    (void)usleep(1000);
    if (++late_runs < 100)
        return;
    agents_port_tick(agents->port, uv_now(&loop) + 21000);
    if (is_over || late_runs > 5000)
        uv_close((uv_handle_t *)handle, NULL);
}

static void newcomers_have_their_time(void **state)
{
    static const char *const hosts[] = {NULL, HOST_1};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        struct play p = {.run = dawdle, .host = hosts[i]};
        late_runs = 0;
        assert_int_equal(uv_sem_init(&held, 0), 0);
        assert_int_equal(uv_idle_init(&loop, &idle), 0);
        assert_int_equal(uv_idle_start(&idle, on_late_idle), 0);
        play(&p);
        for (int n = 0; n < 10; n++)
            (void)uv_run(&loop, UV_RUN_NOWAIT);
        assert_true(p.ok);
        assert_in_range(late_runs, 100, 4000);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void stay(struct play *p)
{
    struct client c;
    char text[500];
    p->ok = tls_connect(&c, client_context(p->host, p->version, p->life_s)) && upgrade(&c) &&
            say_hello(&c);
    uv_sem_post(&held);
    p->ok = p->ok && hear_until(&c, "STOPPING", text, sizeof text);
    hear(&c, text, sizeof text);
    p->ok = p->ok && str_eq(text, "close");
    hang_up(&c);
}

static void close_all(struct agent_conn *c)
{
    agents_close(agents);
}

static void says_good_bye_at_the_end(void **state)
{
    struct play p = {.run = stay, .host = HOST_1};
    play_and(&p, close_all);
    assert_true(p.ok);
}

static void an_address_that_is_none_or_taken_is_said(void **state)
{
    struct agents *another;
    struct agents_settings settings = {.loop = &loop,
                                       .listen = "nowhere",
                                       .name = "c",
                                       .authority = &authority,
                                       .store = store,
                                       .fleet = fleet,
                                       .dispatch = dispatch};
    assert_int_equal(agents_open(&another, &settings), ERR_INVALID);
    settings.listen = agents_address(agents);
    assert_int_equal(agents_open(&another, &settings), -EADDRINUSE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_host_with_its_certificate_is_let_in),
        TEST(takes_another_certificate_while_it_runs),
        TEST(strangers_get_no_answer),
        TEST(a_revoked_host_is_told_so),
        TEST(long_messages_come_in_pieces),
        TEST(a_slow_store_slows_the_agent),
        TEST(one_that_is_not_read_is_spoken_to),
        TEST(one_that_does_not_answer_is_cut_off),
        TEST(newcomers_have_their_time),
        TEST(says_good_bye_at_the_end),
        TEST(an_address_that_is_none_or_taken_is_said),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
