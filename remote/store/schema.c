#include "remote/store/schema.h"

#include "lib/base/auto.h"

/* A step that was released is never changed: what is to be different goes into a new one. */

static const char step_1[] =
    "CREATE TABLE hosts ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL, release TEXT NOT NULL,"
    "  enrolled_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL, revoked_ms INTEGER NOT NULL,"
    "  cert_not_after_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX hosts_by_name ON hosts (name, id);"

    "CREATE TABLE enrolments ("
    "  secret_sha256 BLOB PRIMARY KEY, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL DEFAULT 0"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE users ("
    "  name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE sessions ("
    "  secret_sha256 BLOB PRIMARY KEY,"
    "  user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,"
    "  created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX sessions_by_user ON sessions (user, created_ms);"
    "CREATE INDEX sessions_by_end ON sessions (expires_ms);"

    /* The owner is no reference: tokens of the command line have none. */
    "CREATE TABLE api_tokens ("
    "  id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, role TEXT NOT NULL,"
    "  secret_sha256 BLOB NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE audit ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,"
    "  address TEXT NOT NULL, what TEXT NOT NULL, text TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX audit_by_time ON audit (at_ms);"
    "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN"
    "  SELECT RAISE(ABORT, 'the audit log is only ever added to');"
    "END;"

    /* `open`: not ended, or ended by the console's own verdict, or its result is owed. */
    "CREATE TABLE captures ("
    "  id TEXT PRIMARY KEY, request TEXT NOT NULL, host TEXT NOT NULL REFERENCES hosts (id),"
    "  kind TEXT NOT NULL, app TEXT NOT NULL, instance INTEGER NOT NULL, pid INTEGER NOT NULL,"
    "  duration_ms INTEGER NOT NULL, interval_us INTEGER NOT NULL, interval_bytes INTEGER NOT NULL,"
    "  not_after_ms INTEGER NOT NULL, requester TEXT NOT NULL, role TEXT NOT NULL,"
    "  state TEXT NOT NULL, created_ms INTEGER NOT NULL, sent_ms INTEGER NOT NULL,"
    "  due_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, stop_wanted INTEGER NOT NULL,"
    "  cancel_wanted INTEGER NOT NULL, given_up INTEGER NOT NULL, open INTEGER NOT NULL,"
    "  record TEXT"
    ") STRICT;"
    "CREATE INDEX captures_by_host ON captures (host, id);"
    "CREATE INDEX captures_by_app ON captures (app, id);"
    /* An order that is sent twice is carried out once. */
    "CREATE UNIQUE INDEX captures_by_request ON captures (request, host, app, instance, pid);"
    "CREATE INDEX captures_by_time ON captures (created_ms);"
    "CREATE INDEX captures_open ON captures (host, id) WHERE open = 1;"

    /* `bytes` of the file count, `live_bytes` of them are wanted.  At most one is open: small results are appended to it.  A
       number is never used again (AUTOINCREMENT), so that a file can be removed after its row. */
    "CREATE TABLE segments ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER NOT NULL,"
    "  live_bytes INTEGER NOT NULL, open INTEGER NOT NULL, damaged INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE UNIQUE INDEX segments_open ON segments (open) WHERE open = 1;"

    /* Without a segment the bytes are gone; the row stays while a profile tells of it. */
    "CREATE TABLE blobs ("
    "  sha256 BLOB PRIMARY KEY, bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL,"
    "  stored_sha256 BLOB NOT NULL, segment INTEGER REFERENCES segments (number),"
    "  offset INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX blobs_by_segment ON blobs (segment, offset) WHERE segment IS NOT NULL;"

    "CREATE TABLE profiles ("
    "  id TEXT PRIMARY KEY REFERENCES captures (id), host TEXT NOT NULL REFERENCES hosts (id),"
    "  app TEXT NOT NULL, instance INTEGER NOT NULL, kind TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL, keep INTEGER NOT NULL,"
    "  removed INTEGER NOT NULL, blob BLOB NOT NULL REFERENCES blobs (sha256)"
    ") STRICT;"
    "CREATE INDEX profiles_by_host ON profiles (host, id);"
    "CREATE INDEX profiles_by_app ON profiles (app, id);"
    "CREATE INDEX profiles_by_blob ON profiles (blob);"
    "CREATE TRIGGER profiles_take_their_blob AFTER DELETE ON profiles BEGIN"
    "  DELETE FROM blobs WHERE sha256 = OLD.blob AND segment IS NULL"
    "  AND NOT EXISTS (SELECT 1 FROM profiles WHERE blob = OLD.blob);"
    "END;"
    "CREATE INDEX profiles_by_age ON profiles (stored_ms, id) WHERE removed = 0 AND keep = 0;"

    /* `have_bytes` of the part file are committed. */
    "CREATE TABLE incoming ("
    "  capture TEXT PRIMARY KEY, file TEXT NOT NULL UNIQUE, stored_bytes INTEGER NOT NULL,"
    "  stored_sha256 BLOB NOT NULL, have_bytes INTEGER NOT NULL, touched_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX incoming_by_time ON incoming (touched_ms);"

    "CREATE TABLE analyses ("
    "  id INTEGER PRIMARY KEY, blob BLOB NOT NULL REFERENCES blobs (sha256) ON DELETE CASCADE,"
    "  name TEXT NOT NULL, version INTEGER NOT NULL, bytes INTEGER NOT NULL, text BLOB NOT NULL,"
    "  UNIQUE (blob, name)"
    ") STRICT;"
    "CREATE INDEX analyses_by_size ON analyses (bytes);";

/* What processes used, and how they ended. */
static const char step_2[] =
    /* A process as the history knows it; `seen_ms` to some hours.  Its number is never used again. */
    "CREATE TABLE processes ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL REFERENCES hosts (id),"
    "  app TEXT NOT NULL, instance INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
    "  UNIQUE (host, app, instance)"
    ") STRICT;"
    "CREATE INDEX processes_by_age ON processes (seen_ms);"
    /* How many a host has: a host that makes up names does not have them counted each time. */
    "ALTER TABLE hosts ADD COLUMN processes INTEGER NOT NULL DEFAULT 0;"
    "CREATE TRIGGER processes_count AFTER INSERT ON processes BEGIN"
    "  UPDATE hosts SET processes = processes + 1 WHERE id = NEW.host;"
    "END;"
    "CREATE TRIGGER processes_count_less AFTER DELETE ON processes BEGIN"
    "  UPDATE hosts SET processes = processes - 1 WHERE id = OLD.host;"
    "END;"

    /* By time first: what comes in goes to the end of the tree, whoever it is of.  minute.h says what `data` is.  These two do
       not refer to their process: it lives longer than they do. */
    "CREATE TABLE minutes ("
    "  minute INTEGER NOT NULL, process INTEGER NOT NULL, data BLOB NOT NULL,"
    "  PRIMARY KEY (minute, process)"
    ") STRICT, WITHOUT ROWID;"

    /* What is left of ten minutes, after a day. */
    "CREATE TABLE spans ("
    "  span INTEGER NOT NULL, process INTEGER NOT NULL, samples INTEGER NOT NULL,"
    "  cpu INTEGER NOT NULL, cpu_most INTEGER NOT NULL,"
    "  pages INTEGER NOT NULL, pages_most INTEGER NOT NULL,"
    "  PRIMARY KEY (span, process)"
    ") STRICT, WITHOUT ROWID;"

    /* `number`: the exit code, or the signal. */
    "CREATE TABLE exits ("
    "  process INTEGER NOT NULL REFERENCES processes (id) ON DELETE CASCADE,"
    "  at_ms INTEGER NOT NULL, by_signal INTEGER NOT NULL, number INTEGER NOT NULL,"
    "  core INTEGER NOT NULL, asked INTEGER NOT NULL, uptime_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (process, at_ms)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX exits_by_time ON exits (at_ms);";

const char *const schema_steps[] = {step_1, step_2};
const size_t schema_version = ARRAY_SIZE(schema_steps);
