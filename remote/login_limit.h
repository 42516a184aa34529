/* login_limit.h -- slows down those who guess: counts failures per key (an account, an address) and says how long to wait.
 *
 * After `free_failures` failures each next try must wait twice as long as the one before, from 1 s up to 5 minutes; an hour
 * without one forgets them.  Memory is bounded: past `capacity` keys the one that was quiet for longest is forgotten.  Pure:
 * the clock is the caller's and goes forward (monotonic milliseconds). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct login_limit;

enum {
    LOGIN_LIMIT_FIRST_MS = 1000,
    LOGIN_LIMIT_LONGEST_MS = 5 * 60 * 1000,
    LOGIN_LIMIT_FORGET_MS = 60 * 60 * 1000,
    LOGIN_LIMIT_KEY = 128, /* an address and an account; longer keys are cut */
};

struct login_limit *login_limit_new(unsigned free_failures, size_t capacity);
void login_limit_free(struct login_limit *l);

/* From now on one failure of a key is forgotten each `each_ms`: for a limit on many who guess slowly together, which must
 * not grow for as long as they go on. */
void login_limit_fade(struct login_limit *l, int64_t each_ms);

/* 0: may try now; else the milliseconds until it may. */
int64_t login_limit_wait_ms(struct login_limit *l, const char *key, int64_t now_ms);

/* A try that failed, or that begins now: who counts each try at its beginning and takes it back when it succeeds lets no
 * one make a hundred at the same time. */
void login_limit_failed(struct login_limit *l, const char *key, int64_t now_ms);

/* Takes one failure back, with the wait that came of it. */
void login_limit_take_back(struct login_limit *l, const char *key);

/* Forgets the key's failures. */
void login_limit_forget(struct login_limit *l, const char *key);

/* Keys that are remembered. */
size_t login_limit_count(const struct login_limit *l);

/* The key of a client's address: IPv4 as it is (also as ::ffff:a.b.c.d), of IPv6 the first 64 bits, as one client has
 * them all; another text is cut. */
void login_limit_address_key(const char *address, char ret_key[static LOGIN_LIMIT_KEY]);
