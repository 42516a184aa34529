/* method.h -- the table of messages: who may send what, with which fields, within which limits.
 *
 * Each program gives the handlers for the rows it answers; msg checks are the same everywhere. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* Who sends a message to whom; one connection carries one of these. */
enum wire_from {
    WIRE_CLI_TO_SUPERVISOR = 1,
    WIRE_SUPERVISOR_TO_AGENT = 2,
    WIRE_AGENT_TO_SUPERVISOR = 4,
    WIRE_SUPERVISOR_TO_PROBE = 8,
    WIRE_PROBE_TO_SUPERVISOR = 16,
};

enum wire_type {
    WIRE_STRING,
    WIRE_INT,
    WIRE_BOOL,
    WIRE_OBJECT,
    WIRE_ARRAY,
    WIRE_STRINGS,
    WIRE_UUID
};

struct wire_field {
    const char *name; /* NULL ends a list */
    enum wire_type type;
    int required;
    long long min; /* of an integer; of the length of a string or an array */
    long long max;
};

struct wire_method {
    const char *name;
    unsigned from; /* wire_from bits */
    const struct wire_field *fields;
    unsigned fds_max; /* descriptors it may carry */
};

/* The row of a method that may travel in direction `from`, or NULL. */
const struct wire_method *wire_method_find(const char *name, enum wire_from from);

/* Checks the fields of `params` against the row: 0, or ERR_INVALID with one sentence in `reterr_text`.  Unknown fields
 * are ignored. */
int wire_method_check(const struct wire_method *m, const json_t *params, char *reterr_text,
                      size_t size);

/* The same for a list of fields; `name` is the message's, for the sentence. */
int wire_fields_check(const char *name, const struct wire_field *fields, const json_t *params,
                      char *reterr_text, size_t size);

/* For tables of messages. */
// clang-format off
#define WIRE_REQUIRED 1
#define WIRE_OPTIONAL 0
#define WIRE_END {NULL, WIRE_STRING, 0, 0, 0}
#define WIRE_FIELDS(...) (const struct wire_field[]){__VA_ARGS__ __VA_OPT__(,) WIRE_END}
// clang-format on

/* What a capture uses when its request names no interval. */
enum { WIRE_DEFAULT_INTERVAL_US = 5000, WIRE_DEFAULT_INTERVAL_BYTES = 524288 };

/* The protocol version that `hello` carries. */
enum { WIRE_VERSION = 1 };
