/* err.h -- one number space for all errors.
 *
 * Functions return `>= 0` for success and a negative code on failure: -errno, a code of libuv (which on Unix is -errno
 * too), or one of ours from -5000 down.  So a code goes up unchanged through any layer. */
#pragma once

/* enum, name in JSON, text for people */
#define ERR_LIST(X)                                                                                \
    X(ERR_FAILED, -5000, "FAILED", "failed")                                                       \
    X(ERR_PROTOCOL, -5001, "PROTOCOL", "peer broke the protocol")                                  \
    X(ERR_TOO_BIG, -5002, "TOO_BIG", "larger than the limit set for it")                           \
    X(ERR_SYNTAX, -5003, "SYNTAX", "syntax error")                                                 \
    X(ERR_INVALID, -5004, "INVALID", "value not allowed")                                          \
    X(ERR_USAGE, -5005, "USAGE", "wrong use")                                                      \
    X(ERR_NOT_FOUND, -5006, "NOT_FOUND", "not found")                                              \
    X(ERR_EXISTS, -5007, "EXISTS", "exists already")                                               \
    X(ERR_NOT_RUNNING, -5008, "NOT_RUNNING", "not running")                                        \
    X(ERR_POLICY, -5009, "POLICY", "refused by the policy of this host")                           \
    X(ERR_CANCELLED, -5010, "CANCELLED", "cancelled")                                              \
    X(ERR_EXPIRED, -5011, "EXPIRED", "its time had passed before it could start")                  \
    X(ERR_BUSY, -5012, "BUSY", "busy with another request")                                        \
    X(ERR_UNSUPPORTED, -5013, "UNSUPPORTED", "not supported")                                      \
    X(ERR_UNSUPPORTED_VERSION, -5014, "UNSUPPORTED_VERSION",                                       \
      "this runtime version cannot be profiled")                                                   \
    X(ERR_NOT_READY, -5015, "NOT_READY", "the process is not ready yet")                           \
    X(ERR_NO_SIGNAL, -5016, "NO_SIGNAL", "the process does not take SIGUSR1")                      \
    X(ERR_NO_LISTEN, -5017, "NO_LISTEN", "the inspector did not open")                             \
    X(ERR_APP_GONE, -5018, "APP_GONE", "the process ended during the capture")                     \
    X(ERR_PROBE_GONE, -5019, "PROBE_GONE", "the probe ended unexpectedly")                         \
    X(ERR_AGENT_GONE, -5020, "AGENT_GONE", "the agent ended unexpectedly")                         \
    X(ERR_INSPECTOR, -5021, "INSPECTOR", "the inspector answered with an error")                   \
    X(ERR_WRONG_PROCESS, -5022, "WRONG_PROCESS", "the inspector belongs to another process")       \
    X(ERR_STOPPING, -5023, "STOPPING", "shutting down")                                            \
    X(ERR_UNREACHABLE, -5024, "UNREACHABLE", "the host is not connected")                          \
    X(ERR_REVOKED, -5025, "REVOKED", "the identity of this host is revoked")                       \
    X(ERR_UNTRUSTED, -5026, "UNTRUSTED", "the peer is not who it must be")                         \
    X(ERR_DENIED, -5027, "DENIED", "not allowed for this account")                                 \
    X(ERR_LOGIN, -5028, "LOGIN", "not logged in")                                                  \
    X(ERR_TOO_MANY, -5029, "TOO_MANY", "too many attempts, try again later")                       \
    X(ERR_MISMATCH, -5030, "MISMATCH", "the bytes are not those that were announced")              \
    X(ERR_FULL, -5031, "FULL", "there is no room for one more")                                    \
    X(ERR_SAFE_MODE, -5032, "SAFE_MODE", "the supervisor only watches")                            \
    X(ERR_NO_FILE, -5033, "NO_FILE", "not a regular file")

enum err_code {
#define X(name, value, json, text) name = value,
    ERR_LIST(X)
#undef X
};

/* Text for people, never NULL; a static string (no trailing full stop). */
const char *err_str(int r);

/* Name for JSON and scripts: "NOT_READY", "ENOENT", …; never NULL. */
const char *err_name(int r);

/* The code of a name as err_name() gives it; ERR_FAILED for a name that is not ours and no errno. */
int err_from_name(const char *name);
