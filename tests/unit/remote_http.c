/* remote/http*.c: a real server on loopback, with curl and openssl s_client as strangers. */
#include "tests/unit/http_server.h"

#include "remote/http_private.h"

#if defined(__SANITIZE_ADDRESS__)
enum { BIG_MB = 40, RSS_SLACK_KB = 64 << 10 };
#else
enum { BIG_MB = 300, RSS_SLACK_KB = 12 << 10 };
#endif

static struct http_request *kept; /* of /keep: not replied to yet */
static unsigned handled, sources_open, sources_closed;

/* ---- the handler ----------------------------------------------------------------------------- */

/* Bytes that say where they are: 4 each, the offset / 4. */
struct counted {
    struct http_source source;
    uint64_t at, fail_at;
    unsigned delay_ms;
};

static int counted_read(struct http_source *s, void *out, size_t size)
{
    struct counted *c = (struct counted *)s;
    if (c->fail_at && c->at >= c->fail_at)
        return -EIO;
    if (c->delay_ms)
        usleep(c->delay_ms * 1000);
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++, c->at++)
        bytes[i] = (unsigned char)((c->at / 4) >> (8 * (c->at % 4)));
    return (int)size;
}

static void counted_close(struct http_source *s)
{
    sources_closed++;
    free(s);
}

static void reply_counted(struct http_request *r, uint64_t length, uint64_t fail_at,
                          unsigned delay_ms)
{
    struct counted *c = xcalloc(1, sizeof *c);
    *c = (struct counted){.source = {.read = counted_read, .close = counted_close},
                          .fail_at = fail_at,
                          .delay_ms = delay_ms};
    sources_open++;
    http_reply_source(r, 200, "application/octet-stream", length, &c->source);
}

/* Ten elements, made on the loop; of /cut, the fifth fails. */
struct piecemeal {
    struct http_source source;
    unsigned made;
    bool fails;
};

static int piecemeal_read(struct http_source *s, void *out, size_t size)
{
    struct piecemeal *p = (struct piecemeal *)s;
    if (p->fails && p->made == 5)
        return -EIO;
    if (p->made == 10)
        return 0;
    int n = snprintf(out, size, "element %u\n", p->made);
    memset((char *)out + n, '.', size - (size_t)n);
    p->made++;
    return (int)size;
}

static void piecemeal_close(struct http_source *s)
{
    sources_closed++;
    free(s);
}

static void reply_piecemeal(struct http_request *r, bool fails)
{
    struct piecemeal *p = xcalloc(1, sizeof *p);
    *p = (struct piecemeal){.source = {.read = piecemeal_read, .close = piecemeal_close},
                            .fails = fails};
    sources_open++;
    http_reply_source(r, 200, "text/plain", HTTP_LENGTH_UNKNOWN, &p->source);
}

enum { LARGE = 12 << 20 };

static void reply_large(struct http_request *r)
{
    AUTOFREE char *bytes = xcalloc(1, LARGE);
    http_reply(r, 200, "text/plain", bytes, LARGE);
}

static void reply_echo(struct http_request *r)
{
    AUTOJSON json_t *j = json_object();
    json_set_string(j, "method", http_method_name(r->method));
    json_set_string(j, "path", r->path);
    json_set_string(j, "query", r->query);
    json_set_string(j, "cookie", r->cookie);
    json_set_string(j, "authorization", r->authorization);
    json_set_string(j, "csrf", r->csrf);
    json_set_string(j, "type", r->content_type);
    json_set_string(j, "address", r->address);
    json_set_string(j, "body", buf_str(&r->body));
    json_set_int(j, "length", (int64_t)r->body.len);
    http_header(r, "X-Test", "a\r\nX-Evil: yes");
    http_reply_json(r, 200, j);
}

static void on_late(uv_timer_t *timer)
{
    struct http_request *r = timer->data;
    http_reply(r, 200, "text/plain", "late\n", 5);
    uv_close((uv_handle_t *)timer, (uv_close_cb)free);
}

static void reply_late(struct http_request *r)
{
    uv_timer_t *timer = xcalloc(1, sizeof *timer);
    timer->data = r;
    (void)uv_timer_init(&loop, timer);
    (void)uv_timer_start(timer, on_late, 100, 0);
}

static void handle(void *arg, struct http_request *r)
{
    handled++;
    if (str_eq(r->path, "/hello"))
        http_reply(r, 200, "text/plain", "hello\n", 6);
    else if (str_eq(r->path, "/late"))
        reply_late(r);
    else if (str_eq(r->path, "/big"))
        reply_counted(r, (uint64_t)BIG_MB << 20, 0, 0);
    else if (str_eq(r->path, "/some"))
        reply_counted(r, 1000003, 0, 0);
    else if (str_eq(r->path, "/slow"))
        reply_counted(r, 64 << 20, 0, 3);
    else if (str_eq(r->path, "/nothing"))
        reply_counted(r, 0, 0, 0);
    else if (str_eq(r->path, "/broken"))
        reply_counted(r, 1 << 20, 300000, 0);
    else if (str_eq(r->path, "/gone"))
        http_reply_json(r, 204, NULL);
    else if (str_eq(r->path, "/old"))
        http_reply(r, 304, "text/plain", "not sent", 8);
    else if (str_eq(r->path, "/error"))
        http_reply_error(r, ERR_NOT_FOUND, "no \"%s\" here", "cat");
    else if (str_eq(r->path, "/keep"))
        kept = r;
    else if (str_eq(r->path, "/piecemeal"))
        reply_piecemeal(r, false);
    else if (str_eq(r->path, "/cut"))
        reply_piecemeal(r, true);
    else if (str_eq(r->path, "/large"))
        reply_large(r);
    else
        reply_echo(r);
}

static int start(void **state)
{
    handled = sources_open = sources_closed = 0;
    return start_server(state, handle);
}

static int stop(void **state)
{
    int r = stop_server(state);
    assert_int_equal(sources_open, sources_closed);
    return r;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void replies_with_the_security_headers(void **state)
{
    const char *text = curl("-i", "/hello");
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "Content-Length: 6\r\n");
    assert_has(text, "Cache-Control: no-store\r\n");
    assert_has(text, "\r\n\r\nhello\n");
    assert_secured(text);
}

static void collects_the_request(void **state)
{
    const char *text = curl(
        "-i --path-as-is -H 'Cookie: a=b; c=d' -H 'Authorization: Bearer x' -H 'X-CSRF-Token: y' "
        "-H 'Content-Type: application/json' --data-binary '{\"a\":1}'",
        "/x/../a%20b%2fc/./d?q=1%262&flag&r=a%3Db+c");
    assert_has(text, "\"method\":\"POST\"");
    assert_has(text, "\"path\":\"/x/../a%20b%2fc/./d\"");
    assert_has(text, "\"query\":\"q=1%262&flag&r=a%3Db+c\"");
    assert_has(text, "\"cookie\":\"a=b; c=d\"");
    assert_has(text, "\"authorization\":\"Bearer x\"");
    assert_has(text, "\"csrf\":\"y\"");
    assert_has(text, "\"type\":\"application/json\"");
    assert_has(text, "\"address\":\"127.0.0.1\"");
    assert_has(text, "\"body\":\"{\\\"a\\\":1}\"");
    assert_has(text, "X-Test: a__X-Evil: yes\r\n");
}

static void says_errors_as_json(void **state)
{
    const char *text = curl("-i", "/error");
    assert_has(text, "HTTP/1.1 404 Not Found\r\n");
    assert_has(text, "{\"error\":{\"name\":\"NOT_FOUND\",\"message\":\"no \\\"cat\\\" here\"}}");
    assert_secured(text);
}

static void sends_no_body_for_head_204_and_304(void **state)
{
    const char *text = curl("-I", "/hello");
    assert_has(text, "200 OK");
    assert_has(text, "Content-Length: 6\r\n");
    assert_lacks(text, "hello");
    text = curl("-I", "/big");
    assert_has(text, "Content-Length: ");
    text = curl("-i -X DELETE", "/gone");
    assert_has(text, "204 No Content");
    assert_lacks(text, "Content-Length");
    text = curl("-i", "/old");
    assert_has(text, "304 Not Modified");
    assert_lacks(text, "not sent");
}

static void keeps_connections_alive(void **state)
{
    AUTOFREE char *url = xasprintf("https://127.0.0.1:%s/hello", port());
    const char *text =
        shell("curl -sS -v --cacert ca.pem '%s' '%s' --next --cacert ca.pem -d abc '%s' "
              "--next --cacert ca.pem '%s'",
              url, url, url, url);
    assert_int_equal(count_of(text, "Re-using existing connection"), 3);
    assert_int_equal(count_of(text, "200 OK"), 4);
}

static void answers_pipelined_requests_in_order(void **state)
{
    const char *text =
        raw("GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
            "POST /echo?2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde"
            "GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n"
            "POST /echo?4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_int_equal(count_of(text, "200 OK"), 5);
    assert_int_equal(handled, 5);
    assert_has(text, "\"body\":\"abcde\"");
    assert_has(text, "\"length\":0");
    const char *second = strstr(text, "?2"), *fourth = strstr(text, "query\":\"4");
    assert_true(!second || !fourth || second < fourth);
    assert_has(text, "hello\n");
}

static void takes_a_request_in_pieces(void **state)
{
    const char *text = shell(
        "(printf 'POST /echo HTTP/1.1\\r\\nHo'; sleep 0.2; printf 'st: localhost\\r\\nContent-Le'; "
        "sleep 0.2; printf 'ngth: 6\\r\\nConnection: close\\r\\n\\r\\nab'; sleep 0.2; printf "
        "'cdef'; "
        "sleep 1) | timeout 6 openssl s_client -quiet -connect 127.0.0.1:%s 2>/dev/null",
        port());
    assert_has(text, "\"body\":\"abcdef\"");
}

static void refuses_wrong_hosts(void **state)
{
    const char *text = curl("-i -H 'Host: evil.com'", "/hello");
    assert_has(text, "HTTP/1.1 421 Misdirected Request\r\n");
    assert_secured(text);
    assert_has(curl("-i -H 'Host: localhost, evil.com'", "/hello"), "400 Bad Request");
    assert_has(curl("-i -H 'Host:'", "/hello"), "400 Bad Request");
    assert_has(raw("GET /hello HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n"),
               "400 Bad Request");
    assert_has(raw("GET /hello HTTP/1.0\r\n\r\n"), "400 Bad Request");
    assert_int_equal(handled, 0);
    assert_has(curl("-i -H 'Host: CONSOLE.example.com:99'", "/hello"), "200 OK");
}

static void refuses_foreign_origins(void **state)
{
    const char *text = curl("-i -H 'Origin: https://evil.com'", "/hello");
    assert_has(text, "HTTP/1.1 403 Forbidden\r\n");
    assert_secured(text);
    assert_has(curl("-i -H 'Origin: null' -d x", "/hello"), "403 Forbidden");
    assert_int_equal(handled, 0);
    AUTOFREE char *own = xasprintf("-i -H 'Origin: https://127.0.0.1:%s'", port());
    assert_has(curl(own, "/hello"), "200 OK");
}

static void refuses_other_methods(void **state)
{
    static const char *const options[] = {"-i -X OPTIONS", "-i -X PUT -d x", "-i -X PATCH -d x",
                                          "-i -X PUT", NULL};
    for (size_t i = 0; options[i]; i++) {
        const char *text = curl(options[i], "/hello");
        assert_has(text, "405 Method Not Allowed");
        assert_has(text, "Allow: GET, HEAD, POST, DELETE\r\n");
        assert_secured(text);
    }
    assert_int_equal(handled, 0);
}

static void refuses_bodies_without_a_length(void **state)
{
    assert_has(curl("-i -H 'Transfer-Encoding: chunked' -d abc", "/hello"), "411 Length Required");
    assert_has(raw_short("POST /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"), "411 Length Required");
    assert_has(raw_short("POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
               "411 Length Required");
    assert_has(raw_short("POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                         "Content-Length: 4\r\n\r\nabcd"),
               "400 Bad Request");
    assert_has(
        raw_short("POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: -3\r\n\r\nabc"),
        "400 Bad Request");
    assert_has(raw_short("GET /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"),
               "400 Bad Request");
    assert_int_equal(handled, 0);
}

static void refuses_bodies_over_the_limit(void **state)
{
    const char *text =
        shell("head -c 3000000 /dev/zero | curl -sS -i --cacert ca.pem --data-binary @- "
              "'https://127.0.0.1:%s/hello'",
              port());
    assert_has(text, "413 Content Too Large");
    assert_secured(text);
    assert_int_equal(handled, 0);
    text = shell("head -c %u /dev/zero | tr '\\0' x | curl -sS --cacert ca.pem --data-binary @- "
                 "'https://127.0.0.1:%s/echo' | tail -c 30",
                 LIMIT_HTTP_BODY, port());
    assert_has(text, "\"length\":262144");
}

static void answers_expect_100_continue(void **state)
{
    const char *text = curl("-v -H 'Expect: 100-continue' --expect100-timeout 10 -d abc", "/echo");
    assert_has(text, "100 Continue");
    assert_has(text, "\"body\":\"abc\"");
}

static void answers_bad_requests_itself(void **state)
{
    static const struct {
        const char *bytes, *reply;
    } rows[] = {
        {"GET https://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "400 Bad Request"},
        {"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "400 Bad Request"},
        {"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "400 Bad Request"},
        {"BREW /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"},
        {"CONNECT evil.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", "400 Bad Request"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP Version"},
        {"GET /hello HTTP/1.1\r\nHost : localhost\r\n\r\n", "400 Bad Request"},
        {"GET /hello HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", "400 Bad Request"},
        {"GET /hello HTTP/1.1\nHost: localhost\n\r\n\r\n", "400 Bad Request"},
        {"GET\r\n\r\n", "400 Bad Request"},
        {"\r\n\r\nGET /gone HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
         "204 No Content"},
        {"GET /gone HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: upgrade, close"
         "\r\n\r\n",
         "204 No Content"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = raw_short(rows[i].bytes);
        assert_has(text, rows[i].reply);
        assert_int_equal(count_of(text, "\r\nReferrer-Policy: "), 1);
        assert_secured(text);
    }
    assert_int_equal(handled, 2);
    assert_has(curl("", "/hello"), "hello");
}

static void refuses_heads_that_are_too_long(void **state)
{
    const char *text = shell("curl -sS -i --cacert ca.pem -H \"X-Long: $(head -c 20000 /dev/zero | "
                             "tr '\\0' x)\" 'https://127.0.0.1:%s/hello'",
                             port());
    assert_has(text, "431 Request Header Fields Too Large");
    assert_secured(text);
    text = shell("curl -sS -i --cacert ca.pem $(for i in $(seq 200); do echo \"-H x$i:1\"; done) "
                 "'https://127.0.0.1:%s/hello'",
                 port());
    assert_has(text, "431 Request Header Fields Too Large");
    assert_int_equal(handled, 0);
    assert_has(curl("", "/hello"), "hello");
}

/* ---- clients that are slow, stop, or leave --------------------------------------------------- */

static int connect_plain(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port()))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void drops_those_who_begin_no_tls(void **state)
{
    int fd = connect_plain();
    UNTIL(is_closed(fd));
    (void)close(fd);
    fd = connect_plain();
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    UNTIL(is_closed(fd));
    (void)close(fd);
}

/* Writes into a TLS connection as the shell command says, and how the connection ended: 124 when
 * it stood after 12 s. */
static void add_way(struct buf *script, int number, const char *writer)
{
    assert_int_equal(buf_addf(script,
                              "mkfifo p%d; (%s) >p%d & w%d=$!; "
                              "(timeout 12 openssl s_client -quiet -connect 127.0.0.1:%s <p%d "
                              ">o%d 2>/dev/null; echo %d:$?) & c%d=$!; ",
                              number, writer, number, number, port(), number, number, number,
                              number),
                     0);
}

static void drops_slow_clients(void **state)
{
    static const char *const ways[] = {
        "sleep 14",
        "printf 'GET /hello HTTP/1.1\\r\\nHost: lo'; sleep 14",
        "printf 'GET /'; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf '/'; sleep 1; done",
        "printf 'POST /echo HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 9\\r\\n\\r\\nab'; "
        "sleep 14",
        "printf 'POST /echo HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: 99\\r\\n\\r\\nab'; "
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf 'c'; sleep 1; done",
        "printf 'POST /echo HTTP/1.1\\r\\nHost: evil.com\\r\\nContent-Length: 99\\r\\n\\r\\nab'; "
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do printf 'c'; sleep 1; done",
        "printf 'GET /hello HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'; sleep 14",
        NULL};
    AUTOBUF struct buf script = BUF_INIT(100000);
    int count = 0;
    for (; ways[count]; count++)
        add_way(&script, count, ways[count]);
    for (int i = 0; i < count; i++)
        assert_int_equal(buf_addf(&script, "wait $c%d; kill $w%d; ", i, i), 0);
    AUTOFREE char *copy = xstrdup(shell("%s", buf_str(&script)));
    assert_lacks(copy, ":124");
    for (int i = 0; i < count; i++) {
        AUTOFREE char *line = xasprintf("%d:", i);
        assert_has(copy, line);
    }
    assert_int_equal(handled, 1);
}

static size_t rss_kb(const char *what)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[200];
    size_t kb = 0;
    while (fgets(line, sizeof line, f))
        if (str_starts(line, what))
            kb = strtoul(line + strlen(what), NULL, 10);
    (void)fclose(f);
    return kb;
}

static void streams_large_replies_in_little_memory(void **state)
{
    (void)curl("", "/some");
    size_t before_kb = rss_kb("VmRSS:");
    const char *text =
        curl("-o /dev/null --max-time 100 -w '%{http_code} %{size_download}'", "/big");
    AUTOFREE char *expected = xasprintf("200 %llu", (unsigned long long)BIG_MB << 20);
    assert_string_equal(text, expected);
    size_t most_kb = rss_kb("VmHWM:");
    if (most_kb > before_kb + RSS_SLACK_KB)
        fail_msg("%zu KiB before, %zu KiB at most", before_kb, most_kb);
}

static void streams_every_byte(void **state)
{
    (void)curl("-o got", "/some");
    AUTOFREE char *path = in_folder("got");
    AUTOBUF struct buf got = BUF_INIT(2 << 20);
    assert_int_equal(path_read(path, &got), 0);
    assert_int_equal(got.len, 1000003);
    for (size_t i = 0; i < got.len; i++)
        if ((unsigned char)got.data[i] != (unsigned char)((i / 4) >> (8 * (i % 4))))
            fail_msg("byte %zu differs", i);
    assert_has(curl("-i", "/nothing"), "Content-Length: 0\r\n");
}

static void cuts_off_when_the_source_fails(void **state)
{
    const char *text = curl("-o /dev/null -w '%{http_code} %{size_download}'", "/broken");
    assert_has(text, "200 ");
    assert_has(text, "curl: (");
    UNTIL(sources_closed == sources_open);
}

static void streams_what_has_no_length(void **state)
{
    static const char *const ways[] = {"", "--http1.0"};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        const char *text = curl(ways[i], "/piecemeal");
        assert_has(text, "element 0\n");
        assert_has(text, "element 9\n");
        assert_int_equal(count_of(text, "element"), 10);
        assert_int_equal(strlen(text), 10 * ((16 << 10) - 10));
    }
    assert_has(curl("-i", "/piecemeal"), "Transfer-Encoding: chunked\r\n");
    const char *old = curl("-i --http1.0", "/piecemeal");
    assert_has(old, "Connection: close\r\n");
    assert_lacks(old, "chunked");
    const char *head = curl("-I", "/piecemeal");
    assert_has(head, "200 OK");
    assert_lacks(head, "Content-Length");
    assert_lacks(head, "element");
    assert_has(curl("", "/cut"), "curl: (");
    UNTIL(sources_closed == sources_open);
}

/* Asks, and reads as much as a pipe takes. */
static pid_t ask_and_stop_reading(const char *path)
{
    AUTOFREE char *command = xasprintf("curl -s --cacert ca.pem 'https://127.0.0.1:%s%s' | "
                                       "(head -c 1000 >/dev/null; sleep 4)",
                                       port(), path);
    return spawn_shell(command);
}

static void holds_no_more_than_its_budget(void **state)
{
    pid_t slow[2];
    server->most_bytes = 30 << 20;
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
        slow[i] = ask_and_stop_reading("/large");
    UNTIL(server->held > 2 * LARGE);
    const char *text = curl("-i", "/large");
    assert_has(text, "503 Service Unavailable");
    assert_has(text, "Retry-After: ");
    assert_has(text, "too much waits for slow clients");
    assert_true(server->held < 30 << 20);
    assert_has(curl("", "/hello"), "hello");
    /* They take too little, and are gone after a while. */
    UNTIL(server->held == 0);
    for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
        UNTIL(has_ended(slow[i]));
    assert_has(curl("-o /dev/null -w '%{http_code}'", "/large"), "200");
}

static void bodies_count_like_replies(void **state)
{
    server->most_bytes = 1000;
    const char *text = curl("-i -d $(printf %02000d 1)", "/echo");
    assert_has(text, "503 Service Unavailable");
    assert_has(text, "Retry-After: ");
    assert_has(curl("-d 1234", "/echo"), "\"length\":4");
    assert_int_equal(server->held, 0);
    /* What is announced by many fits for each alone: it is looked at again when it comes. */
    server->held = 900;
    assert_has(curl("-i -d $(printf %0200d 1)", "/echo"), "503 Service Unavailable");
    server->held = 0;
}

static size_t few_for_nobody(const struct http_request *r)
{
    return r->cookie ? 2000 : 1000;
}

static void bodies_may_be_limited_by_the_head(void **state)
{
    server->settings.body_limit = few_for_nobody;
    assert_has(curl("-i -d $(printf %01500d 1)", "/echo"), "413 Content Too Large");
    assert_has(curl("-b a=b -d $(printf %01500d 1)", "/echo"), "\"length\":1500");
    assert_has(curl("-i -b a=b -d $(printf %02500d 1)", "/echo"), "413 Content Too Large");
}

static char refused_path[100];

static void on_refused(void *arg, const struct http_request *r, const char *text)
{
    (void)snprintf(refused_path, sizeof refused_path, "%s", r->path);
}

static void tells_what_it_refused(void **state)
{
    server->settings.refused = on_refused;
    assert_has(curl("-i -H 'Origin: https://evil.com'", "/x"), "403 Forbidden");
    assert_string_equal(refused_path, "/x");
}

static void on_other_closed(void *arg)
{
    *(bool *)arg = true;
}

static void asks_for_https_for_ever_only_on_its_port(void **state)
{
    struct http *other;
    struct http_settings settings = {.listen = "127.0.0.1:0",
                                     .public_address = "localhost:443",
                                     .cert_pem = server_pem,
                                     .chain_pem = ca_pem,
                                     .key_pem = server_key,
                                     .handler = handle};
    assert_lacks(curl("-i", "/hello"), "Strict-Transport-Security");
    assert_int_equal(http_open(&other, &loop, &settings), 0);
    const char *text = shell("curl -sS -i --cacert ca.pem 'https://%s/hello'", http_address(other));
    assert_has(text, "Strict-Transport-Security: max-age=31536000\r\n");
    bool gone = false;
    http_close(other, on_other_closed, &gone);
    UNTIL(gone);
}

/* The serial number that a handshake shows. */
static char *shown_serial(void)
{
    return xstrdup(shell("openssl s_client -connect 127.0.0.1:%s </dev/null 2>/dev/null | "
                         "openssl x509 -noout -serial",
                         port()));
}

static void takes_another_certificate_while_it_runs(void **state)
{
    /* A connection that was there before goes on. */
    AUTOFREE char *command = xasprintf(
        "curl -sS --cacert ca.pem https://127.0.0.1:%s/keep https://127.0.0.1:%s/hello >both",
        port(), port());
    AUTOFREE char *before = shown_serial();
    pid_t pid = spawn_shell(command);
    UNTIL(kept != NULL);
    AUTOFREE char *old_cert = server_pem;
    AUTOFREE char *old_key = server_key;
    issue_server(ca_pem, ca_key, &server_pem, &server_key);
    assert_int_equal(http_renew(server, server_pem, ca_pem, server_key), 0);
    AUTOFREE char *after = shown_serial();
    assert_has(after, "serial=");
    assert_string_not_equal(before, after);
    assert_has(curl("", "/hello"), "hello");
    http_reply(kept, 200, "text/plain", "kept\n", 5);
    kept = NULL;
    UNTIL(has_ended(pid));
    AUTOFREE char *path = in_folder("both");
    assert_file(path, "kept\nhello\n");
    /* One that fits nothing changes nothing. */
    assert_true(http_renew(server, old_cert, ca_pem, server_key) < 0);
    AUTOFREE char *still = shown_serial();
    assert_string_equal(still, after);
}

static void drops_a_client_that_stops_reading(void **state)
{
    /* It takes a little, then stands still until it is told. */
    AUTOFREE char *path = in_folder("leave");
    assert_int_equal(mkfifo(path, 0600), 0);
    AUTOFREE char *command = xasprintf("curl -s --cacert ca.pem 'https://127.0.0.1:%s/big' | "
                                       "(head -c 100000 >/dev/null; read x <leave)",
                                       port());
    pid_t pid = spawn_shell(command);
    UNTIL(sources_open == 1 && sources_closed == 1);
    assert_false(has_ended(pid));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    UNTIL(has_ended(pid));
}

static void survives_a_client_that_leaves(void **state)
{
    (void)curl("--max-time 1", "/slow");
    UNTIL(sources_closed == sources_open);
    (void)curl("--max-time 1", "/keep");
    assert_non_null(kept);
    wait_ms(200);
    assert_string_equal(kept->path, "/keep");
    http_reply(kept, 200, "text/plain", "x", 1);
    kept = NULL;
    assert_has(curl("", "/hello"), "hello");
}

static void gives_a_handler_all_the_time_it_needs(void **state)
{
    AUTOFREE char *command =
        xasprintf("curl -sS --max-time 15 --cacert ca.pem 'https://127.0.0.1:%s/keep' >%s/late",
                  port(), folder);
    pid_t pid = spawn_shell(command);
    UNTIL(kept != NULL);
    wait_ms(SILENT_S * 1000 * 2);
    http_reply(kept, 200, "text/plain", "at last", 7);
    kept = NULL;
    UNTIL(has_ended(pid));
    AUTOFREE char *path = in_folder("late");
    assert_file(path, "at last");
}

static void limits_connections_of_one_address(void **state)
{
    int fds[MOST_OF_ONE + 1];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = connect_plain();
    UNTIL(is_closed(fds[MOST_OF_ONE]));
    assert_false(is_closed(fds[0]));
    (void)close(fds[0]);
    wait_ms(100);
    assert_has(curl("", "/hello"), "hello");
    for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
}

static void ends_with_connections_open(void **state)
{
    AUTOFREE char *command =
        xasprintf("exec >/dev/null 2>&1; sleep 30 | openssl s_client -connect 127.0.0.1:%s & a=$!; "
                  "curl --cacert ca.pem https://127.0.0.1:%s/slow & b=$!; "
                  "curl --cacert ca.pem https://127.0.0.1:%s/keep & c=$!; "
                  "read x <stop; kill $a $b $c",
                  port(), port(), port());
    AUTOFREE char *path = in_folder("stop");
    assert_int_equal(mkfifo(path, 0600), 0);
    pid_t pid = spawn_shell(command);
    int plain = connect_plain();
    UNTIL(kept != NULL && sources_open == 1);
    live_close(live);
    http_close(server, on_closed, NULL);
    UNTIL(closed);
    http_reply(kept, 200, "text/plain", "nobody reads it", 15);
    kept = NULL;
    (void)close(plain);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    UNTIL(has_ended(pid));
}

static void refuses_addresses_that_are_none_or_taken(void **state)
{
    struct http *other;
    struct http_settings settings = {
        .cert_pem = server_pem, .key_pem = server_key, .handler = handle};
    static const char *const bad[] = {
        "",         "7443",  "127.0.0.1", "127.0.0.1:",    "127.0.0.1:65536",
        "::1:7443", "[::1]", "name:1",    "[127.0.0.1]:1", NULL};
    for (size_t i = 0; bad[i]; i++) {
        settings.listen = bad[i];
        assert_int_equal(http_open(&other, &loop, &settings), ERR_INVALID);
    }
    settings.listen = http_address(server);
    assert_int_equal(http_open(&other, &loop, &settings), -EADDRINUSE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    log_init("test", getenv("PROCTOR_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(replies_with_the_security_headers),
        TEST(collects_the_request),
        TEST(says_errors_as_json),
        TEST(sends_no_body_for_head_204_and_304),
        TEST(keeps_connections_alive),
        TEST(answers_pipelined_requests_in_order),
        TEST(takes_a_request_in_pieces),
        TEST(refuses_wrong_hosts),
        TEST(refuses_foreign_origins),
        TEST(refuses_other_methods),
        TEST(refuses_bodies_without_a_length),
        TEST(refuses_bodies_over_the_limit),
        TEST(answers_expect_100_continue),
        TEST(answers_bad_requests_itself),
        TEST(refuses_heads_that_are_too_long),
        TEST(drops_those_who_begin_no_tls),
        TEST(drops_slow_clients),
        TEST(streams_large_replies_in_little_memory),
        TEST(streams_every_byte),
        TEST(cuts_off_when_the_source_fails),
        TEST(streams_what_has_no_length),
        TEST(holds_no_more_than_its_budget),
        TEST(bodies_count_like_replies),
        TEST(bodies_may_be_limited_by_the_head),
        TEST(tells_what_it_refused),
        TEST(asks_for_https_for_ever_only_on_its_port),
        TEST(takes_another_certificate_while_it_runs),
        TEST(drops_a_client_that_stops_reading),
        TEST(survives_a_client_that_leaves),
        TEST(gives_a_handler_all_the_time_it_needs),
        TEST(limits_connections_of_one_address),
        TEST(ends_with_connections_open),
        TEST(refuses_addresses_that_are_none_or_taken),
    };
    cmocka_set_test_filter(getenv("ONE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
