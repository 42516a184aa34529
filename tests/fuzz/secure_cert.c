/* Any bytes as the PEM texts that come from outside: a request to sign, a certificate, a key. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/secure/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1800000000 };

static const struct cert_plan authority_plan = {
    .common_name = "authority", .not_before_s = 0, .not_after_s = 2 * (int64_t)NOW_S, .ca = true};
static const struct cert_plan host_plan = {
    .common_name = "host", .not_before_s = 0, .not_after_s = 2 * (int64_t)NOW_S};

static char *ca_key, *ca_cert;

static void try_request(const char *pem)
{
    AUTOFREE char *cert = NULL;
    char reason[200];
    if (cert_issue(ca_cert, ca_key, pem, &host_plan, &cert) == 0)
        assert(cert_check(cert, ca_cert, false, NOW_S, reason, sizeof reason) == 0);
    else
        assert(!cert);
}

static void try_cert(const char *pem)
{
    struct cert_facts facts;
    char reason[200] = "";
    if (cert_read(pem, &facts) == 0) {
        assert(strlen(facts.common_name) < sizeof facts.common_name);
        assert(strlen(facts.serial) < sizeof facts.serial && facts.serial[0] != '\0');
    }
    assert(cert_check(pem, ca_cert, true, NOW_S, reason, sizeof reason) < 0 && reason[0] != '\0');
    (void)cert_check(ca_cert, pem, false, NOW_S, reason, sizeof reason);
    (void)cert_check_key(pem, ca_key);
    (void)cert_check_key(ca_cert, pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ca_key) {
        assert(key_make(&ca_key) == 0);
        assert(cert_make_ca(ca_key, &authority_plan, &ca_cert) == 0);
    }
    AUTOFREE char *text = xcalloc(1, size + 1);
    if (size > 0)
        memcpy(text, data, size);
    try_request(text);
    try_cert(text);
    assert(ERR_peek_error() == 0);
    return 0;
}
