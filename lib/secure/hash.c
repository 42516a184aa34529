#include "lib/secure/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

/* Without hashes and random bytes nothing here is safe to go on with. */
static void must(bool worked, const char *what)
{
    if (worked)
        return;
    (void)fprintf(stderr, "OpenSSL has no %s\n", what);
    abort();
}

/* ---- hashes ---------------------------------------------------------------------------------- */

void sha256(const void *data, size_t len, uint8_t ret_hash[static SHA256_BYTES])
{
    must(EVP_Digest(data, len, ret_hash, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
}

void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t ret_mac[static SHA256_BYTES])
{
    size_t made = 0;
    /* A key of no bytes is a key; NULL would mean none. */
    const void *some_key = key_len > 0 ? key : "";
    const unsigned char *mac = EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, some_key, key_len,
                                         data, len, ret_mac, SHA256_BYTES, &made);
    must(mac && made == SHA256_BYTES, "HMAC");
}

struct sha256_stream {
    EVP_MD_CTX *ctx;
};

struct sha256_stream *sha256_new(void)
{
    struct sha256_stream *s = xcalloc(1, sizeof *s);
    s->ctx = EVP_MD_CTX_new();
    must(s->ctx && EVP_DigestInit_ex2(s->ctx, EVP_sha256(), NULL) == 1, "SHA-256");
    return s;
}

void sha256_add(struct sha256_stream *s, const void *data, size_t len)
{
    must(EVP_DigestUpdate(s->ctx, data, len) == 1, "SHA-256");
}

void sha256_end(struct sha256_stream *s, uint8_t ret_hash[static SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(s->ctx, ret_hash, NULL) == 1, "SHA-256");
    sha256_free(s);
}

void sha256_free(struct sha256_stream *s)
{
    if (!s)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha256_to_hex(const uint8_t hash[static SHA256_BYTES], char ret_text[static SHA256_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret_text[2 * i] = digits[hash[i] >> 4];
        ret_text[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_text[SHA256_TEXT - 1] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int sha256_from_hex(const char *text, uint8_t ret_hash[static SHA256_BYTES])
{
    uint8_t hash[SHA256_BYTES];
    if (strnlen(text, SHA256_TEXT) != SHA256_TEXT - 1)
        return ERR_SYNTAX;
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return ERR_SYNTAX;
        hash[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret_hash, hash, sizeof hash);
    return 0;
}

/* ---- secrets --------------------------------------------------------------------------------- */

void random_bytes(void *out, size_t len)
{
    must(RAND_priv_bytes_ex(NULL, out, len, 0) == 1, "random bytes");
}

void secret_make(char ret_text[static SECRET_TEXT])
{
    uint8_t bytes[32];
    unsigned char padded[45];
    random_bytes(bytes, sizeof bytes);
    (void)EVP_EncodeBlock(padded, bytes, sizeof bytes);
    for (size_t i = 0; i < SECRET_TEXT - 1; i++) {
        char c = (char)padded[i];
        ret_text[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    ret_text[SECRET_TEXT - 1] = '\0';
    secret_wipe(bytes, sizeof bytes);
    secret_wipe(padded, sizeof padded);
}

bool secret_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

void secret_wipe(void *data, size_t len)
{
    if (data)
        OPENSSL_cleanse(data, len);
}

/* ---- passwords ------------------------------------------------------------------------------- */

/* scrypt takes 128 * N * r bytes and N * r * p steps. */
struct scrypt_cost {
    unsigned log2_n;
    unsigned r;
    unsigned p;
};

static const struct scrypt_cost cost_now = {.log2_n = 15, .r = 8, .p = 1};

enum { SCRYPT_MEMORY = 64 << 20, SCRYPT_LANES = 16 };

static bool cost_is_bearable(const struct scrypt_cost *c)
{
    return c->log2_n >= 1 && c->log2_n <= 20 && c->r >= 1 && c->r <= 99 && c->p >= 1 &&
           c->p <= SCRYPT_LANES && (128ull * c->r << c->log2_n) <= SCRYPT_MEMORY;
}

static int derive(const char *password, const uint8_t salt[SHA256_BYTES],
                  const struct scrypt_cost *c, uint8_t ret_hash[SHA256_BYTES])
{
    /* OpenSSL counts its own working space too. */
    enum { MEMORY_LIMIT = SCRYPT_MEMORY + (1 << 20) };
    int worked = EVP_PBE_scrypt(password, strlen(password), salt, SHA256_BYTES, 1ull << c->log2_n,
                                c->r, c->p, MEMORY_LIMIT, ret_hash, SHA256_BYTES);
    if (worked != 1)
        ERR_clear_error();
    return worked == 1 ? 0 : ERR_FAILED;
}

char *password_hash(const char *password)
{
    uint8_t salt[SHA256_BYTES], hash[SHA256_BYTES];
    char salt_text[SHA256_TEXT], hash_text[SHA256_TEXT];
    random_bytes(salt, sizeof salt);
    must(derive(password, salt, &cost_now, hash) == 0, "memory for scrypt");
    sha256_to_hex(salt, salt_text);
    sha256_to_hex(hash, hash_text);
    return xasprintf("scrypt$%u$%u$%u$%s$%s", cost_now.log2_n, cost_now.r, cost_now.p, salt_text,
                     hash_text);
}

static int stored_parse(const char *stored, struct scrypt_cost *ret_cost,
                        uint8_t ret_salt[static SHA256_BYTES],
                        uint8_t ret_hash[static SHA256_BYTES])
{
    char salt[SHA256_TEXT], hash[SHA256_TEXT];
    int end = -1;
    int fields = sscanf(stored, "scrypt$%2u$%2u$%2u$%64[0-9a-f]$%64[0-9a-f]%n", &ret_cost->log2_n,
                        &ret_cost->r, &ret_cost->p, salt, hash, &end);
    if (fields != 5 || end < 0 || stored[end] != '\0' || !cost_is_bearable(ret_cost))
        return ERR_SYNTAX;
    if (sha256_from_hex(salt, ret_salt) < 0)
        return ERR_SYNTAX;
    return sha256_from_hex(hash, ret_hash);
}

int password_verify(const char *stored, const char *password)
{
    struct scrypt_cost cost;
    uint8_t salt[SHA256_BYTES], expected[SHA256_BYTES], hash[SHA256_BYTES];
    int r = stored_parse(stored, &cost, salt, expected);
    if (r < 0)
        return r;
    r = derive(password, salt, &cost, hash);
    if (r < 0)
        return r;
    return secret_equal(hash, sizeof hash, expected, sizeof expected) ? 0 : ERR_INVALID;
}
