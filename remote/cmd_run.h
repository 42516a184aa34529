/* cmd_run.h -- what the commands have in common: arguments, the database, one transaction, output. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/secure/hash.h"
#include "remote/store/accounts.h"

struct db;

enum { CMD_OPERANDS = 2, CMD_SENTENCE = 300 };

/* --data is every verb's; the others stand in the verb's row. */
enum cmd_option {
    CMD_JSON = 1,
    CMD_ROLE = 2,
    CMD_NAME = 4,
    CMD_TTL = 8,
    CMD_GENERATE = 16,
};

/* One run of a verb. */
struct cmd_job {
    const char *data;
    bool json;
    bool generate;
    enum role role;
    const char *name; /* of --name; NULL: not given */
    const char *ttl;  /* of --ttl; NULL: not given */
    unsigned given;   /* of cmd_option */
    const char *operands[CMD_OPERANDS];
    size_t operand_count;

    struct db *db;
    struct buf out;          /* printed when everything is committed */
    char text[CMD_SENTENCE]; /* why it failed; empty: err_str() is told */

    char password_hash[PASSWORD_HASH];
    char generated[SECRET_TEXT]; /* "" or the password that was made */
};

struct cmd_verb {
    const char *words[2]; /* "create", "enrol"; the second may be NULL */
    unsigned options;     /* of cmd_option */
    unsigned required;
    size_t operands; /* exactly so many */
    /* Within a transaction: 0, or an error that undoes it (ERR_USAGE: exit code 2). */
    int (*run)(struct cmd_job *job);
    int (*before)(struct cmd_job *job); /* what takes long or asks a person; NULL: nothing */
    void (*after)(struct cmd_job *job); /* when it is committed; NULL: nothing */
};

/* Finds the verb, reads its options, opens the database of a console that was started once, and runs it.  Returns the exit code. */
struct console_cmd;
int cmd_run(const struct console_cmd *command, const struct cmd_verb *verbs, size_t count, int argc,
            char **argv);

/* Notes why, and returns `r`. */
int cmd_fail(struct cmd_job *job, int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A line of output. */
void cmd_print(struct cmd_job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_print_json(struct cmd_job *job, json_t *j); /* takes it */

/* A table: cells row by row, `columns` to each, the first row are the titles; NULL is "-". */
void cmd_print_table(struct cmd_job *job, const char *const *cells, size_t columns, size_t rows);

/* "2025-11-20 05:16:01Z", `none` for 0; the caller frees. */
char *cmd_time(int64_t ms, const char *none);

/* --ttl as milliseconds; 0 for "never" where that is allowed; `fallback` when it was not given. */
int cmd_ttl(struct cmd_job *job, int64_t fallback, int64_t min_ms, int64_t max_ms, bool never,
            int64_t *ret_ms);

int cmd_audit(struct cmd_job *job, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
