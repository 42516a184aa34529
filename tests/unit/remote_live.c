/* remote/live.c: viewers over real WebSockets. */
#include "tests/unit/http_server.h"

#include "remote/live_ws.h"

#define HANDSHAKE                                                                                  \
    "GET /api/v1/live HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\n"                 \
    "Connection: keep-alive, Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"                         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n"
#define COOKIE "Cookie: a=b; " AUTH_COOKIE "=good\\r\\n"

/* Frames of a client, with a mask of zeros. */
#define PING "\\211\\202\\000\\000\\000\\000hi"
#define PONG "\\212\\200\\000\\000\\000\\000"
#define TEXT "\\201\\202\\000\\000\\000\\000hi"
#define CLOSE "\\210\\202\\000\\000\\000\\000\\003\\350"
#define NOT_MASKED "\\211\\000"

static void handle(void *arg, struct http_request *r)
{
    http_reply_error(r, ERR_NOT_FOUND, NULL);
}

static int start(void **state)
{
    return start_server(state, handle);
}

static char seen[16 << 20];
static size_t seen_len;

/* Does what came from the server hold these bytes? */
static bool has_come(const char *bytes, size_t len)
{
    AUTOFREE char *path = in_folder("seen");
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    seen_len = fread(seen, 1, sizeof seen, f);
    (void)fclose(f);
    return memmem(seen, seen_len, bytes, len) != NULL;
}

static bool has_come_text(const char *text)
{
    return has_come(text, strlen(text));
}

/* A close frame with this code. */
static bool is_dismissed(unsigned code)
{
    const char frame[] = {(char)0x88, 2, (char)(code >> 8), (char)code};
    return has_come(frame, sizeof frame);
}

/* A viewer that says this after the handshake, then what comes through say(), until leave(). */
static int voice;
static pid_t viewer;

static void look(const char *headers, const char *frames)
{
    AUTOFREE char *path = in_folder("voice");
    AUTOFREE char *command =
        xasprintf("exec 2>/dev/null; (printf '" HANDSHAKE "%s\\r\\n%s'; cat voice) | "
                  "timeout 30 openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:%s >seen",
                  headers, frames, port());
    assert_int_equal(mkfifo(path, 0600), 0);
    viewer = spawn_shell(command);
    voice = open(path, O_RDWR | O_CLOEXEC);
    assert_true(voice >= 0);
}

static void leave(void)
{
    AUTOFREE char *path = in_folder("voice");
    (void)close(voice);
    UNTIL(has_ended(viewer));
    (void)unlink(path);
}

static void publish(const char *type, size_t size)
{
    AUTOJSON json_t *event = json_object();
    AUTOFREE char *filler = xcalloc(1, size + 1);
    memset(filler, 'x', size);
    json_set_string(event, "type", type);
    json_set_string(event, "filler", filler);
    live_publish(live, event);
}

static void tells_what_happens(void **state)
{
    assert_false(live_watched(live));
    look(COOKIE, "");
    UNTIL(has_come_text("{\"type\":\"welcome\"}"));
    assert_true(has_come_text("HTTP/1.1 101 Switching Protocols\r\n"));
    /* the example of RFC 6455 */
    assert_true(has_come_text("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_true(live_watched(live));
    publish("first", 1);
    publish("second", 200);
    publish("third", 70000);
    publish("fourth", 1);
    UNTIL(has_come_text("\"fourth\""));
    const unsigned char medium[] = {0x81, 126, 0}, large[] = {0x81, 127, 0, 0, 0, 0, 0, 1};
    assert_true(has_come((const char *)medium, sizeof medium));
    assert_true(has_come((const char *)large, sizeof large));
    leave();
    UNTIL(!live_watched(live));
    publish("nobody", 1);
}

static void tells_what_is_longer_than_the_queue(void **state)
{
    look(COOKIE, "");
    UNTIL(has_come_text("welcome"));
    publish("long", LIMIT_LIVE_QUEUE + (1 << 20));
    wait_ms(50);
    publish("behind", 1);
    UNTIL(has_come_text("\"behind\"") || has_come_text("resync"));
    assert_true(has_come_text("\"long\""));
    assert_true(seen_len > LIMIT_LIVE_QUEUE + (1 << 20));
    leave();
}

/* It answers pings and reads nothing. */
static void drops_who_takes_too_little(void **state)
{
    AUTOFREE char *path = in_folder("voice");
    AUTOFREE char *command =
        xasprintf("exec 2>/dev/null; (printf '" HANDSHAKE COOKIE "\\r\\n'; cat voice) | "
                  "timeout 30 openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:%s | sleep 20",
                  port());
    assert_int_equal(mkfifo(path, 0600), 0);
    viewer = spawn_shell(command);
    voice = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    UNTIL(live_watched(live));
    wait_ms(200);
    publish("long", 30 << 20);
    live_tick_every(live, 200);
    for (int i = 0; i < 60 && live_watched(live); i++) {
        (void)!write(voice, "\212\200\0\0\0\0", 6);
        wait_ms(50);
    }
    assert_false(live_watched(live));
    (void)close(voice);
    UNTIL(has_ended(viewer));
}

static void answers_pings_and_closes(void **state)
{
    look(COOKIE, PING);
    UNTIL(has_come("\x8a\x02hi", 4));
    assert_int_equal(write(voice, "\x88\x80\0\0\0\0", 6), 6);
    UNTIL(is_dismissed(1000));
    UNTIL(!live_watched(live));
    leave();
}

static void dismisses_who_says_anything(void **state)
{
    look(COOKIE, TEXT);
    UNTIL(is_dismissed(1008));
    leave();
    look(COOKIE, NOT_MASKED);
    UNTIL(is_dismissed(1002));
    leave();
    look(COOKIE, CLOSE);
    UNTIL(is_dismissed(1000));
    leave();
    UNTIL(!live_watched(live));
}

static void sends_nobody_away(void **state)
{
    look("Cookie: " AUTH_COOKIE "=bad\\r\\n", "");
    UNTIL(is_dismissed(4401));
    assert_false(has_come_text("welcome"));
    leave();
    assert_has(
        curl("-i -H 'Upgrade: websocket' -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: "
             "13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
             "/api/v1/live"),
        "401 Unauthorized");
    UNTIL(!live_watched(live));
}

static void refuses_bad_upgrades(void **state)
{
    static const char *const rows[][2] = {
        {"-H 'Origin: https://evil.com'", "403 Forbidden"},
        {"-H 'Host: evil.com'", "421 Misdirected"},
        {"-X POST -H 'Content-Length: 0'", "400 Bad Request"},
        {"-H 'Sec-WebSocket-Version: 8'", "400 Bad Request"},
        {"-H 'Sec-WebSocket-Key: short'", "400 Bad Request"},
        {"-H 'Upgrade: h2c'", "404 Not Found"},
        {"-H 'Connection: keep-alive'", "404 Not Found"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        /* curl takes the first of two headers with one name out when it is given again */
        AUTOFREE char *options = xasprintf(
            "-i -H 'Cookie: " AUTH_COOKIE "=good' %s %s %s %s %s", rows[i][0],
            strstr(rows[i][0], "Upgrade:") ? "" : "-H 'Upgrade: websocket'",
            strstr(rows[i][0], "Connection:") ? "" : "-H 'Connection: Upgrade'",
            strstr(rows[i][0], "Version:") ? "" : "-H 'Sec-WebSocket-Version: 13'",
            strstr(rows[i][0], "Key:") ? "" : "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='");
        const char *text = curl(options, "/api/v1/live");
        assert_has(text, rows[i][1]);
        assert_secured(text);
    }
    assert_false(live_watched(live));
}

static void dismisses_when_the_session_ends(void **state)
{
    live_tick_every(live, 100);
    look(COOKIE, PONG);
    UNTIL(has_come_text("welcome"));
    session_good = false;
    UNTIL(is_dismissed(4401));
    assert_true(checks >= 2);
    leave();
}

static void pings_and_drops_who_is_silent(void **state)
{
    look(COOKIE, "");
    UNTIL(has_come_text("welcome"));
    live_tick_every(live, 100);
    UNTIL(has_come("\x89\x00", 2));
    UNTIL(!live_watched(live));
    leave();
}

static void tells_a_slow_viewer_to_begin_anew(void **state)
{
    /* It takes nothing: what the kernel and TLS do not hold waits with us. */
    AUTOFREE char *path = in_folder("voice");
    AUTOFREE char *command =
        xasprintf("exec 2>/dev/null; (printf '" HANDSHAKE COOKIE "\\r\\n'; cat voice) | "
                  "timeout 30 openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:%s | "
                  "(read line <go; cat >seen)",
                  port());
    AUTOFREE char *go_path = in_folder("go");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(mkfifo(go_path, 0600), 0);
    viewer = spawn_shell(command);
    voice = open(path, O_RDWR | O_CLOEXEC);
    UNTIL(live_watched(live));
    wait_ms(200);
    for (int i = 0; i < 300; i++) {
        publish("much", 100000);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    int go = open(go_path, O_RDWR | O_CLOEXEC);
    assert_int_equal(write(go, "\n", 1), 1);
    wait_ms(1000);
    publish("afterwards", 1);
    UNTIL(has_come("afterwards", 10) || seen_len == sizeof seen);
    (void)close(go);
    (void)unlink(go_path);
    AUTOFREE char *seen_path = in_folder("seen");
    const char *text = shell("LC_ALL=C grep -a -c '\"resync\"' %s", seen_path);
    assert_string_equal(text, "1\n");
    leave();
}

static void says_going_away_at_the_end(void **state)
{
    look(COOKIE, "");
    UNTIL(has_come_text("welcome"));
    live_close(live);
    http_close(server, on_closed, NULL);
    UNTIL(closed);
    UNTIL(is_dismissed(1001));
    leave();
}

static void ends_while_auth_is_thinking(void **state)
{
    look(COOKIE, "");
    UNTIL(live_watched(live));
    assert_int_equal(checks, 1);
}

static int stop_and_leave(void **state)
{
    live_close(live);
    http_close(server, on_closed, NULL);
    leave();
    return stop_server(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop_server)

int main(void)
{
    log_init("test", getenv("PROCTOR_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(tells_what_happens),
        TEST(tells_what_is_longer_than_the_queue),
        TEST(drops_who_takes_too_little),
        TEST(answers_pings_and_closes),
        TEST(dismisses_who_says_anything),
        TEST(sends_nobody_away),
        TEST(refuses_bad_upgrades),
        TEST(dismisses_when_the_session_ends),
        TEST(pings_and_drops_who_is_silent),
        TEST(tells_a_slow_viewer_to_begin_anew),
        TEST(says_going_away_at_the_end),
        cmocka_unit_test_setup_teardown(ends_while_auth_is_thinking, start, stop_and_leave),
    };
    cmocka_set_test_filter(getenv("ONE"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
