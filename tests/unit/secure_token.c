#include "lib/secure/token.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/str.h"

#define HASH "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SECRET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN-_9"
#define ID "0123456789abcdef"

static int enrol(const char *text, struct enrol_token *t)
{
    char sentence[200];
    return enrol_token_parse(text, strlen(text), t, sentence, sizeof sentence);
}

static int api(const char *text, struct api_token *t)
{
    char sentence[200];
    return api_token_parse(text, strlen(text), t, sentence, sizeof sentence);
}

static void assert_address(const char *address, const char *host, unsigned port)
{
    struct enrol_token t;
    AUTOFREE char *text = xasprintf("pt1.%s." HASH "." SECRET, address);
    assert_int_equal(enrol(text, &t), 0);
    assert_string_equal(t.address, address);
    assert_string_equal(t.host, host);
    assert_int_equal(t.port, port);
    assert_string_equal(t.secret, SECRET);
    for (int i = 0; i < SHA256_BYTES; i++)
        assert_int_equal(t.ca_sha256[i], i);
    AUTOFREE char *again = enrol_token_text(&t);
    assert_string_equal(again, text);
}

static void reads_and_writes_enrolment_strings(void **state)
{
    assert_address("localhost:7443", "localhost", 7443);
    assert_address("console.example.org:1", "console.example.org", 1);
    assert_address("127.0.0.1:65535", "127.0.0.1", 65535);
    assert_address("[::1]:443", "::1", 443);
}

static void refuses_addresses_that_are_none(void **state)
{
    static const char *const addresses[] = {
        "",         "localhost", "localhost:", ":443",    "localhost:0",   "localhost:65536",
        "a:+1",     "a:-1",      "a: 1",       "a:1x",    "::1:443",       "[::1]",
        "[::1]443", "[::1:443",  "::1]:443",   "[a]:443", "[127.0.0.1]:1", "a b:1",
        "a/b:1",    "user@a:1",  "http://a:1", "a:1/x",   "[]:1",          "[fe80::1%lo]:1",
        "a:1?x=1",  "1.2.3:1",   "..:1",
    };
    struct enrol_token t = {.port = 77};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        AUTOFREE char *text = xasprintf("pt1.%s." HASH "." SECRET, addresses[i]);
        if (enrol(text, &t) != ERR_SYNTAX)
            fail_msg("%s is taken for an address", addresses[i]);
    }
    assert_int_equal(t.port, 77);
}

static void refuses_what_is_cut_off_or_too_long(void **state)
{
    static const char whole[] = "pt1.localhost:7443." HASH "." SECRET;
    struct enrol_token t;
    char sentence[200];
    for (size_t len = 0; len < sizeof whole - 1; len++)
        assert_int_equal(enrol_token_parse(whole, len, &t, sentence, sizeof sentence), ERR_SYNTAX);
    assert_int_equal(enrol(whole, &t), 0);
    assert_int_equal(enrol_token_parse(whole, sizeof whole, &t, sentence, sizeof sentence),
                     ERR_SYNTAX); /* with its NUL */
    assert_int_equal(enrol("pt1.localhost:7443." HASH "." SECRET "a", &t), ERR_SYNTAX);
    assert_int_equal(enrol("pt1.localhost:7443." HASH "0." SECRET, &t), ERR_SYNTAX);
    char many[4000];
    memset(many, 'a', sizeof many);
    assert_int_equal(enrol_token_parse(many, sizeof many, &t, sentence, sizeof sentence),
                     ERR_SYNTAX);
}

static void white_space_around_is_fine(void **state)
{
    struct enrol_token t;
    struct api_token a;
    assert_int_equal(enrol(" \t\r\npt1.localhost:7443." HASH "." SECRET "\r\n\n ", &t), 0);
    assert_string_equal(t.secret, SECRET);
    assert_int_equal(api("\npa1." HASH "." ID "." SECRET "\n", &a), 0);
    assert_int_equal(enrol("pt1.localhost:7443. " HASH "." SECRET, &t), ERR_SYNTAX);
    assert_int_equal(enrol("   \n", &t), ERR_SYNTAX);
}

static void reads_and_writes_api_tokens(void **state)
{
    struct api_token t;
    assert_int_equal(api("pa1." HASH "." ID "." SECRET, &t), 0);
    assert_string_equal(t.id, ID);
    assert_string_equal(t.secret, SECRET);
    assert_int_equal(t.ca_sha256[31], 31);
    AUTOFREE char *text = api_token_text(&t);
    assert_string_equal(text, "pa1." HASH "." ID "." SECRET);
}

static void refuses_api_tokens_with_wrong_parts(void **state)
{
    static const char *const texts[] = {
        "",
        "pa1.",
        "pa1",
        "pa1.." ID "." SECRET,
        "pa1" HASH "." ID "." SECRET,
        "pa2." HASH "." ID "." SECRET,
        "PA1." HASH "." ID "." SECRET,
        "pa1." HASH "." SECRET,
        "pa1." HASH "." ID ".",
        "pa1." HASH "." ID "0." SECRET,
        "pa1." HASH ".0123456789abcdeF." SECRET,
        "pa1." HASH ".0123456789abcdeg." SECRET,
        "pa1.x" HASH "." ID "." SECRET,
        "pa1.." HASH "." ID "." SECRET,
        "pa1." HASH "." ID "." SECRET ".",
        "pa1." HASH "." ID ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN+/9",
    };
    struct api_token t;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (api(texts[i], &t) != ERR_SYNTAX)
            fail_msg("%s is taken for a token", texts[i]);
}

static void tells_the_two_kinds_apart_and_repeats_no_secret(void **state)
{
    static const char enrolment[] = "pt1.localhost:7443." HASH "." SECRET;
    static const char token[] = "pa1." HASH "." ID "." SECRET;
    static const char broken[] = "pt1.localhost:7443." HASH "." SECRET "x";
    char sentence[200] = "";
    struct enrol_token e;
    struct api_token a;
    assert_int_equal(enrol_token_parse(token, strlen(token), &e, sentence, sizeof sentence),
                     ERR_SYNTAX);
    assert_non_null(strstr(sentence, "this is an API token"));
    assert_int_equal(api_token_parse(enrolment, strlen(enrolment), &a, sentence, sizeof sentence),
                     ERR_SYNTAX);
    assert_non_null(strstr(sentence, "this is an enrolment string"));
    assert_int_equal(enrol_token_parse(broken, strlen(broken), &e, sentence, sizeof sentence),
                     ERR_SYNTAX);
    assert_non_null(strstr(sentence, "secret"));
    assert_null(strstr(sentence, "abcdef"));
    assert_int_equal(enrol_token_parse(broken, strlen(broken), &e, NULL, 0), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_enrolment_strings),
        cmocka_unit_test(refuses_addresses_that_are_none),
        cmocka_unit_test(refuses_what_is_cut_off_or_too_long),
        cmocka_unit_test(white_space_around_is_fine),
        cmocka_unit_test(reads_and_writes_api_tokens),
        cmocka_unit_test(refuses_api_tokens_with_wrong_parts),
        cmocka_unit_test(tells_the_two_kinds_apart_and_repeats_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
