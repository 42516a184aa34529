/* capture_report.h -- what became of a capture, told to a person or as JSON; and its result,
 * brought into a file. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct msg;

struct capture_report {
    const char *wanted; /* -o: NULL, a file, a folder, "-" */
    json_t *json;       /* an array that gets each record with "file"; NULL: text is printed */
    int64_t epoch_ms;   /* for file names */
    const char
        *more; /* what 'proctor captures get ID' needs besides: " --console URL"; NULL: nothing */
    char *last_file; /* the last that was written and can be looked at; the caller frees */
};

/* The answer of capture.start or capture.get: the error, or the record with its descriptor. `label`
 * names the process
 * ("api-0").  Returns the exit code: done and partial are CMD_DONE. */
int capture_report(struct capture_report *report, const char *label, int r, struct msg *answer);

/* "api-0" of a record.  The caller frees. */
char *capture_label(const json_t *record);

/* "the app ended during the capture" for a record's reason; NULL when there is none. */
const char *capture_reason_text(const json_t *record);
