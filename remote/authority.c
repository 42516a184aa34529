#include "remote/authority.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"

enum {
    DAY_S = 24 * 60 * 60,
    SERVER_DAYS = 397,
    AGENT_DAYS = 90,
    /* Clocks of hosts may be behind ours. */
    BACK_S = 60 * 60,
    AGENT_BACK_S = 5 * 60,
    FILE_MODE = 0600,
    FOLDER_MODE = 0700,
    NAMES_TEXT = 64 << 10,
};
#define CA_S (3652LL * DAY_S)

static const char ca_cert_file[] = "ca.pem", ca_key_file[] = "ca.key";
static const char server_cert_file[] = "server.pem", server_key_file[] = "server.key";
/* The names that the server's certificate was made for, one per line. */
static const char names_file[] = "server.names";

/* ---- files ----------------------------------------------------------------------------------- */

static char *folder_of(const char *data_dir)
{
    return path_join(data_dir, "tls");
}

/* The whole text, the caller's; NULL with an error when there is none. */
static int read_text(const char *dir, const char *name, size_t limit, char **ret_text)
{
    AUTOFREE char *path = path_join(dir, name);
    AUTOBUF struct buf text = BUF_INIT(limit);
    int r = path_read(path, &text);
    if (r < 0 && text.data)
        secret_wipe(text.data, text.len);
    if (r < 0)
        return r;
    *ret_text = buf_take(&text);
    return 0;
}

static int write_text(const char *dir, const char *name, const char *text)
{
    AUTOFREE char *path = path_join(dir, name);
    int r = path_write_atomic(path, text, strlen(text), FILE_MODE);
    if (r < 0)
        log_err(r, "cannot write %s", path);
    return r;
}

static void wipe(char **secret)
{
    if (*secret)
        secret_wipe(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static int read_or_explain(const char *dir, const char *name, char **ret_text)
{
    int r = read_text(dir, name, CERT_PEM_MAX, ret_text);
    if (r < 0)
        log_err(r, "cannot read %s/%s", dir, name);
    return r;
}

/* ---- the authority itself -------------------------------------------------------------------- */

/* The certificate is written last: without it nothing was ever issued, and all is made anew. */
static int make_ca(struct authority *a, const char *dir, int64_t now_s)
{
    const struct cert_plan plan = {.common_name = "proctor-console authority",
                                   .not_before_s = now_s - BACK_S,
                                   .not_after_s = now_s + CA_S,
                                   .ca = true};
    int r = key_make(&a->ca_key_pem);
    if (r == 0)
        r = cert_make_ca(a->ca_key_pem, &plan, &a->ca_cert_pem);
    if (r < 0) {
        log_err(r, "cannot make the certificate authority");
        return r;
    }
    r = write_text(dir, ca_key_file, a->ca_key_pem);
    if (r == 0)
        r = write_text(dir, ca_cert_file, a->ca_cert_pem);
    if (r == 0)
        log_info("made the certificate authority in %s", dir);
    return r;
}

static int read_ca(struct authority *a, const char *dir)
{
    int r = read_text(dir, ca_cert_file, CERT_PEM_MAX, &a->ca_cert_pem);
    if (r == -ENOENT)
        return r;
    if (r < 0)
        log_err(r, "cannot read %s/%s", dir, ca_cert_file);
    if (r == 0)
        r = read_or_explain(dir, ca_key_file, &a->ca_key_pem);
    if (r < 0)
        return r == -ENOENT ? ERR_INVALID : r;
    r = cert_check_key(a->ca_cert_pem, a->ca_key_pem);
    if (r < 0)
        log_err(r, "%s/%s is not the key of %s", dir, ca_key_file, ca_cert_file);
    return r;
}

static int open_ca(struct authority *a, const char *dir, int64_t now_s)
{
    struct cert_facts facts;
    int r = read_ca(a, dir);
    if (r == -ENOENT)
        r = make_ca(a, dir, now_s);
    if (r < 0)
        return r;
    r = cert_read(a->ca_cert_pem, &facts);
    if (r == 0 && facts.not_after_s <= now_s)
        r = ERR_EXPIRED;
    if (r < 0) {
        log_err(r, "the certificate authority in %s cannot be used", dir);
        return r;
    }
    memcpy(a->ca_sha256, facts.sha256, SHA256_BYTES);
    return 0;
}

/* ---- the server's certificate ---------------------------------------------------------------- */

static bool listed(const struct strlist *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (str_eq(l->items[i], name))
            return true;
    return false;
}

static void all_names(const char *const *names, struct strlist *ret_all)
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    for (size_t i = 0; i < ARRAY_SIZE(always); i++)
        strlist_add(ret_all, always[i]);
    for (; names && *names; names++)
        if (!listed(ret_all, *names))
            strlist_add(ret_all, *names);
}

static void names_text(const struct strlist *names, struct buf *out)
{
    for (size_t i = 0; i < names->count; i++)
        if (buf_addf(out, "%s\n", names->items[i]) < 0)
            return;
}

/* Its names, its issuer, its key, and more than a third of its life left? */
static bool server_is_good(const struct authority *a, const char *dir, const char *names,
                           int64_t now_s)
{
    char why[256];
    struct cert_facts facts;
    AUTOFREE char *made_for = NULL;
    if (read_text(dir, names_file, NAMES_TEXT, &made_for) < 0 || !str_eq(made_for, names))
        return false;
    if (cert_check(a->server_cert_pem, a->ca_cert_pem, true, now_s, why, sizeof why) < 0 ||
        cert_check_key(a->server_cert_pem, a->server_key_pem) < 0 ||
        cert_read(a->server_cert_pem, &facts) < 0)
        return false;
    return facts.not_after_s - now_s > (facts.not_after_s - facts.not_before_s) / 3;
}

static bool read_server(struct authority *a, const char *dir, const char *names, int64_t now_s)
{
    if (read_text(dir, server_cert_file, CERT_PEM_MAX, &a->server_cert_pem) == 0 &&
        read_text(dir, server_key_file, CERT_PEM_MAX, &a->server_key_pem) == 0 &&
        server_is_good(a, dir, names, now_s))
        return true;
    free(a->server_cert_pem);
    a->server_cert_pem = NULL;
    wipe(&a->server_key_pem);
    return false;
}

static int64_t ca_until_s(const struct authority *a)
{
    struct cert_facts facts;
    return cert_read(a->ca_cert_pem, &facts) == 0 ? facts.not_after_s : 0;
}

static int64_t ca_from_s(const struct authority *a)
{
    struct cert_facts facts;
    return cert_read(a->ca_cert_pem, &facts) == 0 ? facts.not_before_s : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int issue_server(struct authority *a, const struct strlist *names, int64_t now_s)
{
    AUTOFREE char *csr = NULL;
    const struct cert_plan plan = {.common_name = "proctor-console",
                                   .dns_names = (const char *const *)names->items,
                                   .not_before_s = most(now_s - BACK_S, ca_from_s(a)),
                                   .not_after_s = least(now_s + a->server_life_s, ca_until_s(a)),
                                   .server = true};
    int r = key_make(&a->server_key_pem);
    if (r == 0)
        r = csr_make(a->server_key_pem, plan.common_name, &csr);
    if (r == 0)
        r = cert_issue(a->ca_cert_pem, a->ca_key_pem, csr, &plan, &a->server_cert_pem);
    if (r < 0)
        log_err(r, "cannot make the server's certificate (is each --name a name or an address?)");
    return r;
}

/* The names are written last: without them all is made anew. */
static int make_server(struct authority *a, const char *dir, const struct strlist *names,
                       const char *text, int64_t now_s)
{
    int r = issue_server(a, names, now_s);
    if (r == 0)
        r = write_text(dir, server_key_file, a->server_key_pem);
    if (r == 0)
        r = write_text(dir, server_cert_file, a->server_cert_pem);
    if (r == 0)
        r = write_text(dir, names_file, text);
    if (r == 0)
        log_info("made the server's certificate for %zu names", names->count);
    return r;
}

static int open_server(struct authority *a, const char *dir, const char *const *names,
                       int64_t now_s)
{
    AUTOSTRLIST struct strlist all = {0};
    AUTOBUF struct buf text = BUF_INIT(NAMES_TEXT);
    all_names(names, &all);
    names_text(&all, &text);
    if (read_server(a, dir, buf_str(&text), now_s))
        return 0;
    return make_server(a, dir, &all, buf_str(&text), now_s);
}

/* ---- interface ------------------------------------------------------------------------------- */

int authority_open(struct authority *a, const char *data_dir, const char *const *names)
{
    return authority_open_for(a, data_dir, names, (int64_t)SERVER_DAYS * DAY_S);
}

int authority_open_for(struct authority *a, const char *data_dir, const char *const *names,
                       int64_t server_life_s)
{
    AUTOFREE char *dir = folder_of(data_dir);
    int64_t now_s = (int64_t)time(NULL);
    *a = (struct authority){.agent_life_s = (int64_t)AGENT_DAYS * DAY_S,
                            .server_life_s = server_life_s};
    int r = path_mkdir(dir, FOLDER_MODE);
    if (r < 0)
        log_err(r, "cannot make the folder %s", dir);
    if (r >= 0)
        r = open_ca(a, dir, now_s);
    if (r >= 0)
        r = open_server(a, dir, names, now_s);
    if (r < 0)
        authority_close(a);
    return r < 0 ? r : 0;
}

int authority_renew(struct authority *a, const char *data_dir, const char *const *names)
{
    AUTOFREE char *dir = folder_of(data_dir);
    AUTOSTRLIST struct strlist all = {0};
    AUTOBUF struct buf text = BUF_INIT(NAMES_TEXT);
    int64_t now_s = (int64_t)time(NULL);
    all_names(names, &all);
    names_text(&all, &text);
    if (server_is_good(a, dir, buf_str(&text), now_s))
        return 0;
    struct authority next = *a;
    next.server_cert_pem = next.server_key_pem = NULL;
    int r = make_server(&next, dir, &all, buf_str(&text), now_s);
    if (r == 0) {
        char *cert_pem = a->server_cert_pem, *key_pem = a->server_key_pem;
        a->server_cert_pem = TAKE(next.server_cert_pem);
        a->server_key_pem = TAKE(next.server_key_pem);
        next.server_cert_pem = cert_pem;
        next.server_key_pem = key_pem;
    }
    free(next.server_cert_pem);
    wipe(&next.server_key_pem);
    return r < 0 ? r : 1;
}

void authority_close(struct authority *a)
{
    wipe(&a->ca_key_pem);
    wipe(&a->server_key_pem);
    free(a->ca_cert_pem);
    free(a->server_cert_pem);
    *a = (struct authority){0};
}

int authority_fingerprint(const char *data_dir, uint8_t ret_sha256[static SHA256_BYTES])
{
    AUTOFREE char *dir = folder_of(data_dir);
    AUTOFREE char *pem = NULL;
    struct cert_facts facts;
    int r = read_text(dir, ca_cert_file, CERT_PEM_MAX, &pem);
    if (r == -ENOENT || r == -ENOTDIR)
        return ERR_NOT_FOUND;
    if (r == 0)
        r = cert_read(pem, &facts);
    if (r == 0)
        memcpy(ret_sha256, facts.sha256, SHA256_BYTES);
    return r;
}

int authority_issue(const struct authority *a, const char *host_id, const char *csr_pem,
                    char **ret_cert_pem, int64_t *ret_not_after_s)
{
    int64_t now_s = (int64_t)time(NULL);
    const struct cert_plan plan = {.common_name = host_id,
                                   .not_before_s = most(now_s - AGENT_BACK_S, ca_from_s(a)),
                                   .not_after_s = least(now_s + a->agent_life_s, ca_until_s(a))};
    int r = cert_issue(a->ca_cert_pem, a->ca_key_pem, csr_pem, &plan, ret_cert_pem);
    if (r < 0)
        return r == ERR_SYNTAX ? ERR_INVALID : r;
    *ret_not_after_s = plan.not_after_s;
    return 0;
}
