/* extract.h -- takes the messages of an inspector apart while they arrive.
 *
 * A message comes in fragments of any size.  Small ones are collected whole, to be parsed (cdp.h).  From the one reply
 * that is awaited, the bytes of `result.profile` go to a sink as they are, so that a result of any size is never in
 * memory; V8 writes `id` before `result`, and a reply where it stands behind counts as broken.  Other messages that are
 * too large to be collected are skipped.
 *
 * Pure: no I/O besides the sink's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/inspector/jpush.h"
#include "lib/base/buf.h"

/* Takes the next bytes of the profile.  A negative return ends the extraction with that value. */
typedef int (*extract_sink_cb)(void *arg, const char *data, size_t len);

enum extract_found {
    EXTRACT_MORE,    /* the message goes on */
    EXTRACT_MESSAGE, /* a small message: its text is in `message` until the next feed */
    EXTRACT_PROFILE, /* the awaited reply: the whole profile went to the sink */
    EXTRACT_SKIPPED, /* a large message that nobody awaits */
};

enum extract_member { MEMBER_OTHER, MEMBER_ID, MEMBER_METHOD, MEMBER_RESULT };

struct extract {
    int64_t
        awaited_id; /* the owner's: whose profile is wanted, 0: none.  Looked at when a profile begins */
    struct buf message;
    /* About the message of the last feed. */
    int64_t id;              /* 0: an event, or no id that could be ours */
    char method[JPUSH_TEXT]; /* "" when it has none */
    uint64_t size;           /* bytes so far */
    /* private */
    struct jpush json;
    extract_sink_cb sink;
    void *arg;
    enum extract_member member;
    const char
        *copy_from; /* while copying: the first byte of this fragment that belongs to the profile */
    bool started, in_profile, copying, copied;
};

void extract_init(struct extract *x, extract_sink_cb sink, void *arg);
void extract_clear(struct extract *x);

/* Reads one fragment; `final` says that the message ends with it.  Returns an enum extract_found, ERR_PROTOCOL when the
 * message is no JSON object or the awaited reply carries no profile, or what the sink returned.  After a message has
 * ended the next feed begins the next one; after an error only extract_clear() may follow. */
int extract_feed(struct extract *x, const char *data, size_t len, bool final);
