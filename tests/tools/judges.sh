#!/usr/bin/env bash
# Installs what judges our output in tests (judges/package.json: a terminal emulator, a parser of Prometheus' text format)
# into a cache outside the clone, and writes where it is to a file with the line PROCTOR_JUDGES=/…
# Usage: judges.sh build/judges.env.  npm_set.sh says where the cache is.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: judges.sh FILE}
. "$here/npm_set.sh"

folder=$(npm_set judges "$here/judges" "the packages of tests/tools/judges/package.json")
mkdir -p "$(dirname "$out")"
echo "PROCTOR_JUDGES=$folder" >"$out.new"
mv "$out.new" "$out"
