/* Any bytes as packets from a supervisor, and as what the keeper's table then does: nothing leaks, no name is stored twice, and
 * what is told fits what is kept. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/keep/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keep_table table;
static int socks[2] = {-1, -1}, null = -1;

static void begin(void)
{
    if (null < 0)
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, socks) == 0);
    table.fd_max = 1000;
    table.exit_count = table.exits_told = 3;
    for (uint64_t i = 0; i < 3; i++)
        table.exits[i] =
            (struct keep_msg){.version = KEEP_VERSION, .type = KEEP_EXIT, .seq = i + 1};
    table.synced = true;
}

static void end(void)
{
    struct keep_msg all = {.type = KEEP_DROP, .name = "*"};
    (void)keep_table_obey(&table, &all, -1);
    assert(table.count == 0);
    (void)close(socks[0]);
    (void)close(socks[1]);
    /* The lowest number that is free is the same each time: nothing was left open. */
    int fd = dup(null);
    static int first = -1;
    assert(first < 0 || fd == first);
    first = fd;
    (void)close(fd);
}

static void check_table(void)
{
    assert(table.fds_told == table.count && table.exits_told <= table.exit_count);
    for (uint32_t i = 0; i < table.count; i++) {
        assert(keep_name_valid(table.records[i].name) &&
               fcntl(table.records[i].fd, F_GETFD) == FD_CLOEXEC);
        for (uint32_t j = 0; j < i; j++)
            assert(strcmp(table.records[i].name, table.records[j].name) != 0);
    }
}

static void receive_all(void)
{
    struct keep_msg msg;
    int fd, r;
    while ((r = keep_receive(socks[1], &msg, &fd)) != -EAGAIN) {
        assert(r == 1 || r == -EPROTO);
        if (r != 1)
            continue;
        assert(msg.version == KEEP_VERSION && memchr(msg.name, '\0', sizeof msg.name));
        (void)keep_table_obey(&table, &msg, fd);
        check_table();
    }
}

/* Each packet: a byte that says what it is like, the bytes of a message from its type on. */
static size_t send_packet(const uint8_t *data, size_t size)
{
    struct keep_msg msg = {.version = KEEP_VERSION};
    uint8_t kind = data[0];
    size_t len = size - 1 < sizeof msg ? size - 1 : sizeof msg;
    if (kind & 1) {
        (void)send(socks[0], data + 1, len, MSG_NOSIGNAL);
    } else {
        /* The type is one byte, so that known ones come often, and the name is short. */
        msg.type = len > 0 ? data[1] : 0;
        msg.seq = len > 1 ? data[2] : 0;
        len = len < 2 + 4u ? len : 2 + 4u;
        for (size_t i = 2; i < len; i++)
            msg.name[i - 2] = (char)data[1 + i];
        if (kind & 8)
            memset(msg.name, 'x', sizeof msg.name);
        (void)keep_send(socks[0], &msg, kind & 2 ? null : -1);
    }
    return 1 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    for (size_t at = 0; at < size;) {
        at += send_packet(data + at, size - at);
        receive_all();
    }
    end();
    return 0;
}
