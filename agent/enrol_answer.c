#include "agent/enrol_answer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/foreign.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/secure/cert.h"
#include "lib/secure/token.h"

enum { REASON_TEXT = 300 };

static int check_ca(const char *ca_pem, const struct enrol_token *token)
{
    struct cert_facts facts;
    if (cert_read(ca_pem, &facts) < 0)
        return ERR_SYNTAX;
    return secret_equal(facts.sha256, SHA256_BYTES, token->ca_sha256, SHA256_BYTES) ? 0
                                                                                    : ERR_UNTRUSTED;
}

static int copy_fields(const json_t *answer, struct identity *id)
{
    char name[LIMIT_NAME + 1];
    foreign_copy(name, sizeof name, json_get_string(answer, "name", ""));
    id->host = xstrdup_null(json_get_string(answer, "host", NULL));
    id->agents = xstrdup_null(json_get_string(answer, "agents", NULL));
    id->cert_pem = xstrdup_null(json_get_string(answer, "certificate", NULL));
    id->ca_pem = xstrdup_null(json_get_string(answer, "ca", NULL));
    id->name = xstrdup(name);
    return id->host && id->agents && id->cert_pem && id->ca_pem ? 0 : ERR_SYNTAX;
}

int enrol_answer_read(const char *body, size_t len, const struct enrol_token *token, int64_t now_ms,
                      struct identity *ret_id, char *reterr_text, size_t size)
{
    char why[REASON_TEXT] = "it is no JSON object with host, certificate, ca and agents";
    AUTOJSON json_t *answer = json_object_parse(body, len);
    int r = answer ? copy_fields(answer, ret_id) : ERR_SYNTAX;
    if (r == 0) {
        (void)snprintf(why, sizeof why, "its CA is not the one that the token names");
        r = check_ca(ret_id->ca_pem, token);
    }
    if (r == 0) {
        ret_id->web = xstrdup(token->address);
        ret_id->issued_ms = now_ms;
        r = identity_check(ret_id, now_ms, why, sizeof why);
    }
    if (r < 0)
        (void)snprintf(reterr_text, size, "the answer of the console at %s is of no use: %s",
                       token->address, why);
    return r;
}

/* For a body that says nothing. */
static int error_of_status(long status)
{
    if (status == 429)
        return ERR_TOO_MANY;
    if (status == 404 || status == 405)
        return ERR_UNSUPPORTED;
    return status >= 400 && status < 500 ? ERR_DENIED : ERR_FAILED;
}

int enrol_answer_refusal(long status, const char *body, size_t len, const struct enrol_token *token,
                         char *reterr_text, size_t size)
{
    char said[REASON_TEXT];
    AUTOJSON json_t *answer = json_object_parse(body, len);
    const json_t *error = json_object_get(answer, "error");
    const char *name = json_get_string(error, "name", NULL);
    foreign_copy(said, sizeof said, json_get_string(error, "message", NULL));
    if (said[0])
        (void)snprintf(reterr_text, size, "the console at %s refuses: %s", token->address, said);
    else
        (void)snprintf(reterr_text, size, "the console at %s answers with status %ld",
                       token->address, status);
    return name ? err_from_name(name) : error_of_status(status);
}
