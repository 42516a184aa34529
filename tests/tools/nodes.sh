#!/usr/bin/env bash
# Installs the Node versions of nodes/package.json into a cache outside the clone and writes their paths to a file of
# lines NODE_8=/…/bin/node; NODE_TEST is the one that runs the tests.  Usage: nodes.sh [--all] build/nodes.env
# --all adds the versions of nodes-all/package.json.  The cache is $PROCTOR_TEST_CACHE, else ~/.cache/proctor-tests; a
# folder in it is named after the hash of its lock file and appears only when it is complete.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
sets=(nodes)
if [ "${1:-}" = --all ]; then
    sets+=(nodes-all)
    shift
fi
out=${1:?usage: nodes.sh [--all] FILE}
cache=${PROCTOR_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/proctor-tests}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "nodes.sh: the pinned Node versions exist for Linux on x86-64 only, this is $(uname -sm)." >&2
    echo "nodes.sh: the end-to-end tests cannot run here; all else builds and runs." >&2
    exit 2
fi

# npm's own words come out only when it fails.  Its cache is in our folder too and goes away: nothing is written
# outside.
install_into() {
    local set=$1 folder=$2 log
    cp "$here/$set/package.json" "$here/$set/package-lock.json" "$here/../../.npmrc" "$folder/"
    log=$(mktemp "$folder/npm.XXXXXX")
    if ! (cd "$folder" && npm ci --no-bin-links --cache "$folder/.npm" >"$log" 2>&1); then
        cat "$log" >&2
        echo "nodes.sh: npm could not install the Node versions of tests/tools/$set/package.json" >&2
        return 1
    fi
    rm -rf "$log" "$folder/.npm"
    # Headers and manual pages are four fifths of the files and no test reads them.
    rm -rf "$folder"/node_modules/*/include "$folder"/node_modules/*/share
}

# Prints the folder of a set, after having made it if needed.  Two runs at the same time both install; one rename wins.
folder_of() {
    local set=$1 hash folder fresh
    hash=$(sha256sum <"$here/$set/package-lock.json" | cut -c1-16)
    folder=$cache/$set-$hash
    if [ ! -d "$folder" ]; then
        if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
            echo "nodes.sh: node and npm are missing, they install the Node versions of the end-to-end tests and of the" \
                "demo: run 'make deps', or install nodejs and npm by hand" >&2
            return 2
        fi
        mkdir -p "$cache"
        fresh=$(mktemp -d "$cache/.$set.XXXXXX")
        # This function runs in a subshell, so the trap is its own; after the rename there is nothing left to remove.
        trap 'rm -rf "${fresh:-}"' EXIT
        echo "Installing the Node versions of tests/tools/$set/package.json into $folder (once) ..." >&2
        install_into "$set" "$fresh" || return 1
        mv -T "$fresh" "$folder" 2>/dev/null || [ -d "$folder" ] || return 1
    fi
    echo "$folder"
}

lines=()
for set in "${sets[@]}"; do
    folder=$(folder_of "$set")
    for path in "$folder"/node_modules/node-*/bin/node; do
        name=${path%/bin/node}
        lines+=("NODE_${name##*/node-}=$path")
        [ "${name##*/node-}" != 20 ] || lines+=("NODE_TEST=$path")
    done
done
mkdir -p "$(dirname "$out")"
printf '%s\n' "${lines[@]}" >"$out.new"
mv "$out.new" "$out"
