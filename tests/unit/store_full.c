/* A disk without room: a small tmpfs of our own where we may mount one, and a limit on the size of files everywhere. */
#include "tests/unit/store_support.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "lib/base/loop.h"
#include "remote/store/accounts.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"
#include "remote/store/store.h"

#define DISK "size=100m,mode=0700"

static bool may_mount;

static int mount_disk(void **state)
{
    if (!may_mount)
        return 0;
    if (make_folder(state) < 0 || mount("none", folder, "tmpfs", 0, DISK) < 0)
        return -1;
    open_db();
    begin();
    add_host(db, HOST_1, "one");
    commit();
    return 0;
}

static int unmount_disk(void **state)
{
    if (!may_mount)
        return 0;
    close_db();
    return umount(folder) < 0 ? -1 : remove_folder(state);
}

static void need_disk(void)
{
    if (!may_mount)
        skip();
}

static uint64_t room(void)
{
    struct statvfs fs;
    assert_int_equal(statvfs(folder, &fs), 0);
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Leaves `left` bytes; another call leaves less. */
static void fill_disk(uint64_t left)
{
    AUTOFREE char *path = in_folder("filler");
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(room() > left);
    assert_int_equal(posix_fallocate(fd, 0, st.st_size + (off_t)(room() - left)), 0);
}

static void empty_disk(void)
{
    AUTOFREE char *path = in_folder("filler");
    assert_int_equal(unlink(path), 0);
}

/* ---- rows, through the store ----------------------------------------------------------------- */

static uv_loop_t loop;
static struct store *store;
static int asked, acknowledged, refused, refused_with = 0;

static int add_audit(struct db *to, void *arg)
{
    struct audit_row row = {.at_ms = 1, .who = "user ann", .what = "login"};
    memset(row.text, 'x', sizeof row.text - 1);
    return audit_add(to, &row);
}

static void on_added(void *arg, int result)
{
    asked--;
    if (result >= 0) {
        acknowledged++;
        return;
    }
    refused++;
    refused_with = result;
}

static int count_audit(struct db *from, void *arg)
{
    int64_t count = 0;
    int r = sql_get_int(from, "SELECT COUNT(*) FROM audit", NO_ARGS, &count);
    return r < 0 ? r : (int)count;
}

static void on_counted(void *arg, int result)
{
    asked--;
    *(int *)arg = result;
}

static void run_all(void)
{
    while (asked > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void add_some(int count)
{
    for (int i = 0; i < count; i++) {
        asked++;
        store_write(store, add_audit, on_added, NULL);
    }
    run_all();
}

static int read_count(void)
{
    int count = -1;
    asked++;
    store_read(store, count_audit, on_counted, &count);
    run_all();
    return count;
}

static void open_store(void)
{
    AUTOFREE char *dir = data_dir();
    asked = acknowledged = refused = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(store_open(&store, &loop, dir), 0);
}

static void close_store(void)
{
    store_close(store, NULL, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* Writes until nothing goes any more, in batches of all sizes. */
static void write_until_refused(void)
{
    for (int i = 0; refused < 40; i++) {
        assert_true(i < 2000);
        add_some(1 + i % 17);
    }
}

static void rows_that_were_acknowledged_stay_on_a_full_disk(void **state)
{
    need_disk();
    close_db();
    open_store();
    add_some(10);
    fill_disk(600 << 10);
    write_until_refused();
    assert_int_equal(refused_with, -ENOSPC);
    /* Reading goes on, and nothing of what was refused has happened. */
    assert_int_equal(read_count(), acknowledged);
    empty_disk();
    int before = refused;
    add_some(200);
    assert_int_equal(refused, before);
    assert_int_equal(read_count(), acknowledged);
    close_store();
    open_db();
    assert_int_equal(count_audit(db, NULL), acknowledged);
}

static void a_store_that_is_killed_on_a_full_disk_opens_again(void **state)
{
    need_disk();
    close_db();
    fill_disk(1 << 20);
    int ends[2], counted = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_store();
        write_until_refused();
        _exit(write(ends[1], &acknowledged, sizeof acknowledged) == sizeof acknowledged ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &counted, sizeof counted), sizeof counted);
    (void)close(ends[0]);
    (void)close(ends[1]);
    empty_disk();
    open_db();
    assert_int_equal(count_audit(db, NULL), counted);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_part_stays_as_long_as_it_was_acknowledged(void **state)
{
    need_disk();
    enum { LEN = 3 << 20, PIECE = 64 << 10 };
    char id[UUID_TEXT];
    uint64_t offset, have = 0;
    AUTOFREE char *bytes = make_bytes(1, LEN);
    struct blob_sums sums = sums_of(bytes, LEN);
    nth_id(1, id);
    struct capture_row capture = a_capture(id);
    struct profile_row profile = a_profile(id, &sums);
    begin();
    assert_int_equal(captures_add(db, &capture), 0);
    assert_int_equal(incoming_begin(db, id, LEN, sums.stored_sha256, &offset), 0);
    commit();
    fill_disk(18 << 20);
    int r = 0;
    while (r == 0) {
        begin();
        r = incoming_add(db, id, have, bytes + have, PIECE);
        if (r < 0)
            db_rollback(db);
        else
            r = db_commit(db);
        have += r == 0 ? PIECE : 0;
    }
    assert_int_equal(r, -ENOSPC);
    /* Some is left for the rows. */
    assert_true(room() >= 15 << 20);
    assert_true(have > 0 && have < LEN);
    assert_tally("incoming", 1, have);
    empty_disk();
    begin();
    assert_int_equal(incoming_begin(db, id, LEN, sums.stored_sha256, &offset), 0);
    assert_int_equal(offset, have);
    assert_int_equal(incoming_add(db, id, have, bytes + have, LEN - have), 0);
    commit();
    /* It is to be copied, and there is no room for that. */
    fill_disk(1 << 20);
    begin();
    assert_int_equal(profiles_add(db, &profile), -ENOSPC);
    db_rollback(db);
    assert_tally("incoming", 1, LEN);
    assert_tally("segments", 0, 0);
    empty_disk();
    begin();
    assert_int_equal(profiles_add(db, &profile), 0);
    commit();
    assert_profile(1, 1, LEN);
}

static void a_result_is_not_begun_without_room_for_it(void **state)
{
    need_disk();
    char id[UUID_TEXT];
    uint64_t offset;
    uint8_t hash[SHA256_BYTES] = {1};
    nth_id(1, id);
    begin();
    assert_int_equal(incoming_begin(db, id, 40 << 20, hash, &offset), -ENOSPC);
    assert_int_equal(incoming_begin(db, id, 10 << 20, hash, &offset), 0);
    commit();
    fill_disk(64 << 20);
    begin();
    assert_int_equal(incoming_begin(db, id, 10 << 20, hash, &offset), -ENOSPC);
    db_rollback(db);
    assert_tally("incoming", 1, 0);
}

static uint64_t offset_of;
static int begin_part(unsigned n, uint64_t len)
{
    char id[UUID_TEXT];
    uint8_t hash[SHA256_BYTES] = {(uint8_t)n};
    nth_id(n, id);
    begin();
    int r = incoming_begin(db, id, len, hash, &offset_of);
    if (r < 0)
        db_rollback(db);
    else
        commit();
    return r;
}

static void add_to_part(unsigned n, size_t len)
{
    char id[UUID_TEXT];
    AUTOFREE char *bytes = make_bytes(n, len);
    nth_id(n, id);
    begin();
    assert_int_equal(incoming_add(db, id, 0, bytes, len), 0);
    commit();
}

static int make_room(unsigned n, uint64_t len)
{
    char id[UUID_TEXT];
    const struct retention limits = {.limit_bytes = 1 << 30};
    nth_id(n, id);
    begin();
    int r = retention_make_room(db, id, len, &limits, loop_wall_ms());
    commit();
    return r;
}

static void what_others_still_have_to_bring_is_no_room(void **state)
{
    need_disk();
    assert_int_equal(begin_part(1, 20 << 20), 0);
    assert_int_equal(begin_part(2, 20 << 20), -ENOSPC);
    assert_int_equal(begin_part(2, 10 << 20), 0);
    /* What has come is on the disk, and is not counted twice. */
    add_to_part(1, 5 << 20);
    assert_int_equal(begin_part(3, 1 << 20), 0);
    /* What nobody brings any more keeps nothing free. */
    assert_int_equal(db_exec(db, "UPDATE incoming SET touched_ms = 5"), 0);
    assert_int_equal(begin_part(4, 20 << 20), 0);
}

static void room_is_made_by_removing_the_oldest(void **state)
{
    need_disk();
    for (unsigned i = 1; i <= 3; i++)
        bring_one(i, 5 << 20);
    /* The limit is far away, but the disk is smaller. */
    assert_int_equal(begin_part(9, 28 << 20), -ENOSPC);
    int removed = 0;
    while (make_room(9, 28 << 20) == 1)
        removed++;
    assert_true(removed > 0);
    assert_int_equal(begin_part(9, 28 << 20), 0);
    assert_profile(3, 3, 5 << 20);
    /* Nothing is removed for what can never be. */
    assert_int_equal(make_room(10, 90 << 20), 0);
    assert_profile(3, 3, 5 << 20);
}

static void the_youngest_part_goes_when_nothing_else_helps(void **state)
{
    need_disk();
    assert_int_equal(begin_part(1, 15 << 20), 0);
    assert_int_equal(begin_part(2, 15 << 20), 0);
    add_to_part(1, 4 << 20);
    add_to_part(2, 5 << 20);
    fill_disk(70 << 20);
    /* A third one takes nobody's place. */
    assert_int_equal(make_room(3, 10 << 20), 0);
    assert_tally("incoming", 2, 9 << 20);
    assert_int_equal(make_room(1, 15 << 20), 1);
    assert_tally("incoming", 1, 4 << 20);
    assert_int_equal(make_room(1, 15 << 20), 0);
    assert_tally("incoming", 1, 4 << 20);
    /* But that of one that nobody brings any more. */
    assert_int_equal(db_exec(db, "UPDATE incoming SET touched_ms = 5"), 0);
    assert_int_equal(make_room(3, 20 << 20), 1);
    assert_tally("incoming", 0, 0);
}

static void a_full_disk_is_emptied_by_retention(void **state)
{
    need_disk();
    struct retention limits = {.limit_bytes = 6 << 20};
    for (unsigned i = 1; i <= 3; i++)
        bring_one(i, 5 << 20);
    for (unsigned i = 4; i <= 8; i++)
        bring_one(i, 100 << 10);
    fill_disk(256 << 10);
    for (int r = 1; r == 1;) {
        begin();
        r = retention_step(db, &limits, 0);
        assert_true(r >= 0);
        commit();
    }
    assert_true(tally_of("segments").bytes <= 6 << 20);
    assert_profile(3, 3, 5 << 20);
    assert_profile(8, 8, 100 << 10);
}

/* ---- files of a limited size ----------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void files_that_may_not_grow_lose_nothing(void **state)
{
    close_db();
    open_store();
    add_some(10);
    limit_files(400 << 10);
    write_until_refused();
    assert_true(refused_with == -EFBIG || refused_with == -EIO);
    assert_int_equal(read_count(), acknowledged);
    limit_files(RLIM_INFINITY);
    int before = refused;
    add_some(200);
    assert_int_equal(refused, before);
    assert_int_equal(read_count(), acknowledged);
    close_store();
    open_db();
    assert_int_equal(count_audit(db, NULL), acknowledged);
}

static void a_segment_that_may_not_grow_loses_nothing(void **state)
{
    bring_one(1, 300 << 10);
    limit_files(400 << 10);
    begin();
    assert_int_equal(bring(db, 2, 2, 200 << 10, 1), -EFBIG);
    limit_files(RLIM_INFINITY);
    db_rollback(db);
    assert_tally("segments", 1, 300 << 10);
    bring_one(2, 200 << 10);
    assert_profile(1, 1, 300 << 10);
    assert_profile(2, 2, 200 << 10);
}

int main(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    may_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_that_were_acknowledged_stay_on_a_full_disk, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(a_store_that_is_killed_on_a_full_disk_opens_again,
                                        mount_disk, unmount_disk),
        cmocka_unit_test_setup_teardown(a_part_stays_as_long_as_it_was_acknowledged, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(a_result_is_not_begun_without_room_for_it, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(what_others_still_have_to_bring_is_no_room, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(room_is_made_by_removing_the_oldest, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(the_youngest_part_goes_when_nothing_else_helps, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(a_full_disk_is_emptied_by_retention, mount_disk,
                                        unmount_disk),
        cmocka_unit_test_setup_teardown(files_that_may_not_grow_lose_nothing, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_segment_that_may_not_grow_loses_nothing, make_db,
                                        remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
