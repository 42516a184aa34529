/* hash.h -- SHA-256, HMAC-SHA-256, scrypt, random bytes, comparison in constant time, hex and
 * base64url. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_TEXT = 65 };

void sha256(const void *data, size_t len, uint8_t ret_hash[static SHA256_BYTES]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t ret_mac[static SHA256_BYTES]);

/* In pieces. */
struct sha256_stream;
struct sha256_stream *sha256_new(void);
void sha256_add(struct sha256_stream *s, const void *data, size_t len);
void sha256_end(struct sha256_stream *s, uint8_t ret_hash[static SHA256_BYTES]); /* frees */
void sha256_free(struct sha256_stream *s); /* without a result; NULL is fine */

/* Lower-case hex, NUL-terminated, and back (either case; exactly 64 digits): 0 or ERR_SYNTAX. */
void sha256_to_hex(const uint8_t hash[static SHA256_BYTES], char ret_text[static SHA256_TEXT]);
int sha256_from_hex(const char *text, uint8_t ret_hash[static SHA256_BYTES]);

/* Aborts when the system has none. */
void random_bytes(void *out, size_t len);

/* A secret of 32 random bytes as 43 characters of base64url, without padding. */
enum { SECRET_TEXT = 44 };
void secret_make(char ret_text[static SECRET_TEXT]);

/* Equal, in time that depends on the lengths alone. */
bool secret_equal(const void *a, size_t a_len, const void *b, size_t b_len);

/* Overwrites, also where a compiler thinks it needless. */
void secret_wipe(void *data, size_t len);

/* Passwords: "scrypt$<log2 N>$<r>$<p>$<salt>$<hash>" with new salt; N = 2^15, r = 8, p = 1: 32
 * MiB and about 100 ms, so never on a loop.  Verify returns 0, ERR_INVALID (wrong password),
 * ERR_SYNTAX (the stored text is none of ours, or asks for more than 64 MiB), or ERR_FAILED (no
 * memory).  The caller frees. */
char *password_hash(const char *password);
int password_verify(const char *stored, const char *password);
