#!/usr/bin/env bash
# Runs end-to-end tests with the pinned Node and passes on the runner's exit status.  Usage: e2e.sh FILES...
# Environment: PROCTOR_BUILD, the folder of the programs under test; PROCTOR_NODES, the file that nodes.sh wrote
# (default build/nodes.env), and beside it browser.env of browser.sh and judges.env of judges.sh; PROCTOR_ALL_NODES=1, every supported Node;
# E2E_SECONDS, the limit for the whole run.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PROCTOR_BUILD=${PROCTOR_BUILD:-$root/build/release}
nodes=${PROCTOR_NODES:-$root/build/nodes.env}
if [ -n "${PROCTOR_ALL_NODES:-}" ]; then
    nodes=${nodes%.env}-all.env
    "$here/nodes.sh" --all "$nodes"
fi

browser=$(dirname "$nodes")/browser.env
judges=$(dirname "$nodes")/judges.env

load() {
    set -a
    [ ! -e "$nodes" ] || . "$nodes"
    [ ! -e "$browser" ] || . "$browser"
    [ ! -e "$judges" ] || . "$judges"
    set +a
}
load
# The files outlive the cache when somebody empties the cache.
[ -x "${NODE_TEST:-}" ] || "$here/nodes.sh" "$nodes"
[ -d "${PROCTOR_BROWSER:-}" ] || "$here/browser.sh" "$browser"
[ -d "${PROCTOR_JUDGES:-}" ] || "$here/judges.sh" "$judges"
load

limit=${E2E_SECONDS:-2400}
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
