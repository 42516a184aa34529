#include "remote/scrypts.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"

struct scrypts {
    uv_loop_t *loop;
    struct list waiting; /* of job.link */
    size_t waiting_count;
    size_t running;
    atomic_bool closing; /* read in the threads */
};

struct job {
    struct list link;
    uv_work_t work; /* ->data is the job */
    struct scrypts *scrypts;
    bool verify;
    char *stored; /* NULL: nobody's */
    char *password;
    char *hash;
    int result;
    scrypts_cb done;
    void *arg;
};

/* The steps. */
static int add_job(struct scrypts *s, struct job *job);
static void run_next(struct scrypts *s);
static void on_thread(uv_work_t *work);
static void on_worked(uv_work_t *work, int status);

struct scrypts *scrypts_new(uv_loop_t *loop)
{
    struct scrypts *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    list_init(&s->waiting);
    return s;
}

void scrypts_free(struct scrypts *s)
{
    if (!s)
        return;
    atomic_store(&s->closing, true);
    if (s->running == 0)
        free(s);
}

static void free_wiped(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

static void job_free(struct job *job)
{
    free_wiped(job->stored);
    free_wiped(job->password);
    free_wiped(job->hash);
    free(job);
}

static struct job *job_new(const char *stored, const char *password, scrypts_cb done, void *arg)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->stored = xstrdup_null(stored);
    job->password = xstrdup(password);
    job->done = done;
    job->arg = arg;
    return job;
}

int scrypts_verify(struct scrypts *s, const char *stored, const char *password, scrypts_cb done,
                   void *arg)
{
    struct job *job = job_new(stored, password, done, arg);
    job->verify = true;
    return add_job(s, job);
}

int scrypts_hash(struct scrypts *s, const char *password, scrypts_cb done, void *arg)
{
    return add_job(s, job_new(NULL, password, done, arg));
}

static int add_job(struct scrypts *s, struct job *job)
{
    if (s->waiting_count >= SCRYPTS_WAITING) {
        job_free(job);
        return ERR_TOO_MANY;
    }
    job->scrypts = s;
    list_add(&s->waiting, &job->link, job);
    s->waiting_count++;
    run_next(s);
    return 0;
}

static void run_next(struct scrypts *s)
{
    if (s->running >= SCRYPTS_AT_ONCE || list_empty(&s->waiting))
        return;
    struct job *job = s->waiting.next->owner;
    list_remove(&job->link);
    s->waiting_count--;
    s->running++;
    job->work.data = job;
    /* It fails only without a function to run. */
    (void)uv_queue_work(s->loop, &job->work, on_thread, on_worked);
}

static void on_thread(uv_work_t *work)
{
    struct job *job = work->data;
    if (atomic_load(&job->scrypts->closing)) {
        job->result = ERR_STOPPING;
    } else if (job->stored) {
        job->result = password_verify(job->stored, job->password);
    } else {
        job->hash = password_hash(job->password);
        job->result = job->verify ? ERR_INVALID : 0;
    }
}

static void on_worked(uv_work_t *work, int status)
{
    struct job *job = work->data;
    struct scrypts *s = job->scrypts;
    /* Counted as running until here, so that `s` stays, whatever the callback does. */
    job->done(job->arg, job->result, job->verify ? NULL : job->hash);
    job_free(job);
    s->running--;
    run_next(s);
    if (atomic_load(&s->closing) && s->running == 0)
        free(s);
}
