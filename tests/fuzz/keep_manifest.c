/* Any bytes as the manifest of a keeper: what is accepted is whole, and can be written and read again. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/keep/keep.h"

enum { MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keep_record records[MAX], records_again[MAX];
static struct keep_msg exits[MAX], exits_again[MAX];

static int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void check(const struct keep_manifest_head *head)
{
    struct keep_manifest_head again;
    assert(head->records <= MAX && head->exits <= MAX);
    for (uint32_t i = 0; i < head->records; i++)
        assert(records[i].fd >= 0 && keep_name_valid(records[i].name));
    for (uint32_t i = 0; i < head->exits; i++)
        assert(exits[i].type == KEEP_EXIT && memchr(exits[i].name, '\0', KEEP_NAME));
    int fd = file_of(NULL, 0);
    assert(keep_manifest_write(fd, head, records, exits) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    assert(keep_manifest_read(fd, &again, records_again, MAX, exits_again, MAX) == 0);
    assert(again.records == head->records && again.exits == head->exits &&
           again.flags == head->flags);
    assert(memcmp(records, records_again, head->records * sizeof *records) == 0);
    assert(memcmp(exits, exits_again, head->exits * sizeof *exits) == 0);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keep_manifest_head head;
    int fd = file_of(data, size);
    int r = keep_manifest_read(fd, &head, records, MAX, exits, MAX);
    assert(r == 0 || r == -EPROTO);
    if (r == 0)
        check(&head);
    (void)close(fd);
    return 0;
}
