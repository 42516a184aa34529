#!/usr/bin/env bash
# Runs the bench with the pinned Node, at most 6 minutes.  Usage: bench.sh OUT.md [WORD]; WORD selects rows.
# Environment: PROCTOR_BUILD, the folder of the programs; PROCTOR_NODES, the file that nodes.sh wrote.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export PROCTOR_BUILD=${PROCTOR_BUILD:-$root/build/release}
nodes=${PROCTOR_NODES:-$root/build/nodes.env}
[ ! -e "$nodes" ] || . "$nodes"
# The file outlives the cache when somebody empties the cache.
if [ ! -x "${NODE_TEST:-}" ]; then
    "$root/tests/tools/nodes.sh" "$nodes"
    . "$nodes"
fi

# Without PM2 the rows say so.
BENCH_PM2=$("$here/pm2.sh") || BENCH_PM2=
export BENCH_PM2

# What the bench starts must not depend on the shell of whoever runs it.
unset NODE_OPTIONS FORCE_INSPECTOR PROCTOR_HOME PROCTOR_LOG NODE_APP_INSTANCE PM2_HOME
# A runner that is stopped by TERM ends what it has started.
exec timeout -k 20 360 "$NODE_TEST" "$here/bench.mjs" "$@"
