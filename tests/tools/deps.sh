#!/usr/bin/env bash
# Finds the tools and libraries of the build and of the tests, installs what is missing with apt-get, and writes the
# compiler flags for the Makefile.  Without something that the build or the programs need it ends with 2; without
# something that only tests, lint and fuzzing need it warns and goes on.
#
# Usage: deps.sh build/deps.mk          Environment: NO_INSTALL=1, nothing is installed
#        deps.sh --have cmocka|fuzzer   only looks for one thing of the tests; a sentence and 2 when it is missing
set -euo pipefail

needed=() wanted=()
has_tool() { command -v "$1" >/dev/null; }
has_library() { has_tool pkg-config && pkg-config --exists "$1"; }

# clang's fuzzing and sanitizer run-time comes in a package of its own, named after clang's version.
has_fuzzer() {
    has_tool clang && compgen -G "$(clang -print-resource-dir)/lib/*/libclang_rt.fuzzer[-.]*a" >/dev/null
}

# Node and npm install what the console's page is made with.  Apart: where NodeSource's nodejs is installed, Debian's npm
# cannot be.
find_needed() {
    local name package
    while read -r name package; do
        has_tool "$name" || needed+=("$package")
    done <<'TOOLS'
gcc gcc
ar binutils
pkg-config pkg-config
node nodejs
npm npm
TOOLS
    while read -r name package; do
        has_library "$name" || needed+=("$package")
    done <<'LIBRARIES'
libuv libuv1-dev
jansson libjansson-dev
libwebsockets libwebsockets-dev
openssl libssl-dev
sqlite3 libsqlite3-dev
libzstd libzstd-dev
ncursesw libncurses-dev
zlib zlib1g-dev
yaml-0.1 libyaml-dev
LIBRARIES
    # The flavours of libcurl for other TLS libraries have the same .pc file.
    has_library libcurl && has_tool curl-config && curl-config --ssl-backends | grep -q OpenSSL || needed+=(libcurl4-openssl-dev)
    [ -e /usr/include/stdio.h ] || needed+=(libc6-dev)
    # libwebsockets loads its libuv glue as a plugin that no .pc file names.
    compgen -G '/usr/lib/*/libwebsockets-evlib_uv.so' >/dev/null || needed+=(libwebsockets-evlib-uv)
}

# All but clang's run-time, whose name is known only when clang's version is.
find_wanted() {
    local name package
    while read -r name package; do
        has_tool "$name" || wanted+=("$package")
    done <<'TOOLS'
clang clang
clang-tidy clang-tidy
clang-format clang-format
mandoc mandoc
valgrind valgrind
curl curl
openssl openssl
zstd zstd
chromium chromium
musl-gcc musl-tools
TOOLS
    has_library cmocka || wanted+=(libcmocka-dev)
}

# The run-time's package for the clang that is here, or for the one that apt-get would install.
clang_runtime() {
    local major
    if has_tool clang; then
        major=$(clang -dumpversion)
    else
        major=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1) || true
    fi
    echo "libclang-rt-${major:+${major%%.*}-}dev"
}

# Prints why nothing can be installed; nothing when it can.
obstacle() {
    if [ -n "${NO_INSTALL:-}" ]; then
        echo "NO_INSTALL is set"
    elif ! has_tool apt-get; then
        echo "there is no apt-get here"
    elif [ "$(id -u)" != 0 ] && ! has_tool sudo; then
        echo "you are not root and there is no sudo"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    echo "Installing: apt-get install --no-install-recommends $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# All in one call; if that fails, what is needed first and then one by one, so that one package does not keep out the
# others.  `wanted` is left with what could not be installed.
install_missing() {
    local package left=()
    as_root apt-get update -qq || echo "apt-get update failed, going on" >&2
    has_fuzzer || wanted+=("$(clang_runtime)")
    if apt_install "${needed[@]}" "${wanted[@]}"; then
        wanted=()
        return
    fi
    if [ ${#needed[@]} -gt 0 ] && ! apt_install "${needed[@]}"; then
        echo "apt-get could not install what the build needs: ${needed[*]}" >&2
        exit 2
    fi
    for package in "${wanted[@]}"; do
        apt_install "$package" || left+=("$package")
    done
    wanted=("${left[@]}")
}

have() {
    case $1 in
    cmocka)
        has_library cmocka && return
        echo "cmocka is missing, the unit tests need it: run 'make deps', or install libcmocka-dev by hand" >&2
        ;;
    fuzzer)
        has_fuzzer && return
        echo "clang or its run-time for fuzzing is missing: run 'make deps', or install clang and libclang-rt by hand" >&2
        ;;
    *)
        echo "deps.sh: --have knows cmocka and fuzzer, not '$1'" >&2
        ;;
    esac
    return 2
}

links_static() { echo 'int main(void) { return 0; }' | "$1" -static -no-pie -x c -o /dev/null - 2>/dev/null; }

# The keeper is linked with musl, else statically with the C library of the host, else as any other program.
keeper_flags() {
    if has_tool musl-gcc && links_static musl-gcc; then
        printf 'KEEPER_CC := musl-gcc\nKEEPER_STATIC := -static -no-pie\n'
    elif links_static gcc; then
        printf 'KEEPER_CC := $(CC)\nKEEPER_STATIC := -static -no-pie\n'
    else
        printf 'KEEPER_CC := $(CC)\nKEEPER_STATIC := -no-pie\n'
    fi
}

if [ "${1:-}" = --have ]; then
    have "${2:-}"
    exit
fi
out=${1:?usage: deps.sh FILE}

find_needed
find_wanted
if [ ${#needed[@]} -gt 0 ] || [ ${#wanted[@]} -gt 0 ] || ! has_fuzzer; then
    can_not=$(obstacle)
    if [ -z "$can_not" ]; then
        install_missing
        can_not="apt-get could not"
    elif [ ${#needed[@]} -gt 0 ]; then
        echo "The build needs these packages: ${needed[*]}" >&2
        echo "They cannot be installed: $can_not.  Install them by hand, then run make again." >&2
        exit 2
    elif ! has_fuzzer; then
        wanted+=("$(clang_runtime)")
    fi
    if [ ${#wanted[@]} -gt 0 ]; then
        echo "Some tests, lint or fuzzing will not run, or the keeper is larger, without these packages, which are not installed ($can_not): ${wanted[*]}" >&2
    fi
fi

flags=$(pkg-config --cflags libuv jansson libwebsockets openssl sqlite3 libzstd zlib libcurl yaml-0.1 ncursesw)
mkdir -p "$(dirname "$out")"
{
    echo "DEPS_C := $flags"
    echo "DEPS_CURSES := $(pkg-config --libs ncursesw)"
    keeper_flags
} >"$out"
