#include "lib/pack/zstd.h"

#include "tests/unit/pack_support.h"

static void *writer_new(int level)
{
    return zstd_writer_new(level);
}

static void writer_free(void *w)
{
    zstd_writer_free(w);
}

static int writer_step(void *w, const void *in, size_t in_len, bool end, void *out, size_t out_size,
                       struct pack_step *ret_step)
{
    return zstd_writer_step(w, in, in_len, end, out, out_size, ret_step);
}

static void *reader_new(uint64_t limit)
{
    return zstd_reader_new(limit);
}

static void reader_free(void *r)
{
    zstd_reader_free(r);
}

static int reader_step(void *r, const void *in, size_t in_len, void *out, size_t out_size,
                       struct pack_step *ret_step)
{
    return zstd_reader_step(r, in, in_len, out, out_size, ret_step);
}

const struct format format = {
    .writer_new = writer_new,
    .writer_free = writer_free,
    .writer_step = writer_step,
    .reader_new = reader_new,
    .reader_free = reader_free,
    .reader_step = reader_step,
    .pack_command = "zstd -q -9c",
    .unpack_command = "zstd -q -dc",
};

/* A frame's header names the window: what a reader needs in memory. */
static void windows_over_8_mib_are_refused(void **state)
{
    /* Magic; no content size, no checksum; window: exponent (10 less) in the upper 5 bits;
     * then one last empty raw block. */
    char frame[] = {'\x28', '\xb5', '\x2f', '\xfd', 0, (23 - 10) << 3, 1, 0, 0};
    struct buf packed = {.data = frame, .len = sizeof frame};
    assert_int_equal(unpack_result(&packed, 1000, 1000), 1);
    frame[5] = (char)((23 - 10) << 3 | 1);
    assert_int_equal(unpack_result(&packed, 1000, 1000), ERR_TOO_BIG);
    assert_int_equal(unpack_result(&packed, 1000, 1), ERR_TOO_BIG);
    frame[5] = (char)((31 - 10) << 3);
    assert_int_equal(unpack_result(&packed, 1000, 1000), ERR_TOO_BIG);
}

static void frames_without_content_are_none(void **state)
{
    struct buf skippable = {.data = (char *)"\x50\x2a\x4d\x18\x04\x00\x00\x00....", .len = 12};
    assert_int_equal(unpack_result(&skippable, 1000, 1000), ERR_SYNTAX);
    assert_int_equal(unpack_result(&skippable, 1000, 1), ERR_SYNTAX);
}

static void every_level_stays_within_a_window_of_1_mib(void **state)
{
    AUTOFREE char *data = xcalloc(1, 3 << 20);
    fill_sample(data, 3 << 20);
    for (int level = 1; level <= 19; level += 6) {
        AUTOBUF struct buf packed = BUF_INIT(8 << 20);
        pack_into(&packed, data, 3 << 20, level, 1 << 20);
        /* One segment (bit 5) would mean a window as large as the content. */
        assert_int_equal(packed.data[4] & 0x20, 0);
        assert_true((unsigned char)packed.data[5] <= (20 - 10) << 3);
        assert_int_equal(packed.data[4] & 4, 4); /* a checksum at the end */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PACK_TESTS,
        cmocka_unit_test(windows_over_8_mib_are_refused),
        cmocka_unit_test(frames_without_content_are_none),
        cmocka_unit_test(every_level_stays_within_a_window_of_1_mib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
