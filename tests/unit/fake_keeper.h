/* fake_keeper.h -- a keeper's memory in the test's own process: what is stored in one life is given back in the next. */
#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include "lib/keep/keep.h"
#include "supervisor/keep_link.h"
#include "tests/unit/support.h"

enum { FAKE_FDS = 64 };

struct fake_keeper {
    int sock; /* the keeper's end */
    struct keep_link link;
    struct keep_record stored[FAKE_FDS];
    unsigned count;
};

static inline void fake_remove(struct fake_keeper *f, unsigned i)
{
    (void)close(f->stored[i].fd);
    f->stored[i] = f->stored[--f->count];
}

static inline void fake_drop(struct fake_keeper *f, const char *name)
{
    size_t len = strlen(name);
    bool prefix = len > 0 && name[len - 1] == '*';
    for (unsigned i = 0; i < f->count;) {
        bool same = prefix ? strncmp(f->stored[i].name, name, len - 1) == 0
                           : strcmp(f->stored[i].name, name) == 0;
        if (same)
            fake_remove(f, i);
        else
            i++;
    }
}

/* Does what the supervisor has asked for since. */
static inline void fake_keeper_work(struct fake_keeper *f)
{
    struct keep_msg m;
    int fd;
    (void)fcntl(f->sock, F_SETFL, O_NONBLOCK);
    while (keep_receive(f->sock, &m, &fd) == 1) {
        if (m.type == KEEP_STORE || m.type == KEEP_DROP)
            fake_drop(f, m.name);
        if (m.type == KEEP_STORE) {
            assert_true(f->count < FAKE_FDS && fd >= 0);
            f->stored[f->count].fd = fd;
            (void)strcpy(f->stored[f->count++].name, m.name);
        }
    }
}

/* A new supervisor is there. */
static inline void fake_keeper_begin(struct fake_keeper *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    f->sock = ends[0];
    struct keep_msg m = {.version = KEEP_VERSION, .type = KEEP_FD};
    for (unsigned i = 0; i < f->count; i++) {
        (void)strcpy(m.name, f->stored[i].name);
        assert_int_equal(keep_send(f->sock, &m, f->stored[i].fd), 0);
    }
    m = (struct keep_msg){.version = KEEP_VERSION, .type = KEEP_SYNCED, .flags = KEEP_AGAIN};
    assert_int_equal(keep_send(f->sock, &m, -1), 0);
    assert_int_equal(keep_link_open(&f->link, ends[1]), 0);
}

/* The supervisor is killed: its own descriptors are the test's to close. */
static inline void fake_keeper_killed(struct fake_keeper *f)
{
    fake_keeper_work(f);
    keep_link_close(&f->link);
    keep_link_clear(&f->link);
    (void)close(f->sock);
}

static inline void fake_keeper_end(struct fake_keeper *f)
{
    fake_keeper_killed(f);
    while (f->count > 0)
        fake_remove(f, 0);
}
