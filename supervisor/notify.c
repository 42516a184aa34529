#include "supervisor/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

int notify_send(const char *address, const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || len >= sizeof to.sun_path)
        return -EINVAL;
    memcpy(to.sun_path, address, len);
    /* An abstract name. */
    if (address[0] == '@')
        to.sun_path[0] = '\0';
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t n = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, to_len);
    return n < 0 ? -errno : 0;
}

uint64_t notify_interval_ms(const char *watchdog_usec)
{
    int64_t us;
    if (!watchdog_usec || str_to_int(watchdog_usec, 1, INT64_MAX, &us) < 0)
        return 0;
    return us >= 2000 ? (uint64_t)us / 2000 : 1;
}

static void tell(const struct notify *n, const char *text)
{
    int r = n->address ? notify_send(n->address, text) : 0;
    if (r < 0)
        log_debug("%s cannot be told: %s", n->address, strerror(-r));
}

static void on_watchdog(uv_timer_t *timer)
{
    tell(timer->data, "WATCHDOG=1");
}

void notify_start(struct notify *n, uv_loop_t *loop)
{
    const char *address = getenv("NOTIFY_SOCKET");
    uint64_t ms = notify_interval_ms(getenv("WATCHDOG_USEC"));
    *n = (struct notify){.address = xstrdup_null(address && *address ? address : NULL)};
    if (!n->address)
        return;
    tell(n, "READY=1\nSTATUS=looking after apps");
    if (ms == 0)
        return;
    (void)uv_timer_init(loop, &n->watchdog);
    n->watchdog.data = n;
    n->open = uv_timer_start(&n->watchdog, on_watchdog, 0, ms) == 0;
}

void notify_stopping(struct notify *n)
{
    tell(n, "STOPPING=1\nSTATUS=stopping all apps");
}

void notify_close(struct notify *n)
{
    if (n->open)
        uv_close((uv_handle_t *)&n->watchdog, NULL);
    n->open = false;
}

void notify_clear(struct notify *n)
{
    free(n->address);
    n->address = NULL;
}
