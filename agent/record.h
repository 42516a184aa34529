/* record.h -- the record of one capture: what was asked for and what became of it (RECORD in
 * docs/PROTOCOL.md).
 *
 * It is the journal in the spool and what every answer about a capture carries.  Nothing here does
 * I/O: records from files and messages from the supervisor are looked at field by field, and only
 * the fields of the table in record.c get in, so that no environment value and no inspector address
 * can end up on disk. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/base/uuid.h"

struct blob_sums;
struct buf;

/* enum, word in JSON, how a result's file name ends */
#define RECORD_KINDS(X)                                                                            \
    X(RECORD_CPU, "cpu", ".cpuprofile")                                                            \
    X(RECORD_HEAP, "heap", ".heapprofile")

enum record_kind {
#define X(name, word, extension) name,
    RECORD_KINDS(X)
#undef X
};

const char *record_kind_name(enum record_kind kind);
const char *record_kind_extension(enum record_kind kind);

/* enum, word in JSON; those after running are the five ends */
#define RECORD_STATES(X)                                                                           \
    X(RECORD_QUEUED, "queued")                                                                     \
    X(RECORD_RUNNING, "running")                                                                   \
    X(RECORD_DONE, "done")                                                                         \
    X(RECORD_PARTIAL, "partial")                                                                   \
    X(RECORD_FAILED, "failed")                                                                     \
    X(RECORD_CANCELLED, "cancelled")                                                               \
    X(RECORD_EXPIRED, "expired")

enum record_state {
#define X(name, word) name,
    RECORD_STATES(X)
#undef X
};

const char *record_state_name(enum record_state state);

/* RECORD_WORD is shorter than a UUID on purpose: what fits cannot be one.  The protocol has six
 * phases and a handful of warnings; the rest is room for later versions. */
enum {
    RECORD_WORD = 32,
    RECORD_MESSAGE = 1000,
    RECORD_PHASE_NAME = 16,
    RECORD_PHASES = 12,
    RECORD_WARNINGS = 8,
    RECORD_ROLE = 16,  /* the longest name of a console account's role */
    RECORD_HASH = 64,  /* digits of a SHA-256 */
    RECORD_TEXT = 256, /* room for an error sentence of ours */
};

/* A number that is not known is RECORD_UNKNOWN and left out of the JSON; a text that is not known
 * is NULL. */
#define RECORD_UNKNOWN INT64_C(-1)

struct record_phase {
    char name[RECORD_PHASE_NAME + 1];
    int64_t at_ms;
};

struct record {
    char id[UUID_TEXT];
    enum record_kind kind;
    enum record_state state; /* set by record_end() and record_progress() */
    bool from_console;       /* "origin": "console"; not told: somebody on this host asked for it */
    bool delivered;          /* the console has acknowledged how it ended */
    char *app;
    char *requester;
    char *role; /* of the console's account */
    char *host; /* whom the console takes us for: says which console it was */
    char *node_version;
    char *reason;
    char *sha256;        /* of the result */
    char *stored_sha256; /* of the zstd frame that it is kept as */
    char *error_name;
    char *error_message;
    int64_t instance;
    int64_t pid;
    int64_t duration_ms;
    int64_t interval_us;
    int64_t interval_bytes;
    int64_t not_after_ms;
    int64_t created_ms;
    int64_t ended_ms;
    int64_t start_pause_us;
    int64_t measured_us;
    int64_t bytes;
    int64_t stored_bytes; /* of the zstd frame */
    struct record_phase phases[RECORD_PHASES];
    unsigned phase_count;
    struct strlist warnings;
};

void record_init(struct record *r);
void record_clear(struct record *r);
#define AUTORECORD __attribute__((cleanup(record_clear)))

/* ---- out of JSON: `ret_record` is initialised by the caller and holds something only on success  */

/* From the fields of a capture.start that passed wire_method_check().  Returns 0, or
 * ERR_UNSUPPORTED or ERR_INVALID with a sentence. */
int record_from_request(const json_t *params, int64_t now_ms, struct record *ret_record,
                        char reterr_text[static RECORD_TEXT]);

/* The same for a message of the console that knows us as `host`; it brings the role of its account, too. */
int record_from_console(const json_t *message, const char *host, int64_t now_ms,
                        struct record *ret_record, char reterr_text[static RECORD_TEXT]);

/* From the text of a file.  Returns 0, or ERR_SYNTAX or ERR_INVALID with a sentence. */
int record_parse(const char *text, size_t len, struct record *ret_record,
                 char reterr_text[static RECORD_TEXT]);

/* ---- into JSON: the caller owns what they return --------------------------------------------- */

json_t *record_to_json(const struct record *r);

/* As the console is told it: what it has acknowledged, and who we are, it knows itself.  Takes and returns what
 * record_to_json() made. */
json_t *record_for_console(json_t *record);

/* The fields of probe.start. */
json_t *record_to_request(const struct record *r);

/* ---- what happens to it ---------------------------------------------------------------------- */

/* Notes a phase; false when it is noted already, is no phase's name or one too many. */
bool record_enter(struct record *r, const char *phase, int64_t at_ms);

/* Takes the last phase back when it is `phase`: it was noted before it was reached. */
void record_leave(struct record *r, const char *phase);

/* The last phase, for sentences: "running", or "queued" before the first. */
const char *record_phase(const struct record *r);

/* Takes a progress message of probe.start: the record is running, perhaps in a new phase.  Returns
 * true when a phase was entered, false when there was none or none that is new. */
bool record_progress(struct record *r, const json_t *params, int64_t now_ms);

/* Takes the answer to probe.start and ends the record with it.  Returns 0, or ERR_PROTOCOL (nothing
 * taken) when it names no state that a capture can end in.  Other fields that do not fit are left
 * out. */
int record_answer(struct record *r, const json_t *answer, int64_t now_ms);

/* The capture is over; the last call counts.  One that was cancelled has no error: nobody wants it.
 */
void record_end(struct record *r, enum record_state state, int64_t now_ms);

/* Ends it as failed.  The message (cut at RECORD_MESSAGE bytes) may come from the inspector: UUIDs
 * in it but the record's own id are hidden. */
void record_fail(struct record *r, const char *name, const char *message, int64_t now_ms);

/* Adds a warning once. */
void record_warn(struct record *r, const char *warning);

/* The result is kept compressed now, with these sums; and the other way round, when it turns out
 * that it is not. */
void record_pack(struct record *r, const struct blob_sums *sums);
void record_unpack(struct record *r);
bool record_packed(const struct record *r);

bool record_ended(const struct record *r);

/* Done or partial, and not said to have lost its file since. */
bool record_has_result(const struct record *r);

/* Why an ended capture has no result any more: the spool was full, the file is gone and nobody knows
 * why, its bytes are not those that were stored, or it is larger than what a console takes. */
#define RECORD_RESULT_REMOVED "result_removed"
#define RECORD_RESULT_MISSING "result_missing"
#define RECORD_RESULT_DAMAGED "result_damaged"
#define RECORD_RESULT_TOO_LARGE "result_too_large"
/* The file is not as long as the supervisor said; `bytes` is what it really has. */
#define RECORD_SIZE_DIFFERS "size_differs"
