#include "agent/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

/* What the thread works on; it belongs to thread and operation, and whoever is last frees it. */
struct job {
    atomic_uint owners;
    atomic_bool finished;
    char *host;
    int done_fd; /* closed by the thread when the result is there */
    int error;   /* of getaddrinfo() */
    struct resolved found;
};

struct resolve {
    uv_poll_t poll;
    int fd;
    struct job *job;
    resolve_cb done;
    void *arg;
};

/* The steps. */
static int start_thread(struct job *job);
static void *on_thread(void *arg);
static void on_finished(uv_poll_t *poll, int status, int events);
static void on_closed(uv_handle_t *handle);

static void job_drop(struct job *job)
{
    if (atomic_fetch_sub(&job->owners, 1) > 1)
        return;
    free(job->host);
    free(job);
}

static int job_start(const char *host, int *ret_fd, struct job **ret_job)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    struct job *job = xcalloc(1, sizeof *job);
    atomic_init(&job->owners, 2);
    job->host = xstrdup(host);
    job->done_fd = pair[1];
    int r = start_thread(job);
    if (r < 0) {
        (void)close(pair[0]);
        (void)close(pair[1]);
        atomic_store(&job->owners, 1);
        job_drop(job);
        return r;
    }
    *ret_fd = pair[0];
    *ret_job = job;
    return 0;
}

int resolve_start(uv_loop_t *loop, const char *host, resolve_cb done, void *arg,
                  struct resolve **ret_resolve)
{
    struct resolve *r = xcalloc(1, sizeof *r);
    *r = (struct resolve){.done = done, .arg = arg};
    r->poll.data = r;
    int e = job_start(host, &r->fd, &r->job);
    if (e < 0) {
        free(r);
        return e;
    }
    e = uv_poll_init(loop, &r->poll, r->fd);
    if (e < 0) {
        (void)close(r->fd);
        job_drop(r->job);
        free(r);
        return e;
    }
    (void)uv_poll_start(&r->poll, UV_READABLE | UV_DISCONNECT, on_finished);
    *ret_resolve = r;
    return 0;
}

/* Signals are the loop's business. */
static int start_thread(struct job *job)
{
    pthread_t thread;
    pthread_attr_t detached;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_init(&detached);
    (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &detached, on_thread, job);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&detached);
    return -r;
}

static void copy_addresses(const struct addrinfo *list, struct resolved *to)
{
    for (const struct addrinfo *a = list; a && to->count < RESOLVE_ADDRESSES; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, to->address[to->count], RESOLVE_TEXT, NULL, 0,
                        NI_NUMERICHOST) == 0)
            to->count++;
}

static void *on_thread(void *arg)
{
    struct job *job = arg;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    job->error = getaddrinfo(job->host, NULL, &hints, &list);
    if (job->error == 0) {
        copy_addresses(list, &job->found);
        freeaddrinfo(list);
    }
    atomic_store(&job->finished, true);
    (void)close(job->done_fd);
    job_drop(job);
    return NULL;
}

static void on_finished(uv_poll_t *poll, int status, int events)
{
    struct resolve *r = poll->data;
    if (status == 0 && !atomic_load(&r->job->finished))
        return;
    int error = status < 0 ? EAI_SYSTEM : r->job->error;
    (void)uv_poll_stop(poll);
    if (error == 0 && r->job->found.count > 0)
        r->done(r->arg, 0, "", &r->job->found);
    else
        r->done(r->arg, ERR_UNREACHABLE, error ? gai_strerror(error) : "it has no address", NULL);
    uv_close((uv_handle_t *)poll, on_closed);
}

void resolve_cancel(struct resolve *r)
{
    (void)uv_poll_stop(&r->poll);
    uv_close((uv_handle_t *)&r->poll, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct resolve *r = handle->data;
    (void)close(r->fd);
    job_drop(r->job);
    free(r);
}
