#include "lib/secure/cert.h"

#include "tests/unit/secure_support.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

static char reason[200];

static int check(const char *cert, const char *ca, bool server)
{
    reason[0] = '\0';
    return cert_check(cert, ca, server, time(NULL), reason, sizeof reason);
}

/* ---- what we make ---------------------------------------------------------------------------- */

static void an_issued_certificate_says_what_the_plan_says(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_plan plan = plan_of("0190b2c4-0000-7000-8000-000000000000");
    AUTOIDENTITY struct identity host = make_leaf(&ca, &plan);
    struct cert_facts facts, ca_facts;
    assert_int_equal(cert_read(host.cert, &facts), 0);
    assert_string_equal(facts.common_name, plan.common_name);
    assert_int_equal(facts.not_before_s, plan.not_before_s);
    assert_int_equal(facts.not_after_s, plan.not_after_s);
    assert_int_equal(strlen(facts.serial), 40);
    assert_int_equal(strspn(facts.serial, "0123456789abcdef"), 40);
    assert_in_range(facts.serial[0], '4', '7');
    assert_int_equal(cert_read(ca.cert, &ca_facts), 0);
    assert_string_equal(ca_facts.common_name, "authority");
    assert_string_not_equal(ca_facts.serial, facts.serial);
    assert_memory_not_equal(ca_facts.sha256, facts.sha256, SHA256_BYTES);
    assert_int_equal(check(host.cert, ca.cert, false), 0);
    assert_int_equal(cert_check_key(host.cert, host.key), 0);
    assert_int_equal(cert_check_key(ca.cert, ca.key), 0);
    assert_int_equal(cert_check_key(host.cert, ca.key), ERR_INVALID);
}

static void put_identity(const char *name, const struct identity *i)
{
    AUTOFREE char *key = xasprintf("%s.key", name), *cert = xasprintf("%s.pem", name);
    put_in_folder(key, i->key);
    put_in_folder(cert, i->cert);
}

static char *judge(const char *format, int *ret_status)
{
    AUTOFREE char *in = xasprintf("cd %s && %s", folder, format);
    return output_of(in, ret_status);
}

static void run(const char *command)
{
    free(judge(command, NULL));
}

static void openssl_accepts_what_we_make(void **state)
{
    need_program("openssl");
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOIDENTITY struct identity server = make_server(&ca), client = make_client(&ca, "client");
    put_identity("ca", &ca);
    put_identity("server", &server);
    put_identity("client", &client);
    AUTOFREE char *verified =
        judge("openssl verify -x509_strict -CAfile ca.pem -purpose sslserver"
              " -verify_hostname console.example.org server.pem"
              " && openssl verify -x509_strict -CAfile ca.pem -purpose sslserver -verify_ip ::1"
              " server.pem"
              " && openssl verify -x509_strict -CAfile ca.pem -purpose sslclient client.pem",
              NULL);
    assert_string_equal(verified, "server.pem: OK\nserver.pem: OK\nclient.pem: OK\n");
    AUTOFREE char *keys = judge("openssl pkey -in server.key -check -noout", NULL);
    assert_contains(keys, "Key is valid");
}

static void the_extensions_are_those_of_the_standard(void **state)
{
    need_program("openssl");
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOIDENTITY struct identity server = make_server(&ca), client = make_client(&ca, "client");
    put_identity("ca", &ca);
    put_identity("server", &server);
    put_identity("client", &client);
    AUTOFREE char *ca_text = judge("openssl x509 -in ca.pem -noout -text", NULL);
    assert_contains(ca_text, "Version: 3");
    assert_contains(ca_text, "ecdsa-with-SHA256");
    assert_contains(ca_text, "Basic Constraints: critical\n                CA:TRUE, pathlen:0");
    assert_contains(ca_text, "Key Usage: critical\n                Certificate Sign, CRL Sign");
    assert_contains(ca_text, "Subject Key Identifier");
    assert_contains(ca_text, "Authority Key Identifier");
    AUTOFREE char *text = judge("openssl x509 -in server.pem -noout -text", NULL);
    assert_contains(text, "NIST CURVE: P-256");
    assert_contains(text, "Basic Constraints: critical\n                CA:FALSE");
    assert_contains(text, "Key Usage: critical\n                Digital Signature\n");
    assert_contains(text, "Extended Key Usage: \n                TLS Web Server Authentication\n");
    assert_contains(text, "DNS:localhost, DNS:console.example.org, IP Address:127.0.0.1, "
                          "IP Address:0:0:0:0:0:0:0:1");
    AUTOFREE char *client_text = judge("openssl x509 -in client.pem -noout -text", NULL);
    assert_contains(client_text, "TLS Web Client Authentication\n");
    assert_null(strstr(client_text, "Alternative Name"));
    assert_null(strstr(client_text, "what the request says"));
}

static void openssl_accepts_our_requests(void **state)
{
    need_program("openssl");
    AUTOFREE char *key = NULL, *csr = NULL;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "web-1", &csr), 0);
    put_in_folder("host.csr", csr);
    AUTOFREE char *text = judge("openssl req -in host.csr -noout -verify -subject", NULL);
    assert_contains(text, "verify OK");
    assert_contains(text, "CN = web-1");
}

static void the_fingerprint_is_that_of_the_der(void **state)
{
    need_program("openssl");
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_facts facts;
    char expected[SHA256_TEXT];
    put_identity("ca", &ca);
    assert_int_equal(cert_read(ca.cert, &facts), 0);
    sha256_to_hex(facts.sha256, expected);
    AUTOFREE char *out = judge("openssl x509 -in ca.pem -outform DER | openssl dgst -sha256", NULL);
    assert_contains(out, expected);
}

/* ---- requests from others -------------------------------------------------------------------- */

static int issue(const char *csr)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOFREE char *cert = NULL;
    struct cert_plan plan = plan_of("host");
    int r = cert_issue(ca.cert, ca.key, csr, &plan, &cert);
    assert_true((r == 0) == (cert != NULL));
    return r;
}

static int issue_for_key(const char *make_key)
{
    AUTOFREE char *command =
        xasprintf("%s && openssl req -new -key k -subj /CN=x -out r", make_key);
    AUTOFREE char *path = in_folder("r");
    run(command);
    AUTOBUF struct buf csr = BUF_INIT(20000);
    assert_int_equal(path_read(path, &csr), 0);
    return issue(buf_str(&csr));
}

static void issues_for_p256_keys_alone(void **state)
{
    need_program("openssl");
    assert_int_equal(issue_for_key("openssl ecparam -name prime256v1 -genkey -noout -out k"), 0);
    assert_int_equal(issue_for_key("openssl ecparam -name secp384r1 -genkey -noout -out k"),
                     ERR_INVALID);
    assert_int_equal(issue_for_key("openssl ecparam -name secp256k1 -genkey -noout -out k"),
                     ERR_INVALID);
    assert_int_equal(issue_for_key("openssl ecparam -name prime256v1 -genkey -noout"
                                   " -param_enc explicit -out k"),
                     ERR_INVALID);
    assert_int_equal(issue_for_key("openssl genrsa -out k 2048"), ERR_INVALID);
    assert_int_equal(issue_for_key("openssl genpkey -algorithm ed25519 -out k"), ERR_INVALID);
}

/* The same request with another key in it, or another name: the signature does not fit. */
static char *tampered(const char *csr, EVP_PKEY *key, const char *name)
{
    char *data;
    BIO *in = BIO_new_mem_buf(csr, -1), *out = BIO_new(BIO_s_mem());
    X509_REQ *request = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
    assert_non_null(request);
    if (key)
        assert_int_equal(X509_REQ_set_pubkey(request, key), 1);
    if (name) {
        X509_NAME *n = X509_NAME_new();
        assert_int_equal(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
                                                    (const unsigned char *)name, -1, -1, 0),
                         1);
        assert_int_equal(X509_REQ_set_subject_name(request, n), 1);
        X509_NAME_free(n);
    }
    assert_int_equal(PEM_write_bio_X509_REQ(out, request), 1);
    long len = BIO_get_mem_data(out, &data);
    char *text = xstrndup(data, (size_t)len);
    X509_REQ_free(request);
    BIO_free(in);
    BIO_free(out);
    return text;
}

static void refuses_requests_that_are_not_signed_by_their_key(void **state)
{
    AUTOFREE char *key = NULL, *csr = NULL;
    EVP_PKEY *other = EVP_EC_gen("P-256");
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "web-1", &csr), 0);
    AUTOFREE char *same = tampered(csr, NULL, NULL);
    AUTOFREE char *other_key = tampered(csr, other, NULL), *renamed = tampered(csr, NULL, "web-2");
    assert_int_equal(issue(same), 0);
    assert_int_equal(issue(other_key), ERR_INVALID);
    assert_int_equal(issue(renamed), ERR_INVALID);
    EVP_PKEY_free(other);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static int issue_plan(struct cert_plan plan)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOFREE char *key = NULL, *csr = NULL, *cert = NULL;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "x", &csr), 0);
    return cert_issue(ca.cert, ca.key, csr, &plan, &cert);
}

static void refuses_plans_that_make_no_sense(void **state)
{
    static const char *const bad_hosts[] = {"good", "not a host", NULL};
    static const char *const wildcard[] = {"*.example.org", NULL};
    static const char *const no_hosts[] = {NULL};
    char name[66];
    struct cert_plan plan = plan_of("host");
    assert_int_equal(issue_plan(plan), 0);
    plan.dns_names = no_hosts;
    assert_int_equal(issue_plan(plan), 0);
    plan.dns_names = bad_hosts;
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    plan.dns_names = wildcard;
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    plan = plan_of("host");
    plan.not_after_s = plan.not_before_s;
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    plan = plan_of("host");
    plan.not_after_s = INT64_C(253402300799);
    assert_int_equal(issue_plan(plan), 0);
    plan.not_after_s++; /* the year 10000 */
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    plan = plan_of("host");
    plan.not_before_s = -1;
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    plan = plan_of("host");
    plan.ca = true;
    assert_int_equal(issue_plan(plan), ERR_INVALID);
    assert_int_equal(issue_plan(plan_of("authority")), ERR_INVALID); /* the CA's own name */
    assert_int_equal(issue_plan(plan_of("")), ERR_INVALID);
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    assert_int_equal(issue_plan(plan_of(name)), 0);
    name[64] = 'n';
    name[65] = '\0';
    assert_int_equal(issue_plan(plan_of(name)), ERR_INVALID);
}

static void an_authority_needs_its_own_key_and_plan(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("one"), other = make_authority("other");
    AUTOIDENTITY struct identity client = make_client(&ca, "client");
    AUTOFREE char *csr = NULL, *cert = NULL;
    struct cert_plan plan = plan_of("host");
    assert_int_equal(csr_make(client.key, "x", &csr), 0);
    assert_int_equal(cert_issue(ca.cert, other.key, csr, &plan, &cert), ERR_INVALID);
    assert_int_equal(cert_issue(client.cert, client.key, csr, &plan, &cert), ERR_INVALID);
    assert_int_equal(cert_issue(ca.cert, ca.key, ca.cert, &plan, &cert), ERR_SYNTAX);
    assert_int_equal(cert_make_ca(ca.key, &plan, &cert), ERR_INVALID); /* the plan has no `ca` */
    assert_null(cert);
}

static void keeps_times_far_away(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_facts facts;
    struct cert_plan plan = plan_of("host");
    plan.not_before_s = INT64_C(0);
    plan.not_after_s = INT64_C(4102444800) + 50 * 365 * (int64_t)DAY; /* past 2100 */
    AUTOIDENTITY struct identity host = make_leaf(&ca, &plan);
    assert_int_equal(cert_read(host.cert, &facts), 0);
    assert_int_equal(facts.not_before_s, plan.not_before_s);
    assert_int_equal(facts.not_after_s, plan.not_after_s);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void refuses_other_authorities(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOIDENTITY struct identity same_name = make_authority("authority");
    AUTOIDENTITY struct identity client = make_client(&ca, "client");
    assert_int_equal(check(client.cert, ca.cert, false), 0);
    assert_int_equal(check(client.cert, same_name.cert, false), ERR_INVALID);
    assert_string_equal(reason, "the certificate was not issued by our authority");
    assert_int_equal(check(client.cert, client.cert, false), ERR_INVALID);
    assert_int_equal(check(same_name.cert, ca.cert, false), ERR_INVALID);
    assert_int_equal(check(ca.cert, ca.cert, false), ERR_INVALID);
    assert_int_equal(check(ca.cert, ca.cert, true), ERR_INVALID);
    assert_string_equal(reason, "the certificate is not for this use");
}

static void refuses_the_other_use(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    AUTOIDENTITY struct identity client = make_client(&ca, "client"), server = make_server(&ca);
    assert_int_equal(check(client.cert, ca.cert, true), ERR_INVALID);
    assert_string_equal(reason, "the certificate is not for this use");
    assert_int_equal(check(server.cert, ca.cert, false), ERR_INVALID);
    assert_int_equal(check(server.cert, ca.cert, true), 0);
}

static int check_at(const struct identity *cert, const struct identity *ca, int64_t at_s)
{
    return cert_check(cert->cert, ca->cert, false, at_s, reason, sizeof reason);
}

static void a_certificate_is_valid_from_its_first_second_until_before_its_last(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_plan plan = plan_of("host");
    plan.not_after_s = plan.not_before_s + 10;
    AUTOIDENTITY struct identity host = make_leaf(&ca, &plan);
    assert_int_equal(check_at(&host, &ca, plan.not_before_s), 0);
    assert_int_equal(check_at(&host, &ca, plan.not_after_s - 1), 0);
    assert_int_equal(check_at(&host, &ca, plan.not_after_s), ERR_EXPIRED);
    assert_string_equal(reason, "the certificate has expired");
    assert_int_equal(check_at(&host, &ca, plan.not_before_s - 1), ERR_INVALID);
}

static void says_whose_time_is_wrong(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_plan plan = plan_of("host");
    plan.not_before_s += DAY;
    AUTOIDENTITY struct identity early = make_leaf(&ca, &plan);
    assert_int_equal(check_at(&early, &ca, time(NULL)), ERR_INVALID);
    assert_contains(reason, "the certificate is not valid yet");
    plan.not_after_s += 90 * DAY;
    AUTOIDENTITY struct identity late = make_leaf(&ca, &plan);
    assert_int_equal(check_at(&late, &ca, plan.not_after_s - 1), ERR_INVALID);
    assert_contains(reason, "authority whose own certificate is out of date");
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void assert_no_cert(const char *text)
{
    struct cert_facts facts;
    if (cert_read(text, &facts) != ERR_SYNTAX)
        fail_msg("taken for one certificate: %.200s", text);
    assert_int_equal(check(text, text, true), ERR_SYNTAX);
    assert_contains(reason, "is not one certificate in PEM");
}

static void a_pem_text_is_one_object(void **state)
{
    AUTOIDENTITY struct identity ca = make_authority("authority");
    struct cert_facts facts;
    AUTOFREE char *spaced = xasprintf("\n \t%s\r\n \n", ca.cert);
    AUTOFREE char *two = xasprintf("%s%s", ca.cert, ca.cert);
    AUTOFREE char *with_key = xasprintf("%s%s", ca.cert, ca.key);
    AUTOFREE char *before = xasprintf("subject=x\n%s", ca.cert);
    AUTOFREE char *after = xasprintf("%sx", ca.cert);
    AUTOFREE char *half = xstrndup(ca.cert, strlen(ca.cert) / 2);
    AUTOFREE char *long_text = xcalloc(1, CERT_PEM_MAX + 2);
    assert_int_equal(cert_read(spaced, &facts), 0);
    assert_no_cert(two);
    assert_no_cert(with_key);
    assert_no_cert(before);
    assert_no_cert(after);
    assert_no_cert(half);
    assert_no_cert("");
    assert_no_cert("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    assert_no_cert("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_no_cert(ca.key);
    memset(long_text, ' ', CERT_PEM_MAX + 1);
    memcpy(long_text, ca.cert, strlen(ca.cert));
    assert_no_cert(long_text);
    long_text[CERT_PEM_MAX] = '\0';
    assert_int_equal(cert_read(long_text, &facts), 0);
}

static void asks_for_no_password(void **state)
{
    need_program("openssl");
    AUTOIDENTITY struct identity ca = make_authority("authority");
    static const char *const how[] = {"pkcs8 -topk8 -v2 aes128 -in ca.key -out e",
                                      "ec -aes128 -in ca.key -out e"};
    put_identity("ca", &ca);
    for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
        AUTOFREE char *command = xasprintf("openssl %s -passout pass:secret", how[i]);
        AUTOFREE char *path = in_folder("e");
        AUTOBUF struct buf key = BUF_INIT(20000);
        run(command);
        assert_int_equal(path_read(path, &key), 0);
        assert_contains(buf_str(&key), "ENCRYPTED");
        assert_int_equal(cert_check_key(ca.cert, buf_str(&key)), ERR_SYNTAX);
    }
}

static int read_made_by(const char *arguments)
{
    struct cert_facts facts;
    AUTOFREE char *command = xasprintf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c %s",
        arguments);
    AUTOFREE char *path = in_folder("c");
    AUTOBUF struct buf cert = BUF_INIT(20000);
    run(command);
    assert_int_equal(path_read(path, &cert), 0);
    return cert_read(buf_str(&cert), &facts);
}

static void reads_no_doubtful_names_and_numbers(void **state)
{
    need_program("openssl");
    assert_int_equal(read_made_by("-subj /CN=one"), 0);
    assert_int_equal(read_made_by("-subj /O=none"), 0);
    assert_int_equal(read_made_by("-subj /CN=one -set_serial 0"), 0);
    assert_int_equal(read_made_by("-subj /CN=one/CN=two"), ERR_INVALID);
    assert_int_equal(read_made_by("-subj '/CN=one\ntwo'"), ERR_INVALID);
    assert_int_equal(read_made_by("-subj /CN=one -set_serial -5"), ERR_INVALID);
    assert_int_equal(
        read_made_by("-subj /CN=one -set_serial 0x010101010101010101010101010101010101010101"),
        ERR_INVALID);
}

static void leaves_openssls_error_queue_as_it_was(void **state)
{
    struct cert_facts facts;
    AUTOIDENTITY struct identity ca = make_authority("authority"), other = make_authority("other");
    AUTOIDENTITY struct identity client = make_client(&ca, "client");
    ERR_clear_error();
    for (int i = 0; i < 2; i++) {
        AUTOFREE char *cert = NULL;
        struct cert_plan plan = plan_of("host");
        (void)cert_read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &facts);
        (void)check(client.cert, other.cert, true);
        (void)cert_check_key(client.cert, other.key);
        (void)cert_issue(ca.cert, other.key, client.cert, &plan, &cert);
        (void)cert_issue(ca.cert, ca.key, client.cert, &plan, &cert);
        (void)issue_plan(plan_of(""));
        assert_int_equal(ERR_peek_last_error(), i == 0 ? 0 : ERR_PACK(ERR_LIB_USER, 0, 42));
        ERR_raise(ERR_LIB_USER, 42);
    }
    ERR_clear_error();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issued_certificate_says_what_the_plan_says),
        cmocka_unit_test_setup_teardown(openssl_accepts_what_we_make, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_extensions_are_those_of_the_standard, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(openssl_accepts_our_requests, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_fingerprint_is_that_of_the_der, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(issues_for_p256_keys_alone, make_folder, remove_folder),
        cmocka_unit_test(refuses_requests_that_are_not_signed_by_their_key),
        cmocka_unit_test(refuses_plans_that_make_no_sense),
        cmocka_unit_test(an_authority_needs_its_own_key_and_plan),
        cmocka_unit_test(keeps_times_far_away),
        cmocka_unit_test(refuses_other_authorities),
        cmocka_unit_test(refuses_the_other_use),
        cmocka_unit_test(a_certificate_is_valid_from_its_first_second_until_before_its_last),
        cmocka_unit_test(says_whose_time_is_wrong),
        cmocka_unit_test(a_pem_text_is_one_object),
        cmocka_unit_test_setup_teardown(asks_for_no_password, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reads_no_doubtful_names_and_numbers, make_folder,
                                        remove_folder),
        cmocka_unit_test(leaves_openssls_error_queue_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
