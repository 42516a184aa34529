/* tls.h -- how our TLS contexts are set up, for libwebsockets and libcurl, which hand us OpenSSL's objects as void *. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/secure/hash.h"

struct tls_setup {
    const char *cert_pem;   /* ours; NULL: none */
    const char *chain_pem;  /* sent after it (the CA, so that a client can pin it); NULL: none */
    const char *key_pem;    /* NULL: none */
    const char *ca_pem;     /* peers must be issued by it; NULL: see `pin` */
    const uint8_t *pin;     /* SHA-256 of the CA that must stand in the chain that a server shows; it then is the trust anchor.
                               Copied.  NULL: none */
    const char *host;       /* the name or address that a server's certificate must be for; NULL: none */
    bool server;            /* this is the server's side */
    bool need_client_cert;  /* server: no handshake without one by `ca_pem` */
};

/* Sets up an SSL_CTX: TLS 1.2 at least, ALPN "http/1.1", modern ciphers, what the setup says.  Returns 0, or an error of
 * cert.h.  May be called again on a context with a new certificate (renewal): new handshakes use it. */
int tls_setup(void *ssl_ctx, const struct tls_setup *setup);

/* The certificate that the peer of this SSL showed and OpenSSL verified: its common name and serial.  ERR_NOT_FOUND: none. */
struct cert_facts;
int tls_peer(void *ssl, struct cert_facts *ret_facts);

/* Why a handshake failed, for people, from OpenSSL's error queue (emptied) and the verify result; `ssl` may be NULL. */
void tls_explain(void *ssl, char *ret_text, size_t size);
