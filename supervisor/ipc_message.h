/* ipc_message.h -- one line of an app's IPC channel: what it is, and what of it is kept.
 *
 * The lines come from apps (Node's process.send(), JSON): foreign bytes.  Pure: no descriptors, nothing is sent. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What a line is, by its bare text, its "cmd" or its "type".  The first that fits counts. */
#define IPC_KIND_LIST(X)                                                                           \
    /* kind         where    word */                                                               \
    X(IPC_READY, IPC_TEXT, "ready")                                                                \
    /* a handle came with it: Node sends nothing more until that is acknowledged */                \
    X(IPC_HANDLE, IPC_CMD, "NODE_HANDLE")                                                          \
    /* between Node and Node: cluster */                                                           \
    X(IPC_NODE, IPC_CMD, "NODE_*")                                                                 \
    X(IPC_MONITOR, IPC_TYPE, "axm:monitor")                                                        \
    X(IPC_ACTION, IPC_TYPE, "axm:action")                                                          \
    X(IPC_REPLY, IPC_TYPE, "axm:reply")

enum ipc_kind {
#define X(kind, where, word) kind,
    IPC_KIND_LIST(X)
#undef X
        IPC_OTHER, /* the app's own */
    IPC_BAD,       /* no JSON */
};

/* The line without its newline. */
enum ipc_kind ipc_message_kind(const char *line, size_t len);

/* The "data" of a monitor, action or reply message, which the caller frees; NULL: it has none that is an object, or is
 * larger than what such a message may be. */
json_t *ipc_message_data(const char *line, size_t len, enum ipc_kind kind);

/* What an app has told of itself: {"ready": bool, "actions": [NAME…], "metrics": {NAME: {"value", "unit"?, "type"?}}}.
 * Both add what is well-formed and within the limits, and leave the rest. */
void ipc_facts_monitor(json_t *facts, const json_t *data);
/* False: there was nothing new in it. */
bool ipc_facts_action(json_t *facts, const json_t *data);
bool ipc_facts_has_action(const json_t *facts, const char *name);
