#!/usr/bin/env bash
# Installs the Node versions of nodes/package.json into a cache outside the clone and writes their paths to a file of
# lines NODE_8=/…/bin/node; NODE_TEST is the one that runs the tests.  Usage: nodes.sh [--all] build/nodes.env
# --all adds the versions of nodes-all/package.json.  npm_set.sh says where the cache is.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
sets=(nodes)
if [ "${1:-}" = --all ]; then
    sets+=(nodes-all)
    shift
fi
out=${1:?usage: nodes.sh [--all] FILE}
. "$here/npm_set.sh"

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "nodes.sh: the pinned Node versions exist for Linux on x86-64 only, this is $(uname -sm)." >&2
    echo "nodes.sh: the end-to-end tests cannot run here; all else builds and runs." >&2
    exit 2
fi

# Headers and manual pages are four fifths of the files and no test reads them.
trim() {
    rm -rf node_modules/*/include node_modules/*/share
}

lines=()
for set in "${sets[@]}"; do
    folder=$(npm_set "$set" "$here/$set" "the Node versions of tests/tools/$set/package.json" trim)
    for path in "$folder"/node_modules/node-*/bin/node; do
        name=${path%/bin/node}
        lines+=("NODE_${name##*/node-}=$path")
        [ "${name##*/node-}" != 20 ] || lines+=("NODE_TEST=$path")
    done
done
mkdir -p "$(dirname "$out")"
printf '%s\n' "${lines[@]}" >"$out.new"
mv "$out.new" "$out"
