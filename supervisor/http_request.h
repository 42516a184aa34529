/* http_request.h -- reads the head of an HTTP/1 request for the one page that we have, /metrics.  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What has come so far: 0 when the head is not whole yet, else the status to answer with: 200 for GET and HEAD of /metrics.
 * A request whose Host is no name of the loopback is refused (403): a web page that has its own name point to us must not
 * read this.  Bodies are refused. */
int http_request_status(const char *bytes, size_t len, bool *ret_head_only);

/* "Not Found"; "Error" for what http_request_status() never says. */
const char *http_request_reason(int status);
