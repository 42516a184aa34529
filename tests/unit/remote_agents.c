/* Connections of agents without their sockets: whole frames in, messages out; store, fleet and
 * dispatch are the real ones. */
#include "remote/agents_private.h"

#include "tests/unit/remote_console.h"

#include <fcntl.h>

#include "lib/secure/cert.h"
#include "lib/secure/hash.h"
#include "remote/authority.h"
#include "remote/store/profiles.h"

enum { BYTES = 300000 };

static struct agents *agents;
static struct authority authority;

static int set_up(void **state)
{
    int r = make_console(state);
    AUTOFREE char *dir = in_folder("");
    assert_int_equal(authority_open(&authority, dir, NULL), 0);
    const struct agents_settings settings = {.loop = &loop,
                                             .name = "console",
                                             .authority = &authority,
                                             .store = store,
                                             .fleet = fleet,
                                             .dispatch = dispatch};
    agents = agents_new(&settings);
    return r;
}

static int tear_down(void **state)
{
    struct agent_conn *c;
    agents_close(agents);
    LIST_EACH(c, &agents->conns)
    agent_conn_over(c);
    agents_free(agents);
    int r = remove_console(state);
    authority_close(&authority);
    return r;
}

/* ---- the agent's end ------------------------------------------------------------------------- */

static void say(struct agent_conn *c, json_t *message)
{
    AUTOFREE char *text = json_dumps(message, 0);
    json_decref(message);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void say_text(struct agent_conn *c, const char *text)
{
    agent_conn_take(c, false, text, strlen(text), true);
}

/* The next message to the agent, the caller's; NULL: none. */
static json_t *hear(struct agent_conn *c)
{
    struct agent_message *m = agent_conn_next(c);
    if (!m)
        return NULL;
    json_t *j = json_loadb((char *)m->bytes + AGENTS_GAP, m->len, 0, NULL);
    assert_non_null(j);
    /* What we say, our own table lets pass. */
    const struct channel_type *type;
    json_t *checked;
    char why[256];
    enum channel_phase phase =
        str_eq(json_get_string(j, "type", ""), "hello") ? CHANNEL_HELLO : CHANNEL_OPEN;
    if (channel_parse((char *)m->bytes + AGENTS_GAP, m->len, CHANNEL_CONSOLE, phase, &type,
                      &checked, why, sizeof why) < 0)
        fail_msg("%s", why);
    json_decref(checked);
    free(m);
    return j;
}

/* Passes over what comes before. */
static json_t *hear_type(struct agent_conn *c, const char *type)
{
    for (int i = 0; i < 50; i++) {
        json_t *j;
        while ((j = hear(c))) {
            if (str_eq(json_get_string(j, "type", ""), type))
                return j;
            json_decref(j);
        }
        settle();
    }
    fail_msg("no %s came", type);
    return NULL;
}

static bool hears(struct agent_conn *c, const char *type)
{
    bool found = false;
    json_t *j;
    while ((j = hear(c))) {
        found |= str_eq(json_get_string(j, "type", ""), type);
        json_decref(j);
    }
    return found;
}

static void assert_bye(struct agent_conn *c, const char *code)
{
    AUTOJSON json_t *bye = hear_type(c, "bye");
    assert_string_equal(json_get_string(bye, "code", ""), code);
    assert_true(strlen(json_get_string(bye, "text", "")) > 5);
    assert_int_equal(c->phase, AGENT_BYE);
    assert_null(agent_conn_next(c));
}

static struct agent_conn *come(const char *host)
{
    return agent_conn_new(agents, NULL, host, 0);
}

static struct agent_conn *open_as(const char *host, unsigned process)
{
    struct agent_conn *c = come(host);
    say(c, a_hello(id_of(process)));
    AUTOJSON json_t *hello = hear_type(c, "hello");
    assert_string_equal(json_get_string(hello, "host", ""), host);
    assert_int_equal(json_get_int(hello, "version", 0), 1);
    assert_int_equal(c->phase, AGENT_OPEN);
    return c;
}

/* ---- beginnings ------------------------------------------------------------------------------ */

static void says_hello_and_is_connected(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    assert_true(fleet_connected(fleet, HOST_1));
    assert_ptr_equal(agents_find(agents, HOST_1), c);
    say_text(c, "{\"type\":\"ping\"}");
    json_decref(hear_type(c, "pong"));
    agent_conn_over(c);
    assert_false(fleet_connected(fleet, HOST_1));
    assert_null(agents_find(agents, HOST_1));
}

static void refuses_strangers_and_the_revoked(void **state)
{
    assert_bye(come("01890a5d-ac96-774b-bcce-b30209990000"), "REVOKED");
    struct host_row row = *fleet_get(fleet, HOST_1);
    struct agent_conn *c = open_as(HOST_1, 1);
    row.revoked_ms = 1;
    fleet_put(fleet, &row);
    assert_bye(c, "REVOKED");
    assert_false(fleet_connected(fleet, HOST_1));
    assert_bye(come(HOST_1), "REVOKED");
}

static void refuses_versions_that_it_does_not_speak(void **state)
{
    struct agent_conn *c = come(HOST_1);
    json_t *hello = a_hello(id_of(1));
    json_set_int(hello, "min_version", 2);
    json_set_int(hello, "max_version", 9);
    say(c, hello);
    assert_bye(c, "UNSUPPORTED");
}

static void a_newer_agent_with_more_fields_is_fine(void **state)
{
    struct agent_conn *c = come(HOST_1);
    json_t *hello = a_hello(id_of(1));
    json_set_int(hello, "max_version", 9);
    json_set_string(hello, "colour", "green");
    (void)json_array_append_new(json_object_get(hello, "capabilities"), json_string("telepathy"));
    say(c, hello);
    json_decref(hear_type(c, "hello"));
    say_text(c, "{\"type\":\"telepathy\"}");
    assert_bye(c, "PROTOCOL");
}

static void ends_connections_that_break_the_protocol(void **state)
{
    static const struct {
        const char *text;
        const char *code;
        bool open;
    } bad[] = {
        {"{\"type\":\"ping\"}", "PROTOCOL", false},
        {"nonsense", "SYNTAX", false},
        {"{}", "PROTOCOL", false},
        {"{\"type\":\"hello\"}", "INVALID", false},
        {"{\"type\":\"hello\"}", "PROTOCOL", true},
        {"{\"type\":\"capture.start\"}", "PROTOCOL", true},
        {"{\"type\":\"processes\",\"at_ms\":1,\"processes\":[7]}", "INVALID", true},
        {"{\"type\":\"capture\",\"record\":{\"id\":1}}", "INVALID", true},
        {"{\"type\":\"renew\",\"csr\":\"nothing\"}", "INVALID", true},
        {"{\"type\":\"blob.end\",\"blob\":1,\"stored_bytes\":1,\"bytes\":1,\"sha256\":"
         "\"0000000000000000000000000000000000000000000000000000000000000000\",\"stored_sha256\":"
         "\"0000000000000000000000000000000000000000000000000000000000000000\"}",
         "PROTOCOL", true},
        {"{\"type\":\"blob.begin\",\"blob\":1,\"id\":\"01890a5d-0000-7000-8000-000000000001\","
         "\"stored_bytes\":1,"
         "\"stored_sha256\":\"zz00000000000000000000000000000000000000000000000000000000000000\"}",
         "INVALID", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct agent_conn *c = bad[i].open ? open_as(HOST_1, 1) : come(HOST_1);
        say_text(c, bad[i].text);
        assert_bye(c, bad[i].code);
        /* What comes afterwards is not looked at. */
        say_text(c, "{\"type\":\"ping\"}");
        assert_null(agent_conn_next(c));
        agent_conn_over(c);
    }
}

static void ends_connections_with_bad_pieces(void **state)
{
    static const uint8_t bad[][16] = {{0}, {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct agent_conn *c = open_as(HOST_1, 1);
        agent_conn_take(c, true, bad[i], i ? 13 : 5, true);
        assert_bye(c, "PROTOCOL");
        agent_conn_over(c);
    }
    struct agent_conn *c = come(HOST_1);
    agent_conn_take(c, true, bad[1], 13, true);
    assert_bye(c, "PROTOCOL");
}

static void puts_fragments_together_up_to_the_limit(void **state)
{
    static const char ping[] = "{\"type\":\"ping\"}";
    AUTOFREE char *much = xcalloc(1, 65536);
    memset(much, ' ', 65536);
    struct agent_conn *c = open_as(HOST_1, 1);
    for (size_t i = 0; i < sizeof ping - 1; i++)
        agent_conn_take(c, false, ping + i, 1, i == sizeof ping - 2);
    json_decref(hear_type(c, "pong"));
    for (int i = 0; i < 16; i++)
        agent_conn_take(c, false, much, 65536, false);
    assert_int_equal(c->phase, AGENT_OPEN);
    agent_conn_take(c, false, much, 65536, false);
    assert_bye(c, "TOO_BIG");
    agent_conn_over(c);
    c = open_as(HOST_1, 1);
    agent_conn_take(c, true, much, 65536, false);
    agent_conn_take(c, true, much, 13, false);
    assert_bye(c, "TOO_BIG");
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void tick_after(struct agent_conn *c, uint64_t ms)
{
    agent_conn_tick(c, uv_now(&loop) + ms, 1);
}

static void watches_the_clock(void **state)
{
    struct agent_conn *c = come(HOST_1);
    tick_after(c, AGENTS_HELLO_MS);
    assert_int_equal(c->phase, AGENT_HELLO);
    tick_after(c, AGENTS_HELLO_MS + 1);
    assert_bye(c, "ETIMEDOUT");
    c = open_as(HOST_1, 1);
    tick_after(c, AGENTS_PING_MS - 1);
    assert_false(hears(c, "ping"));
    tick_after(c, AGENTS_PING_MS);
    assert_true(hears(c, "ping"));
    /* While it is not read, it may be silent. */
    c->paused = true;
    tick_after(c, CHANNEL_SILENT_MS + 1);
    assert_int_equal(c->phase, AGENT_OPEN);
    c->paused = false;
    tick_after(c, CHANNEL_SILENT_MS + 1);
    assert_bye(c, "ETIMEDOUT");
}

static void ends_with_its_certificate(void **state)
{
    struct agent_conn *c = agent_conn_new(agents, NULL, HOST_1, 100);
    say(c, a_hello(id_of(1)));
    agent_conn_tick(c, uv_now(&loop), 100);
    assert_int_equal(c->phase, AGENT_OPEN);
    agent_conn_tick(c, uv_now(&loop), 101);
    assert_bye(c, "EXPIRED");
}

static void does_not_queue_for_ever(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    for (int i = 0; i < 2000000 && !c->deaf; i++)
        say_text(c, "{\"type\":\"ping\"}");
    assert_true(c->deaf);
    assert_int_equal(c->out_bytes, 0);
    say_text(c, "{\"type\":\"ping\"}");
    assert_null(agent_conn_next(c));
}

/* ---- two of one identity --------------------------------------------------------------------- */

static void the_same_agent_replaces_its_connection(void **state)
{
    struct agent_conn *old = open_as(HOST_1, 1);
    struct agent_conn *new = open_as(HOST_1, 1);
    assert_bye(old, "BUSY");
    assert_ptr_equal(agents_find(agents, HOST_1), new);
    agent_conn_over(old);
    assert_true(fleet_connected(fleet, HOST_1));
}

static void a_second_agent_is_refused_while_the_first_answers(void **state)
{
    struct agent_conn *first = open_as(HOST_1, 1);
    struct agent_conn *second = come(HOST_1);
    say(second, a_hello(id_of(2)));
    assert_int_equal(second->phase, AGENT_RIVAL);
    json_decref(hear_type(first, "ping"));
    assert_null(agent_conn_next(second));
    say_text(first, "{\"type\":\"pong\"}");
    assert_bye(second, "BUSY");
    assert_int_equal(first->phase, AGENT_OPEN);
}

static void a_second_agent_is_let_in_when_the_first_is_silent(void **state)
{
    struct agent_conn *first = open_as(HOST_1, 1);
    struct agent_conn *second = come(HOST_1);
    say(second, a_hello(id_of(2)));
    tick_after(second, AGENTS_RIVAL_MS - 1);
    assert_int_equal(second->phase, AGENT_RIVAL);
    tick_after(second, AGENTS_RIVAL_MS);
    assert_bye(first, "BUSY");
    json_decref(hear_type(second, "hello"));
    assert_ptr_equal(agents_find(agents, HOST_1), second);
}

static void a_second_agent_is_let_in_when_the_first_leaves(void **state)
{
    struct agent_conn *first = open_as(HOST_1, 1);
    struct agent_conn *second = come(HOST_1);
    struct agent_conn *third = come(HOST_1);
    say(second, a_hello(id_of(2)));
    say(third, a_hello(id_of(3)));
    assert_bye(third, "BUSY");
    /* The one that waits has connected anew meanwhile. */
    struct agent_conn *again = come(HOST_1);
    say(again, a_hello(id_of(2)));
    assert_bye(second, "BUSY");
    agent_conn_over(first);
    json_decref(hear_type(again, "hello"));
    assert_true(fleet_connected(fleet, HOST_1));
}

static void one_that_waits_may_leave_or_be_impatient(void **state)
{
    struct agent_conn *first = open_as(HOST_1, 1);
    struct agent_conn *second = come(HOST_1);
    say(second, a_hello(id_of(2)));
    agent_conn_over(second);
    assert_null(first->rival);
    second = come(HOST_1);
    say(second, a_hello(id_of(2)));
    say(second, a_hello(id_of(2)));
    assert_bye(second, "PROTOCOL");
    say_text(first, "{\"type\":\"pong\"}");
    assert_int_equal(first->phase, AGENT_OPEN);
}

static void a_rival_of_one_that_is_revoked_is_not_let_in(void **state)
{
    struct agent_conn *first = open_as(HOST_1, 1);
    struct agent_conn *second = come(HOST_1);
    say(second, a_hello(id_of(2)));
    assert_int_equal(second->phase, AGENT_RIVAL);
    struct host_row row = *fleet_get(fleet, HOST_1);
    row.revoked_ms = 1;
    fleet_put(fleet, &row);
    assert_bye(first, "REVOKED");
    /* Not even for a moment. */
    AUTOJSON json_t *said = hear(second);
    assert_string_equal(json_get_string(said, "type", ""), "bye");
    assert_string_equal(json_get_string(said, "code", ""), "REVOKED");
    assert_false(fleet_connected(fleet, HOST_1));
}

/* ---- captures -------------------------------------------------------------------------------- */

static void on_started(void *arg, int r, const char *text, const struct capture_list *rows)
{
    if (r < 0)
        fail_msg("%s", text);
}

/* A capture that is asked of HOST_1. */
static void order(unsigned n)
{
    const struct capture_target target = {.host = HOST_1, .app = "web"};
    const struct capture_order o = {.id = id_of(n),
                                    .kind = "cpu",
                                    .duration_ms = 10000,
                                    .targets = &target,
                                    .target_count = 1,
                                    .requester = "user ann",
                                    .role = "operator"};
    dispatch_start(dispatch, &o, on_started, NULL);
    settle();
}

static void tell(struct agent_conn *c, unsigned n, const char *state)
{
    say(c, json_pack("{s:s,s:{s:s,s:s,s:s,s:i,s:s}}", "type", "capture", "record", "id", id_of(n),
                     "kind", "cpu", "app", "web", "instance", 0, "state", state));
}

static void gives_captures_and_takes_their_ends(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    order(1);
    AUTOJSON json_t *start = hear_type(c, "capture.start");
    assert_string_equal(json_get_string(start, "id", ""), id_of(1));
    tell(c, 1, "running");
    tell(c, 1, "failed");
    json_decref(hear_type(c, "capture.ack"));
    order(2);
    say(c, json_pack("{s:s,s:s,s:s,s:s}", "type", "capture.unknown", "id", id_of(2), "code",
                     "POLICY", "text", "no"));
    settle();
    assert_state(id_of(2), "failed");
}

static void a_host_that_takes_no_captures_is_not_told_of_them(void **state)
{
    struct agent_conn *c = come(HOST_1);
    json_t *hello = a_hello(id_of(1));
    (void)json_object_set_new(hello, "capabilities", json_array());
    say(c, hello);
    json_decref(hear_type(c, "hello"));
    char why[256];
    assert_int_equal(fleet_check_target(fleet, HOST_1, "web", 0, "cpu", why, sizeof why),
                     ERR_UNSUPPORTED);
    say(c, json_pack("{s:s,s:s,s:s,s:s}", "type", "capture.unknown", "id", id_of(2), "code", "X",
                     "text", "no"));
    assert_null(agent_conn_next(c));
}

static void somebody_elses_capture_ends_the_connection(void **state)
{
    struct agent_conn *one = open_as(HOST_1, 1);
    struct agent_conn *two = open_as(HOST_2, 2);
    order(1);
    tell(two, 1, "failed");
    assert_bye(two, "DENIED");
    tell(one, 1, "failed");
    settle();
    two = open_as(HOST_2, 2);
    /* It is settled: looked up in the store. */
    tell(two, 1, "failed");
    settle();
    assert_bye(two, "DENIED");
}

static void is_not_read_while_much_is_looked_up(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    for (unsigned i = 0; i <= AGENTS_LOOKUPS; i++)
        tell(c, 100 + i, "failed");
    assert_true(c->paused);
    settle();
    assert_false(c->paused);
    assert_int_equal(c->lookups, 0);
    tell(c, 1, "failed");
    /* Answers to those that are gone go nowhere. */
    agent_conn_over(c);
    settle();
}

/* ---- results --------------------------------------------------------------------------------- */

static uint8_t *result;
static size_t result_len;
static struct blob_sums sums;

/* What a host would have in its spool. */
static void make_result(unsigned seed)
{
    AUTOFREE char *plain = in_folder("plain");
    AUTOFREE char *packed = in_folder("packed");
    AUTOFREE char *bytes = xcalloc(1, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
    AUTOCLOSE int in = open(plain, O_RDWR | O_CREAT | O_TRUNC, 0600);
    AUTOCLOSE int out = open(packed, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(in, bytes, BYTES), BYTES);
    assert_int_equal(blob_compress(in, out, &sums), 0);
    result_len = sums.stored_bytes;
    free(result);
    result = xcalloc(1, result_len);
    assert_int_equal(pread(out, result, result_len, 0), (ssize_t)result_len);
}

static json_t *sums_message(const char *type, unsigned blob)
{
    char sha[SHA256_TEXT], stored[SHA256_TEXT];
    sha256_to_hex(sums.sha256, sha);
    sha256_to_hex(sums.stored_sha256, stored);
    return json_pack("{s:s,s:i,s:I,s:I,s:s,s:s}", "type", type, "blob", blob, "stored_bytes",
                     (json_int_t)sums.stored_bytes, "bytes", (json_int_t)sums.bytes, "sha256", sha,
                     "stored_sha256", stored);
}

static void begin(struct agent_conn *c, unsigned blob, unsigned n)
{
    json_t *m = sums_message("blob.begin", blob);
    json_set_string(m, "id", id_of(n));
    say(c, m);
}

static void piece(struct agent_conn *c, unsigned blob, uint64_t offset, size_t len)
{
    uint8_t frame[BLOB_HEADER + BLOB_CHUNK];
    blob_header_put(frame, blob, offset);
    memcpy(frame + BLOB_HEADER, result + offset, len);
    agent_conn_take(c, true, frame, BLOB_HEADER + len, true);
}

static void pieces(struct agent_conn *c, unsigned blob, uint64_t from, uint64_t to)
{
    while (from < to) {
        size_t len = to - from < BLOB_CHUNK ? (size_t)(to - from) : BLOB_CHUNK;
        piece(c, blob, from, len);
        from += len;
    }
}

static uint64_t go(struct agent_conn *c, unsigned blob)
{
    AUTOJSON json_t *m = hear_type(c, "blob.go");
    assert_int_equal(json_get_int(m, "blob", 0), blob);
    return (uint64_t)json_get_int(m, "offset", -1);
}

static void assert_refused(struct agent_conn *c, const char *code, bool again)
{
    AUTOJSON json_t *m = hear_type(c, "blob.refused");
    assert_string_equal(json_get_string(m, "code", ""), code);
    assert_int_equal(json_object_get(m, "retry_ms") != NULL, again);
}

static int clear_result(void **state)
{
    int r = tear_down(state);
    free(result);
    result = NULL;
    return r;
}

/* A connected host whose capture `n` is done. */
static struct agent_conn *with_result(unsigned n)
{
    make_result(n);
    struct agent_conn *c = open_as(HOST_1, 1);
    order(n);
    tell(c, n, "done");
    return c;
}

static void assert_profile(unsigned n)
{
    struct db *db;
    struct profile_row row;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(profiles_get(db, id_of(n), &row), 0);
    db_close(db);
    assert_memory_equal(row.sums.sha256, sums.sha256, SHA256_BYTES);
    assert_int_equal(row.sums.bytes, BYTES);
    assert_string_equal(row.app, "web");
    assert_string_equal(row.host, HOST_1);
}

static void takes_a_result(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 7, 1);
    assert_int_equal(go(c, 7), 0);
    pieces(c, 7, 0, result_len);
    AUTOJSON json_t *ack = hear_type(c, "blob.ack");
    assert_true(json_get_int(ack, "offset", 0) > 0);
    say(c, sums_message("blob.end", 7));
    json_decref(hear_type(c, "blob.done"));
    json_decref(hear_type(c, "capture.ack"));
    assert_profile(1);
    assert_int_equal(events_of("profile"), 1);
    assert_null(agent_conn_next(c));
    assert_true(list_empty(&agents->blobs));
    assert_int_equal(c->store_bytes, 0);
    /* Told again because the acknowledgement was lost, and brought again. */
    tell(c, 1, "done");
    json_decref(hear_type(c, "capture.ack"));
    begin(c, 8, 1);
    json_decref(hear_type(c, "blob.done"));
    json_decref(hear_type(c, "capture.ack"));
}

static void goes_on_where_the_last_connection_ended(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, 2 * BLOB_CHUNK);
    agent_conn_over(c);
    settle();
    assert_true(list_empty(&agents->blobs));
    c = open_as(HOST_1, 1);
    tell(c, 1, "done");
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 2 * BLOB_CHUNK);
    pieces(c, 1, 2 * BLOB_CHUNK, result_len);
    say(c, sums_message("blob.end", 1));
    json_decref(hear_type(c, "blob.done"));
    json_decref(hear_type(c, "capture.ack"));
    assert_profile(1);
}

static void a_whole_result_is_stored_when_its_connection_ends(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, result_len);
    json_decref(hear_type(c, "blob.ack"));
    say(c, sums_message("blob.end", 1));
    agent_conn_over(c);
    for (int i = 0; i < 100 && !list_empty(&agents->blobs); i++) {
        (void)usleep(2000);
        settle();
    }
    assert_profile(1);
    c = open_as(HOST_1, 1);
    tell(c, 1, "done");
    json_decref(hear_type(c, "capture.ack"));
}

static void damaged_bytes_are_refused_for_ever(void **state)
{
    struct agent_conn *c = with_result(1);
    result[result_len / 2] ^= 1;
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, result_len);
    say(c, sums_message("blob.end", 1));
    assert_refused(c, "MISMATCH", false);
    json_decref(hear_type(c, "capture.ack"));
    assert_state(id_of(1), "failed");
    assert_int_equal(c->phase, AGENT_OPEN);
    /* It will not be taken in a second try either. */
    begin(c, 2, 1);
    assert_refused(c, "INVALID", false);
}

static void an_end_that_does_not_agree_is_refused(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, BLOB_CHUNK);
    say(c, sums_message("blob.end", 1));
    assert_refused(c, "MISMATCH", false);
    assert_state(id_of(1), "failed");
    /* Pieces that were on their way are let pass, but only for a blob that was. */
    piece(c, 1, BLOB_CHUNK, 10);
    assert_int_equal(c->phase, AGENT_OPEN);
    piece(c, 99, 0, 10);
    assert_bye(c, "PROTOCOL");
}

static void pieces_must_follow_one_another(void **state)
{
    static const struct {
        uint64_t offset;
        size_t len;
    } bad[] = {{1, 10}, {100000, 10}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct agent_conn *c = with_result(1 + (unsigned)i);
        begin(c, 1, 1 + (unsigned)i);
        assert_int_equal(go(c, 1), 0);
        piece(c, 1, bad[i].offset, bad[i].len);
        assert_bye(c, "PROTOCOL");
        agent_conn_over(c);
    }
    /* Past the announced size. */
    struct agent_conn *c = with_result(5);
    sums.stored_bytes = 100;
    begin(c, 1, 5);
    assert_int_equal(go(c, 1), 0);
    piece(c, 1, 0, 101);
    assert_bye(c, "PROTOCOL");
}

static void pieces_before_they_are_asked_for_end_the_connection(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    piece(c, 1, 0, 10);
    assert_bye(c, "PROTOCOL");
    agent_conn_over(c);
    settle();
    assert_true(list_empty(&agents->blobs));
}

static void the_window_is_kept(void **state)
{
    struct agent_conn *c = with_result(1);
    result = realloc(result, 3 << 20);
    assert_non_null(result);
    sums.stored_bytes = 3 << 20;
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, BLOB_WINDOW);
    assert_int_equal(c->phase, AGENT_OPEN);
    piece(c, 1, BLOB_WINDOW, 1);
    assert_bye(c, "PROTOCOL");
}

static void is_not_read_while_the_store_is_slow(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    make_result(1);
    result = realloc(result, 1 << 20);
    assert_non_null(result);
    for (unsigned n = 1; n <= 3; n++) {
        order(n);
        tell(c, n, "done");
        sums.stored_bytes = 1 << 20;
        begin(c, n, n);
        assert_int_equal(go(c, n), 0);
    }
    for (unsigned n = 1; n <= 3; n++)
        pieces(c, n, 0, n < 3 ? 1 << 20 : BLOB_CHUNK);
    assert_true(c->paused);
    settle();
    assert_false(c->paused);
    assert_int_equal(c->store_bytes, 0);
}

static void a_piece_of_a_blob_that_never_was_ends_the_connection(void **state)
{
    struct agent_conn *c = with_result(1);
    /* Also number 0, which nobody may begin. */
    piece(c, 0, 0, 5000);
    assert_bye(c, "PROTOCOL");
}

static void short_pieces_that_are_not_the_last_end_the_connection(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, BLOB_CHUNK);
    piece(c, 1, BLOB_CHUNK, AGENTS_PIECE_MIN);
    assert_int_equal(c->phase, AGENT_OPEN);
    piece(c, 1, BLOB_CHUNK + AGENTS_PIECE_MIN, AGENTS_PIECE_MIN - 1);
    assert_bye(c, "PROTOCOL");
    agent_conn_over(c);
    settle();
    /* A short last one is one. */
    c = open_as(HOST_1, 1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), BLOB_CHUNK + AGENTS_PIECE_MIN);
    pieces(c, 1, BLOB_CHUNK + AGENTS_PIECE_MIN, result_len - 1);
    piece(c, 1, result_len - 1, 1);
    assert_int_equal(c->phase, AGENT_OPEN);
}

static void is_not_read_while_many_pieces_wait(void **state)
{
    struct agent_conn *c = with_result(1);
    result = realloc(result, 1 << 20);
    assert_non_null(result);
    sums.stored_bytes = 1 << 20;
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    for (uint64_t at = 0; at <= AGENTS_PIECES; at++) {
        assert_false(c->paused);
        piece(c, 1, at * AGENTS_PIECE_MIN, AGENTS_PIECE_MIN);
    }
    assert_true(c->paused);
    settle();
    assert_false(c->paused);
    assert_int_equal(c->pieces, 0);
}

static void what_was_refused_for_now_waits(void **state)
{
    struct agent_conn *c = with_result(1);
    for (unsigned n = 1; n <= LIMIT_CHANNEL_BLOBS + 1; n++) {
        if (n > 1)
            order(n);
        tell(c, n, "done");
        begin(c, n, n);
        if (n <= LIMIT_CHANNEL_BLOBS)
            assert_int_equal(go(c, n), 0);
    }
    assert_refused(c, "BUSY", true);
    agent_conn_over(c);
    settle();
    assert_true(list_empty(&agents->blobs));
    /* Its time has not come, whatever connection it comes over. */
    c = open_as(HOST_1, 1);
    begin(c, 1, LIMIT_CHANNEL_BLOBS + 1);
    AUTOJSON json_t *m = hear_type(c, "blob.refused");
    int64_t retry_ms = json_get_int(m, "retry_ms", 0);
    assert_true(retry_ms > 0 && retry_ms <= 2000);
    agent_delays_tick(agents, uv_now(&loop) + 2000);
    begin(c, 1, LIMIT_CHANNEL_BLOBS + 1);
    assert_int_equal(go(c, 1), 0);
}

static int remove_profile(struct db *db, void *arg)
{
    return profiles_remove(db, arg);
}

static void a_result_that_was_removed_is_not_taken_again(void **state)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, result_len);
    say(c, sums_message("blob.end", 1));
    json_decref(hear_type(c, "blob.done"));
    json_decref(hear_type(c, "capture.ack"));
    store_write(store, remove_profile, NULL, id);
    settle();
    unsigned published = events_of("profile");
    tell(c, 1, "done");
    json_decref(hear_type(c, "capture.ack"));
    begin(c, 2, 1);
    json_decref(hear_type(c, "blob.done"));
    json_decref(hear_type(c, "capture.ack"));
    assert_int_equal(events_of("profile"), published);
    assert_true(list_empty(&agents->blobs));
}

/* Holds all threads, so that nothing that is begun ends. */
static uv_sem_t held;
static unsigned holding;

static void hold(uv_work_t *work)
{
    uv_sem_wait(&held);
}

static void on_let_go(uv_work_t *work, int status)
{
    holding--;
}

/* The result of a capture that HOST_2 was asked for. */
static void order_of_two(unsigned n)
{
    const struct capture_target target = {.host = HOST_2, .app = "web"};
    const struct capture_order o = {.id = id_of(n),
                                    .kind = "cpu",
                                    .duration_ms = 10000,
                                    .targets = &target,
                                    .target_count = 1,
                                    .requester = "user ann",
                                    .role = "operator"};
    dispatch_start(dispatch, &o, on_started, NULL);
    settle();
}

static void bring(struct agent_conn *c, unsigned n)
{
    tell(c, n, "done");
    begin(c, n, n);
    assert_int_equal(go(c, n), 0);
    pieces(c, n, 0, result_len);
    say(c, sums_message("blob.end", n));
    settle();
}

static void checks_one_result_of_each_host_at_a_time(void **state)
{
    uv_work_t works[4];
    make_result(1);
    struct agent_conn *one = open_as(HOST_1, 1);
    struct agent_conn *two = open_as(HOST_2, 2);
    for (unsigned n = 1; n <= 3; n++)
        order(n);
    order_of_two(4);
    assert_int_equal(uv_sem_init(&held, 0), 0);
    for (holding = 0; holding < ARRAY_SIZE(works); holding++)
        assert_int_equal(uv_queue_work(&loop, &works[holding], hold, on_let_go), 0);
    for (unsigned n = 1; n <= 3; n++)
        bring(one, n);
    assert_int_equal(agents->checking, 1);
    assert_int_equal(list_count(&agents->checks), 2);
    bring(two, 4);
    assert_int_equal(agents->checking, 2);
    for (size_t i = 0; i < ARRAY_SIZE(works); i++)
        uv_sem_post(&held);
    for (int i = 0; i < 3; i++)
        json_decref(hear_type(one, "blob.done"));
    json_decref(hear_type(two, "blob.done"));
    while (holding > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_sem_destroy(&held);
}

static void a_check_ends_with_the_console(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, result_len);
    json_decref(hear_type(c, "blob.ack"));
    say(c, sums_message("blob.end", 1));
    assert_int_equal(agents->checking, 1);
    agents_close(agents);
    for (int i = 0; i < 500 && !list_empty(&agents->blobs); i++) {
        (void)usleep(2000);
        settle();
    }
    assert_true(list_empty(&agents->blobs));
    assert_int_equal(agents->checking, 0);
}

static void takes_four_at_a_time(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    make_result(1);
    for (unsigned n = 1; n <= LIMIT_CHANNEL_BLOBS + 1; n++) {
        order(n);
        tell(c, n, "done");
        begin(c, n, n);
    }
    assert_refused(c, "BUSY", true);
    begin(c, 9, 2);
    assert_refused(c, "BUSY", true);
    begin(c, 1, 2);
    assert_bye(c, "PROTOCOL");
}

static void somebody_elses_result_ends_the_connection(void **state)
{
    struct agent_conn *c = with_result(1);
    struct agent_conn *two = open_as(HOST_2, 2);
    begin(two, 1, 1);
    settle();
    assert_bye(two, "DENIED");
    assert_int_equal(c->phase, AGENT_OPEN);
    begin(c, 1, 77);
    assert_refused(c, "NOT_FOUND", false);
}

static void one_that_does_not_name_blobs_must_not_send_them(void **state)
{
    struct agent_conn *c = with_result(1);
    c->takes = AGENT_CAPTURE;
    begin(c, 1, 1);
    assert_bye(c, "PROTOCOL");
}

static void what_is_under_way_at_the_end_is_harmless(void **state)
{
    struct agent_conn *c = with_result(1);
    begin(c, 1, 1);
    assert_int_equal(go(c, 1), 0);
    pieces(c, 1, 0, result_len);
    say(c, sums_message("blob.end", 1));
    order(2);
    tell(c, 2, "done");
    begin(c, 2, 2);
    tell(c, 3, "done");
    say_text(c, "{\"type\":\"unlink\"}");
    /* tear_down() closes everything now. */
}

/* ---- certificates ---------------------------------------------------------------------------- */

static void gives_new_certificates(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    struct cert_facts facts;
    AUTOFREE char *key = NULL;
    AUTOFREE char *csr = NULL;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "anything", &csr), 0);
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    AUTOJSON json_t *renewed = hear_type(c, "renewed");
    const char *pem = json_get_string(renewed, "certificate", "");
    assert_int_equal(cert_read(pem, &facts), 0);
    assert_string_equal(facts.common_name, HOST_1);
    assert_int_equal(cert_check_key(pem, key), 0);
    assert_int_equal(fleet_get(fleet, HOST_1)->cert_not_after_ms, facts.not_after_s * 1000);
    /* Again at once, also over another connection: it is not answered. */
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_false(hears(c, "renewed"));
    agent_conn_over(c);
    c = open_as(HOST_1, 1);
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_false(hears(c, "renewed"));
    assert_int_equal(c->phase, AGENT_OPEN);
    agent_delays_tick(agents, uv_now(&loop) + AGENTS_RENEW_MS);
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_true(hears(c, "renewed"));
    c->takes = AGENT_CAPTURE;
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    assert_bye(c, "PROTOCOL");
}

static void gives_none_before_a_third_of_the_life_is_over(void **state)
{
    int64_t now_s = loop_wall_ms() / 1000;
    struct agent_conn *c = open_as(HOST_1, 1);
    AUTOFREE char *key = NULL;
    AUTOFREE char *csr = NULL;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "anything", &csr), 0);
    c->certificate_from_s = now_s - 290;
    c->certificate_until_s = now_s + 610;
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_false(hears(c, "renewed"));
    c->certificate_from_s = now_s - 310;
    c->certificate_until_s = now_s + 590;
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_true(hears(c, "renewed"));
    /* From now on, the new one counts. */
    agent_delays_tick(agents, uv_now(&loop) + AGENTS_RENEW_MS);
    say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
    settle();
    assert_false(hears(c, "renewed"));
}

static void renews_lives_of_seconds_too(void **state)
{
    int64_t now_s = loop_wall_ms() / 1000;
    struct agent_conn *c = open_as(HOST_1, 1);
    AUTOFREE char *key = NULL;
    AUTOFREE char *csr = NULL;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "anything", &csr), 0);
    authority.agent_life_s = 15;
    for (int i = 0; i < 3; i++) {
        c->certificate_from_s = now_s - 10;
        c->certificate_until_s = now_s + 5;
        say(c, json_pack("{s:s,s:s}", "type", "renew", "csr", csr));
        settle();
        assert_true(hears(c, "renewed"));
        agent_delays_tick(agents, uv_now(&loop) + 1500);
    }
}

static void unlinks(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    say_text(c, "{\"type\":\"unlink\"}");
    say_text(c, "{\"type\":\"unlink\"}");
    settle();
    assert_bye(c, "REVOKED");
    assert_true(fleet_get(fleet, HOST_1)->revoked_ms > 0);
}

static void says_good_bye_at_the_end(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    agents_close(agents);
    assert_bye(c, "STOPPING");
    assert_false(fleet_connected(fleet, HOST_1));
    assert_bye(come(HOST_2), "STOPPING");
}

static void hears_good_bye(void **state)
{
    struct agent_conn *c = open_as(HOST_1, 1);
    say_text(c, "{\"type\":\"bye\",\"code\":\"STOPPING\",\"text\":\"x\"}");
    assert_int_equal(c->phase, AGENT_BYE);
    assert_null(agent_conn_next(c));
    assert_false(fleet_connected(fleet, HOST_1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clear_result)
    const struct CMUnitTest tests[] = {
        TEST(says_hello_and_is_connected),
        TEST(refuses_strangers_and_the_revoked),
        TEST(refuses_versions_that_it_does_not_speak),
        TEST(a_newer_agent_with_more_fields_is_fine),
        TEST(ends_connections_that_break_the_protocol),
        TEST(ends_connections_with_bad_pieces),
        TEST(puts_fragments_together_up_to_the_limit),
        TEST(watches_the_clock),
        TEST(ends_with_its_certificate),
        TEST(does_not_queue_for_ever),
        TEST(the_same_agent_replaces_its_connection),
        TEST(a_second_agent_is_refused_while_the_first_answers),
        TEST(a_second_agent_is_let_in_when_the_first_is_silent),
        TEST(a_second_agent_is_let_in_when_the_first_leaves),
        TEST(one_that_waits_may_leave_or_be_impatient),
        TEST(gives_captures_and_takes_their_ends),
        TEST(a_host_that_takes_no_captures_is_not_told_of_them),
        TEST(somebody_elses_capture_ends_the_connection),
        TEST(is_not_read_while_much_is_looked_up),
        TEST(takes_a_result),
        TEST(goes_on_where_the_last_connection_ended),
        TEST(a_whole_result_is_stored_when_its_connection_ends),
        TEST(damaged_bytes_are_refused_for_ever),
        TEST(an_end_that_does_not_agree_is_refused),
        TEST(pieces_must_follow_one_another),
        TEST(pieces_before_they_are_asked_for_end_the_connection),
        TEST(the_window_is_kept),
        TEST(is_not_read_while_the_store_is_slow),
        TEST(a_piece_of_a_blob_that_never_was_ends_the_connection),
        TEST(short_pieces_that_are_not_the_last_end_the_connection),
        TEST(is_not_read_while_many_pieces_wait),
        TEST(what_was_refused_for_now_waits),
        TEST(a_result_that_was_removed_is_not_taken_again),
        TEST(checks_one_result_of_each_host_at_a_time),
        TEST(a_check_ends_with_the_console),
        TEST(a_rival_of_one_that_is_revoked_is_not_let_in),
        TEST(gives_none_before_a_third_of_the_life_is_over),
        TEST(renews_lives_of_seconds_too),
        TEST(takes_four_at_a_time),
        TEST(somebody_elses_result_ends_the_connection),
        TEST(one_that_does_not_name_blobs_must_not_send_them),
        TEST(what_is_under_way_at_the_end_is_harmless),
        TEST(gives_new_certificates),
        TEST(unlinks),
        TEST(says_good_bye_at_the_end),
        TEST(hears_good_bye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
