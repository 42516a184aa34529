#include "supervisor/kept_json.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "supervisor/keep_link.h"

void kept_json_put(struct keep_link *k, const json_t *record, const char *format, ...)
{
    char name[KEEP_NAME];
    AUTOBUF struct buf text = BUF_INIT(LIMIT_KEPT_RECORD);
    if (k->sock < 0)
        return;
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    int r = json_to_buf(record, &text);
    if (r == 0)
        r = keep_put(k, buf_str(&text), text.len, "%s", name);
    if (r < 0)
        log_err(r, "the record '%s' cannot be kept for another supervisor", name);
}

json_t *kept_json_get(struct keep_link *k, const char *format, ...)
{
    char name[KEEP_NAME];
    AUTOBUF struct buf text = BUF_INIT(LIMIT_KEPT_RECORD);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    if (keep_get(k, &text, "%s", name) < 0)
        return NULL;
    json_t *record = json_object_parse(buf_str(&text), text.len);
    if (!record)
        log_err(0, "the kept record '%s' cannot be read", name);
    return record;
}

pid_t kept_pid(int pidfd)
{
    char path[64], line[128];
    long pid = -1;
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    AUTOFCLOSE FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pid: %ld", &pid) == 1)
            break;
    return (pid_t)pid;
}
