/* auto.h -- locals that free themselves when their scope ends, and the hand-over out of it.
 *
 * `AUTOFREE char *s = xstrdup(x); … return TAKE(s);`  Model: systemd's cleanup attributes. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Hands the pointer over: the local is NULL afterwards, so that its cleanup does nothing. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) take_p_ = (p);                                                               \
        (p) = NULL;                                                                                \
        take_p_;                                                                                   \
    })

/* The same for a descriptor. */
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int take_fd_ = (fd);                                                                       \
        (fd) = -1;                                                                                 \
        take_fd_;                                                                                  \
    })

static inline void auto_free_(void *p)
{
    free(*(void **)p);
}

static inline void auto_close_(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void auto_fclose_(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

#define AUTOFREE __attribute__((cleanup(auto_free_)))
#define AUTOCLOSE __attribute__((cleanup(auto_close_)))
#define AUTOFCLOSE __attribute__((cleanup(auto_fclose_)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
