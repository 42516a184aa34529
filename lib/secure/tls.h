/* tls.h -- how our TLS contexts are set up, for libwebsockets and libcurl, which hand us OpenSSL's
 * objects as void *.
 *
 * A peer is judged by us alone: its certificate must be issued directly by the one authority of the
 * setup, for its use (TLS server or client), for the host when one is given, and be valid now.
 * Authorities of the system, options like CURLOPT_CAINFO, and the verify callbacks of libwebsockets
 * count for nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/secure/hash.h"

/* All is copied. */
struct tls_setup {
    /* Ours, with its key.  A server has one; a client may have one. */
    const char *cert_pem;
    const char *key_pem;

    /* Sent after it (the CA, so that a client can pin it); NULL: none. */
    const char *chain_pem;

    /* The CA of our peers.  A client has either this or `pin`; a server without it asks for no
     * certificates. */
    const char *ca_pem;

    /* Clients: SHA-256 of the CA, which must stand in the chain that the server shows. */
    const uint8_t *pin;

    /* Clients: the name or address (without brackets) that the server's certificate must be for.
     * NULL: any. */
    const char *host;

    /* This is the server's side. */
    bool server;

    /* Server with `ca_pem`: no handshake without a certificate.  Else one is checked when shown. */
    bool need_client_cert;
};

/* Sets up an SSL_CTX: TLS 1.2 at least, ALPN "http/1.1", modern ciphers, what the setup says.
 * Returns 0; ERR_SYNTAX or ERR_INVALID (also for a setup that makes no sense), and the context
 * is as it was; ERR_FAILED.  May be called again on a context with a new certificate (renewal):
 * new handshakes use it, connections that are up are not disturbed. */
int tls_setup(void *ssl_ctx, const struct tls_setup *setup);

/* The certificate that the peer of this SSL showed and that was verified: its common name and
 * serial.  ERR_NOT_FOUND: none, or the handshake is not over; ERR_EXPIRED: its time has passed
 * since (a resumed session does not show it again). */
struct cert_facts;
int tls_peer(void *ssl, struct cert_facts *ret_facts);

/* Why a handshake failed, for people, from OpenSSL's error queue (emptied), the verify result, and
 * the peer's last alert; `ssl` may be NULL. */
void tls_explain(void *ssl, char *ret_text, size_t size);

/* The same from a verify result alone: of libcurl, CURLINFO_SSL_VERIFYRESULT after
 * CURLE_PEER_FAILED_VERIFICATION. */
void tls_explain_result(long verify_result, char *ret_text, size_t size);
