#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/inspector/result_file.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"

static struct result_file file;

static void writes_all_bytes_in_any_pieces(void **state)
{
    static char text[300000], back[300000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
    static const size_t pieces[] = {1, 1000, 65535, 65536, 65537, 299999};
    for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
        AUTOCLOSE int fd = memfd_create("result", MFD_CLOEXEC);
        result_file_init(&file, fd, 1 << 20);
        for (size_t at = 0; at < sizeof text; at += pieces[p])
            assert_int_equal(
                result_file_add(&file, text + at,
                                sizeof text - at < pieces[p] ? sizeof text - at : pieces[p]),
                0);
        assert_int_equal(result_file_sync(&file), 0);
        assert_int_equal(file.bytes, sizeof text);
        assert_int_equal(pread(fd, back, sizeof back, 0), sizeof back);
        assert_memory_equal(back, text, sizeof text);
        result_file_drop(&file);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(file.bytes, 0);
    }
}

static void refuses_more_than_the_limit(void **state)
{
    AUTOCLOSE int fd = memfd_create("result", MFD_CLOEXEC);
    result_file_init(&file, fd, 10);
    assert_int_equal(result_file_add(&file, "12345678", 8), 0);
    assert_int_equal(result_file_add(&file, "90", 2), 0);
    assert_int_equal(result_file_add(&file, "1", 1), ERR_TOO_BIG);
    assert_int_equal(file.bytes, 10);
    assert_int_equal(result_file_add(&file, "", 0), ERR_TOO_BIG);
    assert_int_equal(result_file_sync(&file), ERR_TOO_BIG);
}

static void tells_that_the_disk_is_full(void **state)
{
    static char text[RESULT_FILE_BUFFER];
    AUTOCLOSE int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    result_file_init(&file, fd, 1 << 20);
    assert_int_equal(result_file_add(&file, "1", 1), 0);
    assert_int_equal(result_file_sync(&file), -ENOSPC);
    result_file_init(&file, fd, 1 << 20);
    assert_int_equal(result_file_add(&file, text, sizeof text), -ENOSPC);
    assert_int_equal(result_file_add(&file, text, 1), -ENOSPC);
    assert_int_equal(result_file_sync(&file), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_all_bytes_in_any_pieces),
        cmocka_unit_test(refuses_more_than_the_limit),
        cmocka_unit_test(tells_that_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
