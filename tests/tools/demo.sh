#!/usr/bin/env bash
# `make demo`: a console, a supervisor with examples/, and the two linked, all on loopback and in a private folder.  It takes a CPU
# profile of the example through the console, shows what came out, and says where to look.  It runs until Ctrl-C, or for
# DEMO_SECONDS seconds, and leaves nothing running.  The profile stays in build/demo/.  PROCTOR_BUILD: the folder of the programs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${PROCTOR_BUILD:-$root/build/release}
proctor=$build/proctor
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

folder=$(mktemp -d "${TMPDIR:-/tmp}/proctor-demo-XXXXXX")
home=$folder/home
data=$folder/console
export PROCTOR_HOME=$home
unset NODE_OPTIONS
mkdir -m 700 "$home"
console_pid=
sleep_pid=

stop() {
    [ -n "$1" ] || return 0
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

stop_all() {
    local status=$?
    trap - EXIT INT TERM
    echo
    echo "Stopping all that the demo started."
    "$proctor" kill >/dev/null 2>&1 || true
    stop "$console_pid"
    stop "$sleep_pid"
    if [ $status != 0 ] && [ $status != 130 ] && [ $status != 143 ]; then
        tail -n 40 "$home/proctor.log" "$folder/console.log" >&2 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit $status
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    echo
    echo "\$ $*"
}

# The ready line is one JSON object: {"ready":true,"web":"https://...",...}
start_console() {
    mkfifo "$folder/ready"
    # Ctrl-C is for this script, which ends the others in their order.
    (trap '' INT; exec "$build/proctor-console" --data "$data" --listen 127.0.0.1:0 --agent-listen 127.0.0.1:0 \
        >"$folder/ready" 2>"$folder/console.log") &
    console_pid=$!
    local line
    if ! read -r -t 30 line <"$folder/ready"; then
        echo "demo.sh: the console does not start" >&2
        exit 1
    fi
    web=$(sed -n 's/.*"web":"\([^"]*\)".*/\1/p' <<<"$line")
    password_file=$(sed -n 's/.*"password_file":"\([^"]*\)".*/\1/p' <<<"$line")
}

rm -rf "$out"
mkdir -p "$out"

say proctor-console --data DIR
start_console
echo "The console serves $web"

# Paths in the file are meant from the folder in which one stands.
cd "$root/examples"
say proctor start ecosystem.json
"$proctor" start ecosystem.json
cd "$root"

say "proctor-console token create enrol --data DIR | proctor link -"
"$build/proctor-console" token create enrol --data "$data" | "$proctor" link -

say "proctor-console token create api --role operator --data DIR >FILE"
(umask 077; "$build/proctor-console" token create api --role operator --data "$data" >"$folder/token")

say "proctor profile cpu api -d 5s -o build/demo/demo.cpuprofile --console $web --token-file FILE"
"$proctor" profile cpu api -d 5s -o "$profile" --console "$web" --token-file "$folder/token"

say "proctor captures --console $web --token-file FILE"
"$proctor" captures --console "$web" --token-file "$folder/token"

say proctor top build/demo/demo.cpuprofile -n 10
"$proctor" top "$profile" -n 10

echo
echo "The page:        $web   (its certificate is the console's own: $data/tls/ca.pem)"
echo "Log in as admin; the password is in $password_file"
echo "The profile:     $profile   (Chrome's DevTools open it too: Performance, \"Load profile\")"

if [ -n "${DEMO_SECONDS:-}" ]; then
    echo "All of it runs on for $DEMO_SECONDS seconds."
    sleep "$DEMO_SECONDS" &
else
    echo "All of it runs on until Ctrl-C."
    sleep infinity &
fi
sleep_pid=$!
wait "$sleep_pid" || true
