#include "remote/login_limit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct entry {
    char key[LOGIN_LIMIT_KEY];
    unsigned failures;
    int64_t last_ms;  /* of the last failure */
    int64_t faded_ms; /* up to then they have faded */
    int64_t until_ms; /* no try before */
};

/* Few keys have failures at any time, so that a list is searched as fast as anything. */
struct login_limit {
    unsigned free_failures;
    int64_t fade_ms; /* 0: they do not */
    size_t capacity;
    size_t count;
    struct entry entries[];
};

struct login_limit *login_limit_new(unsigned free_failures, size_t capacity)
{
    struct login_limit *l = xcalloc(1, sizeof *l + capacity * sizeof l->entries[0]);
    l->free_failures = free_failures;
    l->capacity = capacity;
    return l;
}

void login_limit_fade(struct login_limit *l, int64_t each_ms)
{
    l->fade_ms = each_ms;
}

void login_limit_free(struct login_limit *l)
{
    free(l);
}

static struct entry *find(struct login_limit *l, const char *key)
{
    for (size_t i = 0; i < l->count; i++)
        if (strncmp(l->entries[i].key, key, LOGIN_LIMIT_KEY - 1) == 0)
            return &l->entries[i];
    return NULL;
}

static void drop(struct login_limit *l, struct entry *e)
{
    *e = l->entries[--l->count];
}

/* A new entry, in the place of the one that was quiet for longest when there is no room. */
static struct entry *add(struct login_limit *l, const char *key)
{
    struct entry *e = &l->entries[0];
    if (l->count < l->capacity)
        e = &l->entries[l->count++];
    else
        for (size_t i = 1; i < l->count; i++)
            if (l->entries[i].last_ms < e->last_ms)
                e = &l->entries[i];
    *e = (struct entry){0};
    (void)snprintf(e->key, sizeof e->key, "%s", key);
    return e;
}

static int64_t delay_ms(unsigned past_free)
{
    int64_t delay = LOGIN_LIMIT_FIRST_MS;
    while (past_free-- > 0 && delay < LOGIN_LIMIT_LONGEST_MS)
        delay *= 2;
    return delay < LOGIN_LIMIT_LONGEST_MS ? delay : LOGIN_LIMIT_LONGEST_MS;
}

static void set_until(const struct login_limit *l, struct entry *e)
{
    e->until_ms =
        e->failures < l->free_failures ? 0 : e->last_ms + delay_ms(e->failures - l->free_failures);
}

int64_t login_limit_wait_ms(struct login_limit *l, const char *key, int64_t now_ms)
{
    struct entry *e = find(l, key);
    if (!e)
        return 0;
    if (now_ms - e->last_ms >= LOGIN_LIMIT_FORGET_MS) {
        drop(l, e);
        return 0;
    }
    return e->until_ms > now_ms ? e->until_ms - now_ms : 0;
}

static void fade(const struct login_limit *l, struct entry *e, int64_t now_ms)
{
    if (e->failures == 0)
        e->faded_ms = now_ms;
    if (l->fade_ms == 0)
        return;
    int64_t count = (now_ms - e->faded_ms) / l->fade_ms;
    e->faded_ms += count * l->fade_ms;
    e->failures -= count < e->failures ? (unsigned)count : e->failures;
}

void login_limit_failed(struct login_limit *l, const char *key, int64_t now_ms)
{
    struct entry *e = find(l, key);
    if (!e)
        e = add(l, key);
    else if (now_ms - e->last_ms >= LOGIN_LIMIT_FORGET_MS)
        e->failures = 0;
    fade(l, e, now_ms);
    e->failures++;
    e->last_ms = now_ms;
    set_until(l, e);
}

void login_limit_take_back(struct login_limit *l, const char *key)
{
    struct entry *e = find(l, key);
    if (!e)
        return;
    if (--e->failures == 0)
        drop(l, e);
    else
        set_until(l, e);
}

void login_limit_forget(struct login_limit *l, const char *key)
{
    struct entry *e = find(l, key);
    if (e)
        drop(l, e);
}

size_t login_limit_count(const struct login_limit *l)
{
    return l->count;
}

void login_limit_address_key(const char *address, char ret_key[static LOGIN_LIMIT_KEY])
{
    struct in6_addr v6;
    char text[INET6_ADDRSTRLEN] = "";
    (void)snprintf(ret_key, LOGIN_LIMIT_KEY, "%s", address);
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        (void)inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
        (void)snprintf(ret_key, LOGIN_LIMIT_KEY, "%s", text);
        return;
    }
    memset(&v6.s6_addr[8], 0, 8);
    (void)inet_ntop(AF_INET6, &v6, text, sizeof text);
    (void)snprintf(ret_key, LOGIN_LIMIT_KEY, "%s/64", text);
}
