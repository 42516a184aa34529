/* packing.h -- results are compressed after their captures have ended: <id>.cpuprofile becomes
 * <id>.cpuprofile.zst, one at a time, the newest first.
 *
 *     packing_run()
 *     the result is packed in a thread, under a temporary name; made durable; renamed
 *     the record is amended: sums and size
 *     the result as it came is removed
 *     packed; the next
 *
 * The index in memory says "packed" from the moment on in which the record on disk does; until the
 * last step both forms are there.  What cannot be packed (a full disk) stays as it is, for now. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "agent/record.h"
#include "lib/wire/blob.h"

struct amends;
struct spool;

/* A result was packed, or was found to have gone (then its record says so now).  `r` is borrowed. */
typedef void (*packing_cb)(void *arg, const struct record *r);

struct packing {
    uv_loop_t *loop;
    struct spool *spool;
    struct amends *amends;
    packing_cb done;
    void *arg;
    uv_timer_t again;
    uv_work_t work;
    int64_t retry_ms; /* 0: the last one went well */
    bool busy;
    bool closing;
    /* The one that is being packed. */
    char id[UUID_TEXT];
    char *raw_path;
    char *new_path;
    char *packed_path;
    int in_fd;
    int result;
    struct blob_sums sums;
};

void packing_init(struct packing *p, uv_loop_t *loop, struct spool *spool, struct amends *amends,
                  packing_cb done, void *arg);

/* Packs what there is to pack. */
void packing_run(struct packing *p);

/* The one that is being packed is given up, the next agent packs it; the loop runs until its thread
 * has noticed. */
void packing_close(struct packing *p);

/* Makes a thread that reads from `fd` (which is ours as long as it does) find its end at once. */
void packing_cut(int fd);
