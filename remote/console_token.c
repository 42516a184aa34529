#include "remote/console_token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "remote/authority.h"
#include "remote/store/db.h"
#include "remote/store/hosts.h"

enum { ADDRESS_FILE = 64 << 10 };

static int refuse(char *reterr_text, int r, const char *sentence)
{
    (void)snprintf(reterr_text, CONSOLE_SENTENCE, "%s", sentence);
    return r;
}

static int refuse_never_started(char *reterr_text, const char *data_dir)
{
    (void)snprintf(reterr_text, CONSOLE_SENTENCE, "no console was ever started with --data %.200s",
                   data_dir);
    return ERR_NOT_FOUND;
}

int console_web_address(const char *data_dir, char **ret_address,
                        char reterr_text[static CONSOLE_SENTENCE])
{
    AUTOFREE char *path = path_join(data_dir, "address.json");
    AUTOBUF struct buf text = BUF_INIT(ADDRESS_FILE);
    int r = path_read(path, &text);
    if (r == -ENOENT)
        return refuse_never_started(reterr_text, data_dir);
    if (r < 0) {
        (void)snprintf(reterr_text, CONSOLE_SENTENCE, "cannot read %.200s: %s", path, err_str(r));
        return r;
    }
    AUTOJSON json_t *j = json_object_parse(buf_str(&text), text.len);
    const char *web = json_get_string(j, "web", NULL);
    if (!web) {
        (void)snprintf(reterr_text, CONSOLE_SENTENCE,
                       "%.200s does not say where the console listens", path);
        return ERR_INVALID;
    }
    *ret_address = xstrdup(web);
    return 0;
}

static int fingerprint(struct db *db, uint8_t ret_sha256[static SHA256_BYTES], char *reterr_text)
{
    int r = authority_fingerprint(db_dir(db), ret_sha256);
    if (r == ERR_NOT_FOUND)
        return refuse_never_started(reterr_text, db_dir(db));
    if (r < 0)
        (void)snprintf(reterr_text, CONSOLE_SENTENCE, "cannot read the console's authority: %s",
                       err_str(r));
    return r;
}

/* Both are stored as the SHA-256 of the secret's text. */
static void make_secret(char ret_secret[static SECRET_TEXT],
                        uint8_t ret_sha256[static SHA256_BYTES])
{
    secret_make(ret_secret);
    sha256(ret_secret, strlen(ret_secret), ret_sha256);
}

int console_enrol_token(struct db *db, int64_t now_ms, int64_t ttl_ms, char **ret_text,
                        char reterr_text[static CONSOLE_SENTENCE])
{
    struct enrol_token token = {0}, again;
    uint8_t secret_sha256[SHA256_BYTES];
    char why[100];
    AUTOFREE char *address = NULL;
    int r = console_web_address(db_dir(db), &address, reterr_text);
    if (r == 0)
        r = fingerprint(db, token.ca_sha256, reterr_text);
    if (r < 0)
        return r;
    (void)snprintf(token.address, sizeof token.address, "%s", address);
    make_secret(token.secret, secret_sha256);
    char *text = enrol_token_text(&token);
    r = enrol_token_parse(text, strlen(text), &again, why, sizeof why);
    if (r < 0)
        r = refuse(reterr_text, ERR_INVALID,
                   "the address in address.json is none that a host could use");
    else if ((r = enrolments_add(db, secret_sha256, now_ms + ttl_ms, now_ms)) < 0)
        r = refuse(reterr_text, r, err_str(r));
    secret_wipe(&token, sizeof token);
    secret_wipe(&again, sizeof again);
    if (r == 0) {
        *ret_text = text;
        return 0;
    }
    secret_wipe(text, strlen(text));
    free(text);
    return r;
}

static void make_id(char ret_id[static TOKEN_ID])
{
    uint8_t bytes[(TOKEN_ID - 1) / 2];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(ret_id + 2 * i, 3, "%02x", bytes[i]);
}

int console_api_token(struct db *db, struct api_token_row *row, char **ret_text,
                      char reterr_text[static CONSOLE_SENTENCE])
{
    struct api_token token = {0};
    int r = fingerprint(db, token.ca_sha256, reterr_text);
    if (r < 0)
        return r;
    make_id(token.id);
    memcpy(row->id, token.id, sizeof row->id);
    make_secret(token.secret, row->secret_sha256);
    r = api_tokens_add(db, row);
    if (r == ERR_TOO_BIG)
        r = refuse(reterr_text, r, "there are too many API tokens: remove some");
    else if (r < 0)
        r = refuse(reterr_text, r, err_str(r));
    else
        *ret_text = api_token_text(&token);
    secret_wipe(&token, sizeof token);
    return r;
}
