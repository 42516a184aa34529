/* Any bytes as an enrolment string and as an API token: what is taken for one can be written again,
 * and is then the same without the white space around it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/secure/host.h"
#include "lib/secure/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_enrol(const char *text, size_t len)
{
    char sentence[120] = "";
    struct enrol_token t, again;
    int r = enrol_token_parse(text, len, &t, sentence, sizeof sentence);
    assert(r == 0 || (r == ERR_SYNTAX && sentence[0] != '\0'));
    if (r < 0)
        return;
    assert(t.port >= 1 && t.port <= 65535 && host_kind(t.host) != HOST_NONE);
    assert(strlen(t.secret) == SECRET_TEXT - 1);
    AUTOFREE char *written = enrol_token_text(&t);
    assert(enrol_token_parse(written, strlen(written), &again, NULL, 0) == 0);
    assert(strcmp(t.address, again.address) == 0 && strcmp(t.host, again.host) == 0);
    assert(memcmp(t.ca_sha256, again.ca_sha256, SHA256_BYTES) == 0);
}

static void try_api(const char *text, size_t len)
{
    char sentence[120] = "";
    struct api_token t, again;
    int r = api_token_parse(text, len, &t, sentence, sizeof sentence);
    assert(r == 0 || (r == ERR_SYNTAX && sentence[0] != '\0'));
    if (r < 0)
        return;
    AUTOFREE char *written = api_token_text(&t);
    assert(api_token_parse(written, strlen(written), &again, NULL, 0) == 0);
    assert(strcmp(t.id, again.id) == 0 && strcmp(t.secret, again.secret) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_enrol((const char *)data, size);
    try_api((const char *)data, size);
    return 0;
}
