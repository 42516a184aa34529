/* db_mend(): after a crash, rows are right and files may be too many or too long. */
#include "remote/store/db_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "remote/store/sql.h"

enum { CLAIM_STEP_MS = 20 };

/* The lock on the folder of what comes in goes with this process, however it ends. */
static int claim(struct db *db)
{
    for (int waited_ms = 0;; waited_ms += CLAIM_STEP_MS) {
        if (flock(db->folders[FILE_PART], LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return -errno;
        if (waited_ms >= db->wait_ms)
            return ERR_BUSY;
        (void)nanosleep(&(struct timespec){.tv_nsec = CLAIM_STEP_MS * 1000000L}, NULL);
    }
}

static bool is_ours(enum file_kind kind, const char *name)
{
    int64_t number;
    return kind == FILE_SEGMENT ? files_segment_number(name, &number) : str_ends(name, ".part");
}

static int mend_file(struct db *db, enum file_kind kind, const char *name)
{
    int64_t length;
    struct stat st;
    int folder = db->folders[kind];
    int r = files_length(db, kind, name, &length);
    if (r < 0)
        return r;
    if (r == 0) {
        log_info("removing %s, which was left behind", name);
        return unlinkat(folder, name, 0) < 0 ? -errno : 0;
    }
    AUTOCLOSE int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > length)
        return ftruncate(fd, length) < 0 ? -errno : 0;
    if (st.st_size < length && kind == FILE_SEGMENT)
        log_err(0, "%s/segments/%s has lost its end: results in it cannot be read", db->dir, name);
    return 0;
}

static int mend_entries(struct db *db, enum file_kind kind, DIR *folder)
{
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        int r = is_ours(kind, entry->d_name) ? mend_file(db, kind, entry->d_name) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int mend_folder(struct db *db, enum file_kind kind)
{
    /* Opened anew: a copy of the descriptor would share its position, and its lock. */
    AUTOCLOSE int fd = openat(db->folders[kind], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder)
        return -errno;
    (void)TAKE_FD(fd);
    int r = mend_entries(db, kind, folder);
    (void)closedir(folder);
    return r;
}

/* Nothing can be mended where a file is gone; who reads from it gets an error. */
static int tell_lost_segments(struct db *db)
{
    char name[FILE_NAME];
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, "SELECT number FROM segments", NO_ARGS);
    while (r >= 0 && (r = sql_next(&q)) == 1) {
        files_segment_name(sql_int(&q), name);
        if (faccessat(db->folders[FILE_SEGMENT], name, F_OK, 0) < 0)
            log_err(-errno, "%s/segments/%s: results in it cannot be read", db->dir, name);
    }
    return r;
}

/* With the write lock: a command beside us may be making a file. */
static int mend_files(struct db *db)
{
    int r = db_begin(db);
    if (r < 0)
        return r;
    r = mend_folder(db, FILE_SEGMENT);
    if (r == 0)
        r = mend_folder(db, FILE_PART);
    if (r == 0)
        r = tell_lost_segments(db);
    db_rollback(db);
    return r;
}

int db_mend(struct db *db)
{
    int r = claim(db);
    if (r == ERR_BUSY)
        log_err(0, "another console runs on the folder %s", db->dir);
    else if (r < 0)
        log_err(r, "the folder %s/incoming cannot be locked", db->dir);
    if (r < 0)
        return r;
    r = mend_files(db);
    if (r < 0)
        log_err(r, "the folder %s cannot be put in order", db->dir);
    return r;
}
