#include "remote/authority.h"

#include "tests/unit/support.h"

#include <sys/stat.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"

static const char *const names[] = {"console.example", "192.0.2.7", NULL};
static const char *const other_names[] = {"other.example", NULL};

static int set_up(void **state)
{
    log_init("test", LOG_LEVEL_ERROR);
    return make_folder(state);
}

static char *file(const char *name)
{
    return xasprintf("%s/tls/%s", folder, name);
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

/* `openssl` as the judge; passes over where there is none. */
static int openssl(const char *arguments)
{
    AUTOFREE char *command = xasprintf("cd '%s' && openssl %s >/dev/null 2>&1", folder, arguments);
    return system("command -v openssl >/dev/null") == 0 ? system(command) : 0;
}

static void makes_an_authority_and_a_server_once(void **state)
{
    struct authority a, again;
    char why[256];
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(
        cert_check(a.server_cert_pem, a.ca_cert_pem, true, time(NULL), why, sizeof why), 0);
    assert_int_equal(cert_check_key(a.server_cert_pem, a.server_key_pem), 0);
    assert_int_equal(a.agent_life_s, 90 * 24 * 3600);
    assert_int_equal(authority_open(&again, folder, names), 0);
    assert_string_equal(a.ca_cert_pem, again.ca_cert_pem);
    assert_string_equal(a.server_cert_pem, again.server_cert_pem);
    assert_memory_equal(a.ca_sha256, again.ca_sha256, SHA256_BYTES);
    authority_close(&a);
    authority_close(&again);
    assert_null(a.ca_key_pem);
}

static void its_files_are_for_nobody_else(void **state)
{
    static const char *const files[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    struct authority a;
    AUTOFREE char *dir = file("");
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_mode(dir, 0700);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        AUTOFREE char *path = file(files[i]);
        assert_mode(path, 0600);
    }
    authority_close(&a);
}

static void other_programs_agree(void **state)
{
    struct authority a;
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(openssl("verify -x509_strict -CAfile tls/ca.pem -purpose sslserver "
                             "-verify_hostname console.example tls/server.pem"),
                     0);
    assert_int_equal(openssl("verify -CAfile tls/ca.pem -verify_hostname localhost tls/server.pem"),
                     0);
    assert_int_equal(openssl("verify -CAfile tls/ca.pem -verify_ip 127.0.0.1 tls/server.pem"), 0);
    assert_int_equal(openssl("verify -CAfile tls/ca.pem -verify_ip ::1 tls/server.pem"), 0);
    assert_int_equal(openssl("verify -CAfile tls/ca.pem -verify_ip 192.0.2.7 tls/server.pem"), 0);
    if (openssl("version") == 0 && system("command -v openssl >/dev/null") == 0)
        assert_int_not_equal(
            openssl("verify -CAfile tls/ca.pem -verify_hostname evil.example tls/server.pem"), 0);
    authority_close(&a);
}

static void other_names_make_another_certificate_by_the_same_authority(void **state)
{
    struct authority a, b;
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(authority_open(&b, folder, other_names), 0);
    assert_string_equal(a.ca_cert_pem, b.ca_cert_pem);
    assert_string_not_equal(a.server_cert_pem, b.server_cert_pem);
    authority_close(&a);
    authority_close(&b);
}

static void a_server_is_made_anew_while_it_is_open(void **state)
{
    struct authority a, again;
    char why[256];
    assert_int_equal(authority_open_for(&a, folder, names, 60), 0);
    AUTOFREE char *first = xstrdup(a.server_cert_pem);
    AUTOFREE char *ca = xstrdup(a.ca_cert_pem);
    a.server_life_s = 400 * 24 * 3600;
    assert_int_equal(authority_renew(&a, folder, names), 1);
    assert_string_not_equal(a.server_cert_pem, first);
    assert_string_equal(a.ca_cert_pem, ca);
    assert_int_equal(cert_check_key(a.server_cert_pem, a.server_key_pem), 0);
    assert_int_equal(
        cert_check(a.server_cert_pem, ca, true, time(NULL) + 300 * 24 * 3600, why, sizeof why), 0);
    /* It has more than a third of its life left, on disk, too. */
    assert_int_equal(authority_renew(&a, folder, names), 0);
    assert_int_equal(authority_open(&again, folder, names), 0);
    assert_string_equal(again.server_cert_pem, a.server_cert_pem);
    authority_close(&again);
    authority_close(&a);
}

static void a_server_stays_when_the_next_cannot_be_written(void **state)
{
    struct authority a;
    AUTOFREE char *tls = file("");
    AUTOFREE char *elsewhere = in_folder("elsewhere");
    assert_int_equal(authority_open_for(&a, folder, names, 60), 0);
    AUTOFREE char *first = xstrdup(a.server_cert_pem);
    tls[strlen(tls) - 1] = '\0';
    assert_int_equal(rename(tls, elsewhere), 0);
    log_init("test", LOG_LEVEL_ERROR);
    assert_true(authority_renew(&a, folder, names) < 0);
    assert_string_equal(a.server_cert_pem, first);
    assert_int_equal(cert_check_key(a.server_cert_pem, a.server_key_pem), 0);
    authority_close(&a);
}

static void a_server_that_is_damaged_is_made_anew(void **state)
{
    struct authority a;
    AUTOFREE char *path = file("server.pem");
    assert_int_equal(authority_open(&a, folder, names), 0);
    authority_close(&a);
    put_file(path, "nothing");
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(cert_check_key(a.server_cert_pem, a.server_key_pem), 0);
    authority_close(&a);
}

static void an_authority_without_its_key_is_not_replaced(void **state)
{
    struct authority a;
    AUTOFREE char *path = file("ca.key");
    log_init("test", LOG_LEVEL_ERROR);
    assert_int_equal(authority_open(&a, folder, names), 0);
    authority_close(&a);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(authority_open(&a, folder, names), ERR_INVALID);
    put_file(path, "nothing");
    assert_true(authority_open(&a, folder, names) < 0);
}

static void tells_its_fingerprint_to_commands(void **state)
{
    struct authority a;
    uint8_t sha256[SHA256_BYTES];
    assert_int_equal(authority_fingerprint(folder, sha256), ERR_NOT_FOUND);
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(authority_fingerprint(folder, sha256), 0);
    assert_memory_equal(sha256, a.ca_sha256, SHA256_BYTES);
    authority_close(&a);
}

static void gives_hosts_certificates(void **state)
{
    static const char id[] = "01890a5d-ac96-774b-bcce-b302099a8057";
    struct authority a;
    struct cert_facts facts;
    char why[256];
    int64_t until_s, now_s = time(NULL);
    AUTOFREE char *key = NULL;
    AUTOFREE char *csr = NULL;
    AUTOFREE char *cert = NULL;
    assert_int_equal(authority_open(&a, folder, names), 0);
    a.agent_life_s = 100;
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "somebody else", &csr), 0);
    assert_int_equal(authority_issue(&a, id, csr, &cert, &until_s), 0);
    assert_int_equal(cert_read(cert, &facts), 0);
    assert_string_equal(facts.common_name, id);
    assert_in_range(facts.not_before_s, now_s - 310, now_s - 290);
    assert_in_range(facts.not_after_s, now_s + 95, now_s + 110);
    assert_int_equal(facts.not_after_s, until_s);
    assert_int_equal(cert_check(cert, a.ca_cert_pem, false, now_s, why, sizeof why), 0);
    assert_int_not_equal(cert_check(cert, a.ca_cert_pem, true, now_s, why, sizeof why), 0);
    AUTOFREE char *path = in_folder("host.pem");
    put_file(path, cert);
    assert_int_equal(openssl("verify -x509_strict -CAfile tls/ca.pem -purpose sslclient host.pem"),
                     0);
    authority_close(&a);
}

static void refuses_bad_requests(void **state)
{
    struct authority a;
    int64_t until_s;
    char *cert = NULL;
    assert_int_equal(authority_open(&a, folder, names), 0);
    assert_int_equal(authority_issue(&a, "x", "nothing", &cert, &until_s), ERR_INVALID);
    assert_int_equal(authority_issue(&a, "x", a.ca_cert_pem, &cert, &until_s), ERR_INVALID);
    assert_null(cert);
    authority_close(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(makes_an_authority_and_a_server_once),
        TEST(its_files_are_for_nobody_else),
        TEST(other_programs_agree),
        TEST(other_names_make_another_certificate_by_the_same_authority),
        TEST(a_server_that_is_damaged_is_made_anew),
        TEST(a_server_is_made_anew_while_it_is_open),
        TEST(a_server_stays_when_the_next_cannot_be_written),
        TEST(an_authority_without_its_key_is_not_replaced),
        TEST(tells_its_fingerprint_to_commands),
        TEST(gives_hosts_certificates),
        TEST(refuses_bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
