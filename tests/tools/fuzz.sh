#!/usr/bin/env bash
# Runs each fuzz target for some seconds over its corpus (tests/fuzz/corpus/<target>), which stays as it is.
# Usage: fuzz.sh SECONDS TARGET…
set -u
seconds=$1
shift
status=0
for target in "$@"; do
    name=$(basename "$target")
    work=$(mktemp -d)
    corpus=tests/fuzz/corpus/$name
    [ -d "$corpus" ] || corpus=
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work" $corpus >"$work/log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
        echo "fuzz: $name: $runs runs in $seconds s, no finding"
        rm -rf "$work"
    else
        echo "fuzz: $name FAILED; input kept in $work"
        tail -n 60 "$work/log"
        status=1
    fi
done
exit $status
