/* Real connections to a console on the same loop, and a session with a clock of its own. */
#include "agent/uplink.h"

#include "agent/uplink_session.h"
#include "lib/base/limits.h"
#include "tests/unit/agent_console.h"

static struct uplink *uplink;
static struct identity id;
static bool is_open, is_closed;
static int closed_code;
static char closed_text[UPLINK_TEXT];
static unsigned messages, pieces_left, closed_times;
static char last_type[40];

/* ---- the uplink's owner ---------------------------------------------------------------------- */

static void on_open(void *arg, const json_t *hello)
{
    assert_string_equal(json_get_string(hello, "release", ""), "9");
    is_open = true;
}

static void on_message(void *arg, const char *type, const json_t *message)
{
    (void)snprintf(last_type, sizeof last_type, "%s", type);
    messages++;
}

static size_t on_room(void *arg, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK])
{
    if (pieces_left == 0)
        return 0;
    pieces_left--;
    memset(frame, 'x', BLOB_HEADER + BLOB_CHUNK);
    blob_header_put(frame, 1, (uint64_t)pieces_left * BLOB_CHUNK);
    return BLOB_HEADER + BLOB_CHUNK;
}

static void on_closed(void *arg, int code, const char *text)
{
    is_closed = true;
    is_open = false;
    closed_times++;
    closed_code = code;
    (void)snprintf(closed_text, sizeof closed_text, "%s", text);
}

static const struct uplink_callbacks callbacks = {
    .on_open = on_open, .on_message = on_message, .on_room = on_room, .on_closed = on_closed};

static int set_up(void **state)
{
    console_open();
    console_identity(&id, -60, 3600);
    is_open = is_closed = false;
    closed_code = 0;
    messages = pieces_left = closed_times = 0;
    uplink = uplink_new(&console.loop, &callbacks, NULL);
    return 0;
}

static int tear_down(void **state)
{
    uplink_end(uplink);
    /* The console listens for ever: a second is what the end may take. */
    console_run_for(is_open ? 300 : 50);
    uplink_free(uplink);
    console_close();
    identity_clear(&id);
    return 0;
}

static void open_and_wait(void)
{
    uplink_open(uplink, &id);
    console_run_until(&is_open);
}

static void wait_closed(int code, const char *part)
{
    console_run_until(&is_closed);
    assert_int_equal(closed_times, 1);
    if (!strstr(closed_text, part))
        fail_msg("\"%s\" is not in: %s", part, closed_text);
    assert_int_equal(closed_code, code);
}

static void set_agents(const char *host)
{
    free(id.agents);
    id.agents = xasprintf("%s:%u", host, console.port);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void says_hello_with_the_hosts_certificate(void **state)
{
    struct cert_facts facts;
    open_and_wait();
    AUTOJSON json_t *hello = console_wait("hello");
    assert_int_equal(json_get_int(hello, "min_version", 0), 1);
    assert_true(uuid_valid_v7(json_get_string(hello, "id", "")));
    assert_int_equal(cert_read(id.cert_pem, &facts), 0);
    assert_string_equal(console.peer_serial, facts.serial);
    assert_true(uplink_can(uplink, UPLINK_CAPTURE) && uplink_can(uplink, UPLINK_BLOB) &&
                uplink_can(uplink, UPLINK_RENEW) && uplink_can(uplink, UPLINK_UNLINK));
}

static void connects_by_ipv6(void **state)
{
    set_agents("[::1]");
    uplink_open(uplink, &id);
    /* Where there is no IPv6 it cannot. */
    for (unsigned i = 0; i < 100 && !is_open && !is_closed; i++)
        console_run_for(20);
    assert_true(is_open || closed_code == ERR_UNREACHABLE);
}

static void refuses_a_console_of_another_authority(void **state)
{
    AUTOFREE char *key = NULL;
    free(id.ca_pem);
    console_make_ca(&key, &id.ca_pem);
    uplink_open(uplink, &id);
    wait_closed(ERR_UNTRUSTED, "the peer's certificate");
    assert_int_equal(console.connections, 0);
}

static void refuses_a_console_of_another_name(void **state)
{
    set_agents("localhost");
    uplink_open(uplink, &id);
    wait_closed(ERR_UNTRUSTED, "another host name");
    assert_int_equal(console.connections, 0);
}

static void tells_that_nobody_listens(void **state)
{
    free(id.agents);
    id.agents = xstrdup("127.0.0.1:1");
    uplink_open(uplink, &id);
    wait_closed(ERR_UNREACHABLE, "cannot be reached");
}

static void tells_that_a_name_is_not_known(void **state)
{
    set_agents("nowhere.invalid");
    uplink_open(uplink, &id);
    wait_closed(ERR_UNREACHABLE, "nowhere.invalid cannot be resolved");
}

static void hears_that_its_certificate_is_refused(void **state)
{
    identity_clear(&id);
    console_identity(&id, -120, -60);
    uplink_open(uplink, &id);
    /* The alert may be overtaken by the reset of the connection. */
    wait_closed(-ECONNRESET, "the peer ");
    assert_int_equal(console.connections, 0);
}

static void connects_again_after_an_end(void **state)
{
    open_and_wait();
    uplink_close(uplink, ERR_BUSY, "later");
    wait_closed(ERR_BUSY, "later");
    AUTOJSON json_t *bye = console_wait("bye");
    assert_string_equal(json_get_string(bye, "code", ""), "BUSY");
    open_and_wait();
    assert_int_equal(console.connections, 2);
}

static void can_be_closed_at_every_step(void **state)
{
    for (unsigned turns = 0; turns < 40; turns++) {
        is_closed = is_open = false;
        closed_times = 0;
        if (turns % 2)
            set_agents("localhost");
        else
            set_agents("127.0.0.1");
        uplink_open(uplink, &id);
        for (unsigned i = 0; i < turns / 2; i++)
            (void)uv_run(&console.loop, UV_RUN_NOWAIT);
        uplink_close(uplink, ERR_CANCELLED, "enough");
        console_run_until(&is_closed);
        assert_int_equal(closed_times, 1);
    }
}

/* ---- talking --------------------------------------------------------------------------------- */

static void hands_messages_on(void **state)
{
    open_and_wait();
    console_say("{\"type\":\"capture.get\",\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\"}");
    console_say("{\"type\":\"ping\"}");
    json_decref(console_wait("pong"));
    assert_int_equal(messages, 1);
    assert_string_equal(last_type, "capture.get");
}

static void ends_the_connection_of_a_newer_console_with_bye(void **state)
{
    open_and_wait();
    console_say("{\"type\":\"capture.freeze\",\"id\":1}");
    wait_closed(ERR_PROTOCOL, "capture.freeze is unknown");
    AUTOJSON json_t *bye = console_wait("bye");
    assert_string_equal(json_get_string(bye, "code", ""), "PROTOCOL");
}

static void takes_no_binary_frames(void **state)
{
    open_and_wait();
    console_say("#binary");
    wait_closed(ERR_PROTOCOL, "binary");
}

static void takes_the_consoles_bye(void **state)
{
    open_and_wait();
    console_say("{\"type\":\"bye\",\"code\":\"REVOKED\",\"text\":\"go\\u001b[2J\"}");
    wait_closed(ERR_REVOKED, "go?[2J");
}

static void sends_pieces_only_when_no_text_waits(void **state)
{
    open_and_wait();
    json_decref(console_wait("hello"));
    pieces_left = 64;
    uplink_wake(uplink);
    while (pieces_left > 48)
        (void)uv_run(&console.loop, UV_RUN_ONCE);
    AUTOJSON json_t *text = json_pack("{s:I,s:[]}", "at_ms", (json_int_t)1, "processes");
    unsigned left = pieces_left;
    (void)uplink_send(uplink, "pong", NULL);
    (void)uplink_send(uplink, "processes", text);
    json_decref(console_wait("processes"));
    /* What had been written before, and no more than the piece that was just being written. */
    size_t before = (size_t)(64 - left) * (BLOB_HEADER + BLOB_CHUNK);
    assert_in_range(console.binary_before_mark, 0, before);
    while (console.binary_bytes < 64ul * (BLOB_HEADER + BLOB_CHUNK))
        (void)uv_run(&console.loop, UV_RUN_ONCE);
    assert_int_equal(pieces_left, 0);
}

static void gives_up_a_console_that_does_not_read(void **state)
{
    open_and_wait();
    lws_rx_flow_control(console.wsi, 0);
    AUTOFREE char *long_text = xcalloc(1, 500001);
    memset(long_text, 'a', 500000);
    AUTOJSON json_t *fields = json_pack("{s:s,s:s}", "code", "FAILED", "text", long_text);
    for (unsigned i = 0; i < 10; i++)
        (void)uplink_send(uplink, "capture", fields);
    wait_closed(ERR_TOO_BIG, "does not read");
}

static void says_bye_when_the_agent_ends(void **state)
{
    open_and_wait();
    uplink_end(uplink);
    AUTOJSON json_t *bye = console_wait("bye");
    assert_string_equal(json_get_string(bye, "code", ""), "STOPPING");
    console_run_until(&is_closed);
}

/* ---- a session with a clock of its own ------------------------------------------------------- */

static unsigned over_times;

static void on_session_open(void *arg, const json_t *hello)
{
}

static void on_queued(void *arg)
{
}

static void on_over(void *arg)
{
    over_times++;
}

static const struct uplink_session_callbacks session_callbacks = {
    .on_open = on_session_open,
    .on_message = on_message,
    .on_queued = on_queued,
    .on_over = on_over,
};

#define HELLO                                                                                      \
    "{\"type\":\"hello\",\"min_version\":1,\"max_version\":1,\"version\":%d,\"capabilities\":[%s]" \
    ","                                                                                            \
    "\"release\":\"1\",\"host\":\"%s\",\"now_ms\":1}"

static void session_begin(struct uplink_session *s, int version, const char *words,
                          const char *host)
{
    char hello[500];
    over_times = 0;
    uplink_session_init(s, CONSOLE_HOST_ID, CONSOLE_HOST_ID, &session_callbacks, NULL, 1000);
    free(uplink_session_next(s, 1000));
    int len = snprintf(hello, sizeof hello, HELLO, version, words, host);
    uplink_session_data(s, hello, 10, false, false, 1000);
    uplink_session_data(s, hello + 10, (size_t)len - 10, false, true, 1000);
}

static void assert_next(struct uplink_session *s, const char *part, int64_t now_ms)
{
    struct uplink_text *t = uplink_session_next(s, now_ms);
    assert_non_null(t);
    AUTOFREE char *text = xstrndup(t->bytes + UPLINK_GAP, t->len);
    free(t);
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in %s", part, text);
}

static void pings_when_it_has_been_silent(void **state)
{
    struct uplink_session s;
    session_begin(&s, 1, "", CONSOLE_HOST_ID);
    uplink_session_tick(&s, 10999);
    assert_null(uplink_session_next(&s, 10999));
    uplink_session_tick(&s, 11000);
    assert_next(&s, "\"ping\"", 11000);
    uplink_session_tick(&s, 20999);
    assert_null(uplink_session_next(&s, 20999));
    uplink_session_clear(&s);
}

static void gives_up_a_console_that_is_silent(void **state)
{
    struct uplink_session s;
    session_begin(&s, 1, "", CONSOLE_HOST_ID);
    uplink_session_tick(&s, 30999);
    assert_false(s.over);
    /* Any piece of anything counts. */
    uplink_session_data(&s, "{", 1, false, false, 30999);
    uplink_session_tick(&s, 60998);
    assert_false(s.over);
    uplink_session_tick(&s, 60999);
    assert_true(s.over);
    assert_int_equal(s.code, -ETIMEDOUT);
    assert_int_equal(over_times, 1);
    uplink_session_clear(&s);
}

static void refuses_a_version_it_does_not_speak(void **state)
{
    struct uplink_session s;
    session_begin(&s, 2, "", CONSOLE_HOST_ID);
    assert_true(s.over);
    assert_int_equal(s.code, ERR_UNSUPPORTED);
    assert_next(&s, "\"UNSUPPORTED\"", 1);
    uplink_session_clear(&s);
}

static void refuses_to_be_another_host(void **state)
{
    struct uplink_session s;
    session_begin(&s, 1, "", "somebody-else");
    assert_true(s.over);
    assert_next(&s, "bye", 1);
    uplink_session_clear(&s);
}

static void sends_only_what_the_console_takes(void **state)
{
    static const char *const types[] = {"capture", "capture.unknown", "blob.begin", "renew",
                                        "unlink"};
    struct uplink_session s;
    session_begin(&s, 1, "\"blob\",\"unlinked\",\"cap\"", CONSOLE_HOST_ID);
    assert_int_equal(s.capabilities, UPLINK_BLOB);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        assert_int_equal(uplink_session_send(&s, types[i], NULL), 0);
    assert_next(&s, "blob.begin", 1);
    assert_null(uplink_session_next(&s, 1));
    uplink_session_clear(&s);
}

static void refuses_messages_before_hello(void **state)
{
    struct uplink_session s;
    uplink_session_init(&s, "", CONSOLE_HOST_ID, &session_callbacks, NULL, 1);
    uplink_session_take(&s, "{\"type\":\"ping\"}", 15);
    assert_true(s.over);
    assert_next(&s, "hello", 1);
    assert_next(&s, "bye", 1);
    uplink_session_clear(&s);
}

static void refuses_messages_past_the_limit(void **state)
{
    struct uplink_session s;
    char piece[4096];
    memset(piece, ' ', sizeof piece);
    session_begin(&s, 1, "", CONSOLE_HOST_ID);
    for (unsigned i = 0; i < LIMIT_CHANNEL_MESSAGE / sizeof piece; i++)
        uplink_session_data(&s, piece, sizeof piece, false, false, 1);
    assert_false(s.over);
    uplink_session_data(&s, piece, 1, false, true, 1);
    assert_true(s.over);
    assert_int_equal(s.code, ERR_TOO_BIG);
    uplink_session_clear(&s);
}

static void tells_of_a_message_that_is_too_long(void **state)
{
    struct uplink_session s;
    session_begin(&s, 1, "", CONSOLE_HOST_ID);
    AUTOFREE char *text = xcalloc(1, LIMIT_CHANNEL_MESSAGE + 1);
    memset(text, 'a', LIMIT_CHANNEL_MESSAGE);
    AUTOJSON json_t *fields = json_pack("{s:s}", "x", text);
    assert_int_equal(uplink_session_send(&s, "processes", fields), ERR_TOO_BIG);
    assert_false(s.over);
    uplink_session_clear(&s);
}

#define CONNECTED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTED(says_hello_with_the_hosts_certificate),
        CONNECTED(connects_by_ipv6),
        CONNECTED(refuses_a_console_of_another_authority),
        CONNECTED(refuses_a_console_of_another_name),
        CONNECTED(tells_that_nobody_listens),
        CONNECTED(tells_that_a_name_is_not_known),
        CONNECTED(hears_that_its_certificate_is_refused),
        CONNECTED(connects_again_after_an_end),
        CONNECTED(can_be_closed_at_every_step),
        CONNECTED(hands_messages_on),
        CONNECTED(ends_the_connection_of_a_newer_console_with_bye),
        CONNECTED(takes_no_binary_frames),
        CONNECTED(takes_the_consoles_bye),
        CONNECTED(sends_pieces_only_when_no_text_waits),
        CONNECTED(gives_up_a_console_that_does_not_read),
        CONNECTED(says_bye_when_the_agent_ends),
        cmocka_unit_test(pings_when_it_has_been_silent),
        cmocka_unit_test(gives_up_a_console_that_is_silent),
        cmocka_unit_test(refuses_a_version_it_does_not_speak),
        cmocka_unit_test(refuses_to_be_another_host),
        cmocka_unit_test(sends_only_what_the_console_takes),
        cmocka_unit_test(refuses_messages_before_hello),
        cmocka_unit_test(refuses_messages_past_the_limit),
        cmocka_unit_test(tells_of_a_message_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
