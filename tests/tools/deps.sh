#!/usr/bin/env bash
# Finds the tools and libraries that the build and the tests need, installs what is missing with apt-get, and writes
# the compiler flags for the Makefile.  Usage: deps.sh build/deps.mk
set -euo pipefail

out=$1
missing=()
need() { missing+=("$1"); }

# tool → package
while read -r tool package; do
    command -v "$tool" >/dev/null || need "$package"
done <<'TOOLS'
gcc gcc
ar binutils
pkg-config pkg-config
clang clang
clang-tidy clang-tidy
clang-format clang-format
mandoc mandoc
valgrind valgrind
curl curl
TOOLS

# Node and npm apart: where NodeSource's nodejs is installed, Debian's npm cannot be.
command -v node >/dev/null || need nodejs
command -v npm >/dev/null || need npm

# pkg-config name → package
while read -r name package; do
    command -v pkg-config >/dev/null && pkg-config --exists "$name" || need "$package"
done <<'LIBRARIES'
libuv libuv1-dev
jansson libjansson-dev
libwebsockets libwebsockets-dev
cmocka libcmocka-dev
LIBRARIES

[ -e /usr/include/stdio.h ] || need libc6-dev

# libwebsockets loads its libuv glue as a plugin that no .pc file names.
compgen -G '/usr/lib/*/libwebsockets-evlib_uv.so' >/dev/null || need libwebsockets-evlib-uv

# clang's fuzzing and sanitizer run-time comes in a package of its own, named after clang's version.
if ! compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' >/dev/null; then
    need libclang-rt-14-dev
fi

if [ ${#missing[@]} -gt 0 ]; then
    echo "These packages are missing: ${missing[*]}"
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=$(command -v sudo || true)
        [ -n "$sudo" ] || can_not="you are not root and there is no sudo"
    fi
    command -v apt-get >/dev/null || can_not="there is no apt-get here"
    [ -z "${NO_INSTALL:-}" ] || can_not="NO_INSTALL is set"
    if [ -n "${can_not:-}" ]; then
        echo "They cannot be installed: $can_not. Install them by hand, then run make again." >&2
        exit 2
    fi
    echo "Installing them: $sudo apt-get install --no-install-recommends ${missing[*]}"
    $sudo apt-get update -qq
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        echo "apt-get could not install: ${missing[*]}" >&2
        exit 2
    fi
fi

mkdir -p "$(dirname "$out")"
echo "DEPS_C := $(pkg-config --cflags libuv jansson libwebsockets)" >"$out"
