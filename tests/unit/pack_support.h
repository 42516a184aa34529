/* pack_support.h -- the same tests for lib/pack's two formats: each program says through `struct
 * format` which one it tests. */
#pragma once

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/pack/zstd.h"

struct format {
    void *(*writer_new)(int level);
    void (*writer_free)(void *w);
    int (*writer_step)(void *w, const void *in, size_t in_len, bool end, void *out, size_t out_size,
                       struct pack_step *ret_step);
    void *(*reader_new)(uint64_t limit);
    void (*reader_free)(void *r);
    int (*reader_step)(void *r, const void *in, size_t in_len, void *out, size_t out_size,
                       struct pack_step *ret_step);
    const char *pack_command;   /* reads stdin, writes stdout */
    const char *unpack_command; /* the same */
};

extern const struct format format;

/* Packs all of it with pieces of `piece` bytes in and out.  The caller clears. */
static inline void pack_into(struct buf *out, const void *data, size_t len, int level, size_t piece)
{
    void *w = format.writer_new(level);
    size_t used = 0;
    AUTOFREE char *part = xcalloc(1, piece);
    for (int done = 0; done == 0;) {
        struct pack_step step;
        size_t in = len - used < piece ? len - used : piece;
        bool end = used + in == len;
        done = format.writer_step(w, (const char *)data + used, in, end, part, piece, &step);
        assert_in_range(done, 0, 1);
        assert_true(step.used <= in && step.made <= piece);
        used += step.used;
        assert_int_equal(buf_add(out, part, step.made), 0);
    }
    assert_int_equal(used, len);
    format.writer_free(w);
}

/* Unpacks with pieces of `piece` bytes.  Returns what the reader says in the end: 1 (then
 * `ret_used` bytes were used), 0 when the input ended first, or an error. */
static inline int unpack_into(struct buf *out, const struct buf *packed, uint64_t limit,
                              size_t piece, size_t *ret_used)
{
    void *r = format.reader_new(limit);
    size_t used = 0;
    int result;
    AUTOFREE char *part = xcalloc(1, piece);
    for (;;) {
        struct pack_step step = {.used = 0};
        size_t in = packed->len - used < piece ? packed->len - used : piece;
        result = format.reader_step(r, packed->data + used, in, part, piece, &step);
        if (result < 0)
            break;
        assert_true(step.used <= in && step.made <= piece);
        used += step.used;
        assert_int_equal(buf_add(out, part, step.made), 0);
        if (result == 1 || (used == packed->len && step.made < piece))
            break;
    }
    assert_true(out->len <= limit);
    if (result != 0) { /* and it stays so */
        struct pack_step again = {.used = 7, .made = 7};
        assert_int_equal(format.reader_step(r, "x", 1, part, piece, &again), result);
        assert_true(result < 0 || (again.used == 0 && again.made == 0));
    }
    format.reader_free(r);
    *ret_used = used;
    return result;
}

static inline int unpack_result(const struct buf *packed, uint64_t limit, size_t piece)
{
    AUTOBUF struct buf out = BUF_INIT(64 << 20);
    size_t used;
    return unpack_into(&out, packed, limit, piece, &used);
}

/* Half words, half noise, always the same. */
static inline void fill_sample(char *data, size_t len)
{
    uint32_t x = 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = i / 500 % 2 ? (char)(x >> 24) : "processes and profiles "[i % 23];
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void comes_back_whole_in_pieces_of_any_size(void **state)
{
    static const size_t lengths[] = {0, 1, 1000, 131072, 700001};
    static const size_t pieces[] = {7, 4096, 65536, 1 << 20};
    AUTOFREE char *data = xcalloc(1, 700001);
    fill_sample(data, 700001);
    for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
        for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
            AUTOBUF struct buf packed = BUF_INIT(2 << 20), out = BUF_INIT(2 << 20);
            size_t used;
            pack_into(&packed, data, lengths[l], 3, pieces[p]);
            assert_int_equal(unpack_into(&out, &packed, lengths[l], pieces[p], &used), 1);
            assert_int_equal(used, packed.len);
            assert_int_equal(out.len, lengths[l]);
            assert_true(lengths[l] == 0 || memcmp(out.data, data, lengths[l]) == 0);
        }
    }
}

static void works_byte_by_byte(void **state)
{
    char data[3000];
    AUTOBUF struct buf packed = BUF_INIT(10000), out = BUF_INIT(10000);
    size_t used;
    fill_sample(data, sizeof data);
    pack_into(&packed, data, sizeof data, 1, 1);
    assert_int_equal(unpack_into(&out, &packed, sizeof data, 1, &used), 1);
    assert_int_equal(used, packed.len);
    assert_int_equal(out.len, sizeof data);
    assert_memory_equal(out.data, data, sizeof data);
}

static void makes_as_much_as_the_limit_and_not_a_byte_more(void **state)
{
    static const size_t pieces[] = {1, 100, 65536};
    AUTOFREE char *data = xcalloc(1, 200000);
    AUTOBUF struct buf packed = BUF_INIT(1 << 20);
    fill_sample(data, 200000);
    pack_into(&packed, data, 200000, 3, 65536);
    for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
        assert_int_equal(unpack_result(&packed, 200000, pieces[p]), 1);
        assert_int_equal(unpack_result(&packed, 200001, pieces[p]), 1);
        assert_int_equal(unpack_result(&packed, 199999, pieces[p]), ERR_TOO_BIG);
        assert_int_equal(unpack_result(&packed, 65536, pieces[p]), ERR_TOO_BIG);
        assert_int_equal(unpack_result(&packed, 1, pieces[p]), ERR_TOO_BIG);
        assert_int_equal(unpack_result(&packed, 0, pieces[p]), ERR_TOO_BIG);
    }
}

/* 64 MiB of zeros: some kilobytes. */
static void bombs_do_not_go_off(void **state)
{
    void *w = format.writer_new(9);
    AUTOBUF struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    AUTOFREE char *zeros = xcalloc(1, 1 << 20);
    char part[65536];
    for (int i = 0, done = 0; done == 0;) {
        struct pack_step step;
        size_t in = i < 64 ? 1 << 20 : 0;
        done = format.writer_step(w, zeros, in, in == 0, part, sizeof part, &step);
        assert_in_range(done, 0, 1);
        assert_int_equal(buf_add(&packed, part, step.made), 0);
        i += step.used == in;
    }
    format.writer_free(w);
    assert_true(packed.len < 100000);
    size_t used;
    assert_int_equal(unpack_into(&out, &packed, 1 << 20, 65536, &used), ERR_TOO_BIG);
}

static void what_is_cut_off_never_ends(void **state)
{
    char data[3000];
    AUTOBUF struct buf packed = BUF_INIT(10000);
    fill_sample(data, sizeof data);
    pack_into(&packed, data, sizeof data, 3, 65536);
    while (packed.len > 0) {
        buf_cut(&packed, packed.len - 1);
        assert_int_equal(unpack_result(&packed, sizeof data, 1000), 0);
    }
}

static void what_follows_is_not_used(void **state)
{
    static const size_t pieces[] = {1, 100, 65536};
    char data[3000];
    AUTOBUF struct buf packed = BUF_INIT(20000);
    fill_sample(data, sizeof data);
    pack_into(&packed, data, sizeof data, 3, 65536);
    size_t len = packed.len, used;
    pack_into(&packed, data, sizeof data, 3, 65536); /* a second stream */
    for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
        AUTOBUF struct buf out = BUF_INIT(10000);
        assert_int_equal(unpack_into(&out, &packed, sizeof data, pieces[p], &used), 1);
        assert_int_equal(used, len);
        assert_int_equal(out.len, sizeof data);
    }
}

/* A changed bit is found, or (in a header's spare bits) changes nothing. */
static void damage_is_found(void **state)
{
    char data[3000];
    AUTOBUF struct buf packed = BUF_INIT(10000);
    unsigned found = 0, all = 0;
    fill_sample(data, sizeof data);
    pack_into(&packed, data, sizeof data, 3, 65536);
    for (size_t i = 0; i < packed.len; i += 3) {
        AUTOBUF struct buf out = BUF_INIT(10000);
        size_t used;
        packed.data[i] ^= 0x10;
        if (unpack_into(&out, &packed, sizeof data, 1000, &used) == 1)
            assert_memory_equal(out.data, data, sizeof data);
        else
            found++;
        all++;
        packed.data[i] ^= 0x10;
    }
    assert_true(found > all * 9 / 10);
}

static void refuses_foreign_bytes(void **state)
{
    static const char *const texts[] = {"xy", "{\"nodes\":[]}", "\x28\xb5\x2f\xfe....", "BZh9",
                                        "\x1f\x8b\x07......"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct buf b = {.data = (char *)texts[i], .len = strlen(texts[i])};
        assert_int_equal(unpack_result(&b, 1000, 1000), ERR_SYNTAX);
        assert_int_equal(unpack_result(&b, 1000, 1), ERR_SYNTAX);
    }
}

static void a_finished_writer_takes_nothing_more(void **state)
{
    void *w = format.writer_new(3);
    char out[1000];
    struct pack_step step;
    assert_int_equal(format.writer_step(w, "abc", 3, true, out, sizeof out, &step), 1);
    assert_int_equal(format.writer_step(w, "abc", 3, true, out, sizeof out, &step), ERR_FAILED);
    assert_int_equal(format.writer_step(w, NULL, 0, true, out, sizeof out, &step), ERR_FAILED);
    format.writer_free(w);
}

static void nothing_is_freed_as_well(void **state)
{
    format.writer_free(NULL);
    format.reader_free(NULL);
    format.writer_free(format.writer_new(-1));
    format.reader_free(format.reader_new(0));
}

static void run_filter(const char *command, const char *in_name, const char *out_name)
{
    AUTOFREE char *line = xasprintf("cd %s && %s <%s >%s", folder, command, in_name, out_name);
    assert_int_equal(system(line), 0);
}

static void put_bytes(const char *name, const void *data, size_t len)
{
    AUTOFREE char *path = in_folder(name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void get_bytes(const char *name, struct buf *out)
{
    AUTOFREE char *path = in_folder(name);
    assert_int_equal(path_read(path, out), 0);
}

static void another_program_reads_and_writes_the_same(void **state)
{
    AUTOFREE char *command = xasprintf("%s </dev/null >/dev/null 2>&1", format.pack_command);
    if (system(command) != 0)
        skip();
    AUTOFREE char *data = xcalloc(1, 300000);
    AUTOBUF struct buf packed = BUF_INIT(1 << 20), theirs = BUF_INIT(1 << 20);
    AUTOBUF struct buf out = BUF_INIT(1 << 20), unpacked = BUF_INIT(1 << 20);
    size_t used;
    fill_sample(data, 300000);
    pack_into(&packed, data, 300000, 6, 65536);
    put_bytes("packed", packed.data, packed.len);
    run_filter(format.unpack_command, "packed", "unpacked");
    get_bytes("unpacked", &unpacked);
    assert_int_equal(unpacked.len, 300000);
    assert_memory_equal(unpacked.data, data, 300000);
    run_filter(format.pack_command, "unpacked", "theirs");
    get_bytes("theirs", &theirs);
    assert_int_equal(unpack_into(&out, &theirs, 300000, 65536, &used), 1);
    assert_memory_equal(out.data, data, 300000);
}

#define PACK_TESTS                                                                                 \
    cmocka_unit_test(comes_back_whole_in_pieces_of_any_size),                                      \
        cmocka_unit_test(works_byte_by_byte),                                                      \
        cmocka_unit_test(makes_as_much_as_the_limit_and_not_a_byte_more),                          \
        cmocka_unit_test(bombs_do_not_go_off), cmocka_unit_test(what_is_cut_off_never_ends),       \
        cmocka_unit_test(what_follows_is_not_used), cmocka_unit_test(damage_is_found),             \
        cmocka_unit_test(refuses_foreign_bytes),                                                   \
        cmocka_unit_test(a_finished_writer_takes_nothing_more),                                    \
        cmocka_unit_test(nothing_is_freed_as_well),                                                \
        cmocka_unit_test_setup_teardown(another_program_reads_and_writes_the_same, make_folder,    \
                                        remove_folder)
