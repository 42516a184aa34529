/* What an agent with a certificate may send: any sequence of text and binary frames, in pieces,
 * over a few connections, with some time in between.  Nothing of it may bring the console down, let
 * something of another host in, or leave anything behind.
 *
 * The input is a list of steps: an opcode byte, then what it needs.  Store functions are
 * answered here, in any order the input likes. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/agents_private.h"
#include "remote/authority.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/history.h"
#include "remote/live.h"
#include "remote/logs.h"
#include "remote/store/accounts.h"
#include "remote/store/captures.h"
#include "remote/store/db.h"
#include "remote/store/exits.h"
#include "remote/store/history.h"
#include "remote/store/profiles.h"
#include "remote/store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOST_1 "01890a5d-ac96-774b-bcce-b302099a8057"
#define HOST_2 "01890a5d-ac96-774b-bcce-b302099a8058"
#define CAPTURE "01890a5d-0000-7000-8000-00000000000"

enum { CONNS = 3, CAPTURES = 4 };

/* ---- a store in memory ----------------------------------------------------------------------- */

struct job {
    struct list link;
    store_work_cb work;
    store_done_cb done;
    void *arg;
};

static struct list jobs = LIST_INIT(jobs);
static struct capture_row rows[CAPTURES];
static uint64_t part_bytes[CAPTURES];
static bool has_profile[CAPTURES];
static int next_error;

static void ask(store_work_cb work, store_done_cb done, void *arg)
{
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){.work = work, .done = done, .arg = arg};
    list_add(&jobs, &j->link, j);
}

void store_read(struct store *s, store_work_cb work, store_done_cb done, void *arg)
{
    ask(work, done, arg);
}

void store_write(struct store *s, store_work_cb work, store_done_cb done, void *arg)
{
    ask(work, done, arg);
}

static bool run_job(void)
{
    if (list_empty(&jobs))
        return false;
    struct job *j = jobs.next->owner;
    list_remove(&j->link);
    int r = j->work(NULL, j->arg);
    if (next_error < 0 && r >= 0)
        r = next_error;
    next_error = 0;
    if (j->done)
        j->done(j->arg, r);
    free(j);
    return true;
}

static int number_of(const char *id)
{
    bool ours =
        strncmp(id, CAPTURE, sizeof CAPTURE - 1) == 0 && id[35] >= '0' && id[35] < '0' + CAPTURES;
    return ours ? id[35] - '0' : -1;
}

const char *db_dir(const struct db *db)
{
    return "/nowhere";
}

int captures_get(struct db *db, const char *id, struct capture_row *ret_row)
{
    int n = number_of(id);
    if (n < 0)
        return ERR_NOT_FOUND;
    *ret_row = rows[n];
    ret_row->record = xstrdup_null(rows[n].record);
    ret_row->was_stored = ret_row->has_profile = has_profile[n];
    return 0;
}

int captures_update(struct db *db, const struct capture_row *row)
{
    int n = number_of(row->id);
    assert(n >= 0);
    assert(strcmp(row->host, rows[n].host) == 0);
    free(rows[n].record);
    rows[n] = *row;
    rows[n].record = xstrdup_null(row->record);
    return 0;
}

int captures_add(struct db *db, const struct capture_row *row)
{
    return ERR_FAILED;
}

static bool is_asked_for(const struct capture_filter *filter, const struct capture_row *row)
{
    if (filter->host && strcmp(filter->host, row->host) != 0)
        return false;
    if (filter->revoked_only || (filter->unended_only && row->ended_ms))
        return false;
    return !filter->ended_only || row->ended_ms;
}

int captures_list(struct db *db, const struct capture_filter *filter, struct capture_list *ret_list)
{
    ret_list->count = 0;
    ret_list->rows = xcalloc(CAPTURES, sizeof *ret_list->rows);
    for (int n = 0; n < CAPTURES; n++)
        if (is_asked_for(filter, &rows[n]))
            (void)captures_get(db, rows[n].id, &ret_list->rows[ret_list->count++]);
    return 0;
}

void capture_row_clear(struct capture_row *row)
{
    free(row->record);
    *row = (struct capture_row){0};
}

void capture_list_clear(struct capture_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        capture_row_clear(&l->rows[i]);
    free(l->rows);
    *l = (struct capture_list){0};
}

static struct host_row a_host(const char *id, const char *name)
{
    struct host_row row = {.enrolled_ms = 1};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    return row;
}

int hosts_get(struct db *db, const char *id, struct host_row *ret_row)
{
    *ret_row = a_host(id, "h");
    ret_row->revoked_ms = 1;
    return 0;
}

int hosts_list(struct db *db, struct host_list *ret_list)
{
    return 0;
}

void host_list_clear(struct host_list *l)
{
}

int hosts_seen(struct db *db, const char *id, const char *name, const char *release, int64_t now_ms)
{
    assert(*name);
    return 0;
}

int hosts_set_cert(struct db *db, const char *id, int64_t not_after_ms)
{
    return 0;
}

int hosts_revoke(struct db *db, const char *id, int64_t now_ms)
{
    return 0;
}

int audit_add(struct db *db, const struct audit_row *row)
{
    return 0;
}

int incoming_begin(struct db *db, const char *capture, uint64_t stored_bytes,
                   const uint8_t stored_sha256[static SHA256_BYTES], uint64_t *ret_offset)
{
    int n = number_of(capture);
    assert(n >= 0);
    *ret_offset = part_bytes[n] <= stored_bytes ? part_bytes[n] : 0;
    part_bytes[n] = *ret_offset;
    return has_profile[n] ? ERR_EXISTS : 0;
}

int incoming_add(struct db *db, const char *capture, uint64_t offset, const void *data, size_t len)
{
    int n = number_of(capture);
    if (offset != part_bytes[n])
        return ERR_PROTOCOL;
    part_bytes[n] += len;
    return 0;
}

int incoming_check(const char *dir, const char *capture, const struct blob_sums *announced,
                   const atomic_bool *stop, char *reterr_text, size_t size)
{
    (void)snprintf(reterr_text, size, "damaged");
    return announced->sha256[0] & 1 ? ERR_MISMATCH : 0;
}

int retention_make_room(struct db *db, const char *capture, uint64_t stored_bytes,
                        const struct retention *limits, int64_t now_ms)
{
    return 0;
}

int incoming_drop(struct db *db, const char *capture)
{
    part_bytes[number_of(capture)] = 0;
    return 0;
}

/* Only what its own host brought. */
int profiles_add(struct db *db, const struct profile_row *row)
{
    int n = number_of(row->id);
    assert(n >= 0 && strcmp(row->host, rows[n].host) == 0);
    assert(row->sums.stored_bytes == part_bytes[n]);
    has_profile[n] = true;
    return 0;
}

void live_publish_text(struct live *l, const char *text, size_t len)
{
}

int history_add(struct db *db, struct history_row *row)
{
    if (row->seen_ms)
        assert(row->app[0] && row->host[0]);
    assert(row->seen_ms || row->process == 7);
    row->process = 7;
    return row->instance == 3 ? ERR_TOO_BIG : 0;
}

void history_row_clear(struct history_row *row)
{
    free(row->app);
    *row = (struct history_row){0};
}

int exits_add(struct db *db, const char *host, const char *app, int64_t instance,
              const struct exit_row *row, int64_t at_ms)
{
    assert(app[0] && row->at_ms > 0 && row->uptime_ms >= 0 && row->number >= 0);
    return 0;
}

void live_publish(struct live *l, const json_t *event)
{
    AUTOFREE char *text = json_dumps(event, 0);
    assert(text);
}

bool live_watched(const struct live *l)
{
    return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t left;
};

static unsigned byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}

static uv_loop_t loop;
static struct agents *agents;
static struct history *history;
static struct logs *logs;
static char last_question[UUID_TEXT]; /* that was drained; nobody else knows its id */
static struct agent_conn *conns[CONNS];
static uint64_t now_ms;

/* What we say must be what our own table lets pass. */
static void drain(struct agent_conn *c)
{
    struct agent_message *m;
    while ((m = agent_conn_next(c))) {
        const struct channel_type *type;
        json_t *j = NULL;
        char why[256];
        int r = channel_parse((char *)m->bytes + AGENTS_GAP, m->len, CHANNEL_CONSOLE, CHANNEL_HELLO,
                              &type, &j, why, sizeof why);
        if (r < 0)
            r = channel_parse((char *)m->bytes + AGENTS_GAP, m->len, CHANNEL_CONSOLE, CHANNEL_OPEN,
                              &type, &j, why, sizeof why);
        assert(r == 0);
        if (strcmp(type->name, "log.get") == 0)
            (void)strcpy(last_question, json_get_string(j, "id", ""));
        json_decref(j);
        free(m);
    }
}

static void hello(struct agent_conn *c, unsigned process)
{
    char text[400];
    (void)snprintf(
        text, sizeof text,
        "{\"type\":\"hello\",\"min_version\":1,\"max_version\":1,\"capabilities\":[\"capture\","
        "\"blob\","
        "\"renew\",\"unlink\",\"log\"],\"release\":\"1\",\"id\":\"01890a5d-0000-7000-8000-"
        "00000000001%u\","
        "\"hostname\":\"h\"}",
        process % 10);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void tell(struct agent_conn *c, unsigned n, unsigned state)
{
    static const char *const states[] = {"queued",  "running", "done",
                                         "partial", "failed",  "cancelled"};
    char text[400];
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"capture\",\"record\":{\"id\":\"" CAPTURE
                   "%u\",\"kind\":\"cpu\",\"app\":\"a\","
                   "\"instance\":0,\"state\":\"%s\",\"phase\":\"running\"}}",
                   n % (CAPTURES + 1), states[state % ARRAY_SIZE(states)]);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void begin(struct agent_conn *c, unsigned blob, unsigned n, unsigned bytes)
{
    char text[400];
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"blob.begin\",\"blob\":%u,\"id\":\"" CAPTURE
                   "%u\",\"stored_bytes\":%u,"
                   "\"stored_sha256\":\"%064x\"}",
                   blob, n % (CAPTURES + 1), bytes, 7u);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void end(struct agent_conn *c, unsigned blob, unsigned bytes, unsigned damaged)
{
    char text[500];
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"blob.end\",\"blob\":%u,\"stored_bytes\":%u,\"bytes\":9,\"sha256\":"
                   "\"%02x%062x\","
                   "\"stored_sha256\":\"%064x\"}",
                   blob, bytes, damaged & 1, 1u, 7u);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void piece(struct agent_conn *c, unsigned blob, unsigned offset, struct input *in)
{
    size_t len = byte(in);
    uint8_t frame[BLOB_HEADER + 256];
    if (len > in->left)
        len = in->left;
    blob_header_put(frame, blob, offset);
    memcpy(frame + BLOB_HEADER, in->data, len);
    in->data += len;
    in->left -= len;
    agent_conn_take(c, true, frame, BLOB_HEADER + len, true);
}

static void list(struct agent_conn *c, unsigned n, unsigned end)
{
    char text[500];
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"processes\",\"at_ms\":1,\"processes\":[{\"app\":\"a%u\","
                   "\"instance\":%u,\"pid\":%u,\"status\":\"online\",\"cpu\":%u,\"kinds\":{},"
                   "\"exit\":{\"at_ms\":%u,\"code\":1,\"core\":false,\"asked\":false,"
                   "\"uptime_ms\":1}}]}",
                   n % 8, n % 5, n % 3, n, end);
    agent_conn_take(c, false, text, strlen(text), true);
}

static void on_log(void *arg, int r, const char *text, const json_t *answer)
{
    assert((r == 0) == (answer != NULL) && (r == 0 || text[0]));
}

static void ask_log(const char *host)
{
    char text[300];
    const struct log_order order = {.host = host, .app = "a", .stream = "out", .lines = 1};
    (void)logs_get(logs, &order, on_log, NULL, text, sizeof text);
}

static void answer_log(struct agent_conn *c, bool refused)
{
    char text[300];
    (void)snprintf(text, sizeof text,
                   refused ? "{\"type\":\"log.refused\",\"id\":\"%s\",\"code\":\"POLICY\","
                             "\"text\":\"no\"}"
                           : "{\"type\":\"log\",\"id\":\"%s\",\"text\":\"x\",\"at_ms\":1,"
                             "\"cut\":false}",
                   last_question[0] ? last_question : CAPTURE "9");
    agent_conn_take(c, false, text, strlen(text), true);
}

static void raw(struct agent_conn *c, bool binary, struct input *in, bool last)
{
    size_t len = byte(in);
    len |= (size_t)byte(in) << 8;
    if (len > in->left)
        len = in->left;
    agent_conn_take(c, binary, in->data, len, last);
    in->data += len;
    in->left -= len;
}

static void step(struct input *in)
{
    unsigned op = byte(in), first, second;
    struct agent_conn **c = &conns[(op >> 4) % CONNS];
    if (!*c) {
        *c = agent_conn_new(agents, NULL, op & 1 ? HOST_2 : HOST_1, 0);
        return;
    }
    switch (op & 15) {
    case 0:
        raw(*c, false, in, true);
        break;
    case 1:
        raw(*c, true, in, true);
        break;
    case 2:
        raw(*c, byte(in) & 1, in, false);
        break;
    case 3:
        hello(*c, byte(in));
        break;
    case 4:
        first = byte(in);
        tell(*c, first, byte(in));
        break;
    case 5:
        first = byte(in);
        second = byte(in);
        begin(*c, first, second, byte(in));
        break;
    case 6:
        first = byte(in);
        second = byte(in);
        piece(*c, first, second, in);
        break;
    case 7:
        first = byte(in);
        second = byte(in);
        end(*c, first, second, byte(in));
        break;
    case 8:
        agent_conn_over(*c);
        *c = NULL;
        break;
    case 9:
        now_ms += 1000ull * byte(in);
        agent_conn_tick(*c, now_ms, 1);
        break;
    case 10:
        next_error = byte(in) & 1 ? -ENOSPC : ERR_BUSY;
        break;
    case 11:
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        break;
    case 12:
        drain(*c);
        break;
    case 13:
        first = byte(in);
        list(*c, first, byte(in));
        break;
    case 14:
        first = byte(in);
        if (first < 64)
            ask_log((*c)->host);
        else if (first < 192)
            answer_log(*c, first < 128);
        else
            history_tick(history, (int64_t)(first - 190) * MINUTE_MS);
        break;
    default:
        (void)run_job();
    }
}

static void make_rows(void)
{
    for (int i = 0; i < CAPTURES; i++) {
        capture_row_clear(&rows[i]);
        rows[i] =
            (struct capture_row){.not_after_ms = 1LL << 49, .duration_ms = 1000, .created_ms = 1};
        (void)snprintf(rows[i].id, UUID_TEXT, CAPTURE "%d", i);
        (void)strcpy(rows[i].host, i == 3 ? HOST_2 : HOST_1);
        (void)strcpy(rows[i].kind, "cpu");
        (void)strcpy(rows[i].app, "a");
        (void)strcpy(rows[i].state, i == 2 ? "running" : "queued");
        (void)strcpy(rows[i].role, "admin");
        part_bytes[i] = 0;
        has_profile[i] = false;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    struct authority authority = {.ca_cert_pem = (char *)(uintptr_t) "",
                                  .ca_key_pem = (char *)(uintptr_t) ""};
    log_init("fuzz", LOG_LEVEL_ERROR);
    (void)uv_loop_init(&loop);
    make_rows();
    next_error = 0;
    now_ms = uv_now(&loop);
    struct fleet *fleet = fleet_new(NULL, NULL);
    struct dispatch *dispatch = dispatch_new(&loop, NULL, fleet, NULL);
    const struct host_row one = a_host(HOST_1, "one"), two = a_host(HOST_2, "two");
    fleet_put(fleet, &one);
    fleet_put(fleet, &two);
    dispatch_load(dispatch, NULL, NULL);
    (void)run_job();
    history = history_new(&loop, NULL);
    logs = logs_new(&loop, fleet);
    last_question[0] = '\0';
    const struct agents_settings settings = {.loop = &loop,
                                             .name = "c",
                                             .authority = &authority,
                                             .fleet = fleet,
                                             .dispatch = dispatch,
                                             .history = history,
                                             .logs = logs};
    agents = agents_new(&settings);
    while (in.left > 0)
        step(&in);
    /* The end, with all that is still under way. */
    agents_close(agents);
    for (int i = 0; i < CONNS; i++) {
        if (conns[i])
            agent_conn_over(conns[i]);
        conns[i] = NULL;
    }
    agents_free(agents);
    logs_close(logs);
    history_close(history);
    dispatch_close(dispatch);
    do
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    while (run_job());
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    dispatch_free(dispatch);
    history_free(history);
    logs_free(logs);
    fleet_free(fleet);
    int r = uv_loop_close(&loop);
    assert(r == 0);
    return 0;
}
