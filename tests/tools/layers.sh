#!/usr/bin/env bash
# Checks who includes whom: each folder may include itself and what stands in its row, nothing else.  This table is the
# truth of the picture in docs/ARCHITECTURE.md.
set -u
cd "$(dirname "$0")/../.."

allowed() {
    case $1 in
    lib/base) echo "lib/base" ;;
    lib/keep) echo "lib/keep" ;;
    lib/wire) echo "lib/wire lib/base lib/pack lib/secure" ;;
    lib/profile) echo "lib/profile lib/base lib/pack lib/secure" ;;
    lib/pack | lib/secure) echo "$1 lib/base" ;;
    ecosystem) echo "ecosystem lib/base" ;;
    remote) echo "remote remote/store lib/base lib/wire lib/pack lib/secure" ;;
    supervisor/cli/monit) echo "supervisor/cli/monit supervisor/cli lib/base lib/wire" ;;
    supervisor/cli/away) echo "supervisor/cli/away supervisor/cli lib/base lib/wire lib/secure" ;;
    supervisor/keeper) echo "supervisor/keeper lib/keep" ;;
    supervisor | supervisor/cli | supervisor/cli/* | supervisor/cluster | agent | agent/inspector | agent/intake | remote/*)
        echo "$1 ecosystem lib/base lib/keep lib/wire lib/profile lib/pack lib/secure" ;;
    *) echo "" ;;
    esac
}

bad=0
count=0
while IFS= read -r file; do
    count=$((count + 1))
    folder=$(dirname "$file")
    row=" $(allowed "$folder") "
    [ "$row" != "  " ] || { echo "$file: the folder has no row in tests/tools/layers.sh"; bad=1; continue; }
    while IFS=: read -r line include; do
        [ -n "$line" ] || continue
        case "$row" in
        *" $(dirname "$include") "*) ;;
        *) echo "$file:$line: $folder may not include \"$include\""; bad=1 ;;
        esac
    done < <(grep -nE '^#include "' "$file" | sed -E 's/^([0-9]+):#include "([^"]*)".*/\1:\2/')
done < <(find lib ecosystem supervisor agent remote \( -name '*.c' -o -name '*.h' \) 2>/dev/null | sort)

# Third-party headers stay in few places.
only() { # header pattern, where it may stand
    local found
    found=$(grep -rlE "^#include <($1)>" lib ecosystem supervisor agent remote 2>/dev/null | grep -vE "^($2)" || true)
    [ -z "$found" ] || { echo "<$1> may stand only in $2, and stands in: $found"; bad=1; }
}
only 'uv\.h' 'lib/(base/loop|wire/)|supervisor/[a-z_]+\.[ch]|agent/|remote/'
only 'jansson\.h' 'lib/base/json|lib/wire/|ecosystem/|supervisor/cli/|supervisor/[a-z_]+\.[ch]|agent/|remote/'
only 'libwebsockets\.h' 'agent/inspector/|agent/uplink|remote/(http|live|agents)'
only 'curl/.*' 'agent/enrol|supervisor/cli/away/https'
only 'openssl/.*' 'lib/secure/'
only 'yaml\.h' 'supervisor/cli/load/'
only 'sqlite3\.h' 'remote/store/'
only '(curses|term)\.h' 'supervisor/cli/monit/(screen|terminfo)'
only 'zstd\.h|zlib\.h' 'lib/pack/'

[ $bad = 0 ] && echo "layers: $count files include only what they may"
exit $bad
