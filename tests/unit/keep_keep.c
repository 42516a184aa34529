#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/keep/keep.h"

static struct keep_record records[8], records_read[8];
static struct keep_msg exits[8], exits_read[8];

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void pair(int ret_socks[2])
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_socks), 0);
}

static struct keep_msg message(uint32_t type, const char *name)
{
    struct keep_msg msg = {.version = KEEP_VERSION, .type = type, .seq = 7, .pid = 42};
    (void)snprintf(msg.name, sizeof msg.name, "%s", name);
    return msg;
}

/* ---- names ------------------------------------------------------------------------------------ */

static void names_are_short_and_plain(void **state)
{
    char name[KEEP_NAME + 1];
    assert_true(keep_name_valid("i7.out.r"));
    assert_true(keep_name_valid("c/0190-AZ_z.json"));
    assert_false(keep_name_valid(""));
    assert_false(keep_name_valid("i7.*"));
    assert_false(keep_name_valid("a b"));
    assert_false(keep_name_valid("a\n"));
    assert_false(keep_name_valid("\xc3\xa4"));
    memset(name, 'x', sizeof name);
    name[KEEP_NAME] = '\0';
    assert_false(keep_name_valid(name));
    name[KEEP_NAME - 1] = '\0';
    assert_true(keep_name_valid(name));
}

/* ---- messages --------------------------------------------------------------------------------- */

static void a_message_arrives_with_its_descriptor(void **state)
{
    int s[2], fd = -1, before = open_fds();
    struct stat sent, got;
    struct keep_msg msg = message(KEEP_STORE, "i7.out.r"), read;
    pair(s);
    assert_int_equal(keep_send(s[0], &msg, STDIN_FILENO), 0);
    assert_int_equal(keep_receive(s[1], &read, &fd), 1);
    assert_memory_equal(&msg, &read, sizeof msg);
    assert_int_equal(fstat(STDIN_FILENO, &sent), 0);
    assert_int_equal(fstat(fd, &got), 0);
    assert_int_equal(sent.st_ino, got.st_ino);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    (void)close(fd);
    msg = message(KEEP_UP, "");
    assert_int_equal(keep_send(s[1], &msg, -1), 0);
    assert_int_equal(keep_receive(s[0], &read, &fd), 1);
    assert_int_equal(fd, -1);
    (void)close(s[0]);
    (void)close(s[1]);
    assert_int_equal(open_fds(), before);
}

static void nothing_there_is_eagain_and_an_end_is_zero(void **state)
{
    int s[2], fd;
    struct keep_msg msg;
    pair(s);
    assert_int_equal(keep_receive(s[1], &msg, &fd), -EAGAIN);
    (void)close(s[0]);
    assert_int_equal(keep_receive(s[1], &msg, &fd), 0);
    assert_int_equal(keep_receive(s[1], &msg, &fd), 0);
    msg = message(KEEP_UP, "");
    assert_int_equal(keep_send(s[1], &msg, -1), -EPIPE);
    (void)close(s[1]);
    assert_int_equal(keep_send(-1, &msg, -1), -EBADF);
    assert_int_equal(keep_receive(-1, &msg, &fd), -EBADF);
}

static void a_full_socket_is_eagain(void **state)
{
    int s[2], fd, r, sent = 0, got = 0;
    struct keep_msg msg = message(KEEP_FD, "x");
    pair(s);
    while ((r = keep_send(s[0], &msg, -1)) == 0)
        sent++;
    assert_int_equal(r, -EAGAIN);
    while (keep_receive(s[1], &msg, &fd) == 1)
        got++;
    assert_int_equal(got, sent);
    (void)close(s[0]);
    (void)close(s[1]);
}

/* A process that dies with messages unread resets the connection; what it had sent is there all the same. */
static void what_was_sent_before_a_reset_arrives(void **state)
{
    int s[2], fd = -1;
    struct keep_msg msg = message(KEEP_STORE, "i7.out.r"), unread = message(KEEP_EXIT, ""), read;
    pair(s);
    assert_int_equal(keep_send(s[0], &msg, STDIN_FILENO), 0);
    assert_int_equal(keep_send(s[1], &unread, -1), 0);
    (void)close(s[0]);
    assert_int_equal(keep_receive(s[1], &read, &fd), 1);
    assert_memory_equal(&msg, &read, sizeof msg);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(keep_receive(s[1], &read, &fd), 0);
    (void)close(s[1]);
}

static void send_bytes(int sock, const void *bytes, size_t len, const int *fds, unsigned count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * 16)];
    } control = {.room = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        head.msg_control = &control;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * count);
    }
    assert_int_equal(sendmsg(sock, &head, MSG_NOSIGNAL), len);
}

/* Each is refused, what came with it is closed, and the next message is read as if nothing had been. */
static void what_is_no_message_is_refused_and_leaks_nothing(void **state)
{
    static const int fds[16] = {0};
    char longer[sizeof(struct keep_msg) * 3] = {0};
    struct keep_msg good = message(KEEP_STORE, "x"), other = good, endless = good, read;
    int s[2], fd = -1;
    pair(s);
    int before = open_fds();
    other.version++;
    memset(endless.name, 'x', sizeof endless.name);
    memcpy(longer, &good, sizeof good);
    const struct {
        const void *bytes;
        size_t len;
        unsigned fds;
    } bad[] = {
        {&good, 0, 0},
        {&good, 0, 1},
        {&good, 1, 0},
        {&good, sizeof good - 1, 1},
        {longer, sizeof good + 1, 1},
        {longer, sizeof longer, 4},
        {&other, sizeof other, 1},
        {&endless, sizeof endless, 1},
        {&good, sizeof good, 2},
        {&good, sizeof good, 4},
        {&good, sizeof good, 16},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        send_bytes(s[0], bad[i].bytes, bad[i].len, fds, bad[i].fds);
        send_bytes(s[0], &good, sizeof good, fds, 1);
        assert_int_equal(keep_receive(s[1], &read, &fd), -EPROTO);
        assert_int_equal(open_fds(), before);
        assert_int_equal(keep_receive(s[1], &read, &fd), 1);
        (void)close(fd);
    }
    (void)close(s[0]);
    (void)close(s[1]);
}

/* ---- the manifest ----------------------------------------------------------------------------- */

static int memfd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static struct keep_manifest_head fill(unsigned record_count, unsigned exit_count)
{
    memset(records, 0, sizeof records);
    memset(exits, 0, sizeof exits);
    for (unsigned i = 0; i < record_count; i++) {
        records[i].fd = (int32_t)i;
        (void)snprintf(records[i].name, KEEP_NAME, "i%u.out.r", i);
    }
    for (unsigned i = 0; i < exit_count; i++)
        exits[i] = message(KEEP_EXIT, "");
    return (struct keep_manifest_head){
        .records = record_count, .exits = exit_count, .supervisor_sock = -1, .starts = 5};
}

static int read_back(int fd, struct keep_manifest_head *ret_head)
{
    (void)lseek(fd, 0, SEEK_SET);
    return keep_manifest_read(fd, ret_head, records_read, 8, exits_read, 8);
}

static void a_manifest_is_read_as_it_was_written(void **state)
{
    for (unsigned count = 0; count <= 8; count += 4) {
        struct keep_manifest_head head = fill(count, 8 - count), read;
        int fd = memfd();
        assert_int_equal(keep_manifest_write(fd, &head, records, exits), 0);
        assert_int_equal(read_back(fd, &read), 0);
        assert_int_equal(read.records, count);
        assert_int_equal(read.exits, 8 - count);
        assert_int_equal(read.starts, 5);
        assert_memory_equal(records, records_read, count * sizeof *records);
        assert_memory_equal(exits, exits_read, (8 - count) * sizeof *exits);
        (void)close(fd);
    }
}

/* A newer version has longer records: what is behind ours is skipped. */
static void longer_records_of_a_newer_version_are_read(void **state)
{
    struct keep_manifest_head head = fill(2, 2), read;
    int fd = memfd();
    char more[12] = "more";
    head.magic = KEEP_MANIFEST_MAGIC;
    head.version = KEEP_VERSION;
    head.record_bytes = sizeof *records + sizeof more;
    head.exit_bytes = sizeof *exits + sizeof more;
    assert_int_equal(write(fd, &head, sizeof head), sizeof head);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(write(fd, &records[i], sizeof *records), sizeof *records);
        assert_int_equal(write(fd, more, sizeof more), sizeof more);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(write(fd, &exits[i], sizeof *exits), sizeof *exits);
        assert_int_equal(write(fd, more, sizeof more), sizeof more);
    }
    assert_int_equal(read_back(fd, &read), 0);
    assert_memory_equal(records, records_read, 2 * sizeof *records);
    assert_memory_equal(exits, exits_read, 2 * sizeof *exits);
    (void)close(fd);
}

static void a_manifest_that_is_cut_anywhere_is_refused(void **state)
{
    struct keep_manifest_head head = fill(3, 2), read;
    int fd = memfd();
    assert_int_equal(keep_manifest_write(fd, &head, records, exits), 0);
    for (off_t len = lseek(fd, 0, SEEK_END) - 1; len >= 0; len--) {
        assert_int_equal(ftruncate(fd, len), 0);
        assert_int_equal(read_back(fd, &read), -EPROTO);
    }
    (void)close(fd);
    assert_int_equal(read_back(-1, &read), -EBADF);
}

/* Writes `value` at `offset` of a good manifest, which must then be refused. */
static void refused(size_t offset, const void *value, size_t len)
{
    struct keep_manifest_head head = fill(3, 2), read;
    int fd = memfd();
    assert_int_equal(keep_manifest_write(fd, &head, records, exits), 0);
    assert_int_equal(read_back(fd, &read), 0);
    assert_int_equal(pwrite(fd, value, len, (off_t)offset), len);
    assert_int_equal(read_back(fd, &read), -EPROTO);
    (void)close(fd);
}

static void wrong_sizes_versions_and_names_are_refused(void **state)
{
    static const size_t first_record = sizeof(struct keep_manifest_head);
    static const size_t first_exit = first_record + 3 * sizeof(struct keep_record);
    static const uint32_t none = 0, small = 4, many = 9, huge = UINT32_MAX;
    static const int32_t negative = -1;
    char endless[KEEP_NAME];
    memset(endless, 'x', sizeof endless);
    refused(offsetof(struct keep_manifest_head, magic), &none, 4);
    refused(offsetof(struct keep_manifest_head, version), &none, 4);
    refused(offsetof(struct keep_manifest_head, version), &huge, 4);
    refused(offsetof(struct keep_manifest_head, record_bytes), &none, 4);
    refused(offsetof(struct keep_manifest_head, record_bytes), &small, 4);
    refused(offsetof(struct keep_manifest_head, record_bytes), &huge, 4);
    refused(offsetof(struct keep_manifest_head, exit_bytes), &small, 4);
    refused(offsetof(struct keep_manifest_head, exit_bytes), &huge, 4);
    refused(offsetof(struct keep_manifest_head, records), &many, 4);
    refused(offsetof(struct keep_manifest_head, records), &huge, 4);
    refused(offsetof(struct keep_manifest_head, exits), &many, 4);
    refused(offsetof(struct keep_manifest_head, exits), &huge, 4);
    refused(first_record + offsetof(struct keep_record, fd), &negative, 4);
    refused(first_record + offsetof(struct keep_record, name), "", 1);
    refused(first_record + offsetof(struct keep_record, name), "a*", 3);
    refused(first_record + offsetof(struct keep_record, name), endless, sizeof endless);
    refused(first_exit + offsetof(struct keep_msg, type), &none, 4);
    refused(first_exit + offsetof(struct keep_msg, name), endless, sizeof endless);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_short_and_plain),
        cmocka_unit_test(a_message_arrives_with_its_descriptor),
        cmocka_unit_test(nothing_there_is_eagain_and_an_end_is_zero),
        cmocka_unit_test(a_full_socket_is_eagain),
        cmocka_unit_test(what_was_sent_before_a_reset_arrives),
        cmocka_unit_test(what_is_no_message_is_refused_and_leaks_nothing),
        cmocka_unit_test(a_manifest_is_read_as_it_was_written),
        cmocka_unit_test(longer_records_of_a_newer_version_are_read),
        cmocka_unit_test(a_manifest_that_is_cut_anywhere_is_refused),
        cmocka_unit_test(wrong_sizes_versions_and_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
