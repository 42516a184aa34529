#!/usr/bin/env bash
# Installs what the tests of the console's page drive Chromium with (browser/package.json) into a cache outside the clone,
# and writes where it is to a file with the line PROCTOR_BROWSER=/…  Chromium itself is the system's (deps.sh).
# Usage: browser.sh build/browser.env.  npm_set.sh says where the cache is.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: browser.sh FILE}
. "$here/npm_set.sh"

folder=$(npm_set browser "$here/browser" "the packages of tests/tools/browser/package.json")
mkdir -p "$(dirname "$out")"
echo "PROCTOR_BROWSER=$folder" >"$out.new"
mv "$out.new" "$out"
