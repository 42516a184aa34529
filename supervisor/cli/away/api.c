#include "supervisor/cli/away/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"
#include "lib/secure/token.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/token_file.h"

/* ---- opening --------------------------------------------------------------------------------- */

static int open_https(struct api *a, const char *text, const char *ca_file)
{
    struct api_token token;
    char why[200];
    int r = api_token_parse(text, strlen(text), &token, why, sizeof why);
    if (r < 0) {
        say_error("the token file holds no API token: %s", why);
        return CMD_FAILED;
    }
    const struct https_setup setup = {
        .url = a->url, .bearer = text, .pin = ca_file ? NULL : token.ca_sha256, .ca_file = ca_file};
    r = https_open(&a->https, &setup, a->text);
    secret_wipe(&token, sizeof token);
    if (r < 0)
        say_error("--console %s", a->text);
    return r == ERR_INVALID ? CMD_USAGE : r < 0 ? CMD_FAILED : CMD_DONE;
}

int api_open(struct api *a, const char *command, const struct args *args)
{
    char token[TOKEN_FILE_BYTES + 1];
    const char *file = args_value(args, "token-file");
    *a = (struct api){.url = args_value(args, "console")};
    if (!file)
        file = getenv("PROCTOR_TOKEN_FILE");
    if (!a->url)
        return say_usage(command, "what is missing: --console URL");
    if (!file || !*file)
        return say_usage(command, "with --console, '--token-file FILE' or PROCTOR_TOKEN_FILE must "
                                  "name the file of an API token");
    a->more = xasprintf(" --console %s", a->url);
    int code = token_file_read(file, TOKEN_FILE_REFUSE, token);
    if (code == CMD_DONE)
        code = open_https(a, token, args_value(args, "ca"));
    secret_wipe(token, sizeof token);
    return code;
}

void api_close(struct api *a)
{
    https_close(a->https);
    free(a->more);
    *a = (struct api){0};
}

/* ---- answers --------------------------------------------------------------------------------- */

/* An answer that is no success: {"error": {"name", "message"}} when the console made it. */
static int take_refusal(struct api *a, int status, const struct buf *reply)
{
    AUTOJSON json_t *root = json_object_parse(buf_str(reply), reply->len);
    const json_t *error = json_object_get(root, "error");
    const char *name = json_get_string(error, "name", NULL);
    const char *message = json_get_string(error, "message", NULL);
    int r = name ? err_from_name(name) : ERR_FAILED;
    a->lost = status == 429 || status >= 500;
    if (status == 401)
        (void)snprintf(
            a->text, sizeof a->text,
            "the console does not take this token: it has expired or was revoked%s%.300s",
            message ? ": " : "", message ? message : "");
    else if (message)
        (void)snprintf(a->text, sizeof a->text, "%.450s", message);
    else
        (void)snprintf(a->text, sizeof a->text, "%.200s answered with status %d", a->url, status);
    return r < 0 ? r : ERR_FAILED;
}

/* `r`: of https_call(). */
static int take_answer(struct api *a, int r, const struct buf *reply, json_t **ret_answer)
{
    a->lost = r == ERR_UNREACHABLE;
    if (r < 0)
        return r;
    if (r < 200 || r > 299)
        return take_refusal(a, r, reply);
    *ret_answer = reply->len > 0 ? json_object_parse(buf_str(reply), reply->len) : json_object();
    if (*ret_answer)
        return 0;
    (void)snprintf(a->text, sizeof a->text, "what %.200s answers is none of a console's answers",
                   a->url);
    return ERR_PROTOCOL;
}

static int call(struct api *a, const char *path, const char *body, json_t **ret_answer)
{
    AUTOBUF struct buf reply = BUF_INIT(LIMIT_API_ANSWER);
    AUTOFREE char *whole = xasprintf("/api/v1/%s", path);
    int r = https_call(a->https, whole, body, &reply, a->text);
    return take_answer(a, r, &reply, ret_answer);
}

int api_get(struct api *a, const char *path, json_t **ret_answer)
{
    return call(a, path, NULL, ret_answer);
}

int api_post(struct api *a, const char *path, json_t *body, json_t **ret_answer)
{
    AUTOFREE char *text = body ? json_dumps(body, JSON_COMPACT) : xstrdup("{}");
    return call(a, path, text, ret_answer);
}

int api_fetch_result(struct api *a, const char *profile, int fd)
{
    AUTOBUF struct buf reply = BUF_INIT(LIMIT_HTTP_BODY);
    AUTOFREE char *path = xasprintf("/api/v1/profiles/%s/raw", profile);
    /* An earlier try may have left a part. */
    if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    int r = https_fetch(a->https, path, fd, LIMIT_RESULT, &reply, a->text);
    a->lost = r == ERR_UNREACHABLE;
    if (r == 200)
        return 0;
    return r < 0 ? r : take_refusal(a, r, &reply);
}

int api_say(const struct api *a, const char *what, int r)
{
    say_error("%s: %s", what, a->text[0] ? a->text : err_str(r));
    return say_exit_code(r);
}
