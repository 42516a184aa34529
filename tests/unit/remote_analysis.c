#include "remote/analysis_child.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"

static int next(const char *text, size_t *pos, struct analysis_piece *piece)
{
    AUTOBUF struct buf out = BUF_INIT(4096);
    (void)buf_addstr(&out, text);
    int r = analysis_piece_next(&out, pos, piece);
    /* What is borrowed goes with the buffer. */
    if (r > 0)
        piece->data = text + (piece->data - out.data);
    return r;
}

static void reads_piece_after_piece(void **state)
{
    const char *text = "top 5\nhelloend 0\n";
    struct analysis_piece piece;
    size_t pos = 0;
    assert_int_equal(next(text, &pos, &piece), 1);
    assert_string_equal(piece.name, "top");
    assert_memory_equal(piece.data, "hello", 5);
    assert_int_equal(next(text, &pos, &piece), 1);
    assert_string_equal(piece.name, "end");
    assert_int_equal(piece.len, 0);
    assert_int_equal(next(text, &pos, &piece), 0);
}

static void refuses_what_is_no_piece(void **state)
{
    const char *const texts[] = {"top",     "top 5",       "top five\n",  "top -1\n",
                                 " 5\nxxx", "top 6\nshort", "a-name-that-is-too-long 1\nx",
                                 "top 18446744073709551615\nx"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct analysis_piece piece;
        size_t pos = 0;
        assert_int_equal(next(texts[i], &pos, &piece), ERR_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_piece_after_piece),
        cmocka_unit_test(refuses_what_is_no_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
