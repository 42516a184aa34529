/* log_archives.h -- what becomes of archives: packed one after the other in a worker thread, and thrown away when a log has more
 * than it wants or the folder more than its quota, the oldest first.
 *
 * A packed file is made beside (`….zst.tmp`) and renamed before the plain one goes, so that a death leaves one of them whole;
 * what an earlier supervisor left plain is packed at the start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/list.h"

enum { LOG_QUOTA_DEFAULT = 1 << 30 };

struct log_job;

struct log_archives {
    uv_loop_t *loop;
    char *dir;
    int64_t quota_bytes;
    uv_work_t work;
    struct list jobs;    /* waiting */
    struct log_job *job; /* being done */
    bool scanning;       /* the job that finds what was left waits, or is being done */
    int64_t too_much;    /* bytes, when it was looked last */
    volatile bool stop;
};

void log_archives_init(struct log_archives *a, uv_loop_t *loop, const char *dir);
/* Jobs that wait are left to the next start, and one that runs ends soon. */
void log_archives_stop(struct log_archives *a);
void log_archives_clear(struct log_archives *a); /* after the loop has ended */

/* Packs a plain archive; of its log not more than `keep` stay (0: all). */
void log_archives_add(struct log_archives *a, const char *path, unsigned keep);

/* Finds what was left plain, and looks at the quota, behind the jobs that wait. */
void log_archives_scan(struct log_archives *a);

/* Throws away all archives of `log` (a file name), also what is being packed. */
void log_archives_drop(struct log_archives *a, const char *log);

/* ---- blocking; for the worker, and for tests ---- */

/* 0 (also when the file is gone), or a negative code. */
int log_archive_pack(const char *path, const volatile bool *stop);

/* Throws away archives of `log` (a file name; NULL: no log) but `keep`, then the oldest of all until the folder has at most
 * `quota_bytes`.  Bytes that are too much still; 0: all is well. */
int64_t log_archives_trim(const char *dir, const char *log, unsigned keep, int64_t quota_bytes);
