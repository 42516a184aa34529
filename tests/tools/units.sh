#!/usr/bin/env bash
# Runs the unit tests given, shows the output of those that fail, and ends with a line of totals.
set -u
passed=0 failed=0 tests=0
for program in "$@"; do
    output=$(timeout 120 "$program" 2>&1)
    status=$?
    n=$(grep -c '^\[       OK \]' <<<"$output")
    tests=$((tests + n))
    if [ $status = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "--- $program (exit $status)"
        echo "$output"
    fi
done
echo "units: $passed programs with $tests tests passed, $failed programs failed"
[ $failed = 0 ]
