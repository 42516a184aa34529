/* Host, Origin, Content-Length, and addresses to listen at: one text as each of them, or two
 * with a line feed between. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "remote/http_listen.h"
#include "remote/http_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"console.example.com", "fd00::7", "10.1.2.3", NULL};
    struct http_host host;
    struct sockaddr_storage address;
    uint64_t length;
    char *text = calloc(1, size + 1);
    memcpy(text, data, size);
    char *second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    bool parsed = http_host_parse(text, &host) >= 0;
    bool allowed = http_host_allowed(text, second ? second : "127.0.0.1:7443", names);
    assert(parsed || !allowed);
    if (http_origin_allowed(text, second ? second : "localhost:7443"))
        assert(strncasecmp(text, "https://", 8) == 0);
    (void)http_length_parse(text, &length);
    (void)http_listen_parse(text, &address);
    free(text);
    return 0;
}
