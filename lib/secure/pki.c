#include "lib/secure/pki.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"
#include "lib/secure/host.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* The bytes of one PEM object. */
struct block {
    char *label;
    char *header; /* not empty: encrypted */
    unsigned char *der;
    long len;
};
#define AUTOBLOCK __attribute__((cleanup(block_clear)))

static void block_clear(struct block *b)
{
    OPENSSL_free(b->label);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->der, (size_t)b->len);
    *b = (struct block){.len = 0};
}

static bool only_white_space_is_left(BIO *in)
{
    char c;
    while (BIO_read(in, &c, 1) == 1)
        if (!isspace((unsigned char)c))
            return false;
    return true;
}

/* OpenSSL's own readers pass over what stands around an object, and ask for passwords on the
 * terminal. */
static int block_read(const char *pem, struct block *ret_block)
{
    struct block b = {.len = 0};
    size_t len = strnlen(pem, CERT_PEM_MAX + 1);
    if (len > CERT_PEM_MAX)
        return ERR_SYNTAX;
    while (len > 0 && isspace((unsigned char)*pem)) {
        pem++;
        len--;
    }
    if (!str_starts(pem, "-----BEGIN "))
        return ERR_SYNTAX;
    AUTOBIO BIO *in = BIO_new_mem_buf(pem, (int)len);
    if (!in || PEM_read_bio(in, &b.label, &b.header, &b.der, &b.len) != 1)
        return ERR_SYNTAX;
    if (b.header[0] != '\0' || !only_white_space_is_left(in)) {
        block_clear(&b);
        return ERR_SYNTAX;
    }
    *ret_block = b;
    return 0;
}

int pki_read_cert(const char *pem, X509 **ret_cert)
{
    PKI_QUIET;
    AUTOBLOCK struct block b = {.len = 0};
    if (block_read(pem, &b) < 0 || !str_eq(b.label, PEM_STRING_X509))
        return ERR_SYNTAX;
    const unsigned char *rest = b.der;
    AUTOCERT X509 *cert = d2i_X509(NULL, &rest, b.len);
    if (!cert || rest != b.der + b.len)
        return ERR_SYNTAX;
    *ret_cert = TAKE(cert);
    return 0;
}

int pki_read_key(const char *pem, EVP_PKEY **ret_key)
{
    PKI_QUIET;
    AUTOBLOCK struct block b = {.len = 0};
    if (block_read(pem, &b) < 0)
        return ERR_SYNTAX;
    if (!str_eq(b.label, PEM_STRING_PKCS8INF) && !str_eq(b.label, PEM_STRING_ECPRIVATEKEY))
        return ERR_SYNTAX;
    const unsigned char *rest = b.der;
    AUTOKEY EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &rest, b.len);
    if (!key || rest != b.der + b.len)
        return ERR_SYNTAX;
    *ret_key = TAKE(key);
    return 0;
}

int pki_read_request(const char *pem, X509_REQ **ret_request)
{
    PKI_QUIET;
    AUTOBLOCK struct block b = {.len = 0};
    if (block_read(pem, &b) < 0 || !str_eq(b.label, PEM_STRING_X509_REQ))
        return ERR_SYNTAX;
    const unsigned char *rest = b.der;
    AUTOREQUEST X509_REQ *request = d2i_X509_REQ(NULL, &rest, b.len);
    if (!request || rest != b.der + b.len)
        return ERR_SYNTAX;
    *ret_request = TAKE(request);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A memory BIO overwrites its bytes when it is freed. */
static int take_text(BIO *out, bool written, char **ret_pem)
{
    char *data;
    long len = out ? BIO_get_mem_data(out, &data) : 0;
    if (!written || len <= 0)
        return ERR_FAILED;
    *ret_pem = xstrndup(data, (size_t)len);
    return 0;
}

int pki_write_cert(const X509 *cert, char **ret_pem)
{
    AUTOBIO BIO *out = BIO_new(BIO_s_mem());
    bool written = out && PEM_write_bio_X509(out, cert) == 1;
    return take_text(out, written, ret_pem);
}

int pki_write_key(const EVP_PKEY *key, char **ret_pem)
{
    AUTOBIO BIO *out = BIO_new(BIO_s_mem());
    bool written = out && PEM_write_bio_PKCS8PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1;
    return take_text(out, written, ret_pem);
}

int pki_write_request(const X509_REQ *request, char **ret_pem)
{
    AUTOBIO BIO *out = BIO_new(BIO_s_mem());
    bool written = out && PEM_write_bio_X509_REQ(out, request) == 1;
    return take_text(out, written, ret_pem);
}

/* ---- what a certificate says ----------------------------------------------------------------- */

static bool is_plain_text(const unsigned char *text, int len)
{
    for (int i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

/* No common name is fine, two are not: two readers could choose differently. */
static int read_common_name(const X509 *cert, struct cert_facts *facts)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    facts->common_name[0] = '\0';
    if (at < 0)
        return 0;
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return ERR_INVALID;
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len < 0)
        return ERR_INVALID;
    bool fits = (size_t)len < sizeof facts->common_name && is_plain_text(text, len);
    if (fits) {
        memcpy(facts->common_name, text, (size_t)len);
        facts->common_name[len] = '\0';
    }
    OPENSSL_free(text);
    return fits ? 0 : ERR_INVALID;
}

static int read_serial(const X509 *cert, struct cert_facts *facts)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || len < 1 || 2 * len >= CERT_SERIAL_TEXT)
        return ERR_INVALID;
    for (int i = 0; i < len; i++)
        (void)snprintf(facts->serial + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int read_time(const ASN1_TIME *time, int64_t *ret_s)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return ERR_INVALID;
    *ret_s = timegm(&tm);
    return 0;
}

int pki_facts(const X509 *cert, struct cert_facts *ret_facts)
{
    PKI_QUIET;
    struct cert_facts facts;
    if (read_common_name(cert, &facts) < 0 || read_serial(cert, &facts) < 0)
        return ERR_INVALID;
    if (read_time(X509_get0_notBefore(cert), &facts.not_before_s) < 0 ||
        read_time(X509_get0_notAfter(cert), &facts.not_after_s) < 0)
        return ERR_INVALID;
    if (X509_digest(cert, EVP_sha256(), facts.sha256, NULL) != 1)
        return ERR_FAILED;
    *ret_facts = facts;
    return 0;
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool set_host(X509_VERIFY_PARAM *param, const char *host)
{
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    switch (host_kind(host)) {
    case HOST_NAME:
        return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
    case HOST_IPV4:
    case HOST_IPV6:
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    case HOST_NONE:
        break;
    }
    return false;
}

static bool set_demand(X509_STORE_CTX *ctx, const struct pki_demand *d, STACK_OF(X509) * trusted)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
    X509_VERIFY_PARAM_set_time(param, (time_t)d->at_s);
    /* 112 bits: no SHA-1, no short keys, whatever the system's configuration says. */
    X509_VERIFY_PARAM_set_auth_level(param, 2);
    /* The authority is trusted because we say so, also when another one signed it. */
    if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        return false;
    if (X509_STORE_CTX_set_purpose(ctx, d->server ? X509_PURPOSE_SSL_SERVER
                                                  : X509_PURPOSE_SSL_CLIENT) != 1)
        return false;
    return !d->host || set_host(param, d->host);
}

static int verify(X509_STORE_CTX *ctx)
{
    if (X509_verify_cert(ctx) == 1)
        return X509_V_OK;
    int error = X509_STORE_CTX_get_error(ctx);
    bool of_authority = X509_STORE_CTX_get_error_depth(ctx) > 0;
    bool out_of_date =
        error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
    if (out_of_date && of_authority)
        return X509_V_ERR_CERT_UNTRUSTED;
    return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

int pki_judge(X509 *cert, const struct pki_demand *demand)
{
    PKI_QUIET;
    /* An authority is no host, even if it trusts itself. */
    if (X509_check_ca(cert) != 0)
        return X509_V_ERR_INVALID_PURPOSE;
    /* Trusted as it is, any certificate would vouch for itself. */
    if (X509_check_ca(demand->ca) != 1)
        return X509_V_ERR_INVALID_CA;
    int error = X509_V_ERR_OUT_OF_MEM;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *trusted = sk_X509_new_null();
    if (ctx && trusted && sk_X509_push(trusted, demand->ca) > 0 &&
        X509_STORE_CTX_init(ctx, NULL, cert, NULL) == 1)
        error = set_demand(ctx, demand, trusted) ? verify(ctx) : X509_V_ERR_INVALID_CALL;
    X509_STORE_CTX_free(ctx);
    sk_X509_free(trusted);
    return error;
}

/* What follows "the certificate". */
static const struct {
    int error;
    const char *predicate;
} predicates[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "is not valid yet (do the clocks agree?)"},
    {X509_V_ERR_CERT_UNTRUSTED, "is from an authority whose own certificate is out of date"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "was not issued by our authority"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "was not issued by our authority"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "was not issued by our authority"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "was not issued by our authority"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "was not issued by our authority"},
    {X509_V_ERR_AKID_SKID_MISMATCH, "was not issued by our authority"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, "was not issued by our authority: the signature is wrong"},
    {X509_V_ERR_APPLICATION_VERIFICATION, "comes without the authority that was named to us"},
    {X509_V_ERR_INVALID_PURPOSE, "is not for this use"},
    {X509_V_ERR_INVALID_CA, "was issued by something that is no authority"},
    {X509_V_ERR_HOSTNAME_MISMATCH, "is for another host name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, "is for another address"},
};

void pki_explain(int verify_error, const char *subject, char *ret_text, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(predicates); i++) {
        if (predicates[i].error != verify_error)
            continue;
        (void)snprintf(ret_text, size, "%s %s", subject, predicates[i].predicate);
        return;
    }
    (void)snprintf(ret_text, size, "%s is not accepted: %s", subject,
                   X509_verify_cert_error_string(verify_error));
}
