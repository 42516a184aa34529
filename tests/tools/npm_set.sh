# A set of npm packages with exact versions, installed once into a cache outside the clone.  Sourced.
#
# npm_set NAME FOLDER WHAT [TRIM] prints the folder in which node_modules/ is.  FOLDER has package.json and
# package-lock.json; WHAT says in messages what they are; TRIM is a function that is called in the new folder, to remove
# what nobody needs.  The cache is $PROCTOR_TEST_CACHE, else ~/.cache/proctor-tests; a folder in it is named after the
# hash of its lock file and appears only when it is complete.
npm_set_tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# npm's own words come out only when it fails.  Its cache is in our folder too and goes away: nothing is written
# outside.
npm_set_install() {
    local from=$1 folder=$2 what=$3 log
    cp "$from/package.json" "$from/package-lock.json" "$npm_set_tools/../../.npmrc" "$folder/"
    log=$(mktemp "$folder/npm.XXXXXX")
    if ! (cd "$folder" && npm ci --no-bin-links --cache "$folder/.npm" >"$log" 2>&1); then
        cat "$log" >&2
        echo "${0##*/}: npm could not install $what" >&2
        return 1
    fi
    rm -rf "$log" "$folder/.npm"
}

# Two runs at the same time both install; one rename wins.
npm_set() {
    local name=$1 from=$2 what=$3 trim=${4:-true} cache hash folder fresh
    cache=${PROCTOR_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, PROCTOR_TEST_CACHE neither}/.cache}/proctor-tests}
    hash=$(sha256sum <"$from/package-lock.json" | cut -c1-16)
    folder=$cache/$name-$hash
    if [ ! -d "$folder" ]; then
        if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
            echo "${0##*/}: node and npm are missing, they install $what: run 'make deps', or install nodejs and npm by" \
                "hand" >&2
            return 2
        fi
        mkdir -p "$cache"
        fresh=$(mktemp -d "$cache/.$name.XXXXXX")
        # This function runs in a subshell, so the trap is its own; after the rename there is nothing left to remove.
        trap 'rm -rf "${fresh:-}"' EXIT
        echo "Installing $what into $folder (once) ..." >&2
        npm_set_install "$from" "$fresh" "$what" || return 1
        (cd "$fresh" && "$trim")
        mv -T "$fresh" "$folder" 2>/dev/null || [ -d "$folder" ] || return 1
    fi
    echo "$folder"
}
