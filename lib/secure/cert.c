#include "lib/secure/cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/secure/host.h"
#include "lib/secure/pki.h"

enum { VERSION_1 = 0, VERSION_3 = 2, SERIAL_BYTES = 20 };

/* ---- keys and requests ----------------------------------------------------------------------- */

int key_make(char **ret_key_pem)
{
    PKI_QUIET;
    AUTOKEY EVP_PKEY *key = EVP_EC_gen("P-256");
    return key ? pki_write_key(key, ret_key_pem) : ERR_FAILED;
}

/* A curve that is spelled out instead of named would go into our certificate as it is, and most
 * readers refuse that. */
static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    int spelled_out = 0;
    if (!key || !EVP_PKEY_is_a(key, "EC"))
        return false;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 ||
        !str_eq(group, SN_X9_62_prime256v1))
        return false;
    return EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                  &spelled_out) != 1 ||
           spelled_out == 0;
}

static int read_p256_key(const char *pem, EVP_PKEY **ret_key)
{
    AUTOKEY EVP_PKEY *key = NULL;
    int r = pki_read_key(pem, &key);
    if (r < 0)
        return r;
    if (!is_p256(key))
        return ERR_INVALID;
    *ret_key = TAKE(key);
    return 0;
}

/* OpenSSL holds the name against the 64 characters of the standard. */
static int set_common_name(X509_NAME *name, const char *text)
{
    int r = X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                       (const unsigned char *)text, -1, -1, 0);
    return r == 1 ? 0 : ERR_INVALID;
}

int csr_make(const char *key_pem, const char *common_name, char **ret_csr_pem)
{
    PKI_QUIET;
    AUTOKEY EVP_PKEY *key = NULL;
    int r = read_p256_key(key_pem, &key);
    if (r < 0)
        return r;
    AUTOREQUEST X509_REQ *request = X509_REQ_new();
    if (!request || X509_REQ_set_version(request, VERSION_1) != 1)
        return ERR_FAILED;
    r = set_common_name(X509_REQ_get_subject_name(request), common_name);
    if (r < 0)
        return r;
    if (X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0)
        return ERR_FAILED;
    return pki_write_request(request, ret_csr_pem);
}

/* The key that a request asks for, when the request is signed with it.  Borrowed from the
 * request. */
static int request_key(X509_REQ *request, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    if (!is_p256(key) || X509_REQ_verify(request, key) != 1)
        return ERR_INVALID;
    *ret_key = key;
    return 0;
}

/* ---- making certificates --------------------------------------------------------------------- */

/* 159 random bits; the first byte is 0x40 to 0x7f, so that the number is positive and always 20
 * bytes long. */
static int set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    random_bytes(bytes, sizeof bytes);
    bytes[0] = (unsigned char)((bytes[0] & 0x3f) | 0x40);
    return ASN1_STRING_set(X509_get_serialNumber(cert), bytes, sizeof bytes) == 1 ? 0 : ERR_FAILED;
}

/* The format has four digits for the year, and OpenSSL writes five without a word. */
static const int64_t end_of_year_9999_s = INT64_C(253402300799);

static int set_times(X509 *cert, const struct cert_plan *plan)
{
    if (plan->not_before_s < 0 || plan->not_before_s >= plan->not_after_s ||
        plan->not_after_s > end_of_year_9999_s)
        return ERR_INVALID;
    bool worked = ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)plan->not_before_s) &&
                  ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)plan->not_after_s);
    return worked ? 0 : ERR_FAILED;
}

static int set_basics(X509 *cert, const struct cert_plan *plan, EVP_PKEY *key)
{
    if (X509_set_version(cert, VERSION_3) != 1 || X509_set_pubkey(cert, key) != 1)
        return ERR_FAILED;
    int r = set_serial(cert);
    if (r == 0)
        r = set_times(cert, plan);
    if (r == 0)
        r = set_common_name(X509_get_subject_name(cert), plan->common_name);
    return r;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    bool added = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added ? 0 : ERR_FAILED;
}

struct extension {
    int nid;
    const char *value;
};

/* The list ends with an extension without a value. */
static int add_extensions(X509 *cert, X509 *issuer, const struct extension *list)
{
    int r = 0;
    for (; list->value && r == 0; list++)
        r = add_extension(cert, issuer, list->nid, list->value);
    return r;
}

static GENERAL_NAME *host_name(const char *text)
{
    enum host_kind kind = host_kind(text);
    GENERAL_NAME *name = kind == HOST_NONE ? NULL : GENERAL_NAME_new();
    if (!name)
        return NULL;
    ASN1_STRING *value = kind == HOST_NAME ? ASN1_IA5STRING_new() : a2i_IPADDRESS(text);
    if (!value || (kind == HOST_NAME && ASN1_STRING_set(value, text, -1) != 1)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, kind == HOST_NAME ? GEN_DNS : GEN_IPADD, value);
    return name;
}

static int fill_names(GENERAL_NAMES *names, const char *const *hosts)
{
    for (; *hosts; hosts++) {
        GENERAL_NAME *name = host_name(*hosts);
        if (!name)
            return ERR_INVALID;
        if (sk_GENERAL_NAME_push(names, name) > 0)
            continue;
        GENERAL_NAME_free(name);
        return ERR_FAILED;
    }
    return 0;
}

static int add_names(X509 *cert, const char *const *hosts)
{
    if (!hosts || !hosts[0])
        return 0;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    int r = names ? fill_names(names, hosts) : ERR_FAILED;
    if (r == 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
        r = ERR_FAILED;
    GENERAL_NAMES_free(names);
    return r;
}

static int sign_and_write(X509 *cert, EVP_PKEY *key, char **ret_pem)
{
    return X509_sign(cert, key, EVP_sha256()) > 0 ? pki_write_cert(cert, ret_pem) : ERR_FAILED;
}

int cert_make_ca(const char *key_pem, const struct cert_plan *plan, char **ret_cert_pem)
{
    static const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {.value = NULL},
    };
    PKI_QUIET;
    AUTOKEY EVP_PKEY *key = NULL;
    AUTOCERT X509 *cert = X509_new();
    int r = cert ? read_p256_key(key_pem, &key) : ERR_FAILED;
    if (r == 0)
        r = plan->ca ? set_basics(cert, plan, key) : ERR_INVALID;
    if (r < 0)
        return r;
    if (X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1)
        return ERR_FAILED;
    r = add_extensions(cert, cert, extensions);
    return r < 0 ? r : sign_and_write(cert, key, ret_cert_pem);
}

/* Names the authority; a certificate of the same name would look as if it had signed itself. */
static int set_issuer(X509 *cert, X509 *ca)
{
    if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(ca)) == 0)
        return ERR_INVALID;
    return X509_set_issuer_name(cert, X509_get_subject_name(ca)) == 1 ? 0 : ERR_FAILED;
}

/* Everything but the signature. */
static int fill_leaf(X509 *cert, X509 *ca, EVP_PKEY *key, const struct cert_plan *plan)
{
    const struct extension extensions[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, plan->server ? "serverAuth" : "clientAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid:always"},
        {.value = NULL},
    };
    int r = plan->ca ? ERR_INVALID : set_basics(cert, plan, key);
    if (r == 0)
        r = set_issuer(cert, ca);
    if (r == 0)
        r = add_extensions(cert, ca, extensions);
    return r < 0 ? r : add_names(cert, plan->dns_names);
}

static int read_authority(const char *cert_pem, const char *key_pem, X509 **ret_ca,
                          EVP_PKEY **ret_key)
{
    AUTOCERT X509 *ca = NULL;
    AUTOKEY EVP_PKEY *key = NULL;
    int r = pki_read_cert(cert_pem, &ca);
    if (r == 0)
        r = read_p256_key(key_pem, &key);
    if (r < 0)
        return r;
    if (X509_check_ca(ca) != 1 || X509_check_private_key(ca, key) != 1)
        return ERR_INVALID;
    *ret_ca = TAKE(ca);
    *ret_key = TAKE(key);
    return 0;
}

int cert_issue(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
               const struct cert_plan *plan, char **ret_cert_pem)
{
    PKI_QUIET;
    AUTOCERT X509 *ca = NULL;
    AUTOKEY EVP_PKEY *ca_key = NULL;
    AUTOREQUEST X509_REQ *request = NULL;
    EVP_PKEY *key = NULL;
    int r = read_authority(ca_cert_pem, ca_key_pem, &ca, &ca_key);
    if (r == 0)
        r = pki_read_request(csr_pem, &request);
    if (r == 0)
        r = request_key(request, &key);
    if (r < 0)
        return r;
    AUTOCERT X509 *cert = X509_new();
    r = cert ? fill_leaf(cert, ca, key, plan) : ERR_FAILED;
    return r < 0 ? r : sign_and_write(cert, ca_key, ret_cert_pem);
}

/* ---- reading and checking -------------------------------------------------------------------- */

int cert_read(const char *cert_pem, struct cert_facts *ret_facts)
{
    AUTOCERT X509 *cert = NULL;
    int r = pki_read_cert(cert_pem, &cert);
    return r < 0 ? r : pki_facts(cert, ret_facts);
}

static int refuse(int r, char *reterr_text, size_t size, const char *sentence)
{
    (void)snprintf(reterr_text, size, "%s", sentence);
    return r;
}

int cert_check(const char *cert_pem, const char *ca_pem, bool server, int64_t at_s,
               char *reterr_text, size_t size)
{
    AUTOCERT X509 *cert = NULL, *ca = NULL;
    if (pki_read_cert(cert_pem, &cert) < 0)
        return refuse(ERR_SYNTAX, reterr_text, size, "this is not one certificate in PEM");
    if (pki_read_cert(ca_pem, &ca) < 0)
        return refuse(ERR_SYNTAX, reterr_text, size, "the authority is not one certificate in PEM");
    const struct pki_demand demand = {.ca = ca, .server = server, .at_s = at_s};
    int error = pki_judge(cert, &demand);
    if (error == X509_V_OK)
        return 0;
    pki_explain(error, "the certificate", reterr_text, size);
    return error == X509_V_ERR_CERT_HAS_EXPIRED ? ERR_EXPIRED : ERR_INVALID;
}

int cert_check_key(const char *cert_pem, const char *key_pem)
{
    PKI_QUIET;
    AUTOCERT X509 *cert = NULL;
    AUTOKEY EVP_PKEY *key = NULL;
    int r = pki_read_cert(cert_pem, &cert);
    if (r == 0)
        r = pki_read_key(key_pem, &key);
    if (r < 0)
        return r;
    return X509_check_private_key(cert, key) == 1 ? 0 : ERR_INVALID;
}
