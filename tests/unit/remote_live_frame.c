/* remote/live_frame.c: WebSocket frames. */
#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "remote/live_frame.h"

static int take_all(struct live_frame_in *f, const void *data, size_t len, const uint8_t **payload,
                    size_t *payload_len)
{
    size_t used;
    int r = live_frame_take(f, data, len, &used, payload, payload_len);
    assert_true(used <= len);
    return r;
}

static void unmasks_what_comes_in_pieces(void **state)
{
    /* RFC 6455, 5.7: a masked pong with "Hello" */
    static const uint8_t frame[] = {0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                    0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct live_frame_in f = {0};
    const uint8_t *payload;
    size_t len;
    for (size_t i = 0; i + 1 < sizeof frame; i++)
        assert_int_equal(take_all(&f, frame + i, 1, &payload, &len), 0);
    assert_int_equal(take_all(&f, frame + sizeof frame - 1, 1, &payload, &len), LIVE_PONG);
    assert_int_equal(len, 5);
    assert_memory_equal(payload, "Hello", 5);
    assert_int_equal(take_all(&f, frame, sizeof frame, &payload, &len), LIVE_PONG);
    assert_memory_equal(payload, "Hello", 5);
}

static void takes_one_frame_at_a_time(void **state)
{
    static const uint8_t two[] = {0x89, 0x80, 1, 2, 3, 4, 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8};
    struct live_frame_in f = {0};
    const uint8_t *payload;
    size_t len, used;
    assert_int_equal(live_frame_take(&f, two, sizeof two, &used, &payload, &len), LIVE_PING);
    assert_int_equal(used, 6);
    assert_int_equal(len, 0);
    assert_int_equal(live_frame_take(&f, two + 6, sizeof two - 6, &used, &payload, &len),
                     LIVE_CLOSE);
    assert_int_equal(used, 8);
    assert_memory_equal(payload, "\x03\xe8", 2);
}

static void refuses_all_else(void **state)
{
    static const struct {
        uint8_t bytes[2];
        int error;
    } rows[] = {
        {{0x81, 0x82}, ERR_DENIED},   {{0x82, 0x80}, ERR_DENIED},   {{0x80, 0x80}, ERR_DENIED},
        {{0x01, 0xfe}, ERR_DENIED},   {{0x89, 0x00}, ERR_PROTOCOL}, {{0x81, 0x02}, ERR_PROTOCOL},
        {{0xc9, 0x80}, ERR_PROTOCOL}, {{0x09, 0x80}, ERR_PROTOCOL}, {{0x89, 0xfe}, ERR_PROTOCOL},
        {{0x89, 0xff}, ERR_PROTOCOL}, {{0x83, 0x80}, ERR_PROTOCOL}, {{0x8b, 0x80}, ERR_PROTOCOL},
        {{0x8f, 0x80}, ERR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct live_frame_in f = {0};
        const uint8_t *payload;
        size_t len;
        assert_int_equal(take_all(&f, rows[i].bytes, 2, &payload, &len), rows[i].error);
    }
}

static void makes_heads_of_each_length(void **state)
{
    uint8_t head[LIVE_HEAD_MAX];
    assert_int_equal(live_frame_head(LIVE_PING, 0, head), 2);
    assert_memory_equal(head, "\x89\x00", 2);
    assert_int_equal(live_frame_head(LIVE_TEXT, 125, head), 2);
    assert_memory_equal(head, "\x81\x7d", 2);
    assert_int_equal(live_frame_head(LIVE_TEXT, 126, head), 4);
    assert_memory_equal(head, "\x81\x7e\x00\x7e", 4);
    assert_int_equal(live_frame_head(LIVE_TEXT, 65535, head), 4);
    assert_memory_equal(head, "\x81\x7e\xff\xff", 4);
    assert_int_equal(live_frame_head(LIVE_TEXT, 65536, head), 10);
    assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\x01\0\0", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmasks_what_comes_in_pieces),
        cmocka_unit_test(takes_one_frame_at_a_time),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(makes_heads_of_each_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
