#!/usr/bin/env bash
# Makes the files of the console's page into one file of bytes and the table of what stands where: the files of
# remote/web/ as they are, and below vendor/ those of the packages in remote/web/package.json, whose imports by name
# become relative ones, as a browser needs them.  Usage: web.sh build/web
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
web=$here/../../remote/web
out=${1:?usage: web.sh FOLDER}
. "$here/npm_set.sh"
mkdir -p "$out"
# Two runs of make may do this at the same time, with the same result: each file is replaced by a rename.
work=$(mktemp -d "$out/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
site=$work/site
modules=$(npm_set web "$web" "the packages of remote/web/package.json")/node_modules

type_of() {
    case $1 in
    *.html) echo "text/html; charset=utf-8" ;;
    *.css) echo "text/css; charset=utf-8" ;;
    *.js | *.mjs) echo "text/javascript; charset=utf-8" ;;
    *.txt) echo "text/plain; charset=utf-8" ;;
    *.svg) echo "image/svg+xml" ;;
    *)
        echo "web.sh: $1 has a name without a type" >&2
        return 1
        ;;
    esac
}

version_of() {
    sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$modules/$1/package.json" | head -n 1
}

# What editors leave behind begins with a dot or ends in a tilde.
copy_ours() {
    (cd "$web" && find . -type f ! -name '.*' ! -name '*~' ! -path ./package.json ! -path ./package-lock.json -print0) |
        while IFS= read -r -d '' file; do
            mkdir -p "$site/$(dirname "$file")"
            cp "$web/$file" "$site/$file"
        done
}

# The maps are not here, so nothing may point to them.
copy_vendor() {
    mkdir -p "$site/vendor"
    cp "$modules/preact/dist/preact.mjs" "$modules/preact/hooks/dist/hooks.mjs" "$modules/htm/dist/htm.mjs" "$site/vendor/"
    cp "$modules/uplot/dist/uPlot.min.css" "$site/vendor/uplot.css"
    # Its module is not minified, and what is minified is no module.
    cp "$modules/uplot/dist/uPlot.iife.min.js" "$site/vendor/uplot.mjs"
    printf '\nexport default uPlot;\n' >>"$site/vendor/uplot.mjs"
    sed -i -e 's|from *"preact"|from"./preact.mjs"|g' -e '/^\/\/# sourceMappingURL=/d' "$site"/vendor/*.mjs
    if grep -nE "(from|import) *[\"'][^./]" "$site"/vendor/*.mjs | cut -c1-200 >&2; then
        echo "web.sh: a module imports by name" >&2
        return 1
    fi
}

# A browser tells of an import that leads nowhere only when it gets there.
check_imports() {
    local file path missing=0
    while IFS=: read -r file path; do
        if [ ! -f "$(dirname "$file")/$path" ]; then
            echo "web.sh: ${file#"$site"/} imports $path, which is not there" >&2
            missing=1
        fi
    done < <(grep -rnoE --include='*.js' --include='*.mjs' "(from|import) ?\\(?['\"]\\.[^'\"]*" "$site" |
        sed -E "s/:[0-9]+:.*['\"]/:/")
    return $missing
}

licences() {
    local package
    echo "This page contains these works of others."
    for package in preact htm uplot; do
        printf '\n\n==== %s %s ====\n\n' "$package" "$(version_of "$package")"
        cat "$modules/$package/LICENSE"
    done
}

# One row for each file, sorted.  gzip is left out where it makes nothing smaller.
pack() {
    local file path type hash begin=0 bytes small
    : >"$work/assets.bin"
    echo '/* Made by tests/tools/web.sh. */'
    echo '#include "remote/assets_table.h"'
    echo
    echo 'const struct asset assets_table[] = {'
    while IFS= read -r -d '' file; do
        path=${file#"$site"}
        type=$(type_of "$path")
        hash=$(sha256sum <"$file" | cut -d' ' -f1)
        gzip -9 -n -c "$file" >"$work/small"
        bytes=$(stat -c %s "$file")
        small=$(stat -c %s "$work/small")
        cat "$file" >>"$work/assets.bin"
        if [ "$small" -lt "$bytes" ]; then cat "$work/small" >>"$work/assets.bin"; else small=0; fi
        echo "    {\"$path\", \"$type\", \"$hash\", $begin, $bytes, $small},"
        begin=$((begin + bytes + small))
    done < <(find "$site" -type f -print0 | LC_ALL=C sort -z)
    echo '};'
    echo
    echo 'const size_t assets_count = sizeof assets_table / sizeof assets_table[0];'
}

mkdir -p "$site"
copy_ours
copy_vendor
check_imports
licences >"$site/licences.txt"
pack >"$work/assets_table.c"
mv "$work/assets.bin" "$out/assets.bin"
mv "$work/assets_table.c" "$out/assets_table.c"
