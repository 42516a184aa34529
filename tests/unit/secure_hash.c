#include "lib/secure/hash.h"

#include "tests/unit/secure_support.h"

#include "lib/base/err.h"
#include "lib/base/str.h"

static void assert_hex(const uint8_t hash[SHA256_BYTES], const char *expected)
{
    char text[SHA256_TEXT];
    sha256_to_hex(hash, text);
    assert_string_equal(text, expected);
}

static void gives_the_known_hashes(void **state)
{
    uint8_t hash[SHA256_BYTES];
    sha256(NULL, 0, hash);
    assert_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256("abc", 3, hash);
    assert_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, cases 2 and 6, and a key of no bytes. */
static void gives_the_known_macs(void **state)
{
    uint8_t mac[SHA256_BYTES], key[131];
    hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, mac);
    assert_hex(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_sha256(NULL, 0, "", 0, mac);
    assert_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void hashes_the_same_in_pieces(void **state)
{
    char data[1000];
    uint8_t whole[SHA256_BYTES], pieces[SHA256_BYTES];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    sha256(data, sizeof data, whole);
    for (size_t piece = 1; piece < 200; piece += 13) {
        struct sha256_stream *s = sha256_new();
        for (size_t at = 0; at < sizeof data; at += piece)
            sha256_add(s, data + at, at + piece > sizeof data ? sizeof data - at : piece);
        sha256_end(s, pieces);
        assert_memory_equal(pieces, whole, sizeof whole);
    }
    sha256_free(sha256_new());
    sha256_free(NULL);
}

static void reads_back_its_hex_and_nothing_else(void **state)
{
    uint8_t hash[SHA256_BYTES], again[SHA256_BYTES] = {0}, untouched[SHA256_BYTES] = {0};
    char text[SHA256_TEXT + 1] = "";
    random_bytes(hash, sizeof hash);
    sha256_to_hex(hash, text);
    assert_int_equal(sha256_from_hex(text, again), 0);
    assert_memory_equal(again, hash, sizeof hash);
    for (char *c = text; *c; c++)
        *c = *c >= 'a' ? (char)(*c - 'a' + 'A') : *c;
    assert_int_equal(sha256_from_hex(text, again), 0);
    assert_memory_equal(again, hash, sizeof hash);

    memset(again, 0, sizeof again);
    text[SHA256_TEXT - 1] = '0';
    assert_int_equal(sha256_from_hex(text, again), ERR_SYNTAX);
    text[SHA256_TEXT - 2] = '\0';
    assert_int_equal(sha256_from_hex(text, again), ERR_SYNTAX);
    text[SHA256_TEXT - 2] = 'g';
    text[SHA256_TEXT - 1] = '\0';
    assert_int_equal(sha256_from_hex(text, again), ERR_SYNTAX);
    assert_int_equal(sha256_from_hex("", again), ERR_SYNTAX);
    assert_memory_equal(again, untouched, sizeof again);
}

static void makes_other_secrets_each_time(void **state)
{
    char a[SECRET_TEXT], b[SECRET_TEXT];
    for (int i = 0; i < 200; i++) {
        secret_make(a);
        secret_make(b);
        assert_int_equal(strlen(a), SECRET_TEXT - 1);
        assert_int_equal(
            strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
            SECRET_TEXT - 1);
        assert_string_not_equal(a, b);
    }
}

static void compares_by_length_and_bytes(void **state)
{
    assert_true(secret_equal("abc", 3, "abc", 3));
    assert_true(secret_equal("", 0, NULL, 0));
    assert_false(secret_equal("abc", 3, "abd", 3));
    assert_false(secret_equal("abc", 3, "abc", 4));
    assert_false(secret_equal("abc", 3, "ab", 2));
}

static void wipes(void **state)
{
    char secret[] = "secret", zero[sizeof secret] = {0};
    secret_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zero, sizeof zero);
    secret_wipe(NULL, 0);
}

static void knows_the_right_password_only(void **state)
{
    AUTOFREE char *one = password_hash("correct horse"), *two = password_hash("correct horse");
    assert_true(str_starts(one, "scrypt$15$8$1$"));
    assert_string_not_equal(one, two);
    assert_int_equal(password_verify(one, "correct horse"), 0);
    assert_int_equal(password_verify(two, "correct horse"), 0);
    assert_int_equal(password_verify(one, "correct horsf"), ERR_INVALID);
    assert_int_equal(password_verify(one, ""), ERR_INVALID);
}

#define SALT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void refuses_stored_texts_that_are_none_of_its_own(void **state)
{
    static const char *const texts[] = {
        "",
        "secret",
        "scrypt$15$8$1$",
        "scrypt$15$8$1$" SALT,
        "scrypt$15$8$1$" SALT "$",
        "scrypt$15$8$1$" SALT "$" SALT "0",
        "scrypt$15$8$1$" SALT "$" SALT " ",
        "scrypt$15$8$1$0" SALT "$" SALT,
        "scrypt$0$8$1$" SALT "$" SALT,
        "scrypt$15$0$1$" SALT "$" SALT,
        "scrypt$15$8$0$" SALT "$" SALT,
        "scrypt$-1$8$1$" SALT "$" SALT,
        "scrypt$17$8$1$" SALT "$" SALT, /* 128 MiB */
        "scrypt$16$9$1$" SALT "$" SALT, /* 72 MiB */
        "scrypt$63$8$1$" SALT "$" SALT,
        "scrypt$15$8$17$" SALT "$" SALT,
        "bcrypt$15$8$1$" SALT "$" SALT,
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(password_verify(texts[i], "secret"), ERR_SYNTAX);
    assert_int_equal(password_verify("scrypt$16$8$1$" SALT "$" SALT, "secret"), ERR_INVALID);
}

static void another_program_gives_the_same_hash_for_a_password(void **state)
{
    need_program("openssl");
    char hash[SHA256_TEXT] = "";
    AUTOFREE char *out =
        output_of("openssl kdf -keylen 32 -kdfopt pass:secret -kdfopt hexsalt:" SALT
                  " -kdfopt n:1024 -kdfopt r:4 -kdfopt p:2 SCRYPT",
                  NULL);
    size_t len = 0;
    for (const char *c = out; *c && len < SHA256_TEXT - 1; c++)
        if (*c != ':' && *c != '\n')
            hash[len++] = *c >= 'A' ? (char)(*c - 'A' + 'a') : *c;
    AUTOFREE char *stored = xasprintf("scrypt$10$4$2$" SALT "$%s", hash);
    assert_int_equal(password_verify(stored, "secret"), 0);
    assert_int_equal(password_verify(stored, "Secret"), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_hashes),
        cmocka_unit_test(gives_the_known_macs),
        cmocka_unit_test(hashes_the_same_in_pieces),
        cmocka_unit_test(reads_back_its_hex_and_nothing_else),
        cmocka_unit_test(makes_other_secrets_each_time),
        cmocka_unit_test(compares_by_length_and_bytes),
        cmocka_unit_test(wipes),
        cmocka_unit_test(knows_the_right_password_only),
        cmocka_unit_test(refuses_stored_texts_that_are_none_of_its_own),
        cmocka_unit_test(another_program_gives_the_same_hash_for_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
