/* renewal.h -- a new certificate for a new key, when two thirds of the old one's life are over.
 *
 * While the channel is open: the request goes out when it is due, and again each minute (sooner when little time is left) until a
 * certificate has come and is stored.  Until then the old key and certificate are used. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/identity.h"

struct renewal_job;

struct renewal_callbacks {
    /* As uplink_send(). */
    int (*send)(void *arg, const char *type, json_t *fields);
    /* What was being written is: the renewed identity is on disk, and the callee may take what it holds; or with an error, and the
     * old one is.  Logged. */
    void (*done)(void *arg, int result, struct identity *fresh);
};

struct renewal {
    uv_timer_t timer;
    char *home;
    const struct renewal_callbacks *callbacks;
    void *arg;
    const struct identity *id; /* the one to renew; borrowed while the channel is open */
    bool open;
    uint64_t renewed_at; /* on the loop's clock; 0: not yet */
    char *key_pem;       /* the next key, NULL: none is needed yet */
    char *csr_pem;
    struct renewal_job *job; /* that stores; NULL: none */
};

void renewal_init(struct renewal *r, uv_loop_t *loop, const char *home,
                  const struct renewal_callbacks *callbacks, void *arg);

/* The channel is open, to a console that renews; `id` stays as it is until renewal_close() or done(). */
void renewal_open(struct renewal *r, const struct identity *id);
void renewal_close(struct renewal *r);

/* The console's `renewed`. */
void renewal_take(struct renewal *r, const char *certificate);

/* Is something being written?  Then nothing may be forgotten yet: done() comes. */
bool renewal_busy(const struct renewal *r);

/* The host is linked no more: the next key goes. */
void renewal_forget(struct renewal *r);

/* Closes the handle and frees; what is being written is finished by the loop. */
void renewal_end(struct renewal *r);

/* The least time between two renewals, a minute or a third of the certificate's life: a wall clock that is wrong must not make them
 * follow each other. */
int64_t renewal_gap_ms(const struct identity *id);

/* When to ask again, of a certificate that ends at `until_ms`. */
int64_t renewal_retry_ms(int64_t now_ms, int64_t until_ms);
