/* secure_support.h -- what the tests of lib/secure share: an authority and hosts made by cert.h,
 * and other programs as judges. */
#pragma once

#include <time.h>

#include "tests/unit/support.h"

#include "lib/secure/cert.h"

enum { DAY = 24 * 3600 };

/* A key with its certificate, as PEM. */
struct identity {
    char *key;
    char *cert;
};

static inline void identity_clear(struct identity *i)
{
    free(i->key);
    free(i->cert);
    *i = (struct identity){.key = NULL};
}
#define AUTOIDENTITY __attribute__((cleanup(identity_clear)))

static inline struct cert_plan plan_of(const char *name)
{
    int64_t now = time(NULL);
    return (struct cert_plan){
        .common_name = name, .not_before_s = now - 60, .not_after_s = now + 90 * DAY};
}

static inline struct identity make_authority(const char *name)
{
    struct identity ca = {.key = NULL};
    struct cert_plan plan = plan_of(name);
    plan.ca = true;
    assert_int_equal(key_make(&ca.key), 0);
    assert_int_equal(cert_make_ca(ca.key, &plan, &ca.cert), 0);
    return ca;
}

static inline struct identity make_leaf(const struct identity *ca, const struct cert_plan *plan)
{
    struct identity leaf = {.key = NULL};
    AUTOFREE char *csr = NULL;
    assert_int_equal(key_make(&leaf.key), 0);
    assert_int_equal(csr_make(leaf.key, "what the request says", &csr), 0);
    assert_int_equal(cert_issue(ca->cert, ca->key, csr, plan, &leaf.cert), 0);
    return leaf;
}

static inline struct identity make_client(const struct identity *ca, const char *name)
{
    struct cert_plan plan = plan_of(name);
    return make_leaf(ca, &plan);
}

static inline struct identity make_server(const struct identity *ca)
{
    static const char *const hosts[] = {"localhost", "console.example.org", "127.0.0.1", "::1",
                                        NULL};
    struct cert_plan plan = plan_of("console");
    plan.server = true;
    plan.dns_names = hosts;
    return make_leaf(ca, &plan);
}

/* ---- judges ---------------------------------------------------------------------------------- */

static inline void need_program(const char *name)
{
    AUTOFREE char *command = xasprintf("command -v %s >/dev/null 2>&1", name);
    if (system(command) != 0)
        skip();
}

/* What a command prints on both its outputs; the status goes to `ret_status` (NULL: must be 0).
 * The caller frees. */
static inline char *output_of(const char *command, int *ret_status)
{
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    AUTOFREE char *both = xasprintf("{ %s; } 2>&1", command);
    char part[4096];
    size_t n;
    FILE *pipe = popen(both, "re");
    assert_non_null(pipe);
    while ((n = fread(part, 1, sizeof part, pipe)) > 0)
        assert_int_equal(buf_add(&out, part, n), 0);
    int status = pclose(pipe);
    if (ret_status)
        *ret_status = status;
    else if (status != 0)
        fail_msg("%s: %s", command, buf_str(&out));
    return buf_take(&out);
}

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}

static inline void put_in_folder(const char *name, const char *text)
{
    AUTOFREE char *path = in_folder(name);
    put_file(path, text);
}
