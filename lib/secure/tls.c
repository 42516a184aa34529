#include "lib/secure/tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/secure/cert.h"
#include "lib/secure/host.h"
#include "lib/secure/pki.h"

static const unsigned char alpn_list[] = "\x08http/1.1";
enum { ALPN_LENGTH = sizeof alpn_list - 1 };

/* ---- who a peer must be ---------------------------------------------------------------------- */

/* Belongs to the SSL_CTX, as ex_data. */
struct peer_rule {
    bool server; /* the peer is one */
    X509 *ca;    /* NULL: the pinned one */
    uint8_t pin[SHA256_BYTES];
    char *host; /* NULL: any */
};

static int rule_index = -1;  /* of a SSL_CTX's peer_rule */
static int alert_index = -1; /* of the alert that an SSL received, plus one */
static pthread_once_t indexes_once = PTHREAD_ONCE_INIT;

static void rule_free(struct peer_rule *rule)
{
    if (!rule)
        return;
    X509_free(rule->ca);
    free(rule->host);
    free(rule);
}

static void on_context_freed(void *ctx, void *rule, CRYPTO_EX_DATA *data, int index, long n,
                             void *arg)
{
    rule_free(rule);
}

static void make_indexes(void)
{
    rule_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_freed);
    alert_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static bool is_pinned(const X509 *cert, const struct peer_rule *rule)
{
    uint8_t sha256_of_cert[SHA256_BYTES];
    return X509_digest(cert, EVP_sha256(), sha256_of_cert, NULL) == 1 &&
           memcmp(sha256_of_cert, rule->pin, SHA256_BYTES) == 0;
}

/* The pinned authority among those that the peer showed.  Borrowed. */
static X509 *find_pinned(STACK_OF(X509) * shown, const struct peer_rule *rule)
{
    for (int i = 0; i < sk_X509_num(shown); i++) {
        X509 *cert = sk_X509_value(shown, i);
        if (is_pinned(cert, rule) && X509_check_ca(cert) == 1)
            return cert;
    }
    return NULL;
}

/* Stands in for OpenSSL's whole verification.  The verify callbacks that libwebsockets sets on
 * each of its connections are so never asked: they can turn a refusal into a success, and do so
 * for host names. */
static int on_verify(X509_STORE_CTX *ctx, void *arg)
{
    const struct peer_rule *rule = arg;
    X509 *cert = X509_STORE_CTX_get0_cert(ctx);
    X509 *ca = rule->ca ? rule->ca : find_pinned(X509_STORE_CTX_get0_untrusted(ctx), rule);
    int error = X509_V_ERR_APPLICATION_VERIFICATION;
    if (cert && ca) {
        const struct pki_demand demand = {
            .ca = ca, .server = rule->server, .host = rule->host, .at_s = time(NULL)};
        error = pki_judge(cert, &demand);
    }
    X509_STORE_CTX_set_error(ctx, error);
    return error == X509_V_OK;
}

/* Takes `rule`, also on failure; NULL: no peer is checked. */
static int set_rule(SSL_CTX *ctx, struct peer_rule *rule, int verify_mode)
{
    struct peer_rule *old = SSL_CTX_get_ex_data(ctx, rule_index);
    if (SSL_CTX_set_ex_data(ctx, rule_index, rule) != 1) {
        rule_free(rule);
        return ERR_FAILED;
    }
    SSL_CTX_set_cert_verify_callback(ctx, rule ? on_verify : NULL, rule);
    SSL_CTX_set_verify(ctx, verify_mode, NULL);
    rule_free(old);
    return 0;
}

/* ---- parts of a setup ------------------------------------------------------------------------ */

/* What a setup says, read and found sound before the context is touched. */
struct material {
    X509 *cert;
    X509 *chain;
    X509 *ca;
    EVP_PKEY *key;
};

static void material_clear(struct material *m)
{
    X509_free(m->cert);
    X509_free(m->chain);
    X509_free(m->ca);
    EVP_PKEY_free(m->key);
    *m = (struct material){.cert = NULL};
}
#define AUTOMATERIAL __attribute__((cleanup(material_clear)))

static bool makes_sense(const struct tls_setup *s)
{
    if (!s->cert_pem != !s->key_pem || (s->chain_pem && !s->cert_pem))
        return false;
    if (s->host && host_kind(s->host) == HOST_NONE)
        return false;
    if (s->server)
        return s->cert_pem && !s->pin && !s->host && (s->ca_pem || !s->need_client_cert);
    /* A client that checks nobody is none that we want. */
    return !s->ca_pem != !s->pin;
}

static int read_optional(const char *pem, X509 **ret_cert)
{
    return pem ? pki_read_cert(pem, ret_cert) : 0;
}

static int material_read(struct material *m, const struct tls_setup *s)
{
    int r = read_optional(s->cert_pem, &m->cert);
    if (r == 0)
        r = read_optional(s->chain_pem, &m->chain);
    if (r == 0)
        r = read_optional(s->ca_pem, &m->ca);
    if (r == 0 && s->key_pem)
        r = pki_read_key(s->key_pem, &m->key);
    if (r < 0)
        return r;
    if (m->ca && X509_check_ca(m->ca) != 1)
        return ERR_INVALID;
    return !m->cert || X509_check_private_key(m->cert, m->key) == 1 ? 0 : ERR_INVALID;
}

static int set_identity(SSL_CTX *ctx, const struct material *m)
{
    if (!m->cert)
        return 0;
    STACK_OF(X509) *chain = sk_X509_new_null();
    bool worked = chain && (!m->chain || sk_X509_push(chain, m->chain) > 0) &&
                  SSL_CTX_use_cert_and_key(ctx, m->cert, m->key, chain, 1) == 1;
    sk_X509_free(chain);
    return worked ? 0 : ERR_FAILED;
}

static struct peer_rule *rule_new(const struct tls_setup *s, const struct material *m)
{
    struct peer_rule *rule = xcalloc(1, sizeof *rule);
    rule->server = !s->server;
    rule->host = xstrdup_null(s->host);
    if (s->pin)
        memcpy(rule->pin, s->pin, SHA256_BYTES);
    if (m->ca && X509_up_ref(m->ca) == 1)
        rule->ca = m->ca;
    return rule;
}

static int verify_mode(const struct tls_setup *s)
{
    if (s->server && !s->ca_pem)
        return SSL_VERIFY_NONE;
    return SSL_VERIFY_PEER | (s->need_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
}

/* The server tells its clients which authority's certificate it wants, and takes a resumed
 * session only when it began under the same one. */
static int set_client_authority(SSL_CTX *ctx, X509 *ca)
{
    uint8_t hash[SHA256_BYTES];
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    X509_NAME *name = ca ? X509_NAME_dup(X509_get_subject_name(ca)) : NULL;
    if (!names || (ca && (!name || sk_X509_NAME_push(names, name) <= 0))) {
        X509_NAME_free(name);
        sk_X509_NAME_free(names);
        return ERR_FAILED;
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    if (!ca)
        return 0;
    if (X509_digest(ca, EVP_sha256(), hash, NULL) != 1)
        return ERR_FAILED;
    return SSL_CTX_set_session_id_context(ctx, hash, sizeof hash) == 1 ? 0 : ERR_FAILED;
}

/* ---- what all contexts have ------------------------------------------------------------------ */

/* A client without ALPN is fine; one that wants only other protocols gets an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                   const unsigned char *in, unsigned int inlen, void *arg)
{
    unsigned char *chosen;
    int r = SSL_select_next_proto(&chosen, outlen, alpn_list, ALPN_LENGTH, in, inlen);
    *out = chosen;
    return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Remembers why the peer broke off, for tls_explain(): libwebsockets empties the error queue
 * before anybody can look. */
static void on_info(const SSL *ssl, int where, int value)
{
    int level = value >> 8, alert = value & 0xff;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && level == SSL3_AL_FATAL)
        (void)SSL_set_ex_data((SSL *)ssl, alert_index, (void *)(uintptr_t)(alert + 1));
}

static int set_protocol(SSL_CTX *ctx, bool server)
{
    static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* What we send is what the setup says, not what OpenSSL finds in its store. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_info_callback(ctx, on_info);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, 0) != 1 || SSL_CTX_set_cipher_list(ctx, ciphers) != 1)
        return ERR_FAILED;
    if (!server) /* 0 is success here */
        return SSL_CTX_set_alpn_protos(ctx, alpn_list, ALPN_LENGTH) == 0 ? 0 : ERR_FAILED;
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    /* Sessions live in the tickets that clients keep, not in our memory. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return 0;
}

int tls_setup(void *ssl_ctx, const struct tls_setup *setup)
{
    PKI_QUIET;
    AUTOMATERIAL struct material m = {.cert = NULL};
    if (!makes_sense(setup))
        return ERR_INVALID;
    (void)pthread_once(&indexes_once, make_indexes);
    if (rule_index < 0 || alert_index < 0)
        return ERR_FAILED;
    int r = material_read(&m, setup);
    if (r == 0)
        r = set_protocol(ssl_ctx, setup->server);
    if (r == 0)
        r = set_identity(ssl_ctx, &m);
    if (r == 0 && setup->server)
        r = set_client_authority(ssl_ctx, m.ca);
    if (r < 0)
        return r;
    bool checks = setup->ca_pem || setup->pin;
    return set_rule(ssl_ctx, checks ? rule_new(setup, &m) : NULL, verify_mode(setup));
}

/* ---- the peer -------------------------------------------------------------------------------- */

int tls_peer(void *ssl, struct cert_facts *ret_facts)
{
    struct cert_facts facts;
    /* Before its end the peer has shown its certificate, but not that it has the key. */
    const X509 *cert = SSL_is_init_finished(ssl) ? SSL_get0_peer_certificate(ssl) : NULL;
    if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
        return ERR_NOT_FOUND;
    int r = pki_facts(cert, &facts);
    if (r < 0)
        return r;
    if (facts.not_after_s <= time(NULL))
        return ERR_EXPIRED;
    *ret_facts = facts;
    return 0;
}

/* ---- explanations ---------------------------------------------------------------------------- */

/* SSL_R_… of our own refusals, and of the alerts that come from the peer. */
static const struct {
    int reason;
    const char *sentence;
} sentences[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer showed no certificate"},
    {SSL_R_NO_SHARED_CIPHER, "the peer speaks none of our ciphers"},
    {SSL_R_NO_APPLICATION_PROTOCOL, "the peer does not want http/1.1"},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the peer does not speak TLS: it sent plain HTTP"},
    {SSL_R_HTTPS_PROXY_REQUEST, "the peer does not speak TLS: it takes us for a proxy"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, "the peer hung up during the handshake"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer refuses our versions of TLS, 1.2 and 1.3"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the peer found nothing that both sides speak"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, "the peer does not speak http/1.1"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer wants a certificate, and we showed none"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer says that our certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the peer says that our certificate is revoked"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer does not know the authority of our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer does not accept our certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
     "the peer says our certificate is not for this use"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer does not accept our certificate"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the peer does not know the name that we called it by"},
    {SSL_R_TLSV1_ALERT_INTERNAL_ERROR, "the peer has an internal error"},
};

static const char *version_name(int version)
{
    switch (version) {
    case SSL3_VERSION:
        return "SSL 3.0";
    case TLS1_VERSION:
        return "TLS 1.0";
    case TLS1_1_VERSION:
        return "TLS 1.1";
    }
    return "an older TLS";
}

static void explain_version(const SSL *ssl, char *text, size_t size)
{
    bool asked = ssl && SSL_is_server(ssl);
    (void)snprintf(text, size, "the peer %s %s, and TLS 1.2 is the least we speak",
                   asked ? "asked for" : "wants",
                   version_name(asked ? SSL_client_version(ssl) : 0));
}

static void explain_reason(const SSL *ssl, int reason, char *text, size_t size)
{
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW ||
        reason == SSL_R_WRONG_SSL_VERSION) {
        explain_version(ssl, text, size);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
        if (sentences[i].reason != reason)
            continue;
        (void)snprintf(text, size, "%s", sentences[i].sentence);
        return;
    }
    const char *theirs = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
    (void)snprintf(text, size, "the TLS handshake failed: %s", theirs ? theirs : "unknown reason");
}

static void explain_other(unsigned long error, char *text, size_t size)
{
    const char *theirs =
        ERR_SYSTEM_ERROR(error) ? err_str(-ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    (void)snprintf(text, size, "the TLS handshake failed: %s", theirs ? theirs : "unknown reason");
}

static int received_alert(const SSL *ssl)
{
    if (!ssl || alert_index < 0)
        return -1;
    return (int)(uintptr_t)SSL_get_ex_data(ssl, alert_index) - 1;
}

void tls_explain(void *ssl, char *ret_text, size_t size)
{
    unsigned long error = ERR_peek_last_error();
    bool of_ssl = error != 0 && !ERR_SYSTEM_ERROR(error) && ERR_GET_LIB(error) == ERR_LIB_SSL;
    bool refused =
        error == 0 || (of_ssl && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED);
    long result = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    int alert = received_alert(ssl);
    ERR_clear_error();
    if (refused && result != X509_V_OK)
        tls_explain_result(result, ret_text, size);
    else if (of_ssl)
        explain_reason(ssl, ERR_GET_REASON(error), ret_text, size);
    else if (error != 0)
        explain_other(error, ret_text, size);
    else if (alert >= 0)
        explain_reason(ssl, SSL_AD_REASON_OFFSET + alert, ret_text, size);
    else
        (void)snprintf(ret_text, size, "the peer hung up during the handshake");
}

void tls_explain_result(long verify_result, char *ret_text, size_t size)
{
    pki_explain((int)verify_result, "the peer's certificate", ret_text, size);
}
