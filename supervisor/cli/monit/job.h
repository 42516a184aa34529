/* job.h -- one command of `proctor` that runs beside us: in a child, its last line kept for the status line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { JOB_TEXT = 300, JOB_WORDS = 8 };

struct job {
    pid_t pid;           /* 0: none runs */
    int fd;              /* what it says */
    bool interrupts;     /* SIGINT ends it early and well: a capture */
    bool failed;         /* the last one */
    char text[JOB_TEXT]; /* its last line */
};

void job_init(struct job *j);

/* Runs `words` (NULL-terminated, "proctor" first).  0 or -errno; -EBUSY: one runs already. */
int job_start(struct job *j, const char *const *words, bool interrupts);

/* Reads what it says; when it has ended `pid` is 0. */
void job_read(struct job *j);

/* At our end: a capture is ended early and its file written, whatever else is left to itself. */
void job_end(struct job *j);
