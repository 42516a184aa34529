#include "lib/pack/gzip.h"

#include "tests/unit/pack_support.h"

static void *writer_new(int level)
{
    return gzip_writer_new(level);
}

static void writer_free(void *w)
{
    gzip_writer_free(w);
}

static int writer_step(void *w, const void *in, size_t in_len, bool end, void *out, size_t out_size,
                       struct pack_step *ret_step)
{
    return gzip_writer_step(w, in, in_len, end, out, out_size, ret_step);
}

static void *reader_new(uint64_t limit)
{
    return gzip_reader_new(limit);
}

static void reader_free(void *r)
{
    gzip_reader_free(r);
}

static int reader_step(void *r, const void *in, size_t in_len, void *out, size_t out_size,
                       struct pack_step *ret_step)
{
    return gzip_reader_step(r, in, in_len, out, out_size, ret_step);
}

const struct format format = {
    .writer_new = writer_new,
    .writer_free = writer_free,
    .writer_step = writer_step,
    .reader_new = reader_new,
    .reader_free = reader_free,
    .reader_step = reader_step,
    .pack_command = "gzip -9c",
    .unpack_command = "gzip -dc",
};

/* Deflate without gzip's header is another format (zlib's), and so is gzip's with another
 * method. */
static void refuses_zlibs_own_header(void **state)
{
    struct buf zlib = {.data = (char *)"\x78\x9c\x4b\x04\x00\x00\x62\x00\x62", .len = 9};
    assert_int_equal(unpack_result(&zlib, 1000, 1000), ERR_SYNTAX);
}

static void the_same_bytes_give_the_same_file(void **state)
{
    AUTOBUF struct buf one = BUF_INIT(1000), two = BUF_INIT(1000);
    pack_into(&one, "profile", 7, 6, 100);
    pack_into(&two, "profile", 7, 6, 100);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PACK_TESTS,
        cmocka_unit_test(refuses_zlibs_own_header),
        cmocka_unit_test(the_same_bytes_give_the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
