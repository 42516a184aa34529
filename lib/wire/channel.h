/* channel.h -- the text messages of the channel between agent and console (docs/PROTOCOL.md, "Channel"): one JSON object
 * each, {"type": NAME, …}.
 *
 * The table in channel.c says who may send what, in which phase, with which fields.  What they mean is the owners'
 * business.  The checks of fields are those of method.h. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "lib/wire/method.h"

struct buf;

#define CHANNEL_SUBPROTOCOL "proctor.v1"

enum {
    CHANNEL_VERSION_MIN = 1,
    CHANNEL_VERSION = 1,
    CHANNEL_BEAT_MS = 5000,   /* an agent sends its processes as often; a console that has nothing to say says `ping` */
    CHANNEL_SILENT_MS = 30000 /* a peer that was not heard for so long is gone */
};

enum channel_from { CHANNEL_AGENT = 1, CHANNEL_CONSOLE = 2 };

/* HELLO: until this side has taken the other's hello.  OPEN: after it. */
enum channel_phase { CHANNEL_HELLO = 1, CHANNEL_OPEN = 2 };

struct channel_type {
    const char *name;
    unsigned from;   /* channel_from bits */
    unsigned phases; /* channel_phase bits */
    const struct wire_field *fields;
};

/* Reads one text frame that came from `from` while we were in `phase`: 0 with the row and the object (owned by the caller), or
 * ERR_SYNTAX, ERR_TOO_BIG, ERR_PROTOCOL (unknown type, or not allowed now), ERR_INVALID (fields), each with a sentence; all
 * of them end the connection. */
int channel_parse(const char *text, size_t len, enum channel_from from, enum channel_phase phase,
                  const struct channel_type **ret_type, json_t **ret_message, char *reterr_text,
                  size_t size);

/* Appends {"type": name, …members of `fields` (borrowed; NULL: none)}.  0 or ERR_TOO_BIG past LIMIT_CHANNEL_MESSAGE. */
int channel_add(struct buf *out, const char *name, json_t *fields);

/* The rows, for tests: NULL past the last. */
const struct channel_type *channel_type_at(size_t i);

/* The version both speak, from the two ranges: 0 when there is none. */
int channel_choose_version(long long min, long long max);
