#!/usr/bin/env bash
# Runs the unit tests given under valgrind, then one CPU and one heap capture with our programs under it.
#
# Not under it: proctord, and the unit test of lib/base/spawn.  valgrind 3.19 (Debian 12) has no pidfd_open and no
# pidfd_send_signal, and makes a fork of clone(CLONE_VM | CLONE_VFORK), so that a child cannot write into our memory.
# ASan and UBSan see both in `make asan`.
#
# Usage: valgrind.sh UNIT-PROGRAMS...   Environment: PROCTOR_BUILD, PROCTOR_NODES as for e2e.sh.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${PROCTOR_BUILD:-$root/build/release}
if ! command -v valgrind >/dev/null; then
    echo "valgrind.sh: valgrind is missing: run 'make deps', or install it by hand" >&2
    exit 2
fi
. "${PROCTOR_NODES:-$root/build/nodes.env}"
options=(-q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect --num-callers=24)
suppressions=$root/tests/tools/valgrind.supp
[ ! -e "$suppressions" ] || options+=("--suppressions=$suppressions")
failed=0
export PROCTOR_VALGRIND=1

for unit in "$@"; do
    # They test what valgrind does in another way: our clone becomes a fork, signals are its own, there is no pidfd_open, a
    # program is not run by its descriptor; and one is killed hundreds of times.  `make asan` runs them.
    case ${unit##*/} in
    base_spawn | base_procfs | keep_programs | supervisor_captures_kept | supervisor_instance_keep | supervisor_ipc | \
        supervisor_process | supervisor_runtime)
        echo "valgrind: ${unit##*/} is left out"
        continue
        ;;
    esac
    if output=$(timeout 300 valgrind "${options[@]}" "$unit" 2>&1); then
        echo "valgrind: ${unit##*/} is clean"
    else
        echo "--- $unit (exit $?)"
        echo "$output"
        failed=$((failed + 1))
    fi
done

# The programs find each other beside themselves, so a folder is made in which each name is a script that runs the
# real one under valgrind; the real one is its neighbour NAME.real.
work=$(mktemp -d "${TMPDIR:-/tmp}/proctor-valgrind-XXXXXX")
export PROCTOR_HOME=$work/home
mkdir "$work/bin" "$work/logs"
for program in "$build"/proctor "$build"/proctor?*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    name=${program##*/}
    if [ "$name" = proctord ]; then
        cp "$program" "$work/bin/"
        continue
    fi
    cp "$program" "$work/bin/$name.real"
    cat >"$work/bin/$name" <<SCRIPT
#!/bin/sh
exec valgrind ${options[*]} --log-file="$work/logs/$name.%p" "$work/bin/$name.real" "\$@"
SCRIPT
    chmod +x "$work/bin/$name"
done

clean_up() {
    local status=$?
    trap - EXIT
    PROCTOR_HOME=$work/home timeout 60 "$work/bin/proctor.real" kill >/dev/null 2>&1 || true
    rm -rf "$work"
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step() {
    echo "valgrind: proctor $*"
    if ! timeout 120 "$work/bin/proctor" "$@" >"$work/output" 2>&1; then
        echo "--- proctor $*"
        cat "$work/output"
        failed=$((failed + 1))
    fi
}

cat >"$work/app.json" <<CONFIG
{"apps": [
  {"name": "hot", "script": "$root/tests/fixtures/apps/cpu.js", "interpreter": "$NODE_20"},
  {"name": "grows", "script": "$root/tests/fixtures/apps/heap.js", "interpreter": "$NODE_20"}
]}
CONFIG
step start "$work/app.json"
step list
step profile cpu hot -d 2s -o "$work/hot.cpuprofile"
step profile heap grows -d 2s -o "$work/grows.heapprofile"
step top "$work/hot.cpuprofile"
step restart hot
step captures
# `kill` watches the supervisor through a pidfd.
"$work/bin/proctor.real" kill >/dev/null

# Leaks are told at exit, so the daemons have to be gone before their logs are read.
# (Not exported any more, else grep would find itself.)
export -n PROCTOR_HOME
for _ in $(seq 600); do
    grep -qs "PROCTOR_HOME=$PROCTOR_HOME" /proc/[0-9]*/environ || break
    sleep 0.1
done
for log in "$work"/logs/*; do
    if [ -s "$log" ]; then
        echo "--- ${log##*/}"
        cat "$log"
        failed=$((failed + 1))
    fi
done
[ $failed != 0 ] || echo "valgrind: $(ls "$work/logs" | wc -l) runs of the programs are clean"
[ $failed = 0 ]
