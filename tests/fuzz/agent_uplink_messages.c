/* What a console says over the channel: frames of any kind, in any pieces.  Nothing is taken before its hello, nothing after the
 * end, only what the table allows in between, and the queue stays within its limit. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/uplink_session.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

struct stub {
    struct uplink_session session;
    unsigned opened;
    unsigned over;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_open(void *arg, const json_t *hello)
{
    struct stub *stub = arg;
    assert(stub->opened++ == 0 && !stub->over);
    assert(json_is_object(hello));
}

/* An owner answers some, and ends at others. */
static void on_message(void *arg, const char *type, const json_t *message)
{
    static const char *const never[] = {"hello",   "bye",   "ping", "pong",
                                        "capture", "renew", "log",  "log.refused"};
    struct stub *stub = arg;
    assert(stub->opened == 1 && !stub->over);
    assert(strcmp(json_get_string(message, "type", ""), type) == 0);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        assert(strcmp(type, never[i]) != 0);
    if (strcmp(type, "capture.get") == 0)
        (void)uplink_session_send(&stub->session, "capture.unknown", (json_t *)message);
    if (strcmp(type, "log.get") == 0)
        (void)uplink_session_send(&stub->session, "log.refused", (json_t *)message);
    if (strcmp(type, "capture.cancel") == 0)
        uplink_session_end(&stub->session, -1, json_get_string(message, "id", ""));
}

static void on_queued(void *arg)
{
    struct stub *stub = arg;
    assert(stub->session.queued_bytes <= LIMIT_CHANNEL_QUEUE);
}

static void on_over(void *arg)
{
    struct stub *stub = arg;
    assert(stub->over++ == 0);
}

static const struct uplink_session_callbacks callbacks = {
    .on_open = on_open, .on_message = on_message, .on_queued = on_queued, .on_over = on_over};

/* What was queued must be messages that we may send. */
static void drain(struct stub *stub)
{
    struct uplink_text *t;
    while ((t = uplink_session_next(&stub->session, 1))) {
        json_t *message = json_object_parse(t->bytes + UPLINK_GAP, t->len);
        assert(message && json_get_string(message, "type", NULL));
        json_decref(message);
        free(t);
    }
}

/* Lines are frames.  A line's first byte: '>' a piece that goes on in the next, '#' binary, '@' a second passes. */
static void give(struct stub *stub, const char *line, size_t len, int64_t *now_ms)
{
    bool piece = len > 0 && line[0] == '>';
    bool binary = len > 0 && line[0] == '#';
    if (len > 0 && line[0] == '@') {
        *now_ms += 5000;
        uplink_session_tick(&stub->session, *now_ms);
        return;
    }
    size_t skip = piece || binary;
    uplink_session_data(&stub->session, line + skip, len - skip, binary, !piece, *now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stub stub = {.opened = 0};
    int64_t now_ms = 1;
    const char *rest = (const char *)data;
    uplink_session_init(&stub.session, size % 2 ? "" : ID, ID, &callbacks, &stub, now_ms);
    while (size > 0) {
        const char *end = memchr(rest, '\n', size);
        size_t len = end ? (size_t)(end - rest) : size;
        give(&stub, rest, len, &now_ms);
        if (len % 3 == 0)
            drain(&stub);
        rest += len + (end != NULL);
        size -= len + (end != NULL);
    }
    assert(stub.session.over == (stub.over == 1));
    drain(&stub);
    uplink_session_clear(&stub.session);
    return 0;
}
