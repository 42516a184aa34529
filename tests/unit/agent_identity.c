#include "agent/identity.h"

#include <sys/stat.h>
#include <time.h>

#include "agent/address.h"
#include "agent/enrol_answer.h"
#include "agent/foreign.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"
#include "lib/secure/token.h"
#include "tests/unit/support.h"

#define HOST "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER_HOST "01890a5d-ac96-774b-bcce-b302099a8058"

static char *ca_key, *ca_pem;
static char why[IDENTITY_TEXT];

static char *issue(const char *csr, const char *name, int64_t from_s, int64_t until_s)
{
    char *pem = NULL;
    const struct cert_plan plan = {.common_name = name,
                                   .not_before_s = time(NULL) + from_s,
                                   .not_after_s = time(NULL) + until_s};
    assert_int_equal(cert_issue(ca_pem, ca_key, csr, &plan, &pem), 0);
    return pem;
}

static void make(struct identity *id, const char *name, int64_t from_s, int64_t until_s)
{
    AUTOFREE char *csr = NULL;
    *id = (struct identity){.ca_pem = xstrdup(ca_pem),
                            .host = xstrdup(HOST),
                            .agents = xstrdup("console.example:7444"),
                            .web = xstrdup("console.example:7443"),
                            .name = xstrdup("ours"),
                            .issued_ms = loop_wall_ms()};
    assert_int_equal(key_make(&id->key_pem), 0);
    assert_int_equal(csr_make(id->key_pem, "x", &csr), 0);
    id->cert_pem = issue(csr, name, from_s, until_s);
}

static int set_up(void **state)
{
    const struct cert_plan plan = {.common_name = "CA",
                                   .not_before_s = time(NULL) - 1000,
                                   .not_after_s = time(NULL) + 100000,
                                   .ca = true};
    if (make_folder(state) < 0)
        return -1;
    return key_make(&ca_key) < 0 || cert_make_ca(ca_key, &plan, &ca_pem) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    free(ca_key);
    free(ca_pem);
    return remove_folder(state);
}

static bool there(const char *name)
{
    AUTOFREE char *path = in_folder(name);
    return access(path, F_OK) == 0;
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    AUTOFREE char *path = in_folder(name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* ---- files ----------------------------------------------------------------------------------- */

static void comes_back_as_it_was_stored(void **state)
{
    AUTOIDENTITY struct identity id = {0}, again = {0};
    make(&id, HOST, -10, 1000);
    assert_int_equal(identity_save(folder, &id), 0);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), 0);
    assert_string_equal(again.key_pem, id.key_pem);
    assert_string_equal(again.cert_pem, id.cert_pem);
    assert_string_equal(again.host, HOST);
    assert_string_equal(again.agents, id.agents);
    assert_string_equal(again.web, id.web);
    assert_string_equal(again.name, "ours");
    assert_int_equal(again.issued_ms, id.issued_ms);
    assert_int_equal(mode_of("agent"), 0700);
    assert_int_equal(mode_of("agent/key.pem"), 0600);
    assert_int_equal(mode_of("agent/link.json"), 0600);
}

static void is_not_linked_without_its_link(void **state)
{
    AUTOIDENTITY struct identity id = {0}, again = {0};
    assert_int_equal(identity_load(folder, 1, &again, why, sizeof why), ERR_NOT_FOUND);
    make(&id, HOST, -10, 1000);
    assert_int_equal(identity_save(folder, &id), 0);
    AUTOFREE char *link = in_folder("agent/link.json");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(identity_load(folder, 1, &again, why, sizeof why), ERR_NOT_FOUND);
}

static void leaves_nothing_when_it_is_forgotten(void **state)
{
    AUTOIDENTITY struct identity id = {0};
    make(&id, HOST, -10, 1000);
    assert_int_equal(identity_forget(folder), 0);
    assert_int_equal(identity_save(folder, &id), 0);
    assert_true(there("agent/key.pem"));
    assert_int_equal(identity_forget(folder), 0);
    assert_false(there("agent/key.pem") || there("agent/cert.pem") || there("agent/ca.pem") ||
                 there("agent/link.json"));
}

static void leaves_nothing_when_it_cannot_be_stored(void **state)
{
    AUTOIDENTITY struct identity id = {0};
    make(&id, HOST, -10, 1000);
    AUTOFREE char *agent = in_folder("agent");
    AUTOFREE char *obstacle = in_folder("agent/link.json.tmp");
    assert_int_equal(mkdir(agent, 0700), 0);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_true(identity_save(folder, &id) < 0);
    assert_false(there("agent/key.pem") || there("agent/cert.pem") || there("agent/ca.pem") ||
                 there("agent/link.json"));
}

static void refuses_files_that_do_not_fit_together(void **state)
{
    AUTOIDENTITY struct identity id = {0}, other = {0}, again = {0};
    make(&id, HOST, -10, 1000);
    make(&other, HOST, -10, 1000);
    assert_int_equal(identity_save(folder, &id), 0);
    AUTOFREE char *key = in_folder("agent/key.pem");
    put_file(key, other.key_pem);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "another key"));
    put_file(key, "nonsense");
    assert_true(identity_load(folder, loop_wall_ms(), &again, why, sizeof why) < 0);
    AUTOFREE char *link = in_folder("agent/link.json");
    put_file(link, "{\"host\":1}");
    assert_int_equal(identity_load(folder, 1, &again, why, sizeof why), ERR_SYNTAX);
    assert_non_null(strstr(why, "link.json"));
}

static void loads_an_expired_certificate_too(void **state)
{
    AUTOIDENTITY struct identity id = {0}, again = {0};
    make(&id, HOST, -100, -50);
    assert_int_equal(identity_check(&id, loop_wall_ms(), why, sizeof why), ERR_EXPIRED);
    assert_int_equal(identity_save(folder, &id), 0);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), 0);
    assert_true(again.until_ms < loop_wall_ms());
}

/* ---- renewal --------------------------------------------------------------------------------- */

static void is_renewed_whole(void **state)
{
    AUTOIDENTITY struct identity id = {0}, next = {0}, again = {0};
    make(&id, HOST, -10, 1000);
    make(&next, HOST, -10, 2000);
    assert_int_equal(identity_save(folder, &id), 0);
    next.issued_ms = 12345;
    assert_int_equal(identity_renew(folder, &next), 0);
    assert_false(there("agent/key.next.pem"));
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), 0);
    assert_string_equal(again.key_pem, next.key_pem);
    assert_int_equal(again.issued_ms, 12345);
}

static void survives_a_crash_between_certificate_and_key(void **state)
{
    AUTOIDENTITY struct identity id = {0}, next = {0}, third = {0}, again = {0}, last = {0};
    make(&id, HOST, -10, 1000);
    make(&next, HOST, -10, 2000);
    make(&third, HOST, -10, 3000);
    AUTOFREE char *next_key = in_folder("agent/key.next.pem");
    AUTOFREE char *cert = in_folder("agent/cert.pem");
    assert_int_equal(identity_save(folder, &id), 0);
    /* Before the certificate the old one counts. */
    put_file(next_key, next.key_pem);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), 0);
    assert_string_equal(again.key_pem, id.key_pem);
    identity_clear(&again);
    /* After it the new one. */
    put_file(cert, next.cert_pem);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &again, why, sizeof why), 0);
    assert_string_equal(again.key_pem, next.key_pem);
    assert_false(there("agent/key.next.pem"));
    /* And one that comes without a restart in between loses nothing. */
    AUTOFREE char *key = in_folder("agent/key.pem");
    put_file(key, id.key_pem);
    put_file(next_key, next.key_pem);
    assert_int_equal(identity_renew(folder, &third), 0);
    assert_int_equal(identity_load(folder, loop_wall_ms(), &last, why, sizeof why), 0);
    assert_string_equal(last.key_pem, third.key_pem);
}

static void is_due_at_two_thirds_of_its_life(void **state)
{
    struct identity id = {.from_ms = 1000, .until_ms = 91000, .issued_ms = 31000};
    assert_int_equal(identity_renew_ms(&id), 71000);
    /* A clock that was wrong when it came, or a link.json that is older than the certificate. */
    id.issued_ms = 500;
    assert_int_equal(identity_renew_ms(&id), 61000);
    id.issued_ms = 99000;
    assert_int_equal(identity_renew_ms(&id), 61000);
}

/* ---- the console's answer -------------------------------------------------------------------- */

static struct enrol_token token_of_ca(void)
{
    struct cert_facts facts;
    struct enrol_token t = {.address = "console.example:7443", .port = 7443};
    assert_int_equal(cert_read(ca_pem, &facts), 0);
    memcpy(t.ca_sha256, facts.sha256, sizeof t.ca_sha256);
    return t;
}

static int read_answer(const json_t *answer, const struct identity *from,
                       const struct enrol_token *token)
{
    AUTOIDENTITY struct identity id = {.key_pem = xstrdup(from->key_pem)};
    AUTOFREE char *text = json_dumps(answer, 0);
    why[0] = '\0';
    int r = enrol_answer_read(text, strlen(text), token, loop_wall_ms(), &id, why, sizeof why);
    if (r == 0) {
        assert_string_equal(id.host, HOST);
        assert_string_equal(id.web, "console.example:7443");
        assert_string_equal(id.name, "na?me");
    }
    return r;
}

static json_t *answer_of(const struct identity *id)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "host", id->host, "certificate", id->cert_pem, "ca",
                     id->ca_pem, "agents", id->agents, "name", "na\x1bme");
}

static void takes_a_right_answer(void **state)
{
    AUTOIDENTITY struct identity id = {0};
    make(&id, HOST, -10, 1000);
    struct enrol_token token = token_of_ca();
    AUTOJSON json_t *answer = answer_of(&id);
    assert_int_equal(read_answer(answer, &id, &token), 0);
}

static void refuses_answers_that_are_not_for_us(void **state)
{
    AUTOIDENTITY struct identity id = {0}, other = {0}, wrong_name = {0};
    make(&id, HOST, -10, 1000);
    make(&other, HOST, -10, 1000);
    make(&wrong_name, OTHER_HOST, -10, 1000);
    struct enrol_token token = token_of_ca();
    AUTOJSON json_t *answer = answer_of(&id);
    assert_int_equal(read_answer(answer, &other, &token), ERR_INVALID);
    assert_non_null(strstr(why, "another key"));
    AUTOJSON json_t *named = answer_of(&wrong_name);
    assert_int_equal(read_answer(named, &wrong_name, &token), ERR_INVALID);
    assert_non_null(strstr(why, "another host"));
    token.ca_sha256[7] ^= 1;
    assert_int_equal(read_answer(answer, &id, &token), ERR_UNTRUSTED);
    assert_non_null(strstr(why, "not the one that the token names"));
}

static void refuses_answers_of_the_wrong_form(void **state)
{
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{}",
                                         "{\"host\":1}",
                                         "<html>",
                                         "{\"host\":\"" HOST "\",\"certificate\":\"x\",\"ca\":"
                                         "\"y\",\"agents\":\"a:1\"}"};
    AUTOIDENTITY struct identity id = {0};
    make(&id, HOST, -10, 1000);
    struct enrol_token token = token_of_ca();
    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
        AUTOIDENTITY struct identity got = {.key_pem = xstrdup(id.key_pem)};
        assert_true(
            enrol_answer_read(bodies[i], strlen(bodies[i]), &token, 1, &got, why, sizeof why) < 0);
        assert_non_null(strstr(why, "console.example:7443"));
    }
    AUTOJSON json_t *answer = answer_of(&id);
    json_set_string(answer, "agents", "nowhere");
    assert_int_equal(read_answer(answer, &id, &token), ERR_INVALID);
}

static void says_what_the_console_says(void **state)
{
    static const char used[] =
        "{\"error\":{\"name\":\"EXPIRED\",\"message\":\"the token was used\\u001b\"}}";
    struct enrol_token token = token_of_ca();
    assert_int_equal(enrol_answer_refusal(403, used, strlen(used), &token, why, sizeof why),
                     ERR_EXPIRED);
    assert_string_equal(why, "the console at console.example:7443 refuses: the token was used?");
    assert_int_equal(enrol_answer_refusal(429, "busy", 4, &token, why, sizeof why), ERR_TOO_MANY);
    assert_non_null(strstr(why, "429"));
    assert_int_equal(enrol_answer_refusal(404, "", 0, &token, why, sizeof why), ERR_UNSUPPORTED);
    assert_int_equal(enrol_answer_refusal(500, "", 0, &token, why, sizeof why), ERR_FAILED);
}

/* ---- addresses and sentences ----------------------------------------------------------------- */

static void reads_addresses(void **state)
{
    static const char *const wrong[] = {
        "",      "host",  "host:", ":1",    "host:0", "h:1x",    "h:65536",      "::1:7444",
        "[::1]", "[h]:1", "[]:1",  "h h:1", "h:+1",   "[::1]:0", "127.0.0.1.:1", "[::1:1"};
    struct address a;
    assert_int_equal(address_parse("console.example:7444", &a), 0);
    assert_true(str_eq(a.host, "console.example") && a.port == 7444 && !a.numeric);
    assert_int_equal(address_parse("[::1]:7444", &a), 0);
    assert_true(str_eq(a.host, "::1") && a.numeric && a.ipv6);
    assert_int_equal(address_parse("127.0.0.1:65535", &a), 0);
    assert_true(a.numeric && !a.ipv6 && a.port == 65535);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(address_parse(wrong[i], &a), ERR_SYNTAX);
    assert_true(address_is_loopback("127.0.0.1") && address_is_loopback("127.9.9.9") &&
                address_is_loopback("::1") && address_is_loopback("LocalHost"));
    assert_false(address_is_loopback("127.example") || address_is_loopback("10.0.0.1"));
}

static void makes_foreign_sentences_fit(void **state)
{
    char text[9];
    foreign_copy(text, sizeof text,
                 "a\nb\x1b\x7f\xc2\x9b"
                 "c");
    assert_string_equal(text, "a?b???c");
    foreign_copy(text, 8,
                 "aaaaaa\xc3\xa4"
                 "b");
    assert_string_equal(text, "aaaaaa");
    foreign_copy(text, sizeof text, NULL);
    assert_string_equal(text, "");
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(comes_back_as_it_was_stored),
        WITH_FOLDER(is_not_linked_without_its_link),
        WITH_FOLDER(leaves_nothing_when_it_is_forgotten),
        WITH_FOLDER(leaves_nothing_when_it_cannot_be_stored),
        WITH_FOLDER(refuses_files_that_do_not_fit_together),
        WITH_FOLDER(loads_an_expired_certificate_too),
        WITH_FOLDER(is_renewed_whole),
        WITH_FOLDER(survives_a_crash_between_certificate_and_key),
        cmocka_unit_test(is_due_at_two_thirds_of_its_life),
        WITH_FOLDER(takes_a_right_answer),
        WITH_FOLDER(refuses_answers_that_are_not_for_us),
        WITH_FOLDER(refuses_answers_of_the_wrong_form),
        WITH_FOLDER(says_what_the_console_says),
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(makes_foreign_sentences_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
