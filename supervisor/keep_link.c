#include "supervisor/keep_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"

#define HOLD "hold"

enum {
    OPEN_WAIT_MS = 10000, /* for everything that is stored */
    SEND_WAIT_MS = 5000,  /* a keeper that takes nothing for so long is replaced */
    KEEPER_OWN_FDS = 32,  /* what the keeper needs for itself, generously */
    KEEPER_END_MS = 1000, /* from its descriptors' end to its own */
    FIRST_FREE_FD = 10,   /* below it the next keeper has its own order */
};

struct keep_entry {
    char name[KEEP_NAME];
    int fd;
    bool ours;    /* closed by us: a record, or given back and not taken */
    bool untaken; /* given back, and nobody has asked for it */
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* Where `name` is, or would be. */
static size_t find(const struct keep_link *k, const char *name, bool *ret_found)
{
    size_t low = 0, high = k->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(k->entries[middle].name, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

static struct keep_entry *entry(const struct keep_link *k, const char *name)
{
    bool found;
    size_t at = find(k, name, &found);
    return found ? &k->entries[at] : NULL;
}

static void leave_fd(struct keep_entry *e)
{
    if (e->ours)
        (void)close(e->fd);
}

/* The entry for `name`, a new one or the old one without its descriptor. */
static struct keep_entry *renew(struct keep_link *k, const char *name)
{
    bool found;
    size_t at = find(k, name, &found);
    struct keep_entry *e;
    if (found) {
        leave_fd(&k->entries[at]);
    } else {
        if (k->count == k->room) {
            k->room = k->room ? 2 * k->room : 64;
            k->entries = xreallocarray(k->entries, k->room, sizeof *k->entries);
        }
        e = &k->entries[at];
        memmove(e + 1, e, (k->count - at) * sizeof *e);
        k->count++;
    }
    e = &k->entries[at];
    *e = (struct keep_entry){.fd = -1};
    (void)snprintf(e->name, sizeof e->name, "%s", name);
    return e;
}

static void remove_range(struct keep_link *k, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++)
        leave_fd(&k->entries[i]);
    k->count -= count;
    memmove(&k->entries[from], &k->entries[from + count], (k->count - from) * sizeof *k->entries);
}

static size_t count_prefix(const struct keep_link *k, size_t from, const char *prefix)
{
    size_t count = 0, len = strlen(prefix);
    while (from + count < k->count && strncmp(k->entries[from + count].name, prefix, len) == 0)
        count++;
    return count;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* The keeper does not do its work: without it, or with another one, we go on. */
static void give_up_keeper(struct keep_link *k, int r, const char *what)
{
    log_err(r, "keeper %d %s, and is replaced", (int)k->keeper_pid, what);
    k->gone = true;
    if (k->keeper_pid > 1)
        (void)kill(k->keeper_pid, SIGKILL);
    /* So that the loop learns it even when the keeper cannot die. */
    (void)shutdown(k->sock, SHUT_RDWR);
}

static bool is_connection_lost(int r)
{
    return r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN;
}

/* 0 also when the keeper is gone: the next one gets everything anyhow. */
static int tell(struct keep_link *k, struct keep_msg *msg, int fd)
{
    if (k->sock < 0 || k->gone)
        return 0;
    msg->version = KEEP_VERSION;
    int64_t give_up_ms = now_ms() + SEND_WAIT_MS;
    for (;;) {
        int r = keep_send(k->sock, msg, fd);
        if (is_connection_lost(r)) {
            k->gone = true;
            return 0;
        }
        /* Too many references: it has not yet taken the descriptors sent before. */
        if (r != -EAGAIN && r != -EINTR && r != -ETOOMANYREFS && r != -ENOBUFS)
            return r;
        int64_t left_ms = give_up_ms - now_ms();
        if (left_ms <= 0) {
            give_up_keeper(k, 0, "takes no messages");
            return 0;
        }
        struct pollfd writable = {.fd = k->sock, .events = POLLOUT};
        (void)poll(&writable, r == -EAGAIN, r == -EAGAIN ? (int)left_ms : 1);
    }
}

static int tell_name(struct keep_link *k, enum keep_type type, const char *name, int fd)
{
    struct keep_msg msg = {.type = type};
    (void)snprintf(msg.name, sizeof msg.name, "%s", name);
    return tell(k, &msg, fd);
}

/* The keeper cannot say that it had no descriptor left for one that we sent, so it is not sent then. */
static bool keeper_has_room(const struct keep_link *k)
{
    struct rlimit limit;
    if (k->count >= KEEP_FDS)
        return false;
    if (k->gone || prlimit(k->keeper_pid, RLIMIT_NOFILE, NULL, &limit) < 0)
        return true;
    return k->count + KEEPER_OWN_FDS < limit.rlim_cur;
}

__attribute__((format(printf, 2, 0))) static int make_name(char name[static KEEP_NAME],
                                                           const char *format, va_list ap)
{
    int len = vsnprintf(name, KEEP_NAME, format, ap);
    return len > 0 && len < KEEP_NAME ? 0 : -ENAMETOOLONG;
}

#define NAME_FROM(name, format)                                                                    \
    char name[KEEP_NAME];                                                                          \
    va_list ap_;                                                                                   \
    va_start(ap_, format);                                                                         \
    int bad_name_ = make_name(name, format, ap_);                                                  \
    va_end(ap_)

static int store(struct keep_link *k, const char *name, int fd, bool ours)
{
    if (!keep_name_valid(name))
        return -EINVAL;
    if (!entry(k, name) && !keeper_has_room(k))
        return -EMFILE;
    int r = tell_name(k, KEEP_STORE, name, fd);
    if (r < 0)
        return r;
    struct keep_entry *e = renew(k, name);
    e->fd = fd;
    e->ours = ours;
    return 0;
}

int keep_store(struct keep_link *k, int fd, const char *format, ...)
{
    NAME_FROM(name, format);
    if (k->sock < 0)
        return 0;
    return bad_name_ < 0 ? bad_name_ : store(k, name, fd, false);
}

int keep_take(struct keep_link *k, const char *format, ...)
{
    NAME_FROM(name, format);
    struct keep_entry *e = bad_name_ < 0 ? NULL : entry(k, name);
    if (!e || !e->untaken)
        return -1;
    e->untaken = e->ours = false;
    return e->fd;
}

void keep_drop(struct keep_link *k, const char *format, ...)
{
    NAME_FROM(name, format);
    bool found;
    if (k->sock < 0 || bad_name_ < 0)
        return;
    size_t len = strlen(name);
    bool many = name[len - 1] == '*';
    AUTOFREE char *prefix = xstrndup(name, many ? len - 1 : len);
    size_t from = find(k, prefix, &found);
    size_t count = many ? count_prefix(k, from, prefix) : found;
    if (count == 0)
        return;
    (void)tell_name(k, KEEP_DROP, name, -1);
    remove_range(k, from, count);
}

/* ---- records --------------------------------------------------------------------------------- */

static int make_record(const char *name, const char *bytes, size_t len)
{
    AUTOCLOSE int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, bytes + done, len - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return TAKE_FD(fd);
}

int keep_put(struct keep_link *k, const char *bytes, size_t len, const char *format, ...)
{
    NAME_FROM(name, format);
    if (k->sock < 0)
        return 0;
    if (bad_name_ < 0)
        return bad_name_;
    int fd = make_record(name, bytes, len);
    if (fd < 0)
        return fd;
    int r = store(k, name, fd, true);
    if (r < 0)
        (void)close(fd);
    return r;
}

int keep_get(struct keep_link *k, struct buf *out, const char *format, ...)
{
    NAME_FROM(name, format);
    struct keep_entry *e = bad_name_ < 0 ? NULL : entry(k, name);
    struct stat st;
    char *space;
    if (!e || fstat(e->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -ENOENT;
    e->untaken = false;
    for (off_t at = 0; at < st.st_size;) {
        size_t want = (size_t)(st.st_size - at);
        int r = buf_reserve(out, want, &space);
        if (r < 0)
            return r;
        ssize_t n = pread(e->fd, space, want, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buf_added(out, (size_t)n);
        at += n;
    }
    return 0;
}

void keep_each(struct keep_link *k, const char *prefix, keep_name_cb each, void *arg)
{
    bool found;
    size_t from = find(k, prefix, &found);
    size_t end = from + count_prefix(k, from, prefix);
    for (size_t i = from; i < end; i++)
        each(arg, k->entries[i].name);
}

void keep_drop_untaken(struct keep_link *k)
{
    for (size_t i = k->count; i-- > 0;) {
        if (!k->entries[i].untaken)
            continue;
        log_info("nobody needs '%s' from before any more", k->entries[i].name);
        (void)tell_name(k, KEEP_DROP, k->entries[i].name, -1);
        remove_range(k, i, 1);
    }
}

void keep_up(struct keep_link *k)
{
    (void)tell_name(k, KEEP_UP, "", -1);
}

void keep_upgrade(struct keep_link *k)
{
    (void)tell_name(k, KEEP_UPGRADE, "", -1);
}

void keep_bye(struct keep_link *k)
{
    (void)tell_name(k, KEEP_BYE, "", -1);
}

bool keep_link_again(const struct keep_link *k)
{
    return k->sock >= 0 && (k->flags & KEEP_AGAIN);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int give_back(struct keep_link *k, const char *name, int fd)
{
    if (fd < 0)
        return -EPROTO;
    struct keep_entry *e = renew(k, name);
    e->fd = fd;
    e->ours = e->untaken = true;
    return 0;
}

static void remember_exit(struct keep_link *k, const struct keep_msg *msg)
{
    k->early = xreallocarray(k->early, k->early_count + 1, sizeof *k->early);
    k->early[k->early_count++] = *msg;
}

/* 1: everything is there. */
static int take_stored(struct keep_link *k, const struct keep_msg *msg, int fd)
{
    if (msg->type == KEEP_FD)
        return give_back(k, msg->name, fd);
    if (fd >= 0)
        (void)close(fd);
    if (msg->type == KEEP_EXIT)
        remember_exit(k, msg);
    if (msg->type != KEEP_SYNCED)
        return 0;
    k->flags = msg->flags;
    k->starts = msg->starts;
    k->last_status = msg->status;
    k->last_ended_ms = msg->at_ms;
    return 1;
}

static int receive_stored(struct keep_link *k)
{
    int64_t give_up_ms = now_ms() + OPEN_WAIT_MS;
    for (;;) {
        struct keep_msg msg;
        int fd = -1;
        int r = keep_receive(k->sock, &msg, &fd);
        if (r == 0)
            return -EPIPE;
        if (r > 0)
            r = take_stored(k, &msg, fd);
        if (r > 0)
            return 0;
        if (r == 0 || r == -EINTR)
            continue;
        if (r != -EAGAIN)
            return r;
        struct pollfd readable = {.fd = k->sock, .events = POLLIN};
        int64_t left_ms = give_up_ms - now_ms();
        if (left_ms <= 0)
            return -ETIMEDOUT;
        (void)poll(&readable, 1, (int)left_ms);
    }
}

/* We have everything now. */
static void release_holder(struct keep_link *k)
{
    AUTOCLOSE int fd = keep_take(k, HOLD);
    if (fd < 0)
        return;
    if (write(fd, "", 1) < 0)
        log_debug("nobody holds on for us");
    keep_drop(k, HOLD);
}

int keep_link_open(struct keep_link *k, int sock)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    *k = (struct keep_link){.sock = sock};
    if (sock < 0)
        return 0;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        fcntl(sock, F_SETFD, FD_CLOEXEC) < 0 || fcntl(sock, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
        int r = -errno;
        (void)close(sock);
        k->sock = -1;
        return r;
    }
    k->keeper_pid = peer.pid;
    int r = receive_stored(k);
    if (r == 0)
        release_holder(k);
    return r;
}

/* ---- in the loop ----------------------------------------------------------------------------- */

static void on_late(uv_idle_t *idle);
static void on_readable(uv_poll_t *poll, int status, int events);

int keep_link_watch(struct keep_link *k, uv_loop_t *loop, keep_exit_cb on_exit,
                    keep_gone_cb on_gone, void *arg)
{
    if (k->sock < 0)
        return 0;
    int r = uv_poll_init(loop, &k->poll, k->sock);
    if (r < 0)
        return r;
    k->on_exit = on_exit;
    k->on_gone = on_gone;
    k->arg = arg;
    k->poll.data = k->late.data = k;
    k->watching = true;
    (void)uv_idle_init(loop, &k->late);
    (void)uv_idle_start(&k->late, on_late);
    return uv_poll_start(&k->poll, UV_READABLE, on_readable);
}

static void hand_out(struct keep_link *k, const struct keep_msg *msg)
{
    struct keep_msg ack = {.type = KEEP_ACK, .seq = msg->seq, .pid = msg->pid};
    k->on_exit(k->arg, msg);
    (void)tell(k, &ack, -1);
}

static void on_late(uv_idle_t *idle)
{
    struct keep_link *k = idle->data;
    (void)uv_idle_stop(idle);
    for (size_t i = 0; i < k->early_count; i++)
        hand_out(k, &k->early[i]);
    free(k->early);
    k->early = NULL;
    k->early_count = 0;
}

/* Everything that has come; false when nothing will come any more. */
static bool receive_all(struct keep_link *k)
{
    for (bool reset = false;;) {
        struct keep_msg msg;
        int fd = -1;
        int r = keep_receive(k->sock, &msg, &fd);
        if (fd >= 0)
            (void)close(fd);
        if (r > 0 && msg.type == KEEP_EXIT)
            hand_out(k, &msg);
        /* What came before the reset can still be read behind it. */
        if (r > 0 || r == -EINTR || (r == -ECONNRESET && !reset)) {
            reset |= r == -ECONNRESET;
            continue;
        }
        if (r == -EAGAIN)
            return true;
        if (r < 0 && !is_connection_lost(r))
            give_up_keeper(k, r, "sends what cannot be read");
        return false;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct keep_link *k = poll->data;
    on_late(&k->late); /* in their order */
    if (receive_all(k) && status == 0)
        return;
    k->gone = true;
    (void)uv_poll_stop(poll);
    k->on_gone(k->arg);
}

void keep_link_close(struct keep_link *k)
{
    if (!k->watching)
        return;
    k->watching = false;
    uv_close((uv_handle_t *)&k->poll, NULL);
    uv_close((uv_handle_t *)&k->late, NULL);
}

void keep_link_clear(struct keep_link *k)
{
    for (size_t i = 0; i < k->count; i++)
        leave_fd(&k->entries[i]);
    free(k->entries);
    free(k->early);
    if (k->sock >= 0)
        (void)close(k->sock);
    *k = (struct keep_link){.sock = -1};
}

/* ---- the keeper is gone ---------------------------------------------------------------------- */

/* Moves low ones out of the way, since the next keeper gives 0 to 4 to its own. */
static int prepare_fd(struct keep_entry *e)
{
    if (e->fd < FIRST_FREE_FD) {
        int copy = fcntl(e->fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
        if (copy < 0)
            return -errno;
        leave_fd(e);
        e->fd = copy;
        e->ours = true;
    }
    return fcntl(e->fd, F_SETFD, 0) < 0 ? -errno : 0;
}

static size_t fill_records(struct keep_link *k, struct keep_record *records)
{
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++) {
        struct keep_entry *e = &k->entries[i];
        int r = prepare_fd(e);
        if (r < 0) {
            log_err(r, "'%s' cannot be handed to the next keeper", e->name);
            continue;
        }
        records[count].fd = e->fd;
        (void)memcpy(records[count++].name, e->name, KEEP_NAME);
    }
    return count;
}

/* `ret_self`: our own program, which it names. */
static int make_manifest(struct keep_link *k, int *ret_self)
{
    AUTOFREE struct keep_record *records = xcalloc(k->count + 1, sizeof *records);
    int low = memfd_create("manifest", MFD_CLOEXEC);
    AUTOCLOSE int fd = low < 0 ? -1 : fcntl(low, F_DUPFD, FIRST_FREE_FD);
    if (low < 0 || fd < 0)
        return -errno;
    (void)close(low);
    bool rolled_back = k->flags & KEEP_ROLLED_BACK;
    AUTOCLOSE int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    AUTOCLOSE int self =
        fcntl(exe, F_DUPFD, FIRST_FREE_FD); /* inherited, as is all that is named here */
    struct keep_manifest_head head = {
        .magic = KEEP_MANIFEST_MAGIC,
        .version = KEEP_VERSION,
        .record_bytes = sizeof *records,
        .records = (uint32_t)fill_records(k, records),
        .exit_bytes = sizeof *k->early,
        .exits = (uint32_t)k->early_count,
        .supervisor_sock = -1,
        /* Not rolled back again by a keeper that does not know of it: we are the program that works. */
        .binary_fd = rolled_back ? -1 : self,
        .previous_fd = rolled_back ? self : -1,
        .starts = k->starts,
        .flags = KEEP_AGAIN | (k->flags & (KEEP_SAFE | KEEP_ROLLED_BACK)),
        .next_seq = k->early_count ? k->early[k->early_count - 1].seq + 1 : 1,
    };
    int r = keep_manifest_write(fd, &head, records, k->early);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        return r;
    *ret_self = TAKE_FD(self);
    return TAKE_FD(fd);
}

static void close_on_exec_again(struct keep_link *k)
{
    for (size_t i = 0; i < k->count; i++)
        (void)fcntl(k->entries[i].fd, F_SETFD, FD_CLOEXEC);
}

int keep_link_become(struct keep_link *k, const char *home)
{
    char number[16];
    AUTOFREE char *program = path_sibling("proctor-keeper");
    AUTOCLOSE int self = -1;
    AUTOCLOSE int manifest = make_manifest(k, &self);
    if (manifest < 0) {
        close_on_exec_again(k);
        return manifest;
    }
    (void)snprintf(number, sizeof number, "%d", manifest);
    char *const argv[] = {(char *)"proctor-keeper", (char *)"--home", (char *)home,
                          (char *)"--manifest",     number,           NULL};
    spawn_lower_nofile();
    (void)execve(program, argv, environ);
    int r = -errno;
    (void)spawn_raise_nofile();
    close_on_exec_again(k);
    log_err(r, "%s", program);
    return r;
}

/* ---- between two supervisors ----------------------------------------------------------------- */

/* The other end is with the keeper, and with a next supervisor as soon as that has come so far. */
static void hold(struct keep_link *k, const char *home, int fd)
{
    char byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    /* Nobody has it any more: the keeper was killed, or has dropped it for a supervisor that knows nothing of this.  One that
     * ends closes its descriptors first, and leaves its children then. */
    for (int ms = 0; n == 0 && getppid() == k->keeper_pid && ms < KEEPER_END_MS; ms++)
        (void)usleep(1000);
    if (n == 0 && getppid() != k->keeper_pid) {
        log_warn(0, "keeper %d is gone in an upgrade: this process becomes the keeper",
                 (int)k->keeper_pid);
        log_err(keep_link_become(k, home), "there is no keeper");
    }
    _exit(0);
}

void keep_link_hold(struct keep_link *k, const char *home)
{
    int ends[2];
    bool found;
    if (k->sock < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return;
    if (keep_store(k, ends[1], HOLD) == 0 && fork() == 0) {
        size_t at = find(k, HOLD, &found);
        remove_range(k, at, found);
        (void)close(ends[1]);
        hold(k, home, ends[0]);
    }
}
