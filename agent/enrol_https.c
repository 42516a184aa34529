#include "agent/enrol_https.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/address.h"
#include "agent/foreign.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/secure/tls.h"
#include "lib/secure/token.h"

/* X509_V_ERR_APPLICATION_VERIFICATION: how lib/secure says that no CA of the chain is the pinned one.  OpenSSL's headers stay
 * there. */
enum { NOT_PINNED = 50 };

/* ---- libcurl --------------------------------------------------------------------------------- */

// clang-format off
#define CURL_FUNCTIONS(X)                                                                          \
    X(global_init) X(easy_init) X(easy_setopt) X(easy_perform) X(easy_getinfo) X(easy_cleanup)     \
    X(easy_strerror) X(slist_append) X(slist_free_all)

struct curl_library {
#define X(name) __typeof__(curl_##name) *name;
    CURL_FUNCTIONS(X)
#undef X
};
// clang-format on

static int find_function(void *library, const char *name, void *ret_function)
{
    void *address = dlsym(library, name);
    if (!address)
        return ERR_UNSUPPORTED;
    memcpy(ret_function, &address, sizeof address);
    return 0;
}

/* It stays loaded: libraries below it do not take being unloaded well.  One enrolment runs at a time. */
static int load_library(struct curl_library *ret_library)
{
    struct curl_library c;
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return -ENOENT;
#define X(name)                                                                                    \
    if (find_function(library, "curl_" #name, &c.name) < 0)                                        \
        return ERR_UNSUPPORTED;
    CURL_FUNCTIONS(X)
#undef X
    if (c.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_FAILED;
    *ret_library = c;
    return 0;
}

/* ---- the request ----------------------------------------------------------------------------- */

struct post {
    struct curl_library curl;
    CURL *handle;
    struct curl_slist *headers;
    const struct enrol_token *token;
    const atomic_bool *cancelled;
    struct buf *answer;
    bool too_big;
    char error[CURL_ERROR_SIZE];
};

static CURLcode on_tls_context(CURL *handle, void *ssl_ctx, void *arg)
{
    const struct post *p = arg;
    const struct tls_setup setup = {.pin = p->token->ca_sha256, .host = p->token->host};
    return tls_setup(ssl_ctx, &setup) < 0 ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
}

static size_t on_answer(char *data, size_t size, size_t count, void *arg)
{
    struct post *p = arg;
    if (buf_add(p->answer, data, size * count) < 0) {
        p->too_big = true;
        return 0;
    }
    return size * count;
}

static int on_progress(void *arg, curl_off_t download_total, curl_off_t downloaded,
                       curl_off_t upload_total, curl_off_t uploaded)
{
    const struct post *p = arg;
    return atomic_load(p->cancelled);
}

static bool set_https_only(const struct post *p)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return p->curl.easy_setopt(p->handle, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
#else
    return p->curl.easy_setopt(p->handle, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS) == CURLE_OK;
#endif
}

/* No default of libcurl decides whom we trust: its own list of authorities is not read, and what tls_setup() says is checked by
 * OpenSSL during the handshake, before anything is sent. */
static bool set_security(const struct post *p)
{
    __typeof__(curl_easy_setopt) *set = p->curl.easy_setopt;
    return set_https_only(p) && set(p->handle, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           set(p->handle, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           set(p->handle, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           set(p->handle, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           set(p->handle, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           set(p->handle, CURLOPT_SSL_CTX_FUNCTION, on_tls_context) == CURLE_OK &&
           set(p->handle, CURLOPT_SSL_CTX_DATA, p) == CURLE_OK &&
           (!address_is_loopback(p->token->host) || set(p->handle, CURLOPT_PROXY, "") == CURLE_OK);
}

static bool set_limits(const struct post *p)
{
    __typeof__(curl_easy_setopt) *set = p->curl.easy_setopt;
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Does not wait for a resolver that hangs.  Older libraries do. */
    (void)set(p->handle, CURLOPT_QUICK_EXIT, 1L);
#endif
    return set(p->handle, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           set(p->handle, CURLOPT_CONNECTTIMEOUT_MS, (long)ENROL_CONNECT_MS) == CURLE_OK &&
           set(p->handle, CURLOPT_TIMEOUT_MS, (long)ENROL_ALL_MS) == CURLE_OK &&
           set(p->handle, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           set(p->handle, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           set(p->handle, CURLOPT_XFERINFODATA, p) == CURLE_OK;
}

/* "Expect:" -- the console would not answer a 100-continue, and libcurl would wait a second for it. */
static bool set_request(struct post *p, const char *body, size_t len)
{
    __typeof__(curl_easy_setopt) *set = p->curl.easy_setopt;
    AUTOFREE char *url = xasprintf("https://%s/api/v1/enrol", p->token->address);
    p->headers = p->curl.slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = p->headers ? p->curl.slist_append(p->headers, "Expect:") : NULL;
    return more && set(p->handle, CURLOPT_URL, url) == CURLE_OK &&
           set(p->handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           set(p->handle, CURLOPT_USERAGENT, "proctor-agent/" PROCTOR_VERSION) == CURLE_OK &&
           set(p->handle, CURLOPT_HTTPHEADER, p->headers) == CURLE_OK &&
           set(p->handle, CURLOPT_POSTFIELDSIZE, (long)len) == CURLE_OK &&
           set(p->handle, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
           set(p->handle, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           set(p->handle, CURLOPT_WRITEDATA, p) == CURLE_OK &&
           set(p->handle, CURLOPT_ERRORBUFFER, p->error) == CURLE_OK;
}

/* ---- why it failed --------------------------------------------------------------------------- */

static int explain_untrusted(const struct post *p, char *text, size_t size)
{
    long result = 0;
    char why[300];
    (void)p->curl.easy_getinfo(p->handle, CURLINFO_SSL_VERIFYRESULT, &result);
    if (result == NOT_PINNED) {
        (void)snprintf(
            text, size,
            "the console at %s does not have the CA that the token names: nothing was sent",
            p->token->address);
        return ERR_UNTRUSTED;
    }
    if (result != 0)
        tls_explain_result(result, why, sizeof why);
    else
        foreign_copy(why, sizeof why, p->error);
    (void)snprintf(text, size, "the console at %s cannot be trusted: %s: nothing was sent",
                   p->token->address, why);
    return ERR_UNTRUSTED;
}

static int explain_unreachable(const struct post *p, char *text, size_t size)
{
    long number = 0;
    (void)p->curl.easy_getinfo(p->handle, CURLINFO_OS_ERRNO, &number);
    (void)snprintf(text, size, "the console at %s cannot be reached%s%s", p->token->address,
                   number ? ": " : "", number ? err_str(-(int)number) : "");
    return number ? -(int)number : ERR_UNREACHABLE;
}

static int explain_other(const struct post *p, CURLcode code, char *text, size_t size)
{
    char why[300];
    foreign_copy(why, sizeof why, p->error[0] ? p->error : p->curl.easy_strerror(code));
    (void)snprintf(text, size, "the request to the console at %s failed: %s", p->token->address,
                   why);
    return ERR_FAILED;
}

static int explain(const struct post *p, CURLcode code, char *text, size_t size)
{
    const char *at = p->token->address;
    /* Some of very many; all others are said as libcurl says them. */
    switch ((int)code) {
    case CURLE_ABORTED_BY_CALLBACK:
        (void)snprintf(text, size, "the enrolment was cancelled");
        return ERR_CANCELLED;
    case CURLE_WRITE_ERROR:
        (void)snprintf(text, size, "the answer of the console at %s is too long", at);
        return p->too_big ? ERR_TOO_BIG : ERR_FAILED;
    case CURLE_OPERATION_TIMEDOUT:
        (void)snprintf(text, size, "the console at %s does not answer", at);
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        (void)snprintf(text, size, "the name of the console at %s cannot be resolved", at);
        return ERR_UNREACHABLE;
    case CURLE_COULDNT_CONNECT:
        return explain_unreachable(p, text, size);
    case CURLE_PEER_FAILED_VERIFICATION:
        return explain_untrusted(p, text, size);
    case CURLE_SSL_CONNECT_ERROR:
        (void)explain_other(p, code, text, size);
        return ERR_UNTRUSTED;
    }
    return explain_other(p, code, text, size);
}

/* ---- all together ---------------------------------------------------------------------------- */

static int perform(struct post *p, const char *body, size_t len, long *ret_status,
                   char *reterr_text, size_t size)
{
    if (!set_security(p) || !set_limits(p) || !set_request(p, body, len)) {
        (void)snprintf(reterr_text, size, "this libcurl lacks an option that enrolment needs");
        return ERR_UNSUPPORTED;
    }
    CURLcode code = p->curl.easy_perform(p->handle);
    log_debug("enrolment: %s", p->curl.easy_strerror(code));
    if (code != CURLE_OK)
        return explain(p, code, reterr_text, size);
    (void)p->curl.easy_getinfo(p->handle, CURLINFO_RESPONSE_CODE, ret_status);
    return 0;
}

int enrol_https_post(const struct enrol_token *token, const char *body, size_t len,
                     const atomic_bool *cancelled, long *ret_status, struct buf *ret_answer,
                     char *reterr_text, size_t size)
{
    struct post p = {.token = token, .cancelled = cancelled, .answer = ret_answer};
    int r = load_library(&p.curl);
    if (r < 0) {
        (void)snprintf(reterr_text, size, "libcurl.so.4, which enrolment needs, cannot be loaded");
        return r;
    }
    p.handle = p.curl.easy_init();
    if (!p.handle)
        return -ENOMEM;
    r = perform(&p, body, len, ret_status, reterr_text, size);
    p.curl.easy_cleanup(p.handle);
    p.curl.slist_free_all(p.headers);
    return r;
}
