#include "lib/secure/tls.h"

#include "tests/unit/secure_support.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/base/err.h"

/* ---- two ends -------------------------------------------------------------------------------- */

/* A client and a server that shake hands in memory. */
struct ends {
    SSL_CTX *server_ctx, *client_ctx;
    SSL *server, *client;
    int server_error, client_error; /* 0: shook hands */
    char server_text[200], client_text[200];
};
#define AUTOENDS __attribute__((cleanup(ends_clear)))

static void ends_hang_up(struct ends *e)
{
    SSL_free(e->server);
    SSL_free(e->client);
    e->server = e->client = NULL;
}

static void ends_clear(struct ends *e)
{
    ends_hang_up(e);
    SSL_CTX_free(e->server_ctx);
    SSL_CTX_free(e->client_ctx);
}

static struct ends ends_of(const struct tls_setup *server, const struct tls_setup *client)
{
    struct ends e = {.server_ctx = SSL_CTX_new(TLS_server_method()),
                     .client_ctx = SSL_CTX_new(TLS_client_method())};
    assert_int_equal(tls_setup(e.server_ctx, server), 0);
    assert_int_equal(tls_setup(e.client_ctx, client), 0);
    return e;
}

static void connect_ends(struct ends *e, SSL_SESSION *session)
{
    BIO *server_bio, *client_bio;
    ends_hang_up(e);
    assert_int_equal(BIO_new_bio_pair(&server_bio, 0, &client_bio, 0), 1);
    e->server = SSL_new(e->server_ctx);
    e->client = SSL_new(e->client_ctx);
    SSL_set_bio(e->server, server_bio, server_bio);
    SSL_set_bio(e->client, client_bio, client_bio);
    if (session)
        assert_int_equal(SSL_set_session(e->client, session), 1);
    SSL_set_accept_state(e->server);
    SSL_set_connect_state(e->client);
}

/* One turn of one end: the handshake, and what comes after it.  Returns an SSL_ERROR_…. */
static int turn(SSL *ssl, char *ret_text, size_t size)
{
    char byte;
    ERR_clear_error();
    int n = SSL_is_init_finished(ssl) ? SSL_read(ssl, &byte, 1) : SSL_do_handshake(ssl);
    int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, n);
    if (error == SSL_ERROR_SSL) {
        tls_explain(ssl, ret_text, size);
        assert_int_equal(ERR_peek_error(), 0);
    }
    return error;
}

static void shake(struct ends *e)
{
    e->server_error = e->client_error = 0;
    e->server_text[0] = e->client_text[0] = '\0';
    for (int i = 0; i < 20; i++) {
        if (e->client_error != SSL_ERROR_SSL)
            e->client_error = turn(e->client, e->client_text, sizeof e->client_text);
        if (e->server_error != SSL_ERROR_SSL)
            e->server_error = turn(e->server, e->server_text, sizeof e->server_text);
    }
    e->client_error = e->client_error == SSL_ERROR_SSL ? SSL_ERROR_SSL : 0;
    e->server_error = e->server_error == SSL_ERROR_SSL ? SSL_ERROR_SSL : 0;
}

static void connect_and_shake(struct ends *e)
{
    connect_ends(e, NULL);
    shake(e);
}

static void assert_shook(const struct ends *e)
{
    if (e->client_error || e->server_error)
        fail_msg("client: '%s', server: '%s'", e->client_text, e->server_text);
    assert_true(SSL_is_init_finished(e->client) && SSL_is_init_finished(e->server));
}

static void assert_client_refused(const struct ends *e, const char *text)
{
    assert_int_equal(e->client_error, SSL_ERROR_SSL);
    assert_string_equal(e->client_text, text);
    assert_int_equal(e->server_error, SSL_ERROR_SSL);
    assert_false(SSL_is_init_finished(e->server));
}

static void assert_server_refused(const struct ends *e, const char *text)
{
    assert_int_equal(e->server_error, SSL_ERROR_SSL);
    assert_string_equal(e->server_text, text);
    assert_int_equal(e->client_error, SSL_ERROR_SSL);
}

static void assert_alpn(const SSL *ssl)
{
    const unsigned char *chosen;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &chosen, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
}

/* ---- who they are ---------------------------------------------------------------------------- */

/* One authority with a server and a client, for all tests. */
static struct identity ca, other_ca, server, client;
static uint8_t pin[SHA256_BYTES], other_pin[SHA256_BYTES];

static void pin_of(const char *cert, uint8_t ret_pin[static SHA256_BYTES])
{
    struct cert_facts facts;
    assert_int_equal(cert_read(cert, &facts), 0);
    memcpy(ret_pin, facts.sha256, SHA256_BYTES);
}

static int make_all(void **state)
{
    ca = make_authority("authority");
    other_ca = make_authority("authority"); /* the same name, another key */
    server = make_server(&ca);
    client = make_client(&ca, "host-1");
    pin_of(ca.cert, pin);
    pin_of(other_ca.cert, other_pin);
    return 0;
}

static int clear_all(void **state)
{
    identity_clear(&ca);
    identity_clear(&other_ca);
    identity_clear(&server);
    identity_clear(&client);
    return 0;
}

static struct tls_setup web_server(void)
{
    return (struct tls_setup){
        .server = true, .cert_pem = server.cert, .key_pem = server.key, .chain_pem = ca.cert};
}

static struct tls_setup agent_server(void)
{
    struct tls_setup s = web_server();
    s.ca_pem = ca.cert;
    s.need_client_cert = true;
    return s;
}

static struct tls_setup pinning_client(const char *host)
{
    return (struct tls_setup){.pin = pin, .host = host};
}

static struct tls_setup agent_client(void)
{
    return (struct tls_setup){
        .cert_pem = client.cert, .key_pem = client.key, .ca_pem = ca.cert, .host = "localhost"};
}

/* ---- a pinned authority ---------------------------------------------------------------------- */

static void a_pinned_authority_is_enough(void **state)
{
    static const char *const hosts[] = {
        "localhost", "console.example.org", "CONSOLE.example.org", "127.0.0.1", "::1", NULL};
    struct tls_setup s = web_server();
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        struct tls_setup c = pinning_client(hosts[i]);
        AUTOENDS struct ends e = ends_of(&s, &c);
        connect_and_shake(&e);
        assert_shook(&e);
        assert_alpn(e.client);
        assert_alpn(e.server);
        assert_int_equal(SSL_get_verify_result(e.client), X509_V_OK);
        assert_int_equal(SSL_version(e.client), TLS1_3_VERSION);
    }
}

static void another_pin_is_refused(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client("localhost");
    c.pin = other_pin;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(
        &e, "the peer's certificate comes without the authority that was named to us");
}

static void the_pinned_authority_must_be_shown(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client("localhost");
    s.chain_pem = NULL;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(
        &e, "the peer's certificate comes without the authority that was named to us");
}

static void the_pinned_authority_must_have_issued_the_certificate(void **state)
{
    AUTOIDENTITY struct identity impostor = make_server(&other_ca);
    struct tls_setup s = web_server(), c = pinning_client("localhost");
    s.cert_pem = impostor.cert;
    s.key_pem = impostor.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate was not issued by our authority");
}

static void a_pinned_certificate_that_is_no_authority_is_refused(void **state)
{
    uint8_t leaf_pin[SHA256_BYTES];
    struct tls_setup s = web_server(), c = pinning_client("localhost");
    pin_of(server.cert, leaf_pin);
    c.pin = leaf_pin;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(
        &e, "the peer's certificate comes without the authority that was named to us");
}

static void an_authority_does_not_serve_itself(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    s.cert_pem = ca.cert;
    s.key_pem = ca.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is not for this use");
}

static void another_host_is_refused(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client("console.example.com");
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is for another host name");
    c = pinning_client("127.0.0.2");
    assert_int_equal(tls_setup(e.client_ctx, &c), 0);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is for another address");
    c = pinning_client("console"); /* the common name counts for nothing */
    assert_int_equal(tls_setup(e.client_ctx, &c), 0);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is for another host name");
}

static void a_clients_certificate_serves_no_host(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    s.cert_pem = client.cert;
    s.key_pem = client.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is not for this use");
}

static void a_server_out_of_its_time_is_refused(void **state)
{
    static const char *const hosts[] = {"localhost", NULL};
    struct cert_plan plan = plan_of("console");
    plan.server = true;
    plan.dns_names = hosts;
    plan.not_after_s = time(NULL) - 1;
    AUTOIDENTITY struct identity old = make_leaf(&ca, &plan);
    struct tls_setup s = web_server(), c = pinning_client("localhost");
    s.cert_pem = old.cert;
    s.key_pem = old.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate has expired");
    assert_string_equal(e.server_text, "the peer says that our certificate has expired");
}

/* libwebsockets sets such a callback on each connection, and its answer can be a yes to
 * anything. */
static int say_yes(int ok, X509_STORE_CTX *ctx)
{
    return 1;
}

static void a_verify_callback_of_the_connection_changes_nothing(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client("console.example.com");
    struct tls_setup mutual = agent_client();
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_ends(&e, NULL);
    SSL_set_verify(e.client, SSL_VERIFY_PEER, say_yes);
    shake(&e);
    assert_client_refused(&e, "the peer's certificate is for another host name");
    mutual.ca_pem = other_ca.cert;
    assert_int_equal(tls_setup(e.client_ctx, &mutual), 0);
    connect_ends(&e, NULL);
    SSL_set_verify(e.client, SSL_VERIFY_PEER, say_yes);
    shake(&e);
    assert_client_refused(&e, "the peer's certificate was not issued by our authority");
}

static void pin_and_host_are_copied(void **state)
{
    uint8_t my_pin[SHA256_BYTES];
    char my_host[] = "localhost";
    struct tls_setup s = web_server(), c = {.pin = my_pin, .host = my_host};
    memcpy(my_pin, pin, sizeof my_pin);
    AUTOENDS struct ends e = ends_of(&s, &c);
    memset(my_pin, 0, sizeof my_pin);
    memset(my_host, 'x', sizeof my_host - 1);
    connect_and_shake(&e);
    assert_shook(&e);
}

/* ---- certificates on both sides -------------------------------------------------------------- */

static void both_sides_know_each_other(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts, expected;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_ends(&e, NULL);
    assert_int_equal(tls_peer(e.server, &facts), ERR_NOT_FOUND);
    shake(&e);
    assert_shook(&e);
    assert_int_equal(cert_read(client.cert, &expected), 0);
    assert_int_equal(tls_peer(e.server, &facts), 0);
    assert_string_equal(facts.common_name, "host-1");
    assert_string_equal(facts.serial, expected.serial);
    assert_int_equal(tls_peer(e.client, &facts), 0);
    assert_string_equal(facts.common_name, "console");
}

static void the_same_holds_for_tls_1_2(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client(), none = agent_client();
    struct cert_facts facts;
    AUTOENDS struct ends e = ends_of(&s, &c);
    assert_int_equal(SSL_CTX_set_max_proto_version(e.server_ctx, TLS1_2_VERSION), 1);
    connect_and_shake(&e);
    assert_shook(&e);
    assert_int_equal(SSL_version(e.client), TLS1_2_VERSION);
    assert_alpn(e.client);
    assert_int_equal(tls_peer(e.server, &facts), 0);
    assert_string_equal(facts.common_name, "host-1");
    none.cert_pem = none.key_pem = NULL;
    AUTOENDS struct ends refused = ends_of(&s, &none);
    assert_int_equal(SSL_CTX_set_max_proto_version(refused.client_ctx, TLS1_2_VERSION), 1);
    connect_and_shake(&refused);
    assert_server_refused(&refused, "the peer showed no certificate");
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    c.cert_pem = c.key_pem = NULL;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_server_refused(&e, "the peer showed no certificate");
    assert_string_equal(e.client_text, "the peer wants a certificate, and we showed none");
    assert_int_equal(tls_peer(e.server, &facts), ERR_NOT_FOUND);
}

static void assert_client_identity_refused(const struct identity *who, const char *server_text,
                                           const char *client_text)
{
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    c.cert_pem = who->cert;
    c.key_pem = who->key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_server_refused(&e, server_text);
    assert_string_equal(e.client_text, client_text);
    assert_int_equal(tls_peer(e.server, &facts), ERR_NOT_FOUND);
}

static void clients_that_are_not_ours_are_refused(void **state)
{
    struct cert_plan plan = plan_of("host-2");
    plan.not_after_s = time(NULL) - 1;
    AUTOIDENTITY struct identity stranger = make_client(&other_ca, "host-1");
    AUTOIDENTITY struct identity expired = make_leaf(&ca, &plan);
    assert_client_identity_refused(&stranger,
                                   "the peer's certificate was not issued by our authority",
                                   "the peer does not know the authority of our certificate");
    assert_client_identity_refused(&expired, "the peer's certificate has expired",
                                   "the peer says that our certificate has expired");
    assert_client_identity_refused(&server, "the peer's certificate is not for this use",
                                   "the peer says our certificate is not for this use");
    assert_client_identity_refused(&ca, "the peer's certificate is not for this use",
                                   "the peer says our certificate is not for this use");
}

static void a_client_takes_no_server_of_another_authority(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client();
    c.ca_pem = other_ca.cert;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate was not issued by our authority");
    c = agent_client();
    c.host = "elsewhere";
    assert_int_equal(tls_setup(e.client_ctx, &c), 0);
    connect_and_shake(&e);
    assert_client_refused(&e, "the peer's certificate is for another host name");
}

static void a_certificate_that_is_not_needed_is_checked_all_the_same(void **state)
{
    AUTOIDENTITY struct identity stranger = make_client(&other_ca, "host-1");
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    s.need_client_cert = false;
    c.cert_pem = c.key_pem = NULL;
    AUTOENDS struct ends none = ends_of(&s, &c);
    connect_and_shake(&none);
    assert_shook(&none);
    assert_int_equal(tls_peer(none.server, &facts), ERR_NOT_FOUND);
    c.cert_pem = stranger.cert;
    c.key_pem = stranger.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_server_refused(&e, "the peer's certificate was not issued by our authority");
}

/* ---- contexts that live long ----------------------------------------------------------------- */

static void a_renewed_certificate_serves_new_connections_only(void **state)
{
    AUTOIDENTITY struct identity renewed = make_server(&ca);
    struct cert_facts before, after, facts;
    struct tls_setup s = agent_server(), c = agent_client();
    AUTOENDS struct ends e = ends_of(&s, &c);
    assert_int_equal(cert_read(server.cert, &before), 0);
    assert_int_equal(cert_read(renewed.cert, &after), 0);
    connect_and_shake(&e);
    assert_shook(&e);
    s.cert_pem = renewed.cert;
    s.key_pem = renewed.key;
    assert_int_equal(tls_setup(e.server_ctx, &s), 0);
    assert_int_equal(tls_peer(e.client, &facts), 0);
    assert_string_equal(facts.serial, before.serial);
    assert_int_equal(SSL_write(e.server, "x", 1), 1);
    connect_and_shake(&e);
    assert_shook(&e);
    assert_int_equal(tls_peer(e.client, &facts), 0);
    assert_string_equal(facts.serial, after.serial);
}

static void the_rule_for_peers_can_change(void **state)
{
    AUTOIDENTITY struct identity stranger = make_client(&other_ca, "host-9");
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_ends(&e, NULL);
    /* Under way: the handshake goes by the rule that is in force when the certificate comes. */
    s.ca_pem = other_ca.cert;
    assert_int_equal(tls_setup(e.server_ctx, &s), 0);
    shake(&e);
    assert_server_refused(&e, "the peer's certificate was not issued by our authority");
    c.cert_pem = stranger.cert;
    c.key_pem = stranger.key;
    assert_int_equal(tls_setup(e.client_ctx, &c), 0);
    connect_and_shake(&e);
    assert_shook(&e);
    s = web_server();
    assert_int_equal(tls_setup(e.server_ctx, &s), 0);
    connect_and_shake(&e);
    assert_shook(&e);
    assert_int_equal(tls_peer(e.server, &facts), ERR_NOT_FOUND);
}

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION_free(kept_session);
    kept_session = session;
    return 1;
}

static void resume_with(int version)
{
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    AUTOENDS struct ends e = ends_of(&s, &c);
    (void)SSL_CTX_set_max_proto_version(e.client_ctx, version);
    (void)SSL_CTX_set_session_cache_mode(e.client_ctx, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(e.client_ctx, keep_session);
    connect_and_shake(&e);
    assert_shook(&e);
    assert_non_null(kept_session);
    SSL_SESSION *session = SSL_SESSION_dup(kept_session);
    connect_ends(&e, session);
    shake(&e);
    assert_shook(&e);
    assert_true(SSL_session_reused(e.client));
    assert_int_equal(tls_peer(e.server, &facts), 0);
    assert_string_equal(facts.common_name, "host-1");
    /* Under another authority it is nothing. */
    s.ca_pem = other_ca.cert;
    assert_int_equal(tls_setup(e.server_ctx, &s), 0);
    connect_ends(&e, session);
    shake(&e);
    assert_false(SSL_session_reused(e.client));
    assert_server_refused(&e, "the peer's certificate was not issued by our authority");
    SSL_SESSION_free(session);
    SSL_SESSION_free(kept_session);
    kept_session = NULL;
}

static void sessions_resume_with_the_peer_they_began_with(void **state)
{
    resume_with(TLS1_3_VERSION);
    resume_with(TLS1_2_VERSION);
}

static void a_peer_whose_time_has_passed_since_is_none(void **state)
{
    struct cert_plan plan = plan_of("host-3");
    plan.not_after_s = time(NULL) + 2;
    AUTOIDENTITY struct identity brief = make_leaf(&ca, &plan);
    struct tls_setup s = agent_server(), c = agent_client();
    struct cert_facts facts;
    c.cert_pem = brief.cert;
    c.key_pem = brief.key;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    assert_shook(&e);
    assert_int_equal(tls_peer(e.server, &facts), 0);
    while (time(NULL) < plan.not_after_s)
        (void)usleep(50000);
    assert_int_equal(tls_peer(e.server, &facts), ERR_EXPIRED);
}

/* ---- protocols ------------------------------------------------------------------------------- */

static void offer_only(SSL_CTX *ctx, int version)
{
    SSL_CTX_set_security_level(ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0"), 1);
}

static void older_versions_are_refused(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    AUTOENDS struct ends e = ends_of(&s, &c);
    offer_only(e.client_ctx, TLS1_1_VERSION);
    connect_and_shake(&e);
    assert_server_refused(&e, "the peer asked for TLS 1.1, and TLS 1.2 is the least we speak");
    assert_string_equal(e.client_text, "the peer refuses our versions of TLS, 1.2 and 1.3");
    offer_only(e.client_ctx, TLS1_VERSION);
    connect_and_shake(&e);
    assert_server_refused(&e, "the peer asked for TLS 1.0, and TLS 1.2 is the least we speak");
}

static void an_older_server_is_refused(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    AUTOENDS struct ends e = ends_of(&s, &c);
    offer_only(e.server_ctx, TLS1_1_VERSION);
    connect_and_shake(&e);
    assert_int_equal(e.client_error, SSL_ERROR_SSL);
    assert_int_equal(e.server_error, SSL_ERROR_SSL);
    assert_string_equal(e.client_text, "the peer refuses our versions of TLS, 1.2 and 1.3");
}

static void weak_ciphers_are_refused(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    AUTOENDS struct ends e = ends_of(&s, &c);
    assert_int_equal(SSL_CTX_set_max_proto_version(e.client_ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(e.client_ctx, "ECDHE-ECDSA-AES128-SHA"), 1);
    connect_and_shake(&e);
    assert_server_refused(&e, "the peer speaks none of our ciphers");
    assert_string_equal(e.client_text, "the peer found nothing that both sides speak");
}

static void alpn_chooses_http_1_1_or_nothing(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    const unsigned char *chosen;
    unsigned len;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_ends(&e, NULL);
    assert_int_equal(SSL_set_alpn_protos(e.client, (const void *)"\x02h2\x08http/1.1", 12), 0);
    shake(&e);
    assert_shook(&e);
    assert_alpn(e.server);
    connect_ends(&e, NULL);
    assert_int_equal(SSL_set_alpn_protos(e.client, (const void *)"\x02h2", 3), 0);
    shake(&e);
    assert_server_refused(&e, "the peer does not want http/1.1");
    assert_string_equal(e.client_text, "the peer does not speak http/1.1");
    connect_ends(&e, NULL);
    assert_int_equal(SSL_set_alpn_protos(e.client, NULL, 0), 0);
    shake(&e);
    assert_shook(&e);
    SSL_get0_alpn_selected(e.client, &chosen, &len);
    assert_int_equal(len, 0);
}

/* ---- sentences ------------------------------------------------------------------------------- */

static void plain_http_is_called_by_its_name(void **state)
{
    struct tls_setup s = web_server(), c = pinning_client(NULL);
    char text[200];
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_ends(&e, NULL);
    assert_true(BIO_write(SSL_get_wbio(e.client), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27) > 0);
    assert_int_equal(turn(e.server, text, sizeof text), SSL_ERROR_SSL);
    assert_string_equal(text, "the peer does not speak TLS: it sent plain HTTP");
    connect_ends(&e, NULL);
    assert_true(BIO_write(SSL_get_wbio(e.server), "HTTP/1.1 400 Bad Request\r\n\r\n", 28) > 0);
    assert_int_equal(turn(e.client, text, sizeof text), SSL_ERROR_SSL);
    assert_string_equal(text, "the peer does not speak TLS");
}

/* libwebsockets empties the queue before anybody can look. */
static void there_is_a_sentence_also_when_the_queue_is_empty(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client();
    char text[200];
    c.cert_pem = c.key_pem = NULL;
    AUTOENDS struct ends e = ends_of(&s, &c);
    connect_and_shake(&e);
    ERR_clear_error();
    tls_explain(e.client, text, sizeof text);
    assert_string_equal(text, "the peer wants a certificate, and we showed none");
    c.ca_pem = other_ca.cert;
    assert_int_equal(tls_setup(e.client_ctx, &c), 0);
    connect_and_shake(&e);
    ERR_clear_error();
    tls_explain(e.client, text, sizeof text);
    assert_string_equal(text, "the peer's certificate was not issued by our authority");
    tls_explain(NULL, text, sizeof text);
    assert_string_equal(text, "the peer hung up during the handshake");
}

static void other_failures_get_openssls_words(void **state)
{
    char text[200];
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_SIGNATURE);
    tls_explain(NULL, text, sizeof text);
    assert_string_equal(text, "the TLS handshake failed: bad signature");
    ERR_raise(ERR_LIB_SYS, ECONNRESET);
    tls_explain(NULL, text, sizeof text);
    assert_string_equal(text, "the TLS handshake failed: Connection reset by peer");
    assert_int_equal(ERR_peek_error(), 0);
    tls_explain_result(X509_V_ERR_CERT_REVOKED, text, sizeof text);
    assert_string_equal(text, "the peer's certificate is not accepted: certificate revoked");
}

/* ---- setups ---------------------------------------------------------------------------------- */

static void assert_no_setup(const struct tls_setup *setup, int expected)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    assert_int_equal(tls_setup(ctx, setup), expected);
    assert_int_equal(ERR_peek_error(), 0);
    SSL_CTX_free(ctx);
}

static void refuses_setups_that_make_no_sense(void **state)
{
    struct tls_setup s = {.server = true};
    assert_no_setup(&s, ERR_INVALID); /* a server without a certificate */
    s = web_server();
    s.key_pem = NULL;
    assert_no_setup(&s, ERR_INVALID);
    s = web_server();
    s.need_client_cert = true; /* by whom? */
    assert_no_setup(&s, ERR_INVALID);
    s = web_server();
    s.pin = pin;
    assert_no_setup(&s, ERR_INVALID);
    s = web_server();
    s.key_pem = client.key;
    assert_no_setup(&s, ERR_INVALID);
    s = web_server();
    s.key_pem = server.cert;
    assert_no_setup(&s, ERR_SYNTAX);
    s = agent_server();
    s.ca_pem = client.cert; /* is no authority */
    assert_no_setup(&s, ERR_INVALID);
    s = (struct tls_setup){.host = "localhost"}; /* a client that trusts anybody */
    assert_no_setup(&s, ERR_INVALID);
    s = agent_client();
    s.pin = pin;
    assert_no_setup(&s, ERR_INVALID);
    s = pinning_client("[::1]");
    assert_no_setup(&s, ERR_INVALID);
}

static void a_setup_that_is_refused_changes_nothing(void **state)
{
    struct tls_setup s = agent_server(), c = agent_client();
    AUTOENDS struct ends e = ends_of(&s, &c);
    s.key_pem = client.key;
    assert_int_equal(tls_setup(e.server_ctx, &s), ERR_INVALID);
    c.ca_pem = "nothing";
    assert_int_equal(tls_setup(e.client_ctx, &c), ERR_SYNTAX);
    connect_and_shake(&e);
    assert_shook(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pinned_authority_is_enough),
        cmocka_unit_test(another_pin_is_refused),
        cmocka_unit_test(the_pinned_authority_must_be_shown),
        cmocka_unit_test(the_pinned_authority_must_have_issued_the_certificate),
        cmocka_unit_test(a_pinned_certificate_that_is_no_authority_is_refused),
        cmocka_unit_test(an_authority_does_not_serve_itself),
        cmocka_unit_test(another_host_is_refused),
        cmocka_unit_test(a_clients_certificate_serves_no_host),
        cmocka_unit_test(a_server_out_of_its_time_is_refused),
        cmocka_unit_test(a_verify_callback_of_the_connection_changes_nothing),
        cmocka_unit_test(pin_and_host_are_copied),
        cmocka_unit_test(both_sides_know_each_other),
        cmocka_unit_test(the_same_holds_for_tls_1_2),
        cmocka_unit_test(a_client_without_a_certificate_is_refused),
        cmocka_unit_test(clients_that_are_not_ours_are_refused),
        cmocka_unit_test(a_client_takes_no_server_of_another_authority),
        cmocka_unit_test(a_certificate_that_is_not_needed_is_checked_all_the_same),
        cmocka_unit_test(a_renewed_certificate_serves_new_connections_only),
        cmocka_unit_test(the_rule_for_peers_can_change),
        cmocka_unit_test(sessions_resume_with_the_peer_they_began_with),
        cmocka_unit_test(a_peer_whose_time_has_passed_since_is_none),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(an_older_server_is_refused),
        cmocka_unit_test(weak_ciphers_are_refused),
        cmocka_unit_test(alpn_chooses_http_1_1_or_nothing),
        cmocka_unit_test(plain_http_is_called_by_its_name),
        cmocka_unit_test(there_is_a_sentence_also_when_the_queue_is_empty),
        cmocka_unit_test(other_failures_get_openssls_words),
        cmocka_unit_test(refuses_setups_that_make_no_sense),
        cmocka_unit_test(a_setup_that_is_refused_changes_nothing),
    };
    return cmocka_run_group_tests(tests, make_all, clear_all);
}
