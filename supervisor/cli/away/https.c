#include "supervisor/cli/away/https.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "lib/secure/host.h"
#include "lib/secure/tls.h"

enum {
    CONNECT_MS = 10000,
    CALL_MS = 30000,
    /* A download that brings nothing for so long is over. */
    SILENT_S = 30,
};

struct https {
    CURL *curl;
    struct curl_slist *headers;
    char *origin; /* "https://host:port" */
    char *host;   /* without brackets */
    char *ca_file;
    bool pinned;
    uint8_t pin[SHA256_BYTES];
    char error[CURL_ERROR_SIZE];
    bool (*stop)(void *arg);
    void *stop_arg;
    /* of the request under way */
    struct buf *reply;
    int fd; /* -1: everything goes into `reply` */
    uint64_t room;
    int failure; /* why our callback ended it; 0: it did not */
};

/* ---- the URL --------------------------------------------------------------------------------- */

/* The caller frees; NULL when the URL has no such part. */
static char *url_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, 0) != CURLUE_OK)
        return NULL;
    char *copy = xstrdup(text);
    curl_free(text);
    return copy;
}

static const char *url_mistake(CURLU *url, const char *text)
{
    if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
        return "is no URL like https://console.example:7443";
    AUTOFREE char *scheme = url_part(url, CURLUPART_SCHEME);
    AUTOFREE char *user = url_part(url, CURLUPART_USER);
    AUTOFREE char *path = url_part(url, CURLUPART_PATH);
    AUTOFREE char *query = url_part(url, CURLUPART_QUERY);
    AUTOFREE char *fragment = url_part(url, CURLUPART_FRAGMENT);
    if (!str_eq(scheme, "https"))
        return "must begin with https://";
    if (user)
        return "must not hold a name or password: the token says who asks";
    if ((path && !str_eq(path, "/")) || query || fragment)
        return "must end with the host and port of the console";
    return NULL;
}

static int read_url(struct https *h, const char *text, char *reterr_text)
{
    CURLU *url = curl_url();
    const char *mistake = url ? url_mistake(url, text) : "cannot be read";
    AUTOFREE char *host = mistake ? NULL : url_part(url, CURLUPART_HOST);
    AUTOFREE char *port = mistake ? NULL : url_part(url, CURLUPART_PORT);
    curl_url_cleanup(url);
    if (mistake) {
        (void)snprintf(reterr_text, HTTPS_TEXT, "'%.200s' %s", text, mistake);
        return ERR_INVALID;
    }
    size_t len = strlen(host);
    bool bracketed = host[0] == '[' && len > 2;
    h->host = bracketed ? xstrndup(host + 1, len - 2) : xstrdup(host);
    h->origin = xasprintf("https://%s%s%s", host, port ? ":" : "", port ? port : "");
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static CURLcode on_ssl_ctx(CURL *curl, void *ssl_ctx, void *arg)
{
    const struct https *h = arg;
    const struct tls_setup setup = {.pin = h->pin, .host = h->host};
    return tls_setup(ssl_ctx, &setup) < 0 ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
}

static size_t on_bytes(char *data, size_t one, size_t len, void *arg)
{
    struct https *h = arg;
    long status = 0;
    (void)curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    if (h->fd < 0 || status != 200) {
        h->failure = buf_add(h->reply, data, len);
    } else if (len > h->room) {
        h->failure = ERR_TOO_BIG;
    } else {
        h->failure = io_write_all(h->fd, data, len);
        h->room -= len;
    }
    return h->failure < 0 ? CURL_WRITEFUNC_ERROR : len;
}

static int on_time(void *arg, curl_off_t to_come, curl_off_t came, curl_off_t to_go,
                   curl_off_t gone)
{
    const struct https *h = arg;
    return h->stop && h->stop(h->stop_arg);
}

/* Whom to believe: the CA that the token names, and nobody else; or the file's. */
static void set_trust(struct https *h)
{
    curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(h->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h->curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(h->curl, CURLOPT_CAINFO, h->pinned ? NULL : h->ca_file);
    if (!h->pinned)
        return;
    curl_easy_setopt(h->curl, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    curl_easy_setopt(h->curl, CURLOPT_SSL_CTX_DATA, h);
}

static void set_options(struct https *h)
{
    curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(h->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h->curl, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "proctor/" PROCTOR_VERSION);
    curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error);
    curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, on_time);
    curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
    /* Else $https_proxy and its like count, as in the agent's enrolment. */
    if (host_is_loopback(h->host))
        curl_easy_setopt(h->curl, CURLOPT_PROXY, "");
    set_trust(h);
}

static void set_headers(struct https *h, const char *bearer)
{
    AUTOFREE char *line = xasprintf("Authorization: Bearer %s", bearer);
    h->headers = curl_slist_append(h->headers, line);
    h->headers = curl_slist_append(h->headers, "Accept: application/json, */*");
    h->headers = curl_slist_append(h->headers, "Content-Type: application/json");
    h->headers = curl_slist_append(h->headers, "Expect:");
    secret_wipe(line, strlen(line));
}

int https_open(struct https **ret_https, const struct https_setup *setup,
               char reterr_text[static HTTPS_TEXT])
{
    struct https *h = xcalloc(1, sizeof *h);
    h->fd = -1;
    h->ca_file = xstrdup_null(setup->ca_file);
    h->pinned = setup->pin != NULL;
    if (setup->pin)
        memcpy(h->pin, setup->pin, sizeof h->pin);
    int r = read_url(h, setup->url, reterr_text);
    h->curl = r == 0 ? curl_easy_init() : NULL;
    if (r == 0 && !h->curl) {
        (void)snprintf(reterr_text, HTTPS_TEXT, "libcurl cannot be used");
        r = ERR_FAILED;
    }
    if (r < 0) {
        https_close(h);
        return r;
    }
    set_headers(h, setup->bearer);
    set_options(h);
    *ret_https = h;
    return 0;
}

void https_close(struct https *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    for (struct curl_slist *line = h->headers; line; line = line->next)
        secret_wipe(line->data, strlen(line->data));
    curl_slist_free_all(h->headers);
    free(h->origin);
    free(h->host);
    free(h->ca_file);
    free(h);
}

void https_on_wait(struct https *h, bool (*stop)(void *arg), void *arg)
{
    h->stop = stop;
    h->stop_arg = arg;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Did the handshake end because the certificate did not suit us? */
static bool is_untrusted(const struct https *h, CURLcode code, long *ret_verdict)
{
    *ret_verdict = 0;
    (void)curl_easy_getinfo(h->curl, CURLINFO_SSL_VERIFYRESULT, ret_verdict);
    return code == CURLE_PEER_FAILED_VERIFICATION ||
           (code == CURLE_SSL_CONNECT_ERROR && *ret_verdict != 0);
}

static int explain_untrusted(const struct https *h, long verdict, char *reterr_text)
{
    char why[300];
    if (verdict != 0)
        tls_explain_result(verdict, why, sizeof why);
    else
        (void)snprintf(why, sizeof why, "%s", h->error);
    (void)snprintf(reterr_text, HTTPS_TEXT,
                   "%s is not the console that %s, and was sent nothing: %s", h->origin,
                   h->pinned ? "this token is for" : "'--ca' vouches for", why);
    return ERR_UNTRUSTED;
}

/* What kept a request from being answered. */
static int explain(const struct https *h, CURLcode code, char *reterr_text)
{
    long verdict;
    const char *why = h->error[0] ? h->error : curl_easy_strerror(code);
    if (h->failure < 0) {
        (void)snprintf(reterr_text, HTTPS_TEXT, "the answer of %s cannot be kept: %s", h->origin,
                       err_str(h->failure));
        return h->failure;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        (void)snprintf(reterr_text, HTTPS_TEXT, "no longer waited for");
        return ERR_CANCELLED;
    }
    if (is_untrusted(h, code, &verdict))
        return explain_untrusted(h, verdict, reterr_text);
    if (code == CURLE_SSL_CACERT_BADFILE) {
        (void)snprintf(reterr_text, HTTPS_TEXT, "'--ca %s': %s", h->ca_file, why);
        return ERR_INVALID;
    }
    (void)snprintf(reterr_text, HTTPS_TEXT, "%s does not answer: %s", h->origin, why);
    return ERR_UNREACHABLE;
}

static int perform(struct https *h, const char *path, char *reterr_text)
{
    AUTOFREE char *url = xasprintf("%s%s", h->origin, path);
    long status = 0;
    h->error[0] = '\0';
    h->failure = 0;
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    CURLcode code = curl_easy_perform(h->curl);
    if (code != CURLE_OK)
        return explain(h, code, reterr_text);
    (void)curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void set_limits(struct https *h, long call_ms, long silent_s)
{
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, call_ms);
    curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, silent_s > 0 ? 1L : 0L);
    curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_TIME, silent_s);
}

int https_call(struct https *h, const char *path, const char *body, struct buf *reply,
               char reterr_text[static HTTPS_TEXT])
{
    h->reply = reply;
    h->fd = -1;
    if (body) {
        curl_easy_setopt(h->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body);
    } else {
        curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    }
    set_limits(h, CALL_MS, 0);
    return perform(h, path, reterr_text);
}

int https_fetch(struct https *h, const char *path, int fd, uint64_t limit, struct buf *reply,
                char reterr_text[static HTTPS_TEXT])
{
    h->reply = reply;
    h->fd = fd;
    h->room = limit;
    curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    set_limits(h, 0, SILENT_S);
    int r = perform(h, path, reterr_text);
    h->fd = -1;
    return r;
}
