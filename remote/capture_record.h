/* capture_record.h -- RECORD of docs/PROTOCOL.md as an agent tells it.
 *
 * Foreign bytes: a record is looked at field by field, and only the fields of the table in
 * capture_record.c get in, within their limits, so that what the console keeps and shows has a
 * shape that it chose.  No I/O. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/limits.h"
#include "lib/base/uuid.h"
#include "remote/store/captures.h"

/* enum, word; those after running are the five ends */
#define CAPTURE_STATES(X)                                                                          \
    X(CAPTURE_QUEUED, "queued")                                                                    \
    X(CAPTURE_RUNNING, "running")                                                                  \
    X(CAPTURE_DONE, "done")                                                                        \
    X(CAPTURE_PARTIAL, "partial")                                                                  \
    X(CAPTURE_FAILED, "failed")                                                                    \
    X(CAPTURE_CANCELLED, "cancelled")                                                              \
    X(CAPTURE_EXPIRED, "expired")

enum capture_state {
#define X(name, word) name,
    CAPTURE_STATES(X)
#undef X
};

const char *capture_state_name(enum capture_state state);
/* ERR_INVALID */
int capture_state_parse(const char *word, enum capture_state *ret_state);

enum {
    RECORD_MESSAGE_MAX = 1000,
    RECORD_PHASES_MAX = 12,
    RECORD_WARNINGS_MAX = 8,
    RECORD_PHASE_MAX = 16
};

struct capture_record {
    /* whose it is */
    char id[UUID_TEXT];
    char kind[CAPTURE_WORD];
    char app[LIMIT_NAME + 1];
    int64_t instance;
    enum capture_state state;
    json_t *facts; /* the rest, as we keep it */
};

/* 0, or ERR_INVALID with a sentence: what says whose it is, or the state, is missing or does not
 * fit.  Other fields that do not fit are left out. */
int capture_record_take(const json_t *record, struct capture_record *ret_record, char *reterr_text,
                        size_t size);
void capture_record_clear(struct capture_record *r);
#define AUTOCAPTURERECORD __attribute__((cleanup(capture_record_clear)))

/* What the host has told of a row's capture, the caller's; NULL: nothing. */
json_t *capture_facts(const struct capture_row *row);

/* Does an end in this state come with a result?  `facts` NULL: nothing is known. */
bool capture_record_has_result(enum capture_state state, const json_t *facts);
