/* keep.h -- what the supervisor and its keeper say to each other: plain structs over a SOCK_SEQPACKET socketpair.
 *
 * Libc only, no allocation: the keeper is linked with nothing else.  One message is one packet of exactly
 * sizeof(struct keep_msg) bytes, with at most one descriptor beside it.  Both ends run on one host, from one build or from
 * two neighbouring ones (an upgrade): a type that is not known is ignored, another KEEP_VERSION ends the connection.
 *
 *   supervisor -> keeper   STORE name + fd   keeps a copy; the same name again replaces it
 *                          DROP name         forgets it; "i7.*" all names that begin so
 *                          ACK seq           that exit is recorded, forget it
 *                          UP                everything is adopted and served: this start was a success
 *                          UPGRADE           the next start is with the programs that lie on the disk now: end, and be replaced
 *                          BYE               an end that was asked for: do not start another one
 *   keeper -> supervisor   FD name + fd      one stored descriptor, after each start
 *                          EXIT seq …        a child of the keeper has ended (an app that outlived a supervisor, an orphan); sent
 *                                            again after each start until it is acknowledged
 *                          SYNCED flags …    all of them have been sent; from here on only EXIT comes */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    KEEP_VERSION = 1,
    KEEP_NAME = 80,    /* with its NUL */
    KEEP_FDS = 65536,  /* stored at most: more than RLIMIT_NOFILE usually is */
    KEEP_EXITS = 1024, /* not acknowledged at most; further children wait as zombies */
};

enum keep_type {
    KEEP_STORE = 1,
    KEEP_DROP,
    KEEP_ACK,
    KEEP_UP,
    KEEP_UPGRADE,
    KEEP_BYE,
    KEEP_FD = 33,
    KEEP_EXIT,
    KEEP_SYNCED,
};

/* Flags of SYNCED. */
enum {
    KEEP_AGAIN = 1,       /* there was a supervisor before this one: adopt, do not begin */
    KEEP_SAFE = 2,        /* it crashed again and again with this state: watch only */
    KEEP_ROLLED_BACK = 4, /* this is the previous program; the new one did not come up */
    KEEP_UPGRADED = 8,    /* this is the first start after an UPGRADE */
};

/* Status in SYNCED: the keeper was killed, and the supervisor before took its place. */
enum { KEEP_BECAME_KEEPER = -1 };

struct keep_msg {
    uint32_t version;
    uint32_t type;
    uint64_t seq; /* EXIT, ACK */
    int32_t pid;  /* EXIT */
    int32_t code; /* EXIT: CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int32_t
        status; /* EXIT: exit code or signal; SYNCED: how the supervisor before it ended, as of waitpid */
    uint32_t flags;  /* SYNCED */
    uint32_t starts; /* SYNCED: how often a supervisor was started, this one included */
    uint32_t reserved;
    int64_t
        at_ms; /* EXIT: when, on CLOCK_REALTIME; SYNCED: when the supervisor before it ended, on CLOCK_MONOTONIC, 0: none */
    char name[KEEP_NAME];
};

/* Sends one message; `fd` (-1: none) is copied, not taken.  0 or -errno (-EAGAIN on a non-blocking socket). */
int keep_send(int sock, const struct keep_msg *msg, int fd);

/* Receives one.  1: `*ret_msg`, its name terminated, and `*ret_fd` (-1: none; the caller's, close-on-exec).  0: the other end is
 * gone.  -EAGAIN: nothing there.  -EPROTO: not a message of this protocol (a descriptor that came with it is closed). */
int keep_receive(int sock, struct keep_msg *ret_msg, int *ret_fd);

/* ---- handing everything over to the next keeper by execve ------------------------------------- */

/* The manifest: a memfd that says which inherited descriptor has which name, written before the execve by the old keeper (an
 * upgrade) or by the supervisor (the keeper was killed).  Fixed-size records, so that neighbouring versions can read it. */
struct keep_manifest_head {
    uint32_t magic; /* KEEP_MANIFEST_MAGIC */
    uint32_t version;
    uint32_t record_bytes;
    uint32_t records;
    uint32_t exit_bytes; /* of one struct keep_msg of type EXIT behind the records */
    uint32_t exits;
    int32_t supervisor_pid;  /* the child that is to be waited for and replaced; 0: none runs */
    int32_t supervisor_sock; /* our end of its socket; -1 */
    int32_t binary_fd;       /* the present program, and the one before it; -1 */
    int32_t previous_fd;
    uint32_t starts;
    uint32_t flags;
    uint64_t next_seq;
};

struct keep_record {
    int32_t fd;
    char name[KEEP_NAME];
};

enum { KEEP_MANIFEST_MAGIC = 0x6b656570 };

/* Writes to / reads from the descriptor at its present position.  0, -errno, -EPROTO. */
int keep_manifest_write(int fd, const struct keep_manifest_head *head,
                        const struct keep_record *records, const struct keep_msg *exits);
int keep_manifest_read(int fd, struct keep_manifest_head *ret_head, struct keep_record *records,
                       size_t record_max, struct keep_msg *exits, size_t exit_max);

/* Is `name` usable: 1 to KEEP_NAME - 1 bytes of [A-Za-z0-9._/-]? */
int keep_name_valid(const char *name);
