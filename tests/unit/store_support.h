/* store_support.h -- what the tests of the console's store share: a db in a folder of its own, hosts, captures and results. */
#pragma once

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "remote/store/captures.h"
#include "remote/store/db.h"
#include "remote/store/hosts.h"
#include "remote/store/profiles.h"

#define HOST_1 "01890a5d-ac96-774b-bcce-b302099a8057"
#define HOST_2 "01890a5d-ac96-774b-bcce-b302099a8058"

static struct db *db;

static inline char *data_dir(void)
{
    return in_folder("data");
}

static inline void open_db(void)
{
    AUTOFREE char *dir = data_dir();
    assert_int_equal(db_open(dir, &db), 0);
    assert_int_equal(db_mend(db), 0);
}

static inline void close_db(void)
{
    db_close(db);
    db = NULL;
}

static inline void reopen_db(void)
{
    close_db();
    open_db();
}

static inline void begin(void)
{
    assert_int_equal(db_begin(db), 0);
}

static inline void commit(void)
{
    assert_int_equal(db_commit(db), 0);
}

static inline void add_host(struct db *to, const char *id, const char *name)
{
    struct host_row row = {.enrolled_ms = 1000, .cert_not_after_ms = 9000};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    assert_int_equal(hosts_add(to, &row), 0);
}

/* Set-up and tear-down of a test with a db (and two hosts). */
static inline int make_db(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    open_db();
    begin();
    add_host(db, HOST_1, "one");
    add_host(db, HOST_2, "two");
    commit();
    return 0;
}

static inline int remove_db(void **state)
{
    close_db();
    return remove_folder(state);
}

/* The n-th id: in the order of n. */
static inline void nth_id(unsigned n, char ret_id[static UUID_TEXT])
{
    (void)snprintf(ret_id, UUID_TEXT, "01890a5d-0000-7000-8000-%012x", n);
}

static inline struct capture_row a_capture(const char *id)
{
    struct capture_row row = {.instance = 1, .created_ms = 1000};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.request, sizeof row.request, "%s", id);
    (void)snprintf(row.host, sizeof row.host, "%s", HOST_1);
    (void)snprintf(row.kind, sizeof row.kind, "cpu");
    (void)snprintf(row.app, sizeof row.app, "web");
    (void)snprintf(row.requester, sizeof row.requester, "user ann");
    (void)snprintf(row.role, sizeof row.role, "operator");
    (void)snprintf(row.state, sizeof row.state, "queued");
    return row;
}

/* Bytes that are known by their number. */
static inline char *make_bytes(unsigned seed, size_t len)
{
    char *bytes = xcalloc(1, len + 1);
    uint64_t x = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (char)x;
    }
    return bytes;
}

/* What is stored is taken for the result itself, where nobody expands it. */
static inline struct blob_sums sums_of(const char *bytes, size_t len)
{
    struct blob_sums sums = {.bytes = len, .stored_bytes = len};
    sha256(bytes, len, sums.sha256);
    sha256(bytes, len, sums.stored_sha256);
    return sums;
}

static inline struct profile_row a_profile(const char *id, const struct blob_sums *sums)
{
    struct profile_row row = {.created_ms = 1000, .stored_ms = 2000, .sums = *sums};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.host, sizeof row.host, "%s", HOST_1);
    (void)snprintf(row.app, sizeof row.app, "web");
    (void)snprintf(row.kind, sizeof row.kind, "cpu");
    return row;
}

/* In a transaction: a capture, its part file in two pieces, its profile. */
static inline int bring(struct db *to, unsigned n, unsigned seed, size_t len, int64_t stored_ms)
{
    char id[UUID_TEXT];
    uint64_t offset;
    nth_id(n, id);
    AUTOFREE char *bytes = make_bytes(seed, len);
    struct blob_sums sums = sums_of(bytes, len);
    struct capture_row capture = a_capture(id);
    struct profile_row profile = a_profile(id, &sums);
    profile.stored_ms = stored_ms;
    (void)snprintf(capture.state, sizeof capture.state, "done");
    int r = captures_add(to, &capture);
    if (r == 0)
        r = incoming_begin(to, id, len, sums.stored_sha256, &offset);
    if (r == 0)
        r = incoming_add(to, id, 0, bytes, len / 2);
    if (r == 0)
        r = incoming_add(to, id, len / 2, bytes + len / 2, len - len / 2);
    return r < 0 ? r : profiles_add(to, &profile);
}

static inline void bring_one(unsigned n, size_t len)
{
    begin();
    assert_int_equal(bring(db, n, n, len, 2000 + n), 0);
    commit();
}

static inline void assert_bytes_at(int fd, uint64_t offset, unsigned seed, size_t len)
{
    AUTOFREE char *expected = make_bytes(seed, len);
    AUTOFREE char *found = xcalloc(1, len + 1);
    assert_int_equal(pread(fd, found, len, (off_t)offset), (ssize_t)len);
    assert_memory_equal(found, expected, len);
}

/* The n-th profile is there, with the bytes of `seed`. */
static inline void assert_profile(unsigned n, unsigned seed, size_t len)
{
    char id[UUID_TEXT];
    struct profile_row row;
    AUTOCLOSE int fd = -1;
    nth_id(n, id);
    assert_int_equal(profiles_get(db, id, &row), 0);
    assert_int_equal(profiles_open(db, &row, &fd), 0);
    assert_int_equal(row.sums.stored_bytes, len);
    assert_bytes_at(fd, row.offset, seed, len);
}

static inline void remove_one(unsigned n)
{
    char id[UUID_TEXT];
    nth_id(n, id);
    begin();
    assert_int_equal(profiles_remove(db, id), 0);
    commit();
}

/* Files in DIR/<name>, and their bytes. */
struct tally {
    unsigned files;
    uint64_t bytes;
};
static inline struct tally tally_of(const char *name)
{
    struct tally t = {0};
    AUTOFREE char *dir = data_dir(), *path = path_join(dir, name);
    DIR *folder_handle = opendir(path);
    assert_non_null(folder_handle);
    for (const struct dirent *e; (e = readdir(folder_handle));) {
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(dirfd(folder_handle), e->d_name, &st, 0), 0);
        t.files++;
        t.bytes += (uint64_t)st.st_size;
    }
    (void)closedir(folder_handle);
    return t;
}

static inline void assert_tally(const char *name, unsigned files, uint64_t bytes)
{
    struct tally t = tally_of(name);
    assert_int_equal(t.files, files);
    assert_int_equal(t.bytes, bytes);
}
