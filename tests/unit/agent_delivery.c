/* What the console is owed, with the test as the console and as the supervisor. */
#include "agent/delivery.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <uv.h>

#include "agent/captures.h"
#include "agent/record.h"
#include "agent/spool.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/wire/channel.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

#define HOST "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER_HOST "01890a5d-ac96-774b-bcce-b302099a8058"

enum { WAIT_MS = 10000, MESSAGES_MAX = 1024, BLOBS_MAX = 16, PIECES_MAX = 512 };

struct got {
    json_t *message;
    bool taken;
};

/* What came of one blob, from the offset on at which it went. */
struct arrived {
    struct buf bytes;
    uint64_t from;
};

static uv_loop_t loop;
static struct captures cs;
static struct conn ours, supervisor;
static struct delivery *d;
static struct got got[MESSAGES_MAX];
static unsigned got_count;
static struct got asked[MESSAGES_MAX]; /* of the supervisor */
static int asked_fds[MESSAGES_MAX];
static unsigned asked_count;
static struct arrived arrived[BLOBS_MAX];
static uint32_t order[PIECES_MAX]; /* blob numbers of the pieces */
static unsigned order_count;
static bool late, pumping, woken;
static unsigned broken_off;
static int break_code;
static char break_text[300];

/* ---- the supervisor -------------------------------------------------------------------------- */

static void on_supervisor_msg(struct conn *c, struct msg *m)
{
    assert_in_range(asked_count, 0, MESSAGES_MAX - 1);
    asked_fds[asked_count] = msg_take_fd(m);
    asked[asked_count++].message = json_incref(m->root);
}

static void on_our_msg(struct conn *c, struct msg *m)
{
    if (m->kind == MSG_NOTIFICATION)
        captures_on_progress(&cs, m);
    else if (m->kind == MSG_REQUEST && str_eq(m->method, "capture.start"))
        captures_start(&cs, m);
    else if (m->kind == MSG_REQUEST)
        captures_stop(&cs, m);
    else
        captures_on_answer(&cs, m);
}

static void on_conn_closed(struct conn *c, int reason)
{
}

/* ---- the console ----------------------------------------------------------------------------- */

/* Every message is one that the console would take. */
static void on_send(void *arg, const char *type, json_t *fields)
{
    char why[256];
    const struct channel_type *row;
    json_t *message;
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    assert_int_equal(channel_add(&text, type, fields), 0);
    int r = channel_parse(text.data, text.len, CHANNEL_AGENT, CHANNEL_OPEN, &row, &message, why,
                          sizeof why);
    if (r < 0)
        fail_msg("%s", why);
    assert_in_range(got_count, 0, MESSAGES_MAX - 1);
    got[got_count++] = (struct got){.message = message};
}

static void on_wake(void *arg)
{
    woken = true;
}

static void on_break_off(void *arg, int code, const char *text)
{
    broken_off++;
    break_code = code;
    (void)snprintf(break_text, sizeof break_text, "%s", text);
}

/* What the console has said last must have ended the connection. */
static void assert_broken_off(const char *part)
{
    assert_int_equal(broken_off, 1);
    assert_int_equal(break_code, ERR_PROTOCOL);
    if (!strstr(break_text, part))
        fail_msg("\"%s\" is not in: %s", part, break_text);
    broken_off = 0;
}

/* Takes one piece; false: there is none. */
static bool take_piece(void)
{
    static uint8_t frame[BLOB_HEADER + BLOB_CHUNK];
    struct blob_chunk chunk;
    size_t len = delivery_chunk(d, frame);
    if (len == 0)
        return false;
    assert_int_equal(blob_chunk_parse(frame, len, &chunk), 0);
    assert_in_range(chunk.blob, 1, BLOBS_MAX - 1);
    struct arrived *a = &arrived[chunk.blob];
    assert_int_equal(chunk.offset, a->from + a->bytes.len);
    assert_int_equal(buf_add(&a->bytes, chunk.data, chunk.len), 0);
    assert_in_range(order_count, 0, PIECES_MAX - 1);
    order[order_count++] = chunk.blob;
    return true;
}

static void on_late(uv_timer_t *timer)
{
    late = true;
}

/* Everything that may be taken, when it was said that there is something; and a turn of the loop. */
static void turn(void)
{
    bool pump = pumping && woken;
    if (pump)
        woken = false;
    while (pump && take_piece())
        continue;
    /* Nothing may come when all has been said. */
    (void)uv_run(&loop, pump ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

static uv_timer_t *start_deadline(uint64_t ms)
{
    static uv_timer_t deadline;
    late = false;
    (void)uv_timer_init(&loop, &deadline);
    (void)uv_timer_start(&deadline, on_late, ms, 0);
    return &deadline;
}

static void end_deadline(uv_timer_t *deadline)
{
    uv_close((uv_handle_t *)deadline, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* Lets happen what happens in that time. */
static void run_for(uint64_t ms)
{
    uv_timer_t *deadline = start_deadline(ms);
    while (!late)
        turn();
    end_deadline(deadline);
}

static const char *id_of(int n)
{
    static char ids[8][UUID_TEXT];
    static unsigned next;
    char *id = ids[next++ % 8];
    (void)snprintf(id, UUID_TEXT, "01890a5d-ac96-774b-bcce-%012d", n);
    return id;
}

static const char *id_in(const json_t *message)
{
    const json_t *record = json_object_get(message, "record");
    return json_get_string(record ? record : message, "id", "");
}

/* The next message of that type that was not taken, about capture `n` (0: any). */
static json_t *find(const char *type, int n)
{
    for (unsigned i = 0; i < got_count; i++)
        if (!got[i].taken && str_eq(json_get_string(got[i].message, "type", ""), type) &&
            (n == 0 || str_eq(id_in(got[i].message), id_of(n)))) {
            got[i].taken = true;
            return got[i].message;
        }
    return NULL;
}

static json_t *wait_for(const char *type, int n)
{
    json_t *message = find(type, n);
    uv_timer_t *deadline = start_deadline(WAIT_MS);
    while (!message && !late) {
        turn();
        message = find(type, n);
    }
    end_deadline(deadline);
    if (!message)
        fail_msg("no %s for %d came", type, n);
    return message;
}

static void expect_none(const char *type, int n)
{
    if (find(type, n))
        fail_msg("a %s for %d came", type, n);
}

static void say(const char *type, json_t *fields)
{
    AUTOJSON json_t *message = fields;
    delivery_take(d, type, message);
}

static void say_id(const char *type, int n)
{
    say(type, json_pack("{s:s}", "id", id_of(n)));
}

static void go(int blob, uint64_t offset)
{
    arrived[blob].from = offset;
    say("blob.go", json_pack("{s:i,s:I}", "blob", blob, "offset", (json_int_t)offset));
}

static void ack(int blob, uint64_t offset)
{
    say("blob.ack", json_pack("{s:i,s:I}", "blob", blob, "offset", (json_int_t)offset));
}

static void blob_done(int blob)
{
    say("blob.done", json_pack("{s:i}", "blob", blob));
}

static void refuse(int blob, int retry_ms)
{
    json_t *fields = json_pack("{s:i,s:s,s:s}", "blob", blob, "code", "TOO_BIG", "text", "no");
    if (retry_ms >= 0)
        json_set_int(fields, "retry_ms", retry_ms);
    say("blob.refused", fields);
}

static void forget_pieces(void)
{
    for (int i = 0; i < BLOBS_MAX; i++) {
        buf_clear(&arrived[i].bytes);
        buf_init(&arrived[i].bytes, 64 << 20);
        arrived[i].from = 0;
    }
    order_count = 0;
}

static void connect_console(void)
{
    static const struct delivery_channel channel = {
        .send = on_send, .wake = on_wake, .break_off = on_break_off, .takes_blobs = true};
    forget_pieces();
    broken_off = 0;
    for (unsigned i = 0; i < got_count; i++)
        got[i].taken = true;
    delivery_open(d, &channel);
}

static void reconnect(void)
{
    delivery_close(d);
    connect_console();
}

/* ---- the spool ------------------------------------------------------------------------------- */

static char *spool_file(int n, const char *extension)
{
    return xasprintf("%s/spool/%s%s", folder, id_of(n), extension);
}

static bool there(int n, const char *extension)
{
    AUTOFREE char *path = spool_file(n, extension);
    return access(path, F_OK) == 0;
}

static void put_bytes(const char *path, int n, size_t len)
{
    AUTOFREE uint8_t *bytes = xcalloc(1, len + 1);
    uint32_t x = 2463534242u + (uint32_t)n;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (uint8_t)x;
    }
    assert_int_equal(path_write_atomic(path, bytes, len, 0600), 0);
}

static void put_record(const struct record *r)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s.json", folder, r->id);
    AUTOJSON json_t *json = record_to_json(r);
    AUTOFREE char *text = json_dumps(json, JSON_COMPACT);
    put_file(path, text);
}

/* A capture that has ended, with a result of `bytes` bytes (0: failed) that zstd cannot make
 * smaller. */
static void store(int n, size_t bytes, bool from_console)
{
    AUTORECORD struct record r;
    record_init(&r);
    (void)strcpy(r.id, id_of(n));
    r.app = xstrdup("web");
    r.from_console = from_console;
    r.role = from_console ? xstrdup("operator") : NULL;
    r.host = from_console ? xstrdup(HOST) : NULL;
    r.created_ms = r.not_after_ms = loop_wall_ms() - 1000000 + n * 1000;
    if (bytes > 0) {
        AUTOFREE char *path = spool_file(n, ".cpuprofile");
        put_bytes(path, n, bytes);
        r.bytes = (int64_t)bytes;
        record_end(&r, RECORD_DONE, r.created_ms + 1);
    } else {
        record_fail(&r, "NO_LISTEN", NULL, r.created_ms + 1);
    }
    put_record(&r);
}

static void read_record(int n, struct record *r)
{
    char why[RECORD_TEXT];
    record_init(r);
    assert_int_equal(spool_read(&cs.spool, id_of(n), r, why), 0);
}

/* ---- a private agent for each test ----------------------------------------------------------- */

static void start_agent(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(conn_open(&ours, &loop, fds[0], on_our_msg, on_conn_closed, NULL), 0);
    assert_int_equal(conn_open(&supervisor, &loop, fds[1], on_supervisor_msg, on_conn_closed, NULL),
                     0);
    assert_int_equal(captures_open(&cs, &loop, &ours, folder, 0), 0);
    d = delivery_new(&cs);
    captures_resume(&cs);
    delivery_belong(d, HOST);
}

static void end_agent(void)
{
    assert_int_equal(broken_off, 0);
    delivery_free(d);
    captures_close(&cs);
    conn_close(&ours);
    conn_close(&supervisor);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    captures_clear(&cs);
}

/* Until everything is packed. */
static void wait_until_packed(void)
{
    uv_timer_t *deadline = start_deadline(WAIT_MS);
    while (!late && (cs.packing.busy || spool_next_unpacked(&cs.spool)))
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_false(late);
    end_deadline(deadline);
}

static void start_packed(void)
{
    start_agent();
    wait_until_packed();
}

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    AUTOFREE char *spool = in_folder("spool");
    got_count = asked_count = 0;
    memset(got, 0, sizeof got);
    memset(asked, 0, sizeof asked);
    forget_pieces();
    pumping = true;
    woken = false;
    return mkdir(spool, 0700);
}

static int tear_down(void **state)
{
    end_agent();
    forget_pieces();
    for (unsigned i = 0; i < got_count; i++)
        json_decref(got[i].message);
    for (unsigned i = 0; i < asked_count; i++) {
        json_decref(asked[i].message);
        if (asked_fds[i] >= 0)
            (void)close(asked_fds[i]);
    }
    return remove_folder(state);
}

/* Have exactly the stored bytes from `from` on arrived? */
static void assert_arrived(int blob, int n, uint64_t from)
{
    AUTOFREE char *path = spool_file(n, ".cpuprofile.zst");
    AUTOBUF struct buf stored = BUF_INIT(64 << 20);
    assert_int_equal(path_read(path, &stored), 0);
    assert_int_equal(arrived[blob].from, from);
    assert_int_equal(arrived[blob].bytes.len, stored.len - from);
    assert_memory_equal(buf_str(&arrived[blob].bytes), stored.data + from, stored.len - from);
}

/* Acknowledges pieces until the end comes. */
static json_t *take_all(int blob)
{
    json_t *end = NULL;
    uv_timer_t *deadline = start_deadline(WAIT_MS);
    while (!end && !late) {
        ack(blob, arrived[blob].from + arrived[blob].bytes.len);
        turn();
        end = find("blob.end", 0);
    }
    end_deadline(deadline);
    assert_non_null(end);
    assert_int_equal(json_get_int(end, "blob", 0), blob);
    return end;
}

static void wait_until_delivered(int n)
{
    uv_timer_t *deadline = start_deadline(WAIT_MS);
    while (!late && !spool_find(&cs.spool, id_of(n))->delivered)
        turn();
    end_deadline(deadline);
    AUTORECORD struct record r;
    read_record(n, &r);
    assert_true(r.delivered);
}

/* ---- tests: results -------------------------------------------------------------------------- */

static void tells_an_end_and_sends_its_result_until_both_are_acknowledged(void **state)
{
    store(1, 3000000, true);
    start_packed();
    connect_console();
    const json_t *told = json_object_get(wait_for("capture", 1), "record");
    assert_string_equal(json_get_string(told, "state", ""), "done");
    assert_string_equal(json_get_string(told, "origin", ""), "console");
    assert_null(json_object_get(told, "delivered"));
    const json_t *begin = wait_for("blob.begin", 1);
    assert_int_equal(json_get_int(begin, "blob", 0), 1);
    go(1, 0);
    const json_t *end = take_all(1);
    assert_arrived(1, 1, 0);
    AUTORECORD struct record r;
    read_record(1, &r);
    assert_string_equal(json_get_string(begin, "stored_sha256", ""), r.stored_sha256);
    assert_int_equal(json_get_int(begin, "stored_bytes", 0), r.stored_bytes);
    assert_string_equal(json_get_string(end, "sha256", ""), r.sha256);
    assert_string_equal(json_get_string(end, "stored_sha256", ""), r.stored_sha256);
    assert_int_equal(json_get_int(end, "bytes", 0), 3000000);
    assert_int_equal(json_get_int(end, "stored_bytes", 0), arrived[1].bytes.len);
    blob_done(1);
    assert_false(r.delivered);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
    /* It is here as before, and nothing is owed any more. */
    assert_true(there(1, ".cpuprofile.zst"));
    reconnect();
    run_for(50);
    expect_none("capture", 0);
}

static void sends_no_byte_past_the_window(void **state)
{
    store(1, 3 << 20, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    run_for(20);
    assert_int_equal(order_count, 0);
    go(1, 0);
    run_for(50);
    assert_int_equal(arrived[1].bytes.len, BLOB_WINDOW);
    ack(1, 1);
    run_for(20);
    assert_int_equal(arrived[1].bytes.len, BLOB_WINDOW + 1);
    ack(1, 70000);
    run_for(20);
    assert_int_equal(arrived[1].bytes.len, BLOB_WINDOW + 70000);
    /* Neither what was not sent nor what is less than before, nor a second blob.go, nor a word too early. */
    ack(1, BLOB_WINDOW + 70001);
    assert_broken_off("blob.ack");
    ack(1, 69999);
    assert_broken_off("blob.ack");
    say("blob.go", json_pack("{s:i,s:i}", "blob", 1, "offset", 0));
    assert_broken_off("blob.go");
    blob_done(1);
    assert_broken_off("before the blob.end");
    run_for(20);
    assert_int_equal(arrived[1].bytes.len, BLOB_WINDOW + 70000);
    ack(1, BLOB_WINDOW);
    run_for(20);
    assert_int_equal(arrived[1].bytes.len, 2 * BLOB_WINDOW);
    (void)take_all(1);
    assert_arrived(1, 1, 0);
}

static void resumes_where_the_console_says(void **state)
{
    store(1, 500000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    /* Past its end is nowhere. */
    say("blob.go", json_pack("{s:i,s:i}", "blob", 1, "offset", 99999999));
    assert_broken_off("blob.go");
    run_for(20);
    assert_int_equal(order_count, 0);
    go(1, 123456);
    (void)take_all(1);
    assert_arrived(1, 1, 123456);
}

static void a_console_that_has_all_bytes_gets_none(void **state)
{
    store(1, 100000, true);
    start_packed();
    connect_console();
    int64_t size = json_get_int(wait_for("blob.begin", 1), "stored_bytes", 0);
    go(1, (uint64_t)size);
    (void)wait_for("blob.end", 0);
    assert_int_equal(order_count, 0);
}

static void begins_again_after_every_reconnect(void **state)
{
    store(1, 2 << 20, true);
    start_packed();
    connect_console();
    (void)wait_for("capture", 1);
    /* Before the first word about the result. */
    reconnect();
    (void)wait_for("capture", 1);
    (void)wait_for("blob.begin", 1);
    /* Before blob.go. */
    reconnect();
    assert_int_equal(json_get_int(wait_for("blob.begin", 1), "blob", 0), 1);
    pumping = false;
    go(1, 0);
    while (order_count < 5)
        if (!take_piece())
            (void)uv_run(&loop, UV_RUN_ONCE);
    /* Between two pieces, with a read under way; what was committed is not sent again. */
    reconnect();
    pumping = true;
    (void)wait_for("capture", 1);
    assert_int_equal(json_get_int(wait_for("blob.begin", 1), "blob", 0), 1);
    go(1, 5 * BLOB_CHUNK);
    (void)take_all(1);
    assert_arrived(1, 1, 5 * BLOB_CHUNK);
    /* After the end. */
    reconnect();
    int64_t size = json_get_int(wait_for("blob.begin", 1), "stored_bytes", 0);
    go(1, (uint64_t)size);
    (void)wait_for("blob.end", 0);
    blob_done(1);
    /* Without the last word. */
    reconnect();
    (void)wait_for("capture", 1);
    (void)wait_for("blob.begin", 1);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
    go(1, 0);
    run_for(20);
    assert_int_equal(order_count, 0);
}

static void goes_on_where_an_agent_before_it_ended(void **state)
{
    store(1, 300000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    go(1, 0);
    run_for(10);
    end_agent();
    start_agent();
    connect_console();
    (void)wait_for("capture", 1);
    (void)wait_for("blob.begin", 1);
    go(1, 65536);
    (void)take_all(1);
    assert_arrived(1, 1, 65536);
}

static void sends_four_at_a_time_the_oldest_first_and_in_turn(void **state)
{
    for (int n = 6; n >= 1; n--)
        store(n, 400000, true);
    start_packed();
    connect_console();
    for (int n = 1; n <= 4; n++)
        assert_int_equal(json_get_int(wait_for("blob.begin", n), "blob", 0), n);
    run_for(30);
    expect_none("blob.begin", 0);
    pumping = false;
    for (int blob = 1; blob <= 4; blob++)
        go(blob, 0);
    run_for(30);
    for (int i = 0; i < 8; i++)
        assert_true(take_piece());
    for (int i = 0; i < 8; i++)
        assert_int_equal(order[i], i % 4 + 1);
    pumping = true;
    for (unsigned i = 0; i < 4; i++)
        (void)wait_for("blob.end", 0);
    for (int n = 1; n <= 4; n++)
        assert_arrived(n, n, 0);
    blob_done(2);
    assert_int_equal(json_get_int(wait_for("blob.begin", 5), "blob", 0), 5);
    run_for(20);
    expect_none("blob.begin", 0);
    /* An acknowledgement frees its place, too. */
    say_id("capture.ack", 1);
    assert_int_equal(json_get_int(wait_for("blob.begin", 6), "blob", 0), 6);
}

static void begins_again_when_the_console_says_later(void **state)
{
    store(1, 100000, true);
    store(2, 100000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    (void)wait_for("blob.begin", 2);
    go(1, 0);
    go(2, 0);
    /* Whatever it says, after a second, and then after two. */
    refuse(1, 1);
    uint64_t before = uv_hrtime();
    (void)wait_for("blob.begin", 1);
    assert_true(uv_hrtime() - before >= 990 * UINT64_C(1000000));
    refuse(3, 0);
    before = uv_hrtime();
    const json_t *begin = wait_for("blob.begin", 1);
    assert_true(uv_hrtime() - before >= 1990 * UINT64_C(1000000));
    assert_int_equal(json_get_int(begin, "blob", 0), 4);
    /* The other one was not disturbed. */
    (void)wait_for("blob.end", 0);
    assert_arrived(2, 2, 0);
    assert_int_equal(arrived[1].bytes.len, 0);
    go(4, 0);
    (void)take_all(4);
    assert_arrived(4, 1, 0);
}

static void never_again_what_is_refused_for_good(void **state)
{
    store(1, 100000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    refuse(1, -1);
    run_for(150);
    expect_none("blob.begin", 0);
    /* The end is still owed. */
    reconnect();
    (void)wait_for("capture", 1);
    run_for(30);
    expect_none("blob.begin", 0);
    assert_true(there(1, ".cpuprofile.zst"));
    say_id("capture.ack", 1);
    wait_until_delivered(1);
}

static void waits_until_a_result_is_packed(void **state)
{
    store(1, 3000000, true);
    start_agent();
    connect_console();
    (void)wait_for("capture", 1);
    assert_true(there(1, ".cpuprofile.zst") || !find("blob.begin", 1));
    (void)wait_for("blob.begin", 1);
    assert_true(there(1, ".cpuprofile.zst"));
    go(1, 0);
    (void)take_all(1);
    assert_arrived(1, 1, 0);
}

static void tells_that_a_result_is_missing(void **state)
{
    AUTOFREE char *path = spool_file(1, ".cpuprofile.zst");
    store(1, 1000, true);
    start_packed();
    assert_int_equal(unlink(path), 0);
    connect_console();
    (void)wait_for("capture", 1);
    const json_t *told = json_object_get(wait_for("capture", 1), "record");
    assert_string_equal(json_string_value(json_array_get(json_object_get(told, "warnings"), 0)),
                        "result_missing");
    run_for(20);
    expect_none("blob.begin", 0);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
}

static void tells_that_a_result_was_cut_while_it_was_sent(void **state)
{
    AUTOFREE char *path = spool_file(1, ".cpuprofile.zst");
    store(1, 2 << 20, true);
    store(2, 1000, true);
    start_packed();
    connect_console();
    (void)wait_for("capture", 1);
    (void)wait_for("blob.begin", 1);
    assert_int_equal(truncate(path, 1000000), 0);
    go(1, 0);
    const json_t *told = NULL;
    while (!told) {
        ack(1, arrived[1].bytes.len);
        turn();
        told = find("capture", 1);
    }
    told = json_object_get(told, "record");
    assert_string_equal(json_string_value(json_array_get(json_object_get(told, "warnings"), 0)),
                        "result_damaged");
    expect_none("blob.end", 0);
    /* The other one is not harmed. */
    go(2, 0);
    (void)take_all(2);
}

static void sends_no_results_to_a_console_that_takes_none(void **state)
{
    store(1, 1000, true);
    start_packed();
    static const struct delivery_channel channel = {.send = on_send, .wake = on_wake};
    delivery_open(d, &channel);
    (void)wait_for("capture", 1);
    run_for(20);
    expect_none("blob.begin", 0);
}

static void is_not_put_out_by_words_about_blobs_that_are_over(void **state)
{
    store(1, 1000, true);
    store(2, 1000, true);
    start_packed();
    go(1, 0); /* without a connection */
    connect_console();
    (void)wait_for("blob.begin", 1);
    (void)wait_for("blob.begin", 2);
    refuse(1, -1);
    go(1, 0);
    ack(1, 5);
    blob_done(1);
    refuse(1, 0);
    run_for(20);
    assert_int_equal(order_count, 0);
    go(2, 0);
    (void)take_all(2);
}

static void ends_the_connection_for_words_about_blobs_that_are_none(void **state)
{
    store(1, 1000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    ack(1, 0);
    assert_broken_off("blob.ack");
    go(2, 0);
    assert_broken_off("not begun");
    blob_done(3);
    assert_broken_off("not begun");
    assert_false(delivery_has_moved(d));
    go(1, 0);
    (void)take_all(1);
    blob_done(1);
    assert_true(delivery_has_moved(d));
}

static void tells_that_a_result_is_too_large_to_be_sent(void **state)
{
    AUTORECORD struct record r;
    store(1, 1000, true);
    start_packed();
    read_record(1, &r);
    r.bytes = (int64_t)LIMIT_RESULT + 1;
    put_record(&r);
    connect_console();
    (void)wait_for("capture", 1);
    const json_t *told = json_object_get(wait_for("capture", 1), "record");
    assert_string_equal(json_string_value(json_array_get(json_object_get(told, "warnings"), 0)),
                        "result_too_large");
    expect_none("blob.begin", 0);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
}

/* No descriptors are left for a while: that says nothing about record and result. */
static void loses_nothing_to_an_error_that_passes(void **state)
{
    AUTORECORD struct record r;
    struct rlimit before, none;
    store(1, 1000, true);
    start_packed();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    connect_console();
    say_id("capture.get", 1);
    run_for(100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_none("blob.begin", 0);
    reconnect();
    (void)wait_for("capture", 1);
    (void)wait_for("blob.begin", 1);
    read_record(1, &r);
    assert_int_equal(r.warnings.count, 0);
}

static void is_freed_in_the_middle_of_everything(void **state)
{
    for (int n = 1; n <= 40; n++)
        store(n, n < 5 ? 1000000 : 0, true);
    start_packed();
    connect_console();
    for (int blob = 1; blob <= 4; blob++)
        (void)wait_for("blob.begin", blob);
    for (int blob = 1; blob <= 4; blob++)
        go(blob, 0);
    for (int n = 5; n < 20; n++)
        say_id("capture.ack", n);
    for (int n = 20; n < 30; n++)
        say_id("capture.get", n);
    /* Reads, amendments and a list are under way; tear_down() does it. */
}

/* ---- tests: records -------------------------------------------------------------------------- */

static void tells_many_records_as_fast_as_they_are_taken(void **state)
{
    for (int n = 1; n <= 200; n++)
        store(n, 0, true);
    start_packed();
    pumping = false;
    connect_console();
    run_for(50);
    assert_in_range(got_count, 16, 48);
    pumping = true;
    for (int n = 1; n <= 200; n++)
        (void)wait_for("capture", n);
    expect_none("capture", 0);
    for (int n = 1; n <= 200; n++)
        say_id("capture.ack", n);
    for (int n = 1; n <= 200; n++)
        wait_until_delivered(n);
}

static void never_tells_what_somebody_on_this_host_has_asked_for(void **state)
{
    store(1, 1000, false);
    start_packed();
    connect_console();
    run_for(30);
    expect_none("capture", 0);
    say_id("capture.get", 1);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 1), "code", ""), "NOT_FOUND");
    say_id("capture.stop", 1);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 1), "code", ""), "NOT_FOUND");
    say_id("capture.cancel", 1);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 1), "code", ""), "NOT_FOUND");
    say_id("capture.ack", 1);
    say_id("capture.get", 2);
    (void)wait_for("capture.unknown", 2);
    AUTORECORD struct record r;
    read_record(1, &r);
    assert_false(r.delivered);
}

static void tells_a_record_that_has_gone_since(void **state)
{
    AUTOFREE char *path = spool_file(1, ".json");
    store(1, 0, true);
    start_packed();
    /* What is owed is not removed for its age. */
    cs.spool.keep_ms = -1;
    cs.spool.steady_ms = 0;
    captures_retain(&cs);
    assert_int_equal(cs.spool.count, 1);
    cs.spool.entries[0].delivered = true;
    captures_retain(&cs);
    assert_int_equal(cs.spool.count, 0);
    connect_console();
    (void)wait_for("capture.unknown", 1);
    reconnect();
    run_for(20);
    expect_none("capture.unknown", 0);
}

static void tells_what_was_acknowledged_when_it_is_asked(void **state)
{
    store(1, 1000, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
    run_for(10);
    say_id("capture.get", 1);
    (void)wait_for("capture", 1);
    (void)wait_for("capture", 1);
    say_id("capture.ack", 1);
    reconnect();
    run_for(20);
    expect_none("capture", 0);
}

static void owes_nothing_to_the_next_console(void **state)
{
    store(1, 1000000, true);
    store(2, 0, true);
    start_packed();
    connect_console();
    (void)wait_for("blob.begin", 1);
    go(1, 0);
    delivery_close(d);
    delivery_belong(d, NULL);
    delivery_belong(d, OTHER_HOST);
    connect_console();
    run_for(20);
    expect_none("capture", 0);
    assert_int_equal(order_count, 0);
    say_id("capture.get", 1);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 1), "code", ""), "NOT_FOUND");
    /* Nor is the next agent told otherwise, however the one before it ended. */
    end_agent();
    start_agent();
    delivery_belong(d, OTHER_HOST);
    connect_console();
    run_for(20);
    expect_none("capture", 0);
    /* It is still owed to the one that asked. */
    delivery_close(d);
    delivery_belong(d, HOST);
    connect_console();
    (void)wait_for("capture", 1);
    (void)wait_for("capture", 2);
}

/* ---- tests: captures ------------------------------------------------------------------------- */

static void start_on(int n, json_int_t not_after_ms, const char *kind)
{
    say("capture.start",
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:I,s:s,s:s}", "id", id_of(n), "kind", kind, "app", "web",
                  "instance", 0, "duration_ms", 5, "not_after_ms", not_after_ms, "requester",
                  "anna", "role", "operator"));
}

static void start(int n)
{
    start_on(n, (json_int_t)loop_wall_ms() + 60000, "cpu");
}

/* Waits until the supervisor was asked, and returns the request. */
static const json_t *wait_asked(const char *method, int n, int *ret_fd)
{
    uv_timer_t *deadline = start_deadline(WAIT_MS);
    const json_t *found = NULL;
    while (!found && !late) {
        for (unsigned i = 0; i < asked_count && !found; i++) {
            const json_t *params = json_object_get(asked[i].message, "params");
            if (asked[i].taken || !str_eq(json_get_string(params, "id", ""), id_of(n)) ||
                !str_eq(json_get_string(asked[i].message, "method", ""), method))
                continue;
            asked[i].taken = true;
            found = params;
            if (ret_fd)
                *ret_fd = TAKE_FD(asked_fds[i]);
        }
        if (!found)
            turn();
    }
    end_deadline(deadline);
    assert_non_null(found);
    return found;
}

static void enter(int n, const char *phase)
{
    AUTOFREE char *id = xasprintf("%s:start", id_of(n));
    AUTOJSON json_t *params = json_pack("{s:s,s:i}", "phase", phase, "at_ms", 123);
    assert_int_equal(conn_progress(&supervisor, id, params), 0);
}

static void end_with(int n, const char *state, const char *error)
{
    AUTOFREE char *id = xasprintf("%s:start", id_of(n));
    AUTOJSON json_t *result = json_pack("{s:s,s:s}", "state", state, "phase", "sending");
    json_set_string(result, "error", error);
    assert_int_equal(conn_result(&supervisor, id, result, -1), 0);
}

static const char *told_state(int n)
{
    return json_get_string(json_object_get(wait_for("capture", n), "record"), "state", "");
}

static void runs_a_capture_for_the_console(void **state)
{
    int fd;
    start_agent();
    connect_console();
    start(1);
    assert_string_equal(told_state(1), "queued");
    const json_t *request = wait_asked("probe.start", 1, &fd);
    assert_string_equal(json_get_string(request, "role", ""), "operator");
    assert_string_equal(json_get_string(request, "requester", ""), "anna");
    /* The same id again is told, not started. */
    start(1);
    assert_string_equal(told_state(1), "queued");
    enter(1, "open");
    const json_t *told = json_object_get(wait_for("capture", 1), "record");
    assert_string_equal(json_get_string(told, "phase", ""), "open");
    assert_string_equal(json_get_string(told, "role", ""), "operator");
    /* Nobody can acknowledge what has not ended. */
    say_id("capture.ack", 1);
    assert_broken_off("has not ended");
    say_id("capture.stop", 1);
    (void)wait_asked("probe.stop", 1, NULL);
    assert_int_equal(write(fd, "samples", 7), 7);
    (void)close(fd);
    end_with(1, "done", NULL);
    assert_string_equal(told_state(1), "done");
    (void)wait_for("blob.begin", 1);
    go(1, 0);
    (void)take_all(1);
    say_id("capture.stop", 1);
    assert_string_equal(told_state(1), "done");
    blob_done(1);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
    start(1);
    assert_string_equal(told_state(1), "done");
    for (unsigned i = 0; i < asked_count; i++)
        assert_false(!asked[i].taken &&
                     str_eq(json_get_string(asked[i].message, "method", ""), "probe.start"));
}

static void tells_what_happens_while_the_console_is_away(void **state)
{
    start_agent();
    connect_console();
    start(1);
    start(2);
    (void)wait_asked("probe.start", 1, NULL);
    (void)wait_asked("probe.start", 2, NULL);
    delivery_close(d);
    run_for(10);
    enter(1, "open");
    end_with(2, "failed", "NO_LISTEN");
    run_for(50);
    reconnect();
    const json_t *told = json_object_get(wait_for("capture", 1), "record");
    assert_string_equal(json_get_string(told, "phase", ""), "open");
    assert_string_equal(told_state(2), "failed");
    say_id("capture.ack", 2);
    wait_until_delivered(2);
    say_id("capture.cancel", 1);
    (void)wait_asked("probe.cancel", 1, NULL);
    end_with(1, "cancelled", NULL);
    assert_string_equal(told_state(1), "cancelled");
}

static void refuses_with_a_sentence_what_makes_no_record(void **state)
{
    start_agent();
    connect_console();
    start_on(1, (json_int_t)loop_wall_ms() + 60000, "snapshot");
    const json_t *told = wait_for("capture.unknown", 1);
    assert_string_equal(json_get_string(told, "code", ""), "UNSUPPORTED");
    assert_non_null(strstr(json_get_string(told, "text", ""), "snapshot"));
    /* What comes too late has a record. */
    start_on(2, (json_int_t)loop_wall_ms() - 1, "cpu");
    assert_string_equal(told_state(2), "expired");
    run_for(50);
    for (int n = 10; n < 58; n++)
        start(n);
    start(99);
    told = wait_for("capture.unknown", 99);
    assert_string_equal(json_get_string(told, "code", ""), "BUSY");
    assert_non_null(strstr(json_get_string(told, "text", ""), "48 captures of the console"));
    /* There is room for the people of the host. */
    AUTOJSON json_t *local = json_pack("{s:s,s:s,s:s,s:I}", "id", id_of(60), "kind", "cpu", "app",
                                       "web", "not_after_ms", (json_int_t)loop_wall_ms() + 60000);
    assert_int_equal(conn_request(&supervisor, "r60", "capture.start", local, -1), 0);
    (void)wait_asked("probe.start", 60, NULL);
    /* The journal's way is blocked. */
    (void)wait_asked("probe.start", 57, NULL);
    end_with(10, "failed", "NO_LISTEN");
    assert_string_equal(told_state(10), "queued");
    assert_string_equal(told_state(10), "failed");
    AUTOFREE char *blocker = spool_file(98, ".json.tmp");
    assert_int_equal(mkdir(blocker, 0700), 0);
    start(98);
    told = wait_for("capture.unknown", 98);
    assert_string_equal(json_get_string(told, "code", ""), "EISDIR");
    say_id("capture.get", 98);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 98), "code", ""), "NOT_FOUND");
}

static void takes_on_no_more_than_this_host_keeps(void **state)
{
    store(1, 5000, true);
    start_packed();
    cs.spool.limit_bytes = 10000;
    connect_console();
    start(2);
    const json_t *told = wait_for("capture.unknown", 2);
    assert_string_equal(json_get_string(told, "code", ""), "BUSY");
    assert_non_null(strstr(json_get_string(told, "text", ""), "1 captures wait"));
    say_id("capture.ack", 1);
    wait_until_delivered(1);
    start(2);
    assert_string_equal(told_state(2), "queued");
}

static void the_people_of_the_host_are_masters(void **state)
{
    start_agent();
    connect_console();
    start(1);
    (void)wait_asked("probe.start", 1, NULL);
    /* They stop what the console has started. */
    AUTOJSON json_t *params = json_pack("{s:s}", "id", id_of(1));
    assert_int_equal(conn_request(&supervisor, "s1", "capture.stop", params, -1), 0);
    (void)wait_asked("probe.stop", 1, NULL);
    /* And the console does not see what they have started. */
    AUTOJSON json_t *local =
        json_pack("{s:s,s:s,s:s,s:I,s:s}", "id", id_of(2), "kind", "cpu", "app", "web",
                  "not_after_ms", (json_int_t)loop_wall_ms() + 60000, "role", "admin");
    assert_int_equal(conn_request(&supervisor, "r2", "capture.start", local, -1), 0);
    assert_null(json_object_get(wait_asked("probe.start", 2, NULL), "role"));
    say_id("capture.cancel", 2);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 2), "code", ""), "NOT_FOUND");
    say_id("capture.get", 2);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 2), "code", ""), "NOT_FOUND");
    start(2);
    assert_string_equal(json_get_string(wait_for("capture.unknown", 2), "code", ""), "EXISTS");
    expect_none("capture", 2);
}

static void an_end_that_could_not_be_noted_is_told_again(void **state)
{
    AUTOFREE char *blocker = spool_file(1, ".json.tmp");
    AUTOFREE char *record = spool_file(1, ".json");
    store(1, 0, true);
    start_packed();
    connect_console();
    (void)wait_for("capture", 1);
    /* The record cannot be replaced, nor written over. */
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    assert_int_equal(path_read(record, &text), 0);
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(unlink(record), 0);
    assert_int_equal(symlink("/dev/null", record), 0);
    say_id("capture.ack", 1);
    run_for(50);
    assert_int_equal(rmdir(blocker), 0);
    assert_int_equal(unlink(record), 0);
    put_file(record, buf_str(&text));
    assert_false(spool_find(&cs.spool, id_of(1))->delivered);
    reconnect();
    (void)wait_for("capture", 1);
    say_id("capture.ack", 1);
    wait_until_delivered(1);
}

/* An end that the disk does not take is told when it does. */
static void tells_no_end_that_is_not_on_disk(void **state)
{
    AUTOFREE char *blocker = spool_file(1, ".json.tmp");
    AUTOFREE char *record = spool_file(1, ".json");
    start_agent();
    connect_console();
    start(1);
    assert_string_equal(told_state(1), "queued");
    (void)wait_asked("probe.start", 1, NULL);
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(unlink(record), 0);
    assert_int_equal(symlink("/dev/null", record), 0);
    end_with(1, "failed", "NO_LISTEN");
    run_for(100);
    expect_none("capture", 1);
    say_id("capture.get", 1);
    reconnect();
    run_for(100);
    expect_none("capture", 1);
    assert_int_equal(rmdir(blocker), 0);
    assert_int_equal(unlink(record), 0);
    assert_string_equal(told_state(1), "failed");
    say_id("capture.ack", 1);
    wait_until_delivered(1);
}

static void what_runs_for_a_console_ends_with_the_link(void **state)
{
    start_agent();
    connect_console();
    start(1);
    (void)wait_asked("probe.start", 1, NULL);
    AUTOJSON json_t *local = json_pack("{s:s,s:s,s:s,s:I}", "id", id_of(2), "kind", "cpu", "app",
                                       "web", "not_after_ms", (json_int_t)loop_wall_ms() + 60000);
    assert_int_equal(conn_request(&supervisor, "r2", "capture.start", local, -1), 0);
    (void)wait_asked("probe.start", 2, NULL);
    delivery_close(d);
    delivery_belong(d, NULL);
    (void)wait_asked("probe.cancel", 1, NULL);
    end_with(1, "cancelled", NULL);
    run_for(50);
    for (unsigned i = 0; i < asked_count; i++)
        assert_false(!asked[i].taken &&
                     str_eq(json_get_string(asked[i].message, "method", ""), "probe.cancel"));
    AUTORECORD struct record r;
    read_record(1, &r);
    assert_int_equal(r.state, RECORD_CANCELLED);
    assert_string_equal(r.host, HOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tells_an_end_and_sends_its_result_until_both_are_acknowledged),
        TEST(sends_no_byte_past_the_window),
        TEST(resumes_where_the_console_says),
        TEST(a_console_that_has_all_bytes_gets_none),
        TEST(begins_again_after_every_reconnect),
        TEST(goes_on_where_an_agent_before_it_ended),
        TEST(sends_four_at_a_time_the_oldest_first_and_in_turn),
        TEST(begins_again_when_the_console_says_later),
        TEST(never_again_what_is_refused_for_good),
        TEST(waits_until_a_result_is_packed),
        TEST(tells_that_a_result_is_missing),
        TEST(tells_that_a_result_was_cut_while_it_was_sent),
        TEST(sends_no_results_to_a_console_that_takes_none),
        TEST(is_not_put_out_by_words_about_blobs_that_are_over),
        TEST(ends_the_connection_for_words_about_blobs_that_are_none),
        TEST(tells_that_a_result_is_too_large_to_be_sent),
        TEST(loses_nothing_to_an_error_that_passes),
        TEST(tells_no_end_that_is_not_on_disk),
        TEST(what_runs_for_a_console_ends_with_the_link),
        TEST(is_freed_in_the_middle_of_everything),
        TEST(tells_many_records_as_fast_as_they_are_taken),
        TEST(never_tells_what_somebody_on_this_host_has_asked_for),
        TEST(tells_a_record_that_has_gone_since),
        TEST(tells_what_was_acknowledged_when_it_is_asked),
        TEST(owes_nothing_to_the_next_console),
        TEST(runs_a_capture_for_the_console),
        TEST(tells_what_happens_while_the_console_is_away),
        TEST(refuses_with_a_sentence_what_makes_no_record),
        TEST(takes_on_no_more_than_this_host_keeps),
        TEST(the_people_of_the_host_are_masters),
        TEST(an_end_that_could_not_be_noted_is_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
