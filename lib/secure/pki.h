/* pki.h -- OpenSSL's objects inside lib/secure: read from PEM, written as PEM, judged.  cert.h
 * and tls.h stand on it; nobody else includes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

struct cert_facts;

/* OpenSSL leaves the reasons of failures in a queue of the thread, where the next call of a TLS
 * library takes them for its own.  Our results say it all, so what a scope has added is dropped
 * at its end.  Use: `PKI_QUIET;` */
#define PKI_QUIET __attribute__((cleanup(pki_quiet_end_), unused)) int pki_quiet_ = ERR_set_mark()

static inline void pki_quiet_end_(const int *mark)
{
    (void)ERR_pop_to_mark();
}

#define PKI_AUTO_(type, suffix)                                                                    \
    static inline void pki_auto_##suffix##_(type **p)                                              \
    {                                                                                              \
        type##_free(*p);                                                                           \
    }
PKI_AUTO_(X509, cert)
PKI_AUTO_(X509_REQ, request)
PKI_AUTO_(EVP_PKEY, key)
PKI_AUTO_(BIO, bio)
#undef PKI_AUTO_
#define AUTOCERT __attribute__((cleanup(pki_auto_cert_)))
#define AUTOREQUEST __attribute__((cleanup(pki_auto_request_)))
#define AUTOKEY __attribute__((cleanup(pki_auto_key_)))
#define AUTOBIO __attribute__((cleanup(pki_auto_bio_)))

/* Exactly one PEM object of at most CERT_PEM_MAX bytes, unencrypted, with white space around it
 * at most.  0 or ERR_SYNTAX. The caller frees. */
int pki_read_cert(const char *pem, X509 **ret_cert);
int pki_read_key(const char *pem, EVP_PKEY **ret_key);
int pki_read_request(const char *pem, X509_REQ **ret_request);

/* The PEM text; ERR_FAILED.  The caller frees. */
int pki_write_cert(const X509 *cert, char **ret_pem);
int pki_write_key(const EVP_PKEY *key, char **ret_pem);
int pki_write_request(const X509_REQ *request, char **ret_pem);

/* ERR_INVALID when a name or number is longer or other than any that we make. */
int pki_facts(const X509 *cert, struct cert_facts *ret_facts);

/* What a certificate must fulfil. */
struct pki_demand {
    X509 *ca;         /* it was issued by this one, directly */
    bool server;      /* for servers' use, else for clients' */
    const char *host; /* for this name or address; NULL: for any */
    int64_t at_s;     /* valid at this time */
};

/* X509_V_OK, or the first that is wrong as one of OpenSSL's X509_V_ERR_…; two of them are
 * borrowed for what has no number: CERT_UNTRUSTED for an authority that is out of date,
 * APPLICATION_VERIFICATION for one that is not the pinned one. */
int pki_judge(X509 *cert, const struct pki_demand *demand);

/* "<subject> has expired". */
void pki_explain(int verify_error, const char *subject, char *ret_text, size_t size);
