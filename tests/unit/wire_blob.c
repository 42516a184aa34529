#include "lib/wire/blob.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "lib/base/err.h"
#include "lib/base/io.h"

static int open_in_folder(const char *name)
{
    AUTOFREE char *path = in_folder(name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* Text that compresses somewhat, always the same. */
static void put_sample(int fd, size_t len)
{
    char block[4096];
    uint32_t x = 1;
    for (size_t at = 0; at < len; at += sizeof block) {
        for (size_t i = 0; i < sizeof block; i++) {
            x = x * 1664525 + 1013904223;
            block[i] = (char)("{\"id\":0123456789"[x >> 28]);
        }
        assert_int_equal(io_write_all(fd, block, len - at < sizeof block ? len - at : sizeof block),
                         0);
    }
}

static void sum_of(int fd, uint64_t offset, uint8_t ret_hash[static SHA256_BYTES])
{
    char block[4096];
    struct sha256_stream *s = sha256_new();
    for (;;) {
        ssize_t n = pread(fd, block, sizeof block, (off_t)offset);
        assert_true(n >= 0);
        if (n == 0)
            break;
        sha256_add(s, block, (size_t)n);
        offset += (uint64_t)n;
    }
    sha256_end(s, ret_hash);
}

static uint64_t size_of(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    assert_true(end >= 0);
    return (uint64_t)end;
}

static void assert_sums(const struct blob_sums *a, const struct blob_sums *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->stored_bytes, b->stored_bytes);
    assert_memory_equal(a->sha256, b->sha256, SHA256_BYTES);
    assert_memory_equal(a->stored_sha256, b->stored_sha256, SHA256_BYTES);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void there_and_back(size_t len)
{
    struct blob_sums made, read, checked;
    uint8_t hash[SHA256_BYTES];
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int packed = open_in_folder("packed");
    AUTOCLOSE int out = open_in_folder("out");
    assert_int_equal(ftruncate(in, 0) | ftruncate(packed, 0) | ftruncate(out, 0), 0);
    put_sample(in, len); /* the descriptor now stands at the end */
    assert_int_equal(blob_compress(in, packed, &made), 0);
    assert_int_equal(made.bytes, len);
    assert_int_equal(made.stored_bytes, size_of(packed));
    sum_of(in, 0, hash);
    assert_memory_equal(made.sha256, hash, sizeof hash);
    sum_of(packed, 0, hash);
    assert_memory_equal(made.stored_sha256, hash, sizeof hash);

    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, out, len, &read), 0);
    assert_sums(&read, &made);
    assert_int_equal(size_of(out), len);
    sum_of(out, 0, hash);
    assert_memory_equal(made.sha256, hash, sizeof hash);
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, -1, len, &checked), 0);
    assert_sums(&checked, &made);
}

static void comes_back_with_the_same_sums(void **state)
{
    there_and_back(0);
    there_and_back(1);
    there_and_back(65536);
    there_and_back(3000001);
}

static void reads_from_the_middle_of_a_segment(void **state)
{
    struct blob_sums made, read;
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int segment = open_in_folder("segment");
    put_sample(in, 200000);
    assert_int_equal(io_write_all(segment, "something before", 16), 0);
    assert_int_equal(blob_compress(in, segment, &made), 0);
    assert_int_equal(io_write_all(segment, "something behind", 16), 0);
    assert_int_equal(blob_expand(segment, 16, made.stored_bytes, -1, 1 << 20, &read), 0);
    assert_sums(&read, &made);
    assert_int_equal(blob_expand(segment, 15, made.stored_bytes, -1, 1 << 20, &read), ERR_SYNTAX);
    assert_int_equal(blob_expand(segment, 16, made.stored_bytes - 1, -1, 1 << 20, &read),
                     ERR_SYNTAX);
    assert_int_equal(blob_expand(segment, 16, made.stored_bytes + 1, -1, 1 << 20, &read),
                     ERR_SYNTAX);
    assert_int_equal(blob_expand(segment, 16, made.stored_bytes + 17, -1, 1 << 20, &read),
                     ERR_SYNTAX);
    assert_int_equal(blob_expand(segment, 16, 0, -1, 1 << 20, &read), ERR_SYNTAX);
    assert_int_equal(blob_expand(segment, UINT64_MAX, 100, -1, 1 << 20, &read), -EINVAL);
}

static void two_frames_are_not_one(void **state)
{
    struct blob_sums one, two, read;
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int out = open_in_folder("out");
    put_sample(in, 100000);
    assert_int_equal(blob_compress(in, out, &one), 0);
    assert_int_equal(blob_compress(in, out, &two), 0);
    assert_sums(&one, &two);
    assert_int_equal(blob_expand(out, 0, 2 * one.stored_bytes, -1, 1 << 20, &read), ERR_SYNTAX);
    assert_int_equal(blob_expand(out, one.stored_bytes, one.stored_bytes, -1, 1 << 20, &read), 0);
}

static void holds_to_its_limit(void **state)
{
    struct blob_sums made, read = {.bytes = 77};
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int packed = open_in_folder("packed");
    AUTOCLOSE int out = open_in_folder("out");
    assert_int_equal(ftruncate(in, 50 << 20), 0); /* zeros */
    assert_int_equal(blob_compress(in, packed, &made), 0);
    assert_true(made.stored_bytes < 100000);
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, -1, 50 << 20, &read), 0);
    read.bytes = 77;
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, out, (50 << 20) - 1, &read),
                     ERR_TOO_BIG);
    assert_int_equal(read.bytes, 77);
    assert_true(size_of(out) < 50 << 20);
    assert_int_equal(ftruncate(out, 0), 0);
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, out, 1000, &read), ERR_TOO_BIG);
    assert_true(size_of(out) <= 1000);
}

static void damage_and_foreign_files_are_found(void **state)
{
    struct blob_sums made, read;
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int packed = open_in_folder("packed");
    put_sample(in, 100000);
    assert_int_equal(blob_expand(in, 0, 100000, -1, 1 << 20, &read), ERR_SYNTAX);
    assert_int_equal(blob_compress(in, packed, &made), 0);
    char byte;
    off_t middle = (off_t)made.stored_bytes / 2;
    assert_int_equal(pread(packed, &byte, 1, middle), 1);
    byte ^= 1;
    assert_int_equal(pwrite(packed, &byte, 1, middle), 1);
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, -1, 1 << 20, &read), ERR_SYNTAX);
}

static void errors_of_the_files_go_up(void **state)
{
    struct blob_sums sums;
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int packed = open_in_folder("packed");
    AUTOCLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    AUTOCLOSE int none = open("/dev/null", O_WRONLY | O_CLOEXEC);
    put_sample(in, 3 << 20);
    assert_int_equal(blob_compress(in, full, &sums), -ENOSPC);
    assert_int_equal(blob_compress(none, packed, &sums), -EBADF);
    assert_int_equal(blob_compress(in, packed, &sums), 0);
    assert_int_equal(blob_expand(packed, 0, sums.stored_bytes, full, 8 << 20, &sums), -ENOSPC);
    assert_int_equal(blob_expand(none, 0, sums.stored_bytes, packed, 8 << 20, &sums), -EBADF);
}

static long peak_rss_kb(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

static void takes_a_few_megabytes_whatever_the_size(void **state)
{
    struct blob_sums made, read;
    AUTOCLOSE int in = open_in_folder("in");
    AUTOCLOSE int packed = open_in_folder("packed");
    put_sample(in, 64 << 20);
    long before = peak_rss_kb();
    assert_int_equal(blob_compress(in, packed, &made), 0);
    assert_int_equal(blob_expand(packed, 0, made.stored_bytes, -1, 64 << 20, &read), 0);
    assert_true(made.stored_bytes > 8 << 20);
#if !defined(__SANITIZE_ADDRESS__)
    assert_in_range(peak_rss_kb() - before, 0, 8 << 10);
#else
    (void)before;
#endif
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void a_chunk_reads_as_it_was_written(void **state)
{
    static const struct {
        uint32_t blob;
        uint64_t offset;
    } cases[] = {{0, 0}, {1, 65536}, {UINT32_MAX, 1ull << 62}, {0x01020304, 0x05060708090a0b0cull}};
    AUTOFREE uint8_t *frame = xcalloc(1, BLOB_HEADER + BLOB_CHUNK);
    static const size_t lengths[] = {1, 2, BLOB_CHUNK};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
            struct blob_chunk chunk;
            blob_header_put(frame, cases[i].blob, cases[i].offset);
            assert_int_equal(blob_chunk_parse(frame, BLOB_HEADER + lengths[l], &chunk), 0);
            assert_int_equal(chunk.blob, cases[i].blob);
            assert_int_equal(chunk.offset, cases[i].offset);
            assert_ptr_equal(chunk.data, frame + BLOB_HEADER);
            assert_int_equal(chunk.len, lengths[l]);
        }
    }
}

static void the_header_is_big_endian(void **state)
{
    uint8_t header[BLOB_HEADER];
    blob_header_put(header, 0x01020304, 0x05060708090a0b0cull);
    for (int i = 0; i < BLOB_HEADER; i++)
        assert_int_equal(header[i], i + 1);
}

static void refuses_frames_that_are_no_chunks(void **state)
{
    AUTOFREE uint8_t *frame = xcalloc(1, BLOB_HEADER + BLOB_CHUNK + 1);
    struct blob_chunk chunk = {.blob = 77};
    for (size_t len = 0; len <= BLOB_HEADER; len++)
        assert_int_equal(blob_chunk_parse(frame, len, &chunk), ERR_PROTOCOL);
    assert_int_equal(blob_chunk_parse(frame, BLOB_HEADER + BLOB_CHUNK + 1, &chunk), ERR_PROTOCOL);
    blob_header_put(frame, 1, (1ull << 62) + 1);
    assert_int_equal(blob_chunk_parse(frame, 100, &chunk), ERR_PROTOCOL);
    blob_header_put(frame, 1, UINT64_MAX);
    assert_int_equal(blob_chunk_parse(frame, 100, &chunk), ERR_PROTOCOL);
    assert_int_equal(chunk.blob, 77);
}

static void a_check_that_is_stopped_ends_at_once(void **state)
{
    struct blob_sums made, read;
    atomic_bool stop = false;
    AUTOCLOSE int plain = open_in_folder("zeros");
    AUTOCLOSE int packed = open_in_folder("packed-zeros");
    assert_int_equal(ftruncate(plain, 8 << 20), 0);
    assert_int_equal(blob_compress(plain, packed, &made), 0);
    assert_int_equal(blob_check(packed, made.stored_bytes, 8 << 20, &stop, &read), 0);
    assert_sums(&made, &read);
    assert_int_equal(blob_check(packed, made.stored_bytes, (8 << 20) - 1, &stop, &read),
                     ERR_TOO_BIG);
    atomic_store(&stop, true);
    assert_int_equal(blob_check(packed, made.stored_bytes, 8 << 20, &stop, &read), ERR_STOPPING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back_with_the_same_sums, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(reads_from_the_middle_of_a_segment, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(two_frames_are_not_one, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(holds_to_its_limit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_and_foreign_files_are_found, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(errors_of_the_files_go_up, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(takes_a_few_megabytes_whatever_the_size, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_check_that_is_stopped_ends_at_once, make_folder,
                                        remove_folder),
        cmocka_unit_test(a_chunk_reads_as_it_was_written),
        cmocka_unit_test(the_header_is_big_endian),
        cmocka_unit_test(refuses_frames_that_are_no_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
