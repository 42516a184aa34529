#include "remote/store/db_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "remote/store/schema.h"
#include "remote/store/sql.h"

#define DB_NAME "console.db"

enum { FOLDER_MODE = 0700, DB_FILE_MODE = 0600, STEP_MS = 5 };

/* A database up to this size is read whole when it is opened: some 50 ms, and damage is told at once. */
#define CHECK_BYTES (16 << 20)

static const char *const folder_names[FILE_KINDS] = {
    [FILE_SEGMENT] = "segments",
    [FILE_PART] = "incoming",
};

static void sleep_ms(int ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static int system_error(sqlite3 *sqlite)
{
    int e = sqlite ? sqlite3_system_errno(sqlite) : 0;
    return e > 0 ? -e : -EIO;
}

static int constraint(int code)
{
    switch (code) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_ROWID:
        return ERR_EXISTS;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return ERR_NOT_FOUND;
    default:
        return ERR_INVALID;
    }
}

static int to_error(sqlite3 *sqlite, int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_TOOBIG:
        return ERR_TOO_BIG;
    case SQLITE_IOERR:
        return code == SQLITE_IOERR_NOMEM ? -ENOMEM : system_error(sqlite);
    case SQLITE_CANTOPEN:
        return system_error(sqlite);
    case SQLITE_CONSTRAINT:
        return constraint(code);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_INVALID;
    default:
        return ERR_FAILED;
    }
}

int db_error(struct db *db, int code)
{
    int r = to_error(db->sqlite, code);
    bool told = (code & 0xff) == SQLITE_CONSTRAINT || (r != ERR_INVALID && r != ERR_FAILED);
    if (!told && db->complained != code) {
        db->complained = code;
        log_err(0, "%s/console.db: %s (SQLite code %d)", db->dir, sqlite3_errmsg(db->sqlite), code);
    }
    return r;
}

int db_exec(struct db *db, const char *sql)
{
    int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : db_error(db, code);
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* Makes it when it is missing, and closes it to others: one of ours. */
static int open_folder(const char *path, int *ret_fd)
{
    int r = path_mkdir(path, FOLDER_MODE);
    if (r < 0)
        return r;
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((st.st_mode & 07777) != FOLDER_MODE && fchmod(fd, FOLDER_MODE) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int folder_failed(const char *path, int r)
{
    log_err(r, "the folder %s cannot be used", path);
    return r;
}

static int is_empty(const char *path, bool *ret_empty)
{
    DIR *folder = opendir(path);
    if (!folder)
        return -errno;
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(folder)))
        empty = str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..");
    (void)closedir(folder);
    *ret_empty = empty;
    return 0;
}

static int make_home(const char *dir)
{
    if (mkdir(dir, FOLDER_MODE) == 0)
        return chmod(dir, FOLDER_MODE) < 0 ? -errno : 0;
    return errno == EEXIST ? 0 : -errno;
}

/* The folder given to us, which may be anybody's: one with other things in it stays as it is.  The database is always the first
 * thing in ours; looked for last, it is seen also when somebody else begins here in this moment. */
static int find_home(struct db *db, const char *dir)
{
    bool empty = false;
    int r = make_home(dir);
    if (r == 0)
        r = is_empty(dir, &empty);
    if (r == 0 && !(db->dir = realpath(dir, NULL)))
        r = -errno;
    if (r < 0)
        return folder_failed(dir, r);
    AUTOFREE char *path = path_join(db->dir, DB_NAME);
    if (empty || access(path, F_OK) == 0)
        return 0;
    log_err(0,
            "the folder %s is not empty and no console's (no console.db is in it); give an empty "
            "one or a new name",
            dir);
    return ERR_INVALID;
}

/* Made by us rather than by SQLite, because of its mode, which the files beside it get too.  One that is there is not opened:
 * closing it would take away the locks that another db of this process has on it. */
static int make_file(const char *path)
{
    AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, DB_FILE_MODE);
    if (fd >= 0)
        return fchmod(fd, DB_FILE_MODE) < 0 ? -errno : 0;
    return errno == EEXIST ? 0 : -errno;
}

/* The database was ours: now its folder, its files and the folders beside it may be closed to others. */
static int close_to_others(struct db *db)
{
    static const char *const files[] = {DB_NAME, DB_NAME "-wal", DB_NAME "-shm"};
    AUTOCLOSE int fd = -1;
    int r = open_folder(db->dir, &fd);
    if (r < 0)
        return folder_failed(db->dir, r);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct stat st;
        AUTOFREE char *path = path_join(db->dir, files[i]);
        if (stat(path, &st) == 0 && (st.st_mode & 077) != 0 && chmod(path, DB_FILE_MODE) < 0)
            return folder_failed(path, -errno);
    }
    for (int kind = 0; kind < FILE_KINDS; kind++) {
        AUTOFREE char *path = path_join(db->dir, folder_names[kind]);
        r = open_folder(path, &db->folders[kind]);
        if (r < 0)
            return folder_failed(path, r);
    }
    return 0;
}

/* ---- the schema ------------------------------------------------------------------------------ */

/* Opening speaks SQLite's codes: its caller makes one sentence of them. */
static int exec(struct db *db, const char *sql)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
}

static int get_int(struct db *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(db->sqlite, sql, -1, &st, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(st, 0);
    (void)sqlite3_finalize(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* What the file is: its version (0: nothing yet), or who else's. */
static int identify(struct db *db, int64_t *ret_version)
{
    int64_t application = 0, version = 0, tables = 0;
    int code = get_int(db, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = get_int(db, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = get_int(db, "SELECT COUNT(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK)
        return code;
    bool empty = application == 0 && version == 0 && tables == 0;
    if (!empty && application != SCHEMA_APPLICATION)
        return SQLITE_NOTADB;
    *ret_version = version;
    return SQLITE_OK;
}

static int migrate(struct db *db)
{
    int64_t version = 0;
    int code = exec(db, "BEGIN IMMEDIATE");
    /* Again, now that nobody else can be at it. */
    if (code == SQLITE_OK)
        code = identify(db, &version);
    for (; code == SQLITE_OK && version < (int64_t)schema_version; version++)
        code = exec(db, schema_steps[version]);
    AUTOFREE char *mark = xasprintf("PRAGMA application_id = %d; PRAGMA user_version = %lld",
                                    SCHEMA_APPLICATION, (long long)version);
    if (code == SQLITE_OK)
        code = exec(db, mark);
    if (code == SQLITE_OK)
        code = exec(db, "COMMIT");
    return code;
}

/* WAL is written in the file: only asked for when it is not there, because that needs the file for oneself. */
static int use_wal(struct db *db)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite3_prepare_v2(db->sqlite, "PRAGMA journal_mode", -1, &st, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(st);
    bool wal = code == SQLITE_ROW && str_eq((const char *)sqlite3_column_text(st, 0), "wal");
    (void)sqlite3_finalize(st);
    if (code != SQLITE_ROW)
        return code;
    return wal ? SQLITE_OK : exec(db, "PRAGMA journal_mode = WAL");
}

static int prepare(struct db *db, int64_t *ret_version)
{
    int code = identify(db, ret_version);
    if (code != SQLITE_OK || *ret_version > (int64_t)schema_version)
        return code;
    /* Only for a new file: each would write to it. */
    if (*ret_version == 0)
        code = exec(db, "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL");
    if (code == SQLITE_OK)
        code = use_wal(db);
    if (code == SQLITE_OK && *ret_version < (int64_t)schema_version)
        code = migrate(db);
    return code;
}

/* Some of what opening does is refused at once, without waiting, when another process is at it too. */
static int prepare_patiently(struct db *db, int64_t *ret_version)
{
    for (int waited_ms = 0;; waited_ms += STEP_MS) {
        int code = prepare(db, ret_version);
        if ((code & 0xff) != SQLITE_BUSY || waited_ms >= db->wait_ms)
            return code;
        if (!sqlite3_get_autocommit(db->sqlite))
            (void)exec(db, "ROLLBACK");
        sleep_ms(STEP_MS);
    }
}

static int is_sound(struct db *db)
{
    int64_t pages = 0, size = 0;
    int code = get_int(db, "PRAGMA page_count", &pages);
    if (code == SQLITE_OK)
        code = get_int(db, "PRAGMA page_size", &size);
    if (code != SQLITE_OK || pages * size > CHECK_BYTES)
        return code;
    sqlite3_stmt *st = NULL;
    code = sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(st);
    bool ok = code == SQLITE_ROW && str_eq((const char *)sqlite3_column_text(st, 0), "ok");
    (void)sqlite3_finalize(st);
    if (code != SQLITE_ROW)
        return code;
    return ok ? SQLITE_OK : SQLITE_CORRUPT;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int refuse(const char *path, sqlite3 *sqlite, int code)
{
    int r = to_error(sqlite, code);
    if (r == ERR_INVALID)
        log_err(0,
                "%s is damaged, or no database of proctor (%s); put a copy of it back, or move its "
                "folder away to begin anew",
                path, sqlite3_errstr(code));
    else if (r == ERR_FAILED)
        log_err(0, "%s cannot be opened: %s", path, sqlite3_errmsg(sqlite));
    else
        log_err(r, "%s cannot be opened", path);
    return r;
}

static const char settings[] = "PRAGMA temp_store = MEMORY;"
                               "PRAGMA foreign_keys = ON;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA journal_size_limit = 67108864;";

static int open_sqlite(struct db *db, const char *path)
{
    int64_t version = 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(path, &db->sqlite, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(db->sqlite, db->wait_ms);
    if (code == SQLITE_OK)
        code = exec(db, settings);
    if (code == SQLITE_OK)
        code = prepare_patiently(db, &version);
    if (code == SQLITE_OK && version > (int64_t)schema_version) {
        log_err(0, "%s was made by a newer proctor (its version is %lld, this one knows %zu)", path,
                (long long)version, schema_version);
        return ERR_UNSUPPORTED;
    }
    if (code == SQLITE_OK)
        code = is_sound(db);
    return code == SQLITE_OK ? 0 : refuse(path, db->sqlite, code);
}

static int open_file(struct db *db)
{
    AUTOFREE char *path = path_join(db->dir, DB_NAME);
    int r = make_file(path);
    if (r < 0) {
        log_err(r, "%s cannot be made", path);
        return r;
    }
    return open_sqlite(db, path);
}

int db_open(const char *dir, struct db **ret_db)
{
    struct db *db = xcalloc(1, sizeof *db);
    db->wait_ms = DB_WAIT_MS;
    for (int kind = 0; kind < FILE_KINDS; kind++)
        db->folders[kind] = -1;
    int r = find_home(db, dir);
    if (r == 0)
        r = open_file(db);
    if (r == 0)
        r = close_to_others(db);
    if (r < 0) {
        db_close(db);
        return r;
    }
    *ret_db = db;
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    if (db->writing)
        db_rollback(db);
    sql_clear(db);
    (void)sqlite3_close_v2(db->sqlite);
    for (int kind = 0; kind < FILE_KINDS; kind++)
        if (db->folders[kind] >= 0)
            (void)close(db->folders[kind]);
    files_clear(&db->files);
    free(db->dir);
    free(db);
}

const char *db_dir(const struct db *db)
{
    return db->dir;
}

bool db_changed(struct db *db)
{
    int64_t version = 0;
    if (get_int(db, "PRAGMA data_version", &version) != SQLITE_OK)
        return false;
    bool changed = db->data_version != 0 && version != db->data_version;
    db->data_version = version;
    return changed;
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* SQLite's lock has no queue: whoever asks for it now and then never gets it from somebody who takes it again at once.  So one
 * who wants it holds this one until he has it.  It is mere politeness: after a while we go on without. */
static bool wait_for_turn(struct db *db)
{
    for (int waited_ms = 0; waited_ms < db->wait_ms; waited_ms += STEP_MS) {
        if (flock(db->folders[FILE_SEGMENT], LOCK_EX | LOCK_NB) == 0)
            return true;
        sleep_ms(STEP_MS);
    }
    return false;
}

int db_begin(struct db *db)
{
    bool turn = wait_for_turn(db);
    int r = db_exec(db, "BEGIN IMMEDIATE");
    if (turn)
        (void)flock(db->folders[FILE_SEGMENT], LOCK_UN);
    if (r < 0)
        return r;
    db->writing = true;
    db->failed = 0;
    return 0;
}

int db_commit(struct db *db)
{
    int r = db->failed;
    if (r == 0)
        r = files_before_commit(db);
    if (r == 0)
        r = db_exec(db, "COMMIT");
    if (r < 0) {
        db_rollback(db);
        return r;
    }
    db->writing = false;
    db->complained = 0;
    files_after_commit(db);
    return 0;
}

void db_rollback(struct db *db)
{
    /* While nobody else can write: what was made must be gone before its number is free again. */
    bool locked = !sqlite3_get_autocommit(db->sqlite);
    files_undo(db, locked);
    if (locked)
        (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    db->writing = false;
    db->failed = 0;
}
