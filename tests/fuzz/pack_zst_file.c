/* Any bytes as an archive of a log: never more comes out than the limit, and the end is the end of the whole. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/pack/zst_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOBUF struct buf tail = BUF_INIT(LIMIT);
    AUTOCLOSE int from = memfd_create("archive", MFD_CLOEXEC);
    AUTOCLOSE int to = memfd_create("text", MFD_CLOEXEC);
    bool whole;
    if (write(from, data, size) != (ssize_t)size || lseek(from, 0, SEEK_SET) != 0)
        return 0;
    int unpacked = zst_file_unpack(from, to, LIMIT);
    off_t len = lseek(to, 0, SEEK_CUR);
    assert(len >= 0 && len <= LIMIT);
    int ended = zst_file_tail(from, &tail, &whole);
    assert(tail.len <= ZST_FRAME);
    if (unpacked < 0 || ended < 0)
        return 0;
    assert((off_t)tail.len <= len);
    char *text = len > 0 ? mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, to, 0) : NULL;
    assert(tail.len == 0 || memcmp(text + len - (off_t)tail.len, tail.data, tail.len) == 0);
    if (text)
        (void)munmap(text, (size_t)len);
    return 0;
}
