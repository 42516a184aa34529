#!/usr/bin/env bash
# `make demo`: starts a supervisor in a private home with examples/, takes a CPU profile of its app, shows what came out
# and stops all that it started.  The profile stays in build/demo/.  PROCTOR_BUILD: the folder of the programs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${PROCTOR_BUILD:-$root/build/release}
proctor=$build/proctor
seconds=${DEMO_SECONDS:-}
out=$root/build/demo
profile=$out/demo.cpuprofile

# The example runs on the pinned Node of the tests where there is one, else on the system's.
nodes=${PROCTOR_NODES:-$root/build/nodes.env}
if [ -e "$nodes" ]; then
    . "$nodes"
    [ ! -x "${NODE_TEST:-}" ] || PATH=$(dirname "$NODE_TEST"):$PATH
fi
if ! command -v node >/dev/null; then
    echo "demo.sh: there is no node to run the example on: run 'make deps', or install nodejs by hand" >&2
    exit 2
fi

home=$(mktemp -d "${TMPDIR:-/tmp}/proctor-demo-XXXXXX")
export PROCTOR_HOME=$home
unset NODE_OPTIONS

stop_all() {
    local status=$?
    trap - EXIT INT TERM
    echo
    echo "Stopping all that the demo started."
    "$proctor" kill >/dev/null 2>&1 || true
    if [ $status != 0 ] && [ -s "$home/proctor.log" ]; then
        echo "--- proctor.log" >&2
        tail -n 40 "$home/proctor.log" >&2
    fi
    rm -rf "$home"
    exit $status
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    echo
    echo "\$ $*"
}

rm -rf "$out"
mkdir -p "$out"

# Paths in the file are meant from the folder in which one stands.
cd "$root/examples"
say proctor start ecosystem.json
"$proctor" start ecosystem.json
cd "$root"

say proctor list
"$proctor" list

say proctor profile cpu api -d 5s -o build/demo/demo.cpuprofile
"$proctor" profile cpu api -d 5s -o "$profile"

say proctor top build/demo/demo.cpuprofile -n 10
"$proctor" top "$profile" -n 10

echo
echo "The profile is $profile"
echo "Chrome's DevTools open it too: Performance, \"Load profile\"."

if [ -n "$seconds" ]; then
    echo "The app runs on for $seconds seconds."
    sleep "$seconds"
fi
