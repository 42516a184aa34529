#include "lib/pack/zst_file.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "lib/base/err.h"
#include "tests/unit/support.h"

static int memory_file(const char *text, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static int packed(const char *text, size_t len)
{
    int from = memory_file(text, len), to = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(zst_file_pack(from, to, NULL), 0);
    (void)close(from);
    assert_int_equal(lseek(to, 0, SEEK_SET), 0);
    return to;
}

static char *make_text(size_t len)
{
    char *text = xcalloc(1, len + 100);
    for (size_t at = 0, n = 0; at < len; n++)
        at += (size_t)sprintf(text + at, "line %zu of the text, %zu\n", n, n * 7919 % 1000);
    text[len] = '\0';
    return text;
}

static void assert_comes_back(size_t len)
{
    AUTOFREE char *text = make_text(len), *back = xcalloc(1, len + 1);
    AUTOCLOSE int from = packed(text, len);
    AUTOCLOSE int to = memfd_create("test", MFD_CLOEXEC);
    AUTOBUF struct buf tail = BUF_INIT(4 << 20);
    bool whole;
    assert_int_equal(zst_file_unpack(from, to, len), 0);
    assert_int_equal(lseek(to, 0, SEEK_CUR), len);
    assert_int_equal(pread(to, back, len, 0), len);
    assert_memory_equal(back, text, len);
    assert_int_equal(zst_file_tail(from, &tail, &whole), 0);
    assert_int_equal(whole, len <= ZST_FRAME);
    assert_true(tail.len <= ZST_FRAME && (len == 0 || tail.len > 0));
    assert_memory_equal(buf_str(&tail), text + len - tail.len, tail.len);
    if (len == 0)
        return;
    assert_int_equal(lseek(from, 0, SEEK_SET), 0);
    assert_int_equal(zst_file_unpack(from, to, len - 1), ERR_TOO_BIG);
}

static void what_was_packed_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, ZST_FRAME - 1, ZST_FRAME, ZST_FRAME + 1, 5000000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        assert_comes_back(sizes[i]);
}

static void the_zstd_command_reads_it(void **state)
{
    AUTOFREE char *file = in_folder("x.zst"), *out = in_folder("x"), *text = make_text(3000000);
    AUTOFREE char *command = xasprintf("zstd -q -d '%s'", file);
    AUTOCLOSE int from = memory_file(text, 3000000);
    AUTOCLOSE int to = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(zst_file_pack(from, to, NULL), 0);
    assert_int_equal(system(command), 0);
    assert_file(out, text);
}

static void a_file_that_is_not_whole_is_an_error(void **state)
{
    AUTOFREE char *text = make_text(3000000);
    AUTOCLOSE int from = packed(text, 3000000);
    AUTOCLOSE int to = memfd_create("test", MFD_CLOEXEC);
    AUTOBUF struct buf tail = BUF_INIT(4 << 20);
    bool whole;
    off_t size = lseek(from, 0, SEEK_END);
    for (off_t len = size - 1; len > 0; len -= size / 13) {
        assert_int_equal(ftruncate(from, len), 0);
        assert_int_equal(lseek(from, 0, SEEK_SET), 0);
        int r = zst_file_unpack(from, to, 3000000);
        assert_true(r == ERR_SYNTAX || r == 0);
        assert_int_equal(zst_file_tail(from, &tail, &whole), ERR_SYNTAX);
    }
    AUTOCLOSE int other = memory_file("this is no archive, is it?", 26);
    assert_int_equal(zst_file_unpack(other, to, 100), ERR_SYNTAX);
    assert_int_equal(zst_file_tail(other, &tail, &whole), ERR_SYNTAX);
}

static void it_ends_when_told(void **state)
{
    volatile bool stop = true;
    AUTOFREE char *text = make_text(3000000);
    AUTOCLOSE int from = memory_file(text, 3000000);
    AUTOCLOSE int to = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(zst_file_pack(from, to, &stop), ERR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test_setup_teardown(the_zstd_command_reads_it, make_folder, remove_folder),
        cmocka_unit_test(a_file_that_is_not_whole_is_an_error),
        cmocka_unit_test(it_ends_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
