#!/usr/bin/env bash
# Runs end-to-end tests with the pinned Node and passes on the runner's exit status.  Usage: e2e.sh FILES...
# Environment: PROCTOR_BUILD, the folder of the programs under test; PROCTOR_NODES, the file that nodes.sh wrote
# (default build/nodes.env); PROCTOR_ALL_NODES=1, every supported Node; E2E_SECONDS, the limit for the whole run.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PROCTOR_BUILD=${PROCTOR_BUILD:-$root/build/release}
nodes=${PROCTOR_NODES:-$root/build/nodes.env}
if [ -n "${PROCTOR_ALL_NODES:-}" ]; then
    nodes=${nodes%.env}-all.env
    "$here/nodes.sh" --all "$nodes"
fi

load() {
    set -a
    . "$nodes"
    set +a
}
[ ! -e "$nodes" ] || load
# The file outlives the cache when somebody empties the cache.
if [ ! -x "${NODE_TEST:-}" ]; then
    "$here/nodes.sh" "$nodes"
    load
fi

limit=${E2E_SECONDS:-900}
concurrency=${E2E_CONCURRENCY:-2}
if [ "${PROCTOR_BUILD##*/}" = asan ]; then
    export PROCTOR_ASAN=1
    export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:log_to_syslog=0:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=99
    export LSAN_OPTIONS=exitcode=99
fi
# What the tests start must not depend on the shell of whoever runs them.
unset NODE_OPTIONS FORCE_INSPECTOR PROCTOR_HOME PROCTOR_LOG NODE_APP_INSTANCE

# -k: a runner that does not end by TERM is killed; either way timeout's own status says so.
exec timeout -k 20 "$limit" "$NODE_TEST" --test --test-reporter=spec --test-concurrency="$concurrency" "$@"
