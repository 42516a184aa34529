/* token.h -- the strings that people carry from a console to a host or a program.
 *
 *     pt1.<host:port>.<SHA-256 of the CA>.<secret>    enrols one host; host: name, IPv4, [IPv6]
 *     pa1.<SHA-256 of the CA>.<id>.<secret>           an API token, sent whole as a Bearer token
 *
 * Foreign bytes: nothing here does I/O. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/secure/hash.h"

enum { TOKEN_ADDRESS = 280, TOKEN_ID = 17, TOKEN_TEXT = 512 };

struct enrol_token {
    char address[TOKEN_ADDRESS]; /* "host:port", to be put behind https:// */
    char host[TOKEN_ADDRESS];    /* without port and brackets */
    unsigned port;
    uint8_t ca_sha256[SHA256_BYTES];
    char secret[SECRET_TEXT];
};

struct api_token {
    uint8_t ca_sha256[SHA256_BYTES];
    char id[TOKEN_ID]; /* 16 hex digits: how the console finds it, and what lists show */
    char secret[SECRET_TEXT];
};

/* White space around the text is fine.  Return 0 or ERR_SYNTAX with a sentence that does not
 * repeat the text. */
int enrol_token_parse(const char *text, size_t len, struct enrol_token *ret_token,
                      char *reterr_text, size_t size);
int api_token_parse(const char *text, size_t len, struct api_token *ret_token, char *reterr_text,
                    size_t size);

/* The texts; the caller frees (after secret_wipe() where it matters). */
char *enrol_token_text(const struct enrol_token *t);
char *api_token_text(const struct api_token *t);
