#include "agent/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/wire/blob.h"

#define NOW INT64_C(1700000000000)
#define HOST "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER_HOST "01890a5d-ac96-774b-bcce-b302099a8058"
#define DAY (24 * 3600 * INT64_C(1000))

static char home[] = "/tmp/proctor-spool-XXXXXX";
static struct spool spool;
static char found[4][UUID_TEXT];
static unsigned found_count;

/* ---- a private home for each test ------------------------------------------------------------ */

static int set_up(void **state)
{
    (void)strcpy(home, "/tmp/proctor-spool-XXXXXX");
    return mkdtemp(home) && spool_open(&spool, home, 0) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    spool_close(&spool);
    AUTOFREE char *command = xasprintf("rm -rf '%s'", home);
    return system(command);
}

static char *path_of(const char *name)
{
    return xasprintf("%s/spool/%s", home, name);
}

static bool there(const char *id, const char *extension)
{
    AUTOFREE char *name = xasprintf("%s%s", id, extension);
    AUTOFREE char *path = path_of(name);
    return access(path, F_OK) == 0;
}

static void put(const char *id, const char *extension, const char *text)
{
    AUTOFREE char *name = xasprintf("%s%s", id, extension);
    AUTOFREE char *path = path_of(name);
    assert_int_equal(path_write_atomic(path, text, strlen(text), 0600), 0);
}

/* Says that a file was last written before `age_ms`. */
static void make_old(const char *id, const char *extension, int64_t age_ms)
{
    AUTOFREE char *name = xasprintf("%s%s", id, extension);
    AUTOFREE char *path = path_of(name);
    struct timespec at = {.tv_sec = (NOW - age_ms) / 1000};
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){at, at}, 0), 0);
}

static void on_found(void *arg, struct record *r)
{
    assert_in_range(found_count, 0, 3);
    memcpy(found[found_count++], r->id, UUID_TEXT);
}

/* As a new agent would. */
static void scan_again(void)
{
    int64_t limit_bytes = spool.limit_bytes;
    spool_close(&spool);
    found_count = 0;
    assert_int_equal(spool_open(&spool, home, 0), 0);
    spool.limit_bytes = limit_bytes;
    assert_int_equal(spool_scan(&spool, NOW, on_found, NULL), 0);
}

static void make_record(struct record *r, int n, int64_t created_ms)
{
    record_init(r);
    (void)snprintf(r->id, sizeof r->id, "01890a5d-ac96-774b-bcce-%012d", n);
    r->app = xstrdup("web");
    r->not_after_ms = r->created_ms = created_ms;
}

static const char *id_of(int n)
{
    static char id[UUID_TEXT];
    (void)snprintf(id, sizeof id, "01890a5d-ac96-774b-bcce-%012d", n);
    return id;
}

static int create(const struct record *r, int *ret_fd)
{
    struct spool_files f;
    assert_int_equal(spool_files_init(&f, &spool, r), 0);
    int e = spool_begin_write(&f, ret_fd);
    spool_files_clear(&f);
    if (e == 0)
        spool_begun(&spool, r);
    return e;
}

static void write_part(const struct record *r, const char *text)
{
    int fd;
    assert_int_equal(create(r, &fd), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void finish(struct record *r)
{
    struct spool_files f;
    assert_int_equal(spool_files_init(&f, &spool, r), 0);
    assert_int_equal(spool_end_write(&f), 0);
    spool_files_clear(&f);
    spool_ended(&spool, r);
}

/* A capture that ended `age_ms` ago, with a result of `bytes` bytes. */
static void store(int n, int64_t age_ms, int bytes)
{
    AUTORECORD struct record r;
    AUTOFREE char *text = xcalloc(1, (size_t)bytes + 1);
    memset(text, 'r', (size_t)bytes);
    make_record(&r, n, NOW - age_ms);
    write_part(&r, text);
    r.bytes = bytes;
    record_end(&r, RECORD_DONE, NOW - age_ms);
    finish(&r);
}

static void read_back(int n, struct record *r)
{
    char why[RECORD_TEXT];
    record_init(r);
    assert_int_equal(spool_read(&spool, id_of(n), r, why), 0);
}

static const struct blob_sums some_sums = {.bytes = 5, .stored_bytes = 3};

/* The record of capture `n` says that its result is packed; `text` is in that file (NULL: none). */
static void say_packed(int n, const char *text)
{
    AUTORECORD struct record r;
    read_back(n, &r);
    record_pack(&r, &some_sums);
    assert_int_equal(spool_rewrite(&spool, &r), 0);
    spool_ended(&spool, &r);
    if (text)
        put(r.id, ".cpuprofile.zst", text);
}

/* With a clock that has been steady for long. */
static void retain(int64_t now_ms)
{
    spool.steady_ms = 0;
    spool_retain(&spool, now_ms, 1);
}

static void say_from_console(int n, bool delivered)
{
    AUTORECORD struct record r;
    read_back(n, &r);
    r.from_console = true;
    r.host = xstrdup(HOST);
    r.delivered = delivered;
    assert_int_equal(spool_rewrite(&spool, &r), 0);
    spool_ended(&spool, &r);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void keeps_a_result_from_part_to_name(void **state)
{
    AUTORECORD struct record r;
    char text[8] = "";
    make_record(&r, 1, NOW);
    write_part(&r, "samples");
    assert_true(there(r.id, ".json"));
    assert_int_equal(spool_part_size(&spool, r.id), 7);
    assert_int_equal(spool_open_result(&spool, &r), -ENOENT);
    r.bytes = 7;
    record_end(&r, RECORD_DONE, NOW + 1);
    finish(&r);
    assert_false(there(r.id, ".part"));
    AUTOCLOSE int fd = spool_open_result(&spool, &r);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text), 7);
    assert_string_equal(text, "samples");
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(spool_find(&spool, r.id)->result_bytes, 7);
}

static void lets_only_the_owner_in(void **state)
{
    AUTOFREE char *dir = path_of("");
    AUTOFREE char *name = xasprintf("%s.cpuprofile", id_of(1));
    AUTOFREE char *path = path_of(name);
    struct stat st;
    store(1, 0, 5);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(dir, 0755), 0);
    scan_again();
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void lets_one_agent_in_at_a_time(void **state)
{
    struct spool other;
    assert_int_equal(spool_open(&other, home, 50), -EBUSY);
    spool_close(&spool);
    assert_int_equal(spool_open(&other, home, 0), 0);
    spool_close(&other);
    assert_int_equal(spool_open(&spool, home, 0), 0);
}

static void drops_the_part_of_a_failed_capture(void **state)
{
    AUTORECORD struct record r;
    make_record(&r, 1, NOW);
    write_part(&r, "half");
    record_fail(&r, "NO_LISTEN", NULL, NOW + 1);
    finish(&r);
    assert_false(there(r.id, ".part"));
    assert_true(there(r.id, ".json"));
    assert_int_equal(spool_find(&spool, r.id)->result_bytes, RECORD_UNKNOWN);
}

static void finds_captures_that_have_not_ended(void **state)
{
    AUTORECORD struct record r;
    make_record(&r, 1, NOW);
    write_part(&r, "half");
    (void)record_enter(&r, "start", NOW);
    assert_int_equal(spool_save(&spool, &r), 0);
    store(2, 0, 4);
    scan_again();
    assert_int_equal(found_count, 1);
    assert_string_equal(found[0], id_of(1));
    assert_true(there(id_of(1), ".part"));
    assert_int_equal(spool.count, 2);
}

static void finishes_a_renaming_that_a_crash_cut_short(void **state)
{
    AUTORECORD struct record r;
    make_record(&r, 1, NOW);
    write_part(&r, "whole");
    r.bytes = 5;
    record_end(&r, RECORD_DONE, NOW);
    assert_int_equal(spool_save(&spool, &r), 0);
    scan_again();
    assert_true(there(r.id, ".cpuprofile"));
    assert_false(there(r.id, ".part"));
    assert_int_equal(spool_find(&spool, r.id)->result_bytes, 5);
}

static void says_that_a_result_is_missing(void **state)
{
    AUTORECORD struct record r;
    AUTOFREE char *name = xasprintf("%s.cpuprofile", id_of(1));
    AUTOFREE char *path = path_of(name);
    store(1, 0, 5);
    assert_int_equal(unlink(path), 0);
    scan_again();
    read_back(1, &r);
    assert_int_equal(r.state, RECORD_DONE);
    assert_string_equal(r.warnings.items[0], RECORD_RESULT_MISSING);
    assert_int_equal(spool_find(&spool, r.id)->result_bytes, RECORD_UNKNOWN);
}

static void moves_broken_records_aside(void **state)
{
    AUTOFREE char *huge = xcalloc(1, 70000);
    memset(huge, ' ', 69999);
    AUTOFREE char *name = xasprintf("%s.json", id_of(5));
    AUTOFREE char *dir = path_of(name);
    AUTORECORD struct record wrong;
    make_record(&wrong, 7, NOW);
    store(9, 0, 3);
    put(id_of(1), ".json", "");
    put(id_of(2), ".json", "{\"id\":\"01890a5d-ac96-77");
    put(id_of(3), ".json", huge);
    put(id_of(4), ".json", "\xff\xfe garbage");
    put(id_of(4), ".part", "half");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(spool_save(&spool, &wrong), 0);
    AUTOFREE char *from_name = xasprintf("%s.json", id_of(7));
    AUTOFREE char *from = path_of(from_name);
    AUTOFREE char *to_name = xasprintf("%s.json", id_of(8));
    AUTOFREE char *to = path_of(to_name);
    assert_int_equal(rename(from, to), 0);
    scan_again();
    for (int n = 1; n <= 5; n++) {
        assert_false(there(id_of(n), ".json"));
        assert_true(there(id_of(n), ".json.broken"));
    }
    assert_true(there(id_of(8), ".json.broken"));
    assert_false(there(id_of(4), ".part"));
    assert_int_equal(spool.count, 1);
    assert_int_equal(found_count, 0);
    /* Once is enough. */
    scan_again();
    assert_int_equal(spool.count, 1);
}

static void does_not_read_what_is_no_file(void **state)
{
    AUTOFREE char *name = xasprintf("%s.json", id_of(1));
    AUTOFREE char *path = path_of(name);
    assert_int_equal(mkfifo(path, 0600), 0);
    scan_again();
    assert_true(there(id_of(1), ".json.broken"));
}

static void removes_what_nobody_can_ask_for(void **state)
{
    put(id_of(1), ".part", "half");
    put(id_of(2), ".json.tmp", "{");
    put(id_of(3), ".cpuprofile", "fresh");
    put(id_of(4), ".heapprofile", "old");
    make_old(id_of(3), ".cpuprofile", DAY);
    make_old(id_of(4), ".heapprofile", 8 * DAY);
    put(id_of(5), ".json.broken", "old");
    make_old(id_of(5), ".json.broken", 8 * DAY);
    put("notes", ".txt", "a person's");
    scan_again();
    assert_false(there(id_of(1), ".part"));
    assert_false(there(id_of(2), ".json.tmp"));
    assert_true(there(id_of(3), ".cpuprofile"));
    assert_false(there(id_of(4), ".heapprofile"));
    assert_false(there(id_of(5), ".json.broken"));
    assert_true(there("notes", ".txt"));
}

static void forgets_captures_after_a_week(void **state)
{
    AUTORECORD struct record r;
    store(1, 8 * DAY, 5);
    store(2, 6 * DAY, 5);
    make_record(&r, 3, NOW - 9 * DAY);
    write_part(&r, "still running");
    retain(NOW);
    assert_null(spool_find(&spool, id_of(1)));
    assert_false(there(id_of(1), ".json"));
    assert_false(there(id_of(1), ".cpuprofile"));
    assert_non_null(spool_find(&spool, id_of(2)));
    assert_non_null(spool_find(&spool, id_of(3)));
}

static void drops_the_oldest_results_when_there_are_too_many_bytes(void **state)
{
    AUTORECORD struct record r;
    for (int n = 1; n <= 4; n++)
        store(n, 10 - n, 100);
    spool.limit_bytes = 250;
    retain(NOW);
    assert_false(there(id_of(1), ".cpuprofile"));
    assert_false(there(id_of(2), ".cpuprofile"));
    assert_true(there(id_of(3), ".cpuprofile"));
    assert_true(there(id_of(4), ".cpuprofile"));
    read_back(1, &r);
    assert_int_equal(r.state, RECORD_DONE);
    assert_int_equal(r.bytes, 100);
    assert_string_equal(r.warnings.items[0], RECORD_RESULT_REMOVED);
    /* What was removed is not missing. */
    scan_again();
    record_clear(&r);
    read_back(1, &r);
    assert_int_equal(r.warnings.count, 1);
}

static void keeps_the_newest_result_whatever_its_size(void **state)
{
    store(1, 2, 100);
    store(2, 1, 5000);
    spool.limit_bytes = 250;
    retain(NOW);
    assert_false(there(id_of(1), ".cpuprofile"));
    assert_true(there(id_of(2), ".cpuprofile"));
}

static void forgets_the_oldest_when_there_are_too_many(void **state)
{
    AUTORECORD struct record r;
    make_record(&r, 9, NOW - 100);
    write_part(&r, "still running");
    for (int n = 1; n <= 5; n++)
        store(n, 10 - n, 10);
    spool.limit_records = 3;
    retain(NOW);
    assert_int_equal(spool.count, 3);
    assert_string_equal(spool.entries[0].id, id_of(9));
    assert_string_equal(spool.entries[1].id, id_of(4));
    assert_string_equal(spool.entries[2].id, id_of(5));
    assert_false(there(id_of(3), ".json"));
}

static void keeps_the_order_of_creation(void **state)
{
    store(1, 5, 10);
    store(2, 9, 10);
    store(3, 7, 10);
    for (int again = 0; again < 2; again++) {
        assert_string_equal(spool.entries[0].id, id_of(2));
        assert_string_equal(spool.entries[1].id, id_of(3));
        assert_string_equal(spool.entries[2].id, id_of(1));
        scan_again();
    }
}

/* Something in the record's way stands for a disk that is full. */
static void leaves_nothing_when_the_journal_cannot_be_written(void **state)
{
    AUTORECORD struct record r;
    int fd;
    make_record(&r, 1, NOW);
    AUTOFREE char *blocker_name = xasprintf("%s.json.tmp", r.id);
    AUTOFREE char *blocker = path_of(blocker_name);
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(create(&r, &fd), -EISDIR);
    assert_false(there(r.id, ".part"));
    assert_false(there(r.id, ".json"));
    assert_null(spool_find(&spool, r.id));
}

static int end_blocked(struct record *r)
{
    AUTOFREE char *name = xasprintf("%s.json.tmp", r->id);
    AUTOFREE char *temp = path_of(name);
    struct spool_files f;
    /* As if there were no room for another file. */
    assert_int_equal(mkdir(temp, 0700), 0);
    assert_int_equal(spool_files_init(&f, &spool, r), 0);
    int e = spool_end_write(&f);
    spool_files_clear(&f);
    assert_int_equal(rmdir(temp), 0);
    return e;
}

static void writes_an_end_over_the_record_when_there_is_no_room_for_another(void **state)
{
    AUTORECORD struct record r, back, long_one;
    make_record(&r, 1, NOW);
    write_part(&r, "half");
    record_end(&r, RECORD_CANCELLED, NOW);
    assert_int_equal(end_blocked(&r), 0);
    read_back(1, &back);
    assert_int_equal(back.state, RECORD_CANCELLED);
    assert_int_equal(spool_part_size(&spool, r.id), -ENOENT);

    /* One that is shorter than what is there. */
    make_record(&long_one, 1, NOW);
    record_fail(&long_one, "FAILED", "a sentence that makes the record much longer than it was",
                NOW);
    record_end(&long_one, RECORD_FAILED, NOW);
    finish(&long_one);
    assert_int_equal(end_blocked(&r), 0);
    record_clear(&back);
    read_back(1, &back);
    assert_int_equal(back.state, RECORD_CANCELLED);
    assert_null(back.error_message);

    /* With its result. */
    record_clear(&long_one);
    make_record(&long_one, 2, NOW);
    write_part(&long_one, "all of it");
    record_end(&long_one, RECORD_DONE, NOW);
    assert_int_equal(end_blocked(&long_one), 0);
    assert_true(there(id_of(2), ".cpuprofile"));
    scan_again();
    assert_int_equal(found_count, 0);
    assert_true(there(id_of(2), ".cpuprofile"));
}

static void leaves_the_old_record_when_the_new_one_needs_more_room(void **state)
{
    char message[RECORD_MESSAGE + 1];
    AUTORECORD struct record r, back;
    make_record(&r, 1, NOW);
    write_part(&r, "half");
    memset(message, 1, RECORD_MESSAGE); /* six bytes each in JSON */
    message[RECORD_MESSAGE] = '\0';
    record_fail(&r, "FAILED", message, NOW);
    record_end(&r, RECORD_FAILED, NOW);
    assert_int_equal(end_blocked(&r), -EISDIR);
    read_back(1, &back);
    assert_int_equal(back.state, RECORD_QUEUED);
}

/* ---- packed results -------------------------------------------------------------------------- */

/* After each step of packing.h in turn. */
static void mends_what_a_crash_has_left_of_packing(void **state)
{
    for (int n = 1; n <= 4; n++)
        store(n, n, 5);
    put(id_of(1), ".cpuprofile.zst.tmp", "ha");
    put(id_of(2), ".cpuprofile.zst", "zst");
    say_packed(3, "zst");
    say_packed(4, "zst");
    AUTOFREE char *name = xasprintf("%s.cpuprofile", id_of(4));
    AUTOFREE char *path = path_of(name);
    assert_int_equal(unlink(path), 0);
    scan_again();
    assert_false(there(id_of(1), ".cpuprofile.zst.tmp"));
    for (int n = 1; n <= 2; n++) {
        assert_true(there(id_of(n), ".cpuprofile"));
        assert_false(there(id_of(n), ".cpuprofile.zst"));
        assert_false(spool_find(&spool, id_of(n))->packed);
        assert_int_equal(spool_find(&spool, id_of(n))->result_bytes, 5);
    }
    for (int n = 3; n <= 4; n++) {
        assert_false(there(id_of(n), ".cpuprofile"));
        assert_true(there(id_of(n), ".cpuprofile.zst"));
        assert_true(spool_find(&spool, id_of(n))->packed);
        assert_int_equal(spool_find(&spool, id_of(n))->result_bytes, 3);
    }
    assert_string_equal(spool_next_unpacked(&spool)->id, id_of(1));
}

static void packs_again_what_is_not_packed_as_its_record_says(void **state)
{
    AUTORECORD struct record r, lost;
    store(1, 1, 5);
    store(2, 1, 5);
    store(3, 1, 5);
    say_packed(1, NULL);
    say_packed(2, "longer");
    say_packed(3, NULL);
    AUTOFREE char *name = xasprintf("%s.cpuprofile", id_of(3));
    AUTOFREE char *path = path_of(name);
    assert_int_equal(unlink(path), 0);
    scan_again();
    for (int n = 1; n <= 2; n++) {
        assert_true(there(id_of(n), ".cpuprofile"));
        assert_false(there(id_of(n), ".cpuprofile.zst"));
        assert_false(spool_find(&spool, id_of(n))->packed);
    }
    read_back(1, &r);
    assert_false(record_packed(&r));
    assert_null(r.sha256);
    assert_int_equal(r.warnings.count, 0);
    read_back(3, &lost);
    assert_string_equal(lost.warnings.items[0], RECORD_RESULT_MISSING);
}

static void opens_a_packed_result_only_when_it_has_its_size(void **state)
{
    store(1, 1, 5);
    say_packed(1, "zst");
    AUTOCLOSE int fd = spool_open_packed(&spool, id_of(1), RECORD_CPU, 3);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(spool_open_packed(&spool, id_of(1), RECORD_CPU, 4), ERR_MISMATCH);
    assert_int_equal(spool_open_packed(&spool, id_of(1), RECORD_HEAP, 3), -ENOENT);
}

static void removes_packed_results_that_nobody_can_ask_for(void **state)
{
    put(id_of(1), ".cpuprofile.zst", "fresh");
    put(id_of(2), ".heapprofile.zst", "old");
    make_old(id_of(1), ".cpuprofile.zst", DAY);
    make_old(id_of(2), ".heapprofile.zst", 8 * DAY);
    put(id_of(3), ".expanded.tmp", "x");
    put(id_of(4), ".heapprofile.zst.tmp", "x");
    scan_again();
    assert_true(there(id_of(1), ".cpuprofile.zst"));
    assert_false(there(id_of(2), ".heapprofile.zst"));
    assert_false(there(id_of(3), ".expanded.tmp"));
    assert_false(there(id_of(4), ".heapprofile.zst.tmp"));
}

static void counts_the_bytes_that_are_stored(void **state)
{
    AUTORECORD struct record r;
    store(1, 3, 200);
    store(2, 2, 200);
    store(3, 1, 100);
    say_packed(1, "zst");
    say_packed(2, "zst");
    spool.limit_bytes = 106;
    retain(NOW);
    for (int n = 1; n <= 2; n++)
        assert_true(there(id_of(n), ".cpuprofile.zst"));
    spool.limit_bytes = 105;
    retain(NOW);
    /* Both forms of it. */
    assert_false(there(id_of(1), ".cpuprofile.zst") || there(id_of(1), ".cpuprofile"));
    assert_true(there(id_of(2), ".cpuprofile.zst"));
    read_back(1, &r);
    assert_string_equal(r.warnings.items[0], RECORD_RESULT_REMOVED);
}

/* ---- what is owed to the console ------------------------------------------------------------- */

static void keeps_what_the_console_has_not_acknowledged(void **state)
{
    int64_t bytes;
    for (int n = 1; n <= 4; n++)
        store(n, 10 - n, 100);
    say_from_console(1, false);
    say_from_console(2, true);
    assert_int_equal(spool_owed(&spool, &bytes), 0);
    spool_belong(&spool, HOST);
    assert_int_equal(spool_owed(&spool, &bytes), 1);
    assert_int_equal(bytes, 100);
    spool.limit_bytes = 150;
    retain(NOW);
    assert_true(there(id_of(1), ".cpuprofile"));
    assert_false(there(id_of(2), ".cpuprofile") || there(id_of(3), ".cpuprofile"));
    assert_true(there(id_of(4), ".cpuprofile"));
    spool.limit_records = 1;
    retain(NOW);
    assert_int_equal(spool.count, 1);
    assert_non_null(spool_find(&spool, id_of(1)));
    scan_again();
    spool_belong(&spool, HOST);
    assert_int_equal(spool_owed(&spool, &bytes), 1);
    /* However old it is, as long as there is that console. */
    retain(NOW + 80 * DAY);
    assert_int_equal(spool.count, 1);
    spool_belong(&spool, OTHER_HOST);
    retain(NOW + 80 * DAY);
    assert_int_equal(spool.count, 0);
    assert_false(there(id_of(1), ".cpuprofile") || there(id_of(1), ".json"));
}

static void removes_first_what_the_console_has(void **state)
{
    for (int n = 1; n <= 6; n++)
        store(n, 10 - n, 100);
    for (int n = 4; n <= 6; n++)
        say_from_console(n, true);
    spool_belong(&spool, HOST);
    spool.limit_records = 4;
    retain(NOW);
    assert_int_equal(spool.count, 4);
    assert_null(spool_find(&spool, id_of(4)));
    assert_null(spool_find(&spool, id_of(5)));
    spool.limit_bytes = 300;
    store(7, 1, 100);
    retain(NOW);
    assert_null(spool_find(&spool, id_of(6)));
    for (int n = 1; n <= 3; n++)
        assert_true(there(id_of(n), ".json"));
    assert_false(there(id_of(1), ".cpuprofile"));
    assert_true(there(id_of(2), ".cpuprofile"));
}

/* Set ahead by years, set back, ahead again: only one that stays is believed. */
static void does_not_believe_a_clock_that_was_just_set(void **state)
{
    int64_t hour = DAY / 24, steady = 1000;
    store(1, 6 * DAY, 5);
    spool_retain(&spool, NOW + 9 * DAY, steady);
    assert_int_equal(spool.count, 1);
    steady += 23 * hour;
    spool_retain(&spool, NOW + 9 * DAY + 23 * hour, steady);
    spool_retain(&spool, NOW + 23 * hour, steady);
    steady += 2 * hour;
    spool_retain(&spool, NOW + 9 * DAY + 25 * hour, steady);
    assert_int_equal(spool.count, 1);
    assert_true(there(id_of(1), ".cpuprofile"));
    steady += 24 * hour;
    spool_retain(&spool, NOW + 9 * DAY + 49 * hour, steady);
    assert_int_equal(spool.count, 0);
}

/* Root reads everything, so descriptors run out instead. */
static void tries_again_what_could_not_be_read(void **state)
{
    struct rlimit before, none;
    AUTORECORD struct record r;
    store(1, 1, 5);
    store(2, 1, 5);
    say_packed(2, "zst");
    make_record(&r, 3, NOW);
    write_part(&r, "half");
    spool_close(&spool);
    assert_int_equal(spool_open(&spool, home, 0), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int last = dup(0);
    assert_int_equal(close(last), 0);
    /* One for the folder that is read, none for a record in it. */
    none.rlim_cur = (rlim_t)last + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    found_count = 0;
    int e = spool_scan(&spool, NOW, on_found, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(e, 0);
    assert_int_equal(spool.count, 0);
    assert_int_equal(found_count, 0);
    for (int n = 1; n <= 3; n++)
        assert_true(spool_is_unread(&spool, id_of(n)));
    spool_scan_unread(&spool, on_found, NULL);
    assert_int_equal(spool.count, 3);
    assert_int_equal(spool.unread.count, 0);
    assert_int_equal(found_count, 1);
    assert_true(there(id_of(3), ".part"));
    assert_true(spool_find(&spool, id_of(2))->packed);
    AUTORECORD struct record back;
    read_back(2, &back);
    assert_int_equal(back.warnings.count, 0);
}

static void leaves_alone_what_a_thread_is_at(void **state)
{
    store(1, 9, 100);
    store(2, 8 * DAY, 100);
    store(3, 1, 100);
    spool.limit_bytes = 50;
    spool_hold(&spool, id_of(1), true);
    spool_hold(&spool, id_of(2), true);
    spool_hold(&spool, id_of(9), true);
    retain(NOW);
    assert_true(there(id_of(1), ".cpuprofile"));
    assert_true(there(id_of(2), ".cpuprofile"));
    spool_hold(&spool, id_of(1), false);
    spool_hold(&spool, id_of(2), false);
    retain(NOW);
    assert_false(there(id_of(1), ".cpuprofile"));
    assert_false(there(id_of(2), ".json"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(keeps_a_result_from_part_to_name),
        TEST(lets_only_the_owner_in),
        TEST(lets_one_agent_in_at_a_time),
        TEST(drops_the_part_of_a_failed_capture),
        TEST(finds_captures_that_have_not_ended),
        TEST(finishes_a_renaming_that_a_crash_cut_short),
        TEST(says_that_a_result_is_missing),
        TEST(moves_broken_records_aside),
        TEST(does_not_read_what_is_no_file),
        TEST(removes_what_nobody_can_ask_for),
        TEST(forgets_captures_after_a_week),
        TEST(drops_the_oldest_results_when_there_are_too_many_bytes),
        TEST(keeps_the_newest_result_whatever_its_size),
        TEST(forgets_the_oldest_when_there_are_too_many),
        TEST(keeps_the_order_of_creation),
        TEST(leaves_nothing_when_the_journal_cannot_be_written),
        TEST(writes_an_end_over_the_record_when_there_is_no_room_for_another),
        TEST(leaves_the_old_record_when_the_new_one_needs_more_room),
        TEST(mends_what_a_crash_has_left_of_packing),
        TEST(packs_again_what_is_not_packed_as_its_record_says),
        TEST(opens_a_packed_result_only_when_it_has_its_size),
        TEST(removes_packed_results_that_nobody_can_ask_for),
        TEST(counts_the_bytes_that_are_stored),
        TEST(keeps_what_the_console_has_not_acknowledged),
        TEST(removes_first_what_the_console_has),
        TEST(does_not_believe_a_clock_that_was_just_set),
        TEST(tries_again_what_could_not_be_read),
        TEST(leaves_alone_what_a_thread_is_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
