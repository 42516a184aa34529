/* agents_blob.c -- results come in: announced, allowed, in pieces into the store, looked through,
 * and made profiles.
 *
 * One struct per result; the store and a thread work for it, so it outlives its connection until
 * they have answered. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "remote/agents_private.h"
#include "remote/dispatch.h"
#include "remote/live.h"
#include "remote/profile_view.h"
#include "remote/store/captures.h"
#include "remote/store/db.h"
#include "remote/store/profiles.h"
#include "remote/store/store.h"

enum {
    RETRY_MS = 30000,     /* the disk is full, or does not work */
    RETRY_SOON_MS = 2000, /* too many at a time */
    ACK_BYTES =
        256 << 10, /* of what is on disk and not acknowledged, at most: a quarter of the window */
};

enum blob_step {
    BLOB_ASKED, /* may it come, and from where on? */
    BLOB_COMING,
    BLOB_CHECKING, /* in a thread, or waiting for one */
    BLOB_STORING,  /* being made a profile, or dropped */
    BLOB_OVER
};

struct agent_blob {
    struct list link;        /* in conn->blobs */
    struct list all_link;    /* in agents->blobs */
    struct list check_link;  /* in agents->checks */
    bool running;            /* it is being checked */
    atomic_bool stop;        /* its check is to end */
    struct agents *agents;   /* NULL: nobody is told any more */
    struct agent_conn *conn; /* NULL: it is over */
    enum blob_step step;
    uint32_t number;
    unsigned works;                 /* of the store or a thread that have not answered */
    bool ended;                     /* blob.end has come */
    uint64_t received, acked, told; /* offsets: come, on disk, acknowledged */
    struct blob_sums sums;          /* as announced */
    struct profile_row profile;
    char *dir;
    uv_work_t check;
    int result;
    char text[AGENTS_TEXT];
};

/* The steps, in the order in which they run. */
static void on_expected(void *arg, int r, const char *text, const struct capture_row *row);
static int begin_part(struct db *db, void *arg); /* in a thread */
static void on_part_begun(void *arg, int r);
static int add_piece(struct db *db, void *arg); /* in a thread */
static void on_piece_added(void *arg, int r);
static void check_when_whole(struct agent_blob *b);
static void start_checks(struct agents *a);
static void check_part(uv_work_t *work); /* in a thread */
static void on_checked(uv_work_t *work, int status);
static int make_profile(struct db *db, void *arg); /* in a thread */
static void on_profile_made(void *arg, int r);
static int drop_part(struct db *db, void *arg); /* in a thread */
static void on_part_dropped(void *arg, int r);
static void lose(struct agent_blob *b);
static void blob_over(struct agent_blob *b);
static void free_when_idle(struct agent_blob *b);

/* ---- saying ---------------------------------------------------------------------------------- */

static void say_offset(struct agent_blob *b, const char *type, uint64_t offset)
{
    if (!b->conn)
        return;
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "blob", b->number);
    json_set_int(fields, "offset", (int64_t)offset);
    agent_conn_send(b->conn, type, fields);
}

static void say_done(struct agent_blob *b)
{
    if (!b->conn)
        return;
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "blob", b->number);
    agent_conn_send(b->conn, "blob.done", fields);
}

/* `retry_ms` 0: it is never to come again. */
static void say_refused(struct agent_conn *c, uint32_t number, int error, const char *text,
                        uint64_t retry_ms)
{
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "blob", number);
    json_set_string(fields, "code", err_name(error));
    json_set_string(fields, "text", text);
    if (retry_ms)
        json_set_int(fields, "retry_ms", (int64_t)retry_ms);
    agent_conn_send(c, "blob.refused", fields);
}

static void refuse(struct agent_blob *b, int error, const char *text, uint64_t retry_ms)
{
    if (b->agents)
        log_warn(0, "the result of capture %s is refused (%s): %s", b->profile.id, err_name(error),
                 text);
    if (b->conn)
        say_refused(b->conn, b->number, error, text, retry_ms);
    if (b->agents && retry_ms)
        agent_delay_note(b->agents, b->profile.id, retry_ms);
    blob_over(b);
}

/* Ours or the disk's fault: it may come again. */
static void refuse_for_now(struct agent_blob *b, int error)
{
    char text[AGENTS_TEXT];
    (void)snprintf(text, sizeof text, "it cannot be stored now: %s", err_str(error));
    if (error == -ENOSPC && b->agents)
        agent_room_make(b->agents, b->profile.id, b->sums.stored_bytes);
    refuse(b, error, text, RETRY_MS);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static struct agent_blob *find(struct agent_conn *c, uint32_t number)
{
    struct agent_blob *b;
    LIST_EACH(b, &c->blobs)
    {
        if (b->number == number)
            return b;
    }
    return NULL;
}

/* Also those that its earlier connections have left to the store and the threads. */
static size_t count_of(struct agents *a, const char *host)
{
    struct agent_blob *b;
    size_t count = 0;
    LIST_EACH(b, &a->blobs)
    {
        count += strcmp(b->profile.host, host) == 0;
    }
    return count;
}

static bool is_coming(struct agents *a, const char *capture)
{
    struct agent_blob *b;
    LIST_EACH(b, &a->blobs)
    {
        if (strcmp(b->profile.id, capture) == 0)
            return true;
    }
    return false;
}

static int check_begin(struct agent_conn *c, uint32_t number, const json_t *m,
                       uint8_t ret_sha256[static SHA256_BYTES], char *reterr_text, size_t size)
{
    if (!(c->takes & AGENT_BLOB)) {
        (void)snprintf(reterr_text, size, "blob.begin: its hello does not name \"blob\"");
        return ERR_PROTOCOL;
    }
    if (find(c, number)) {
        (void)snprintf(reterr_text, size, "blob.begin: number %" PRIu32 " is in use", number);
        return ERR_PROTOCOL;
    }
    if (sha256_from_hex(json_get_string(m, "stored_sha256", ""), ret_sha256) < 0) {
        (void)snprintf(reterr_text, size, "blob.begin: \"stored_sha256\" is no SHA-256");
        return ERR_INVALID;
    }
    return 0;
}

/* Ms after which it may come again, with the reason why not now; 0: it may come. */
static uint64_t must_wait(struct agent_conn *c, const char *capture, const char **ret_why)
{
    struct agents *a = c->agents;
    uint64_t left_ms = agent_delay_left(a, capture);
    if (left_ms > 0) {
        *ret_why = "it was refused a moment ago";
        return left_ms;
    }
    if (count_of(a, c->host) >= LIMIT_CHANNEL_BLOBS)
        *ret_why = "too many results at a time";
    else if (is_coming(a, capture))
        /* What came over a connection that is gone may still be on its way to the disk. */
        *ret_why = "this result is being taken in";
    else
        return 0;
    agent_delay_note(a, capture, RETRY_SOON_MS);
    return RETRY_SOON_MS;
}

int agent_blob_begin(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    struct agents *a = c->agents;
    uint8_t stored_sha256[SHA256_BYTES];
    const char *capture = json_get_string(m, "id", "");
    uint32_t number = (uint32_t)json_get_int(m, "blob", 0);
    int r = check_begin(c, number, m, stored_sha256, reterr_text, size);
    if (r < 0)
        return r;
    const char *why = NULL;
    uint64_t wait_ms = must_wait(c, capture, &why);
    if (wait_ms > 0) {
        say_refused(c, number, ERR_BUSY, why, wait_ms);
        return 0;
    }
    struct agent_blob *b = xcalloc(1, sizeof *b);
    b->agents = a;
    b->conn = c;
    b->number = number;
    b->sums.stored_bytes = (uint64_t)json_get_int(m, "stored_bytes", 0);
    memcpy(b->sums.stored_sha256, stored_sha256, SHA256_BYTES);
    (void)snprintf(b->profile.id, sizeof b->profile.id, "%s", capture);
    (void)snprintf(b->profile.host, sizeof b->profile.host, "%s", c->host);
    (void)snprintf(b->profile.host_name, sizeof b->profile.host_name, "%s", c->name);
    list_add(&c->blobs, &b->link, b);
    list_add(&a->blobs, &b->all_link, b);
    b->works++;
    dispatch_expects_blob(a->settings.dispatch, c->host, capture, on_expected, b);
    return 0;
}

static void note_row(struct agent_blob *b, const struct capture_row *row)
{
    struct profile_row *p = &b->profile;
    (void)snprintf(p->app, sizeof p->app, "%s", row->app);
    (void)snprintf(p->kind, sizeof p->kind, "%s", row->kind);
    p->instance = row->instance;
    p->created_ms = row->sent_ms ? row->sent_ms : row->created_ms;
}

/* It is in the store: the same as if it had come now. */
static void here_already(struct agent_blob *b)
{
    struct agents *a = b->agents;
    say_done(b);
    if (a)
        dispatch_blob_stored(a->settings.dispatch, b->profile.host, b->profile.id, false);
    blob_over(b);
}

static bool is_temporary(int r)
{
    return r != ERR_NOT_FOUND && r != ERR_INVALID && r != ERR_DENIED && r != ERR_TOO_BIG;
}

static void on_expected(void *arg, int r, const char *text, const struct capture_row *row)
{
    struct agent_blob *b = arg;
    b->works--;
    if (!b->conn || !b->agents) {
        blob_over(b);
    } else if (r == ERR_DENIED) {
        agent_conn_end(b->conn, r, "%s", text);
        blob_over(b);
    } else if (r == ERR_EXISTS) {
        here_already(b);
    } else if (r < 0) {
        refuse(b, r, text, is_temporary(r) ? RETRY_MS : 0);
    } else {
        note_row(b, row);
        b->works++;
        store_write(b->agents->settings.store, begin_part, on_part_begun, b);
    }
}

static int begin_part(struct db *db, void *arg)
{
    struct agent_blob *b = arg;
    if (!b->dir)
        b->dir = xstrdup(db_dir(db));
    return incoming_begin(db, b->profile.id, b->sums.stored_bytes, b->sums.stored_sha256,
                          &b->received);
}

static void on_part_begun(void *arg, int r)
{
    struct agent_blob *b = arg;
    b->works--;
    if (!b->conn) {
        blob_over(b);
    } else if (r == ERR_EXISTS) {
        here_already(b);
    } else if (r == ERR_INVALID || r == ERR_TOO_BIG) {
        b->result = r;
        (void)snprintf(b->text, sizeof b->text, "there is no result of %" PRIu64 " stored bytes",
                       b->sums.stored_bytes);
        lose(b);
    } else if (r < 0) {
        refuse_for_now(b, r);
    } else {
        b->step = BLOB_COMING;
        b->acked = b->told = b->received;
        say_offset(b, "blob.go", b->received);
    }
}

/* ---- pieces ---------------------------------------------------------------------------------- */

struct piece {
    struct agent_blob *blob;
    uint64_t offset;
    size_t len;
    char capture[UUID_TEXT];
    uint8_t data[];
};

static bool is_forgotten(const struct agent_conn *c, uint32_t number)
{
    for (unsigned i = 0; i < AGENTS_FORGOTTEN && i < c->forgotten_count; i++)
        if (c->forgotten[i] == number)
            return true;
    return false;
}

static int check_piece(const struct agent_blob *b, const struct blob_chunk *chunk,
                       char *reterr_text, size_t size)
{
    const char *why = NULL;
    if (b->step != BLOB_COMING || b->ended)
        why = "came when none was asked for";
    else if (chunk->offset != b->received)
        why = "does not follow the one before";
    else if (chunk->len > b->sums.stored_bytes - b->received)
        why = "runs past the announced size";
    else if (chunk->offset + chunk->len > b->told + BLOB_WINDOW)
        why = "runs past the window";
    else if (chunk->len < AGENTS_PIECE_MIN && chunk->len < b->sums.stored_bytes - b->received)
        why = "is too short for one that is not the last";
    if (!why)
        return 0;
    (void)snprintf(reterr_text, size, "a piece of blob %" PRIu32 " at %" PRIu64 " %s", b->number,
                   chunk->offset, why);
    return ERR_PROTOCOL;
}

int agent_blob_chunk(struct agent_conn *c, const void *frame, size_t len, char *reterr_text,
                     size_t size)
{
    struct blob_chunk chunk;
    int r = blob_chunk_parse(frame, len, &chunk);
    if (r < 0) {
        (void)snprintf(reterr_text, size, "a binary frame of %zu bytes is no piece of a result",
                       len);
        return r;
    }
    struct agent_blob *b = find(c, chunk.blob);
    /* It was refused while this was on its way. */
    if (!b && is_forgotten(c, chunk.blob))
        return 0;
    if (!b) {
        (void)snprintf(reterr_text, size, "a piece came of blob %" PRIu32 ", which was not begun",
                       chunk.blob);
        return ERR_PROTOCOL;
    }
    r = check_piece(b, &chunk, reterr_text, size);
    if (r < 0)
        return r;
    struct piece *p = xcalloc(1, sizeof *p + chunk.len);
    p->blob = b;
    p->offset = chunk.offset;
    p->len = chunk.len;
    memcpy(p->capture, b->profile.id, sizeof p->capture);
    memcpy(p->data, chunk.data, chunk.len);
    b->received += chunk.len;
    b->works++;
    c->store_bytes += chunk.len;
    c->pieces++;
    store_write(c->agents->settings.store, add_piece, on_piece_added, p);
    agent_conn_flow(c);
    return 0;
}

static int add_piece(struct db *db, void *arg)
{
    const struct piece *p = arg;
    return incoming_add(db, p->capture, p->offset, p->data, p->len);
}

/* The answers of a batch come together: one word for them is enough. */
static void acknowledge(struct agent_blob *b)
{
    if (b->acked == b->told || (b->works > 0 && b->acked - b->told < ACK_BYTES))
        return;
    b->told = b->acked;
    say_offset(b, "blob.ack", b->acked);
}

static void on_piece_added(void *arg, int r)
{
    struct piece *p = arg;
    struct agent_blob *b = p->blob;
    b->works--;
    if (b->conn) {
        b->conn->store_bytes -= p->len;
        b->conn->pieces--;
        agent_conn_flow(b->conn);
    }
    if (r >= 0)
        b->acked = p->offset + p->len;
    free(p);
    if (b->step != BLOB_COMING) {
        free_when_idle(b);
    } else if (!b->conn) {
        blob_over(b);
    } else if (r < 0) {
        refuse_for_now(b, r);
    } else {
        acknowledge(b);
        check_when_whole(b);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static int take_sums(struct agent_blob *b, const json_t *m)
{
    uint8_t stored_sha256[SHA256_BYTES];
    uint64_t stored_bytes = (uint64_t)json_get_int(m, "stored_bytes", 0);
    if (sha256_from_hex(json_get_string(m, "sha256", ""), b->sums.sha256) < 0 ||
        sha256_from_hex(json_get_string(m, "stored_sha256", ""), stored_sha256) < 0)
        return ERR_INVALID;
    b->sums.bytes = (uint64_t)json_get_int(m, "bytes", 0);
    bool same = stored_bytes == b->sums.stored_bytes && b->received == stored_bytes &&
                memcmp(stored_sha256, b->sums.stored_sha256, SHA256_BYTES) == 0;
    return same ? 0 : ERR_MISMATCH;
}

int agent_blob_end(struct agent_conn *c, const json_t *m, char *reterr_text, size_t size)
{
    uint32_t number = (uint32_t)json_get_int(m, "blob", 0);
    struct agent_blob *b = find(c, number);
    if (!b && is_forgotten(c, number))
        return 0;
    if (!b || b->step != BLOB_COMING || b->ended) {
        (void)snprintf(reterr_text, size, "blob.end: blob %" PRIu32 " is not coming", number);
        return ERR_PROTOCOL;
    }
    int r = take_sums(b, m);
    if (r == ERR_INVALID) {
        (void)snprintf(reterr_text, size, "blob.end: a sum is no SHA-256");
        return r;
    }
    b->ended = true;
    if (r < 0) {
        b->result = r;
        (void)snprintf(b->text, sizeof b->text, "its end does not agree with its beginning");
    }
    check_when_whole(b);
    return 0;
}

static void check_when_whole(struct agent_blob *b)
{
    if (!b->ended || b->works > 0)
        return;
    b->works++;
    if (b->result < 0) {
        b->step = BLOB_STORING;
        store_write(b->agents->settings.store, drop_part, on_part_dropped, b);
        return;
    }
    b->step = BLOB_CHECKING;
    list_add(&b->agents->checks, &b->check_link, b);
    start_checks(b->agents);
}

static bool is_checked(struct agents *a, const char *host)
{
    struct agent_blob *b;
    LIST_EACH(b, &a->blobs)
    {
        if (b->running && strcmp(b->profile.host, host) == 0)
            return true;
    }
    return false;
}

/* One of each host at a time; NULL: none.  The host's others go behind those of the other hosts. */
static struct agent_blob *next_check(struct agents *a)
{
    struct agent_blob *b, *found = NULL;
    struct list later = LIST_INIT(later);
    LIST_EACH(b, &a->checks)
    {
        if (!found && is_checked(a, b->profile.host))
            continue;
        if (found && strcmp(b->profile.host, found->profile.host) != 0)
            continue;
        list_remove(&b->check_link);
        if (found)
            list_add(&later, &b->check_link, b);
        else
            found = b;
    }
    LIST_EACH(b, &later)
    {
        list_remove(&b->check_link);
        list_add(&a->checks, &b->check_link, b);
    }
    return found;
}

/* The threads are not ours alone. */
static void start_checks(struct agents *a)
{
    struct agent_blob *b;
    while (!a->closing && a->checking < AGENTS_CHECKS && (b = next_check(a))) {
        b->check.data = b;
        int r = uv_queue_work(a->settings.loop, &b->check, check_part, on_checked);
        if (r < 0) {
            b->works--;
            refuse_for_now(b, r);
            continue;
        }
        b->running = true;
        a->checking++;
    }
}

static void check_part(uv_work_t *work)
{
    struct agent_blob *b = work->data;
    b->result = incoming_check(b->dir, b->profile.id, &b->sums, &b->stop, b->text, sizeof b->text);
}

static bool is_damaged(int r)
{
    return r == ERR_MISMATCH || r == ERR_TOO_BIG || r == ERR_SYNTAX;
}

static void on_checked(uv_work_t *work, int status)
{
    struct agent_blob *b = work->data;
    struct agents *a = b->agents;
    b->step = BLOB_STORING;
    b->running = false;
    if (a)
        a->checking--;
    if (!a || b->result == ERR_STOPPING) {
        /* We are ending; the part stays. */
        b->works--;
        blob_over(b);
        return;
    }
    start_checks(a);
    if (is_damaged(b->result)) {
        store_write(a->settings.store, drop_part, on_part_dropped, b);
    } else if (b->result < 0) {
        b->works--;
        refuse_for_now(b, b->result);
    } else {
        b->profile.stored_ms = loop_wall_ms();
        b->profile.sums = b->sums;
        store_write(a->settings.store, make_profile, on_profile_made, b);
    }
}

static int make_profile(struct db *db, void *arg)
{
    struct agent_blob *b = arg;
    return profiles_add(db, &b->profile);
}

static void publish(struct live *live, const struct profile_row *profile)
{
    if (!live_watched(live))
        return;
    AUTOJSON json_t *event = json_object();
    json_set_string(event, "type", "profile");
    (void)json_object_set_new(event, "profile", profile_view(profile));
    live_publish(live, event);
}

static void on_profile_made(void *arg, int r)
{
    struct agent_blob *b = arg;
    struct agents *a = b->agents;
    b->works--;
    if (r < 0) {
        refuse_for_now(b, r);
        return;
    }
    /* It may have been removed since it was made. */
    if (r == 1) {
        here_already(b);
        return;
    }
    say_done(b);
    if (a) {
        log_info("the result of capture %s of %s is stored: %" PRIu64 " bytes", b->profile.id,
                 b->profile.app, b->sums.bytes);
        dispatch_blob_stored(a->settings.dispatch, b->profile.host, b->profile.id, true);
        publish(a->settings.live, &b->profile);
    }
    blob_over(b);
}

static int drop_part(struct db *db, void *arg)
{
    const struct agent_blob *b = arg;
    return incoming_drop(db, b->profile.id);
}

static void on_part_dropped(void *arg, int r)
{
    struct agent_blob *b = arg;
    b->works--;
    if (r < 0 && r != ERR_NOT_FOUND && b->agents)
        log_warn(r, "the part file of capture %s stays", b->profile.id);
    lose(b);
}

/* What the host has is damaged: it will never be better. */
static void lose(struct agent_blob *b)
{
    char text[AGENTS_TEXT + 64];
    (void)snprintf(text, sizeof text, "the result was refused: %s",
                   b->text[0] ? b->text : err_str(b->result));
    if (b->conn)
        say_refused(b->conn, b->number, b->result, text, 0);
    if (b->agents) {
        log_warn(0, "capture %s of host %s: %s", b->profile.id, b->profile.host_name, text);
        dispatch_blob_lost(b->agents->settings.dispatch, b->profile.host, b->profile.id, b->result,
                           text);
    }
    blob_over(b);
}

/* ---- being over ------------------------------------------------------------------------------ */

static void leave_conn(struct agent_blob *b)
{
    struct agent_conn *c = b->conn;
    if (!c)
        return;
    list_remove(&b->link);
    c->forgotten[c->forgotten_count++ % AGENTS_FORGOTTEN] = b->number;
}

/* No more than the answers that are still owed to it. */
static void blob_over(struct agent_blob *b)
{
    b->step = BLOB_OVER;
    /* Its chunks still count for the connection until the store has them. */
    if (b->conn && b->link.next)
        leave_conn(b);
    free_when_idle(b);
}

static void free_when_idle(struct agent_blob *b)
{
    if (b->step != BLOB_OVER || b->works > 0)
        return;
    list_remove(&b->all_link);
    list_remove(&b->check_link);
    free(b->dir);
    free(b);
}

void agent_blobs_leave(struct agent_conn *c)
{
    struct agent_blob *b;
    struct agents *a = c->agents;
    /* Also those that left the list and have chunks under way. */
    LIST_EACH(b, &a->blobs)
    {
        if (b->conn != c)
            continue;
        list_remove(&b->link);
        b->conn = NULL;
        /* What is whole is stored without anybody looking. */
        if (b->step == BLOB_COMING && b->works == 0)
            blob_over(b);
    }
}

void agent_blobs_stop(struct agents *a)
{
    struct agent_blob *b;
    LIST_EACH(b, &a->blobs)
    {
        atomic_store(&b->stop, true);
    }
}

void agent_blobs_abandon(struct agents *a)
{
    struct agent_blob *b;
    LIST_EACH(b, &a->blobs)
    {
        list_remove(&b->all_link);
        list_remove(&b->link);
        b->agents = NULL;
        b->conn = NULL;
        bool queued = b->check_link.next != NULL;
        list_remove(&b->check_link);
        if (queued)
            b->works--;
        if (queued || b->works == 0)
            blob_over(b);
    }
}
