#include "lib/secure/token.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/host.h"

static const char enrol_start[] = "pt1.", api_start[] = "pa1.";

static int refuse(char *reterr_text, size_t size, const char *sentence)
{
    (void)snprintf(reterr_text, size, "%s", sentence);
    return ERR_SYNTAX;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* The text without the white space around it, NUL-terminated. */
static int copy_trimmed(const char *text, size_t len, char ret_copy[static TOKEN_TEXT])
{
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    while (len > 0 && isspace((unsigned char)text[0])) {
        text++;
        len--;
    }
    if (len >= TOKEN_TEXT || memchr(text, '\0', len))
        return ERR_SYNTAX;
    memcpy(ret_copy, text, len);
    ret_copy[len] = '\0';
    return 0;
}

/* Cuts the part behind the last dot off `text` and returns it; NULL when there is none. */
static const char *cut_last_part(char *text)
{
    char *dot = strrchr(text, '.');
    if (!dot)
        return NULL;
    *dot = '\0';
    return dot + 1;
}

static int read_secret(const char *part, char ret_secret[static SECRET_TEXT])
{
    static const char base64url[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (!part || strlen(part) != SECRET_TEXT - 1 || strspn(part, base64url) != SECRET_TEXT - 1)
        return ERR_SYNTAX;
    memcpy(ret_secret, part, SECRET_TEXT);
    return 0;
}

static int read_hash(const char *part, uint8_t ret_hash[static SHA256_BYTES])
{
    return part ? sha256_from_hex(part, ret_hash) : ERR_SYNTAX;
}

static int read_id(const char *part, char ret_id[static TOKEN_ID])
{
    if (!part || strlen(part) != TOKEN_ID - 1 || strspn(part, "0123456789abcdef") != TOKEN_ID - 1)
        return ERR_SYNTAX;
    memcpy(ret_id, part, TOKEN_ID);
    return 0;
}

static int read_port(const char *text, unsigned *ret_port)
{
    int64_t port;
    if (!isdigit((unsigned char)text[0]) || str_to_int(text, 1, 65535, &port) < 0)
        return ERR_SYNTAX;
    *ret_port = (unsigned)port;
    return 0;
}

/* "name:port", "1.2.3.4:port" or "[::1]:port". */
static int read_address(const char *address, struct enrol_token *t)
{
    const char *colon = strrchr(address, ':');
    size_t len = strlen(address);
    if (!colon || len >= TOKEN_ADDRESS || read_port(colon + 1, &t->port) < 0)
        return ERR_SYNTAX;
    memcpy(t->address, address, len + 1);
    size_t host_len = (size_t)(colon - address);
    bool bracketed = host_len >= 2 && address[0] == '[' && address[host_len - 1] == ']';
    if (bracketed) {
        address++;
        host_len -= 2;
    }
    memcpy(t->host, address, host_len);
    t->host[host_len] = '\0';
    enum host_kind kind = host_kind(t->host);
    return kind != HOST_NONE && (kind == HOST_IPV6) == bracketed ? 0 : ERR_SYNTAX;
}

/* ---- whole tokens ---------------------------------------------------------------------------- */

/* `text` is cut into its parts. */
static int read_enrol(char *text, struct enrol_token *t, char *reterr_text, size_t size)
{
    if (str_starts(text, api_start))
        return refuse(reterr_text, size, "this is an API token; enrolment strings begin with pt1.");
    if (!str_starts(text, enrol_start))
        return refuse(reterr_text, size, "this is no enrolment string: they begin with pt1.");
    if (read_secret(cut_last_part(text), t->secret) < 0)
        return refuse(reterr_text, size,
                      "the secret at the end of the enrolment string is not whole");
    if (read_hash(cut_last_part(text), t->ca_sha256) < 0)
        return refuse(reterr_text, size, "the hash in the enrolment string is not 64 hex digits");
    if (strlen(text) < sizeof enrol_start || read_address(text + strlen(enrol_start), t) < 0)
        return refuse(reterr_text, size, "the enrolment string names no address host:port");
    return 0;
}

int enrol_token_parse(const char *text, size_t len, struct enrol_token *ret_token,
                      char *reterr_text, size_t size)
{
    char copy[TOKEN_TEXT];
    struct enrol_token t = {.port = 0};
    if (copy_trimmed(text, len, copy) < 0)
        return refuse(reterr_text, size, "this is no enrolment string: it is too long");
    int r = read_enrol(copy, &t, reterr_text, size);
    if (r == 0)
        *ret_token = t;
    secret_wipe(copy, sizeof copy);
    secret_wipe(&t, sizeof t);
    return r;
}

static int read_api(char *text, struct api_token *t, char *reterr_text, size_t size)
{
    if (str_starts(text, enrol_start))
        return refuse(reterr_text, size, "this is an enrolment string; API tokens begin with pa1.");
    if (!str_starts(text, api_start))
        return refuse(reterr_text, size, "this is no API token: they begin with pa1.");
    if (read_secret(cut_last_part(text), t->secret) < 0)
        return refuse(reterr_text, size, "the secret at the end of the API token is not whole");
    if (read_id(cut_last_part(text), t->id) < 0)
        return refuse(reterr_text, size, "the id in the API token is not 16 hex digits");
    if (strlen(text) < sizeof api_start || read_hash(text + strlen(api_start), t->ca_sha256) < 0)
        return refuse(reterr_text, size, "the hash in the API token is not 64 hex digits");
    return 0;
}

int api_token_parse(const char *text, size_t len, struct api_token *ret_token, char *reterr_text,
                    size_t size)
{
    char copy[TOKEN_TEXT];
    struct api_token t = {.id = ""};
    if (copy_trimmed(text, len, copy) < 0)
        return refuse(reterr_text, size, "this is no API token: it is too long");
    int r = read_api(copy, &t, reterr_text, size);
    if (r == 0)
        *ret_token = t;
    secret_wipe(copy, sizeof copy);
    secret_wipe(&t, sizeof t);
    return r;
}

char *enrol_token_text(const struct enrol_token *t)
{
    char hash[SHA256_TEXT];
    sha256_to_hex(t->ca_sha256, hash);
    return xasprintf("%s%s.%s.%s", enrol_start, t->address, hash, t->secret);
}

char *api_token_text(const struct api_token *t)
{
    char hash[SHA256_TEXT];
    sha256_to_hex(t->ca_sha256, hash);
    return xasprintf("%s%s.%s.%s", api_start, hash, t->id, t->secret);
}
