#include "agent/transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

/* One is being sent while the next is being read. */
enum { AHEAD = 2 * BLOB_CHUNK };

struct ahead {
    uint8_t data[AHEAD];
    size_t len; /* 0: empty */
    size_t done;
};

struct transfer {
    uv_loop_t *loop;
    uv_work_t work;
    int fd;
    uint64_t size;
    uint64_t sent;            /* up to here it was handed out */
    uint64_t acked;           /* up to here it has arrived */
    uint64_t read;            /* up to here it was read */
    struct ahead *now, *next; /* NULL until it goes */
    int result;               /* of the last read */
    bool reading;
    bool freed;
    transfer_cb ready;
    void *arg;
};

/* The steps, in the order in which they run. */
static void read_more(struct transfer *t);
static void read_piece(uv_work_t *work); /* in a thread */
static void on_read(uv_work_t *work, int status);

struct transfer *transfer_new(uv_loop_t *loop, int fd, uint64_t size, transfer_cb ready, void *arg)
{
    struct transfer *t = xcalloc(1, sizeof *t);
    *t = (struct transfer){.loop = loop, .fd = fd, .size = size, .ready = ready, .arg = arg};
    t->work.data = t;
    return t;
}

void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    t->freed = true;
    if (t->reading)
        return;
    (void)close(t->fd);
    free(t->now);
    free(t->next);
    free(t);
}

int transfer_go(struct transfer *t, uint64_t offset)
{
    if (t->now || offset > t->size)
        return ERR_INVALID;
    t->now = xcalloc(1, sizeof *t->now);
    t->next = xcalloc(1, sizeof *t->next);
    t->sent = t->acked = t->read = offset;
    read_more(t);
    return 0;
}

int transfer_ack(struct transfer *t, uint64_t offset)
{
    if (!t->now || offset > t->sent || offset < t->acked)
        return ERR_INVALID;
    int more = offset > t->acked;
    t->acked = offset;
    return more;
}

bool transfer_all_sent(const struct transfer *t)
{
    return t->now && t->sent == t->size;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_more(struct transfer *t)
{
    if (t->reading || t->result < 0 || t->next->len > 0 || t->read == t->size)
        return;
    int r = uv_queue_work(t->loop, &t->work, read_piece, on_read);
    assert(r == 0);
    t->reading = true;
}

static void read_piece(uv_work_t *work)
{
    struct transfer *t = work->data;
    uint64_t rest = t->size - t->read;
    size_t want = rest < AHEAD ? (size_t)rest : AHEAD;
    ssize_t n;
    do {
        n = pread(t->fd, t->next->data, want, (off_t)t->read);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        t->next->len = (size_t)n;
    t->result = n > 0 ? 0 : n < 0 ? -errno : ERR_MISMATCH;
}

static void swap(struct transfer *t)
{
    struct ahead *empty = t->now;
    empty->len = empty->done = 0;
    t->now = t->next;
    t->next = empty;
}

static void on_read(uv_work_t *work, int status)
{
    struct transfer *t = work->data;
    t->reading = false;
    if (t->freed) {
        transfer_free(t);
        return;
    }
    if (t->result == 0) {
        t->read += t->next->len;
        if (t->now->done == t->now->len)
            swap(t);
        read_more(t);
    }
    t->ready(t->arg, t->result);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* How much of what was read may be sent now. */
static size_t sendable(const struct transfer *t)
{
    size_t len = t->now->len - t->now->done;
    uint64_t window = t->acked + BLOB_WINDOW - t->sent;
    if (len > window)
        len = (size_t)window;
    return len < BLOB_CHUNK ? len : BLOB_CHUNK;
}

size_t transfer_chunk(struct transfer *t, uint32_t blob,
                      uint8_t frame[static BLOB_HEADER + BLOB_CHUNK])
{
    size_t len = t->now ? sendable(t) : 0;
    if (len == 0)
        return 0;
    blob_header_put(frame, blob, t->sent);
    memcpy(frame + BLOB_HEADER, t->now->data + t->now->done, len);
    t->sent += len;
    t->now->done += len;
    /* While the other one is being read, its buffer is the thread's. */
    if (t->now->done == t->now->len && !t->reading && t->next->len > 0)
        swap(t);
    read_more(t);
    return BLOB_HEADER + len;
}
