#!/usr/bin/env bash
# Installs PM2, the peer of `make bench`, into the cache of the tests and prints the path of its program.  The cache is
# $PROCTOR_TEST_CACHE, else ~/.cache/proctor-tests; a folder in it is named after the hash of its lock file and appears
# only when it is complete.  PM2 is only run: nothing of it is in this repository.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${PROCTOR_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proctor-tests}
hash=$(sha256sum <"$here/pm2/package-lock.json" | cut -c1-16)
folder=$cache/pm2-$hash

if [ ! -d "$folder" ]; then
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/.pm2.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    echo "Installing PM2 from tests/bench/pm2/package-lock.json into $folder (once) ..." >&2
    cp "$here/pm2/package.json" "$here/pm2/package-lock.json" "$here/../../.npmrc" "$fresh/"
    if ! (cd "$fresh" && timeout 120 npm ci --ignore-scripts >npm.log 2>&1); then
        cat "$fresh/npm.log" >&2
        exit 1
    fi
    mv -T "$fresh" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder/node_modules/pm2/bin/pm2"
