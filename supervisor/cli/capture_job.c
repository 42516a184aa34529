#include "supervisor/cli/capture_job.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/out.h"

void capture_job_fail(struct capture_job *job, int error, const char *text)
{
    json_t *root = json_object();
    json_set_string(root, "message", text);
    job->result = error;
    job->answer = (struct msg){.kind = MSG_ERROR,
                               .root = root,
                               .error = error,
                               .error_text = json_get_string(root, "message", NULL)};
}

void capture_job_take(struct capture_job *job, json_t *record, int fd)
{
    json_t *root = json_object();
    (void)json_object_set_new(root, "record", record);
    job->result = 0;
    job->answer = (struct msg){.kind = MSG_RESULT, .root = root, .result = root};
    if (fd >= 0)
        job->answer.fds[job->answer.fd_count++] = fd;
}

void capture_jobs_clear(struct capture_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(jobs[i].label);
        json_decref(jobs[i].params);
        msg_clear(&jobs[i].answer);
    }
    free(jobs);
}

/* Refused is one only when all are. */
static int merge(int a, int b)
{
    return a == b ? a : CMD_FAILED;
}

int capture_jobs_report(const struct job_report *how, struct capture_job *jobs, size_t count)
{
    AUTOJSON json_t *array = json_array();
    struct capture_report report = {.wanted = how->output,
                                    .json = how->as_json ? array : NULL,
                                    .epoch_ms = how->epoch_ms,
                                    .more = how->more};
    int code = CMD_DONE;
    for (size_t i = 0; i < count; i++) {
        int one = capture_report(&report, jobs[i].label, jobs[i].result, &jobs[i].answer);
        code = i == 0 ? one : merge(code, one);
    }
    AUTOFREE char *file = report.last_file;
    if (how->as_json) {
        AUTOJSON json_t *answer = json_object();
        json_set_int(answer, "version", 1);
        (void)json_object_set(answer, "captures", array);
        out_json(answer);
    } else if (file && !str_eq(file, "-")) {
        (void)printf("see where it went: proctor top %s\n", file);
    }
    return code;
}
