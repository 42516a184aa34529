/* capture_job.h -- the captures that one command asks for, and what became of each: told together at
 * the end. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/msg.h"

struct capture_job {
    char *label;    /* "api-0"; owned */
    json_t *params; /* of the request; owned */
    int result;     /* 0, or the error's code */
    struct msg answer;
};

/* What became of a job whose answer did not come in a message: an error with its sentence (copied), or a record (taken) with its
 * result (taken; -1: none). */
void capture_job_fail(struct capture_job *job, int error, const char *text);
void capture_job_take(struct capture_job *job, json_t *record, int fd);

/* Frees the array too. */
void capture_jobs_clear(struct capture_job *jobs, size_t count);

struct job_report {
    const char *output; /* -o; NULL: a name of ours */
    const char *more;   /* as in capture_report.h */
    bool as_json;
    int64_t epoch_ms; /* for file names */
};

/* Writes the results into files and says what became of all, as text or as one JSON object on standard output.  Returns the
 * exit code: what is the answer for each is the answer for all; else CMD_FAILED. */
int capture_jobs_report(const struct job_report *how, struct capture_job *jobs, size_t count);
