#!/bin/sh
# Installs mcp-codex-worker @VERSION@ into ~/.local, or where --prefix says. Needs sh, tar, a program that knows SHA-256, and
# curl or wget where it takes the archive from a server.
#
# What it unpacks has the sum that is written here, from whatever mirror it came. It runs nothing but the program, once, and
# puts it in its place as the last step: what fails before changes nothing.
set -eu

VERSION='@VERSION@'
DOWNLOADS='@DOWNLOADS@'

usage() {
    cat <<'TEXT'
install.sh [--prefix DIR] [--from URL|DIR] [--musl]

  --prefix DIR     install below it: DIR/bin/mcp-codex-worker (default ~/.local; or $WORKER_INSTALL_PREFIX)
  --from URL|DIR   take the archive from there: a server or a folder (or $WORKER_INSTALL_FROM)
  --musl           take the static program, which needs no C library of the system

To remove it: DIR/bin/mcp-codex-worker and DIR/share/mcp-codex-worker.
TEXT
}

# System, machine, the oldest glibc that will do (- for a static program), sum, name.
archives() {
    cat <<'TEXT'
@ARCHIVES@
TEXT
}

fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

prefix=${WORKER_INSTALL_PREFIX:-}
from=${WORKER_INSTALL_FROM:-$DOWNLOADS}
musl=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --from)
            [ $# -ge 2 ] || fail "$1 needs a value"
            if [ "$1" = --prefix ]; then prefix=$2; else from=$2; fi
            shift 2
            ;;
        --musl) musl=yes; shift ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; fail "$1 is not known" ;;
    esac
done
if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail 'HOME is not set: say where by --prefix DIR'
    prefix=$HOME/.local
fi
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
[ -n "$from" ] || fail 'this build of the installer knows no server: say where the archives are by --from URL or --from DIR'

# The C library: only that of GNU has getconf's word.
glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null || :)
glibc=${glibc#glibc }

# True if the first version, as in 2.34, is at least the second.
reaches() {
    [ "${1%%.*}" -gt "${2%%.*}" ] 2>/dev/null && return 0
    [ "${1%%.*}" -eq "${2%%.*}" ] 2>/dev/null || return 1
    rest=${1#*.}
    [ "${rest%%.*}" -ge "${2#*.}" ] 2>/dev/null
}

# The first archive that runs here; one for glibc goes before a static one.
system=$(uname -s) machine=$(uname -m)
case $machine in arm64) machine=aarch64 ;; amd64) machine=x86_64 ;; esac
name='' sum='' needs='' static_name='' static_sum=''
while read -r its_system its_machine its_glibc its_sum its_name; do
    [ "$its_system $its_machine" = "$system $machine" ] || continue
    if [ "$its_glibc" = - ]; then
        static_name=$its_name static_sum=$its_sum
    else
        needs=$its_glibc
        if [ -z "$musl" ] && [ -n "$glibc" ] && reaches "$glibc" "$its_glibc"; then
            name=$its_name sum=$its_sum
        fi
    fi
done <<LIST
$(archives)
LIST
if [ -z "$name" ]; then
    name=$static_name sum=$static_sum
fi
source_way='Build it from its source: README.md, "From source".'
if [ -z "$name" ]; then
    if [ -n "$musl" ]; then
        fail "there is no static package for $system $machine. $source_way"
    elif [ -n "$needs" ]; then
        fail "the package for $system $machine needs glibc $needs, and this system has ${glibc:-none}. $source_way"
    fi
    fail "there is no package for $system $machine. $source_way"
fi

# Before anything is fetched: can it be put there?
mkdir -p "$prefix/bin" "$prefix/share/mcp-codex-worker" 2>/dev/null && [ -w "$prefix/bin" ] &&
    [ -w "$prefix/share/mcp-codex-worker" ] ||
    fail "$prefix cannot be written: choose another place by --prefix DIR"
# On the same file system, so that the last step is a rename.
work=$(mktemp -d "$prefix/bin/.mcp-codex-worker.XXXXXX") || fail "$prefix/bin cannot be written: choose another place by --prefix DIR"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

archive=$work/archive.tar.gz
case $from in
    http://* | https://*)
        url=${from%/}/$name.tar.gz
        if command -v curl >/dev/null 2>&1; then
            curl --fail --silent --show-error --location --output "$archive" "$url" || fail "$url cannot be fetched"
        elif command -v wget >/dev/null 2>&1; then
            wget -q -O "$archive" "$url" || fail "$url cannot be fetched"
        else
            fail "neither curl nor wget is installed: fetch $url yourself, then --from its folder"
        fi
        ;;
    *)
        from=${from#file://}
        [ -f "$from/$name.tar.gz" ] || fail "$from has no $name.tar.gz"
        cp "$from/$name.tar.gz" "$archive" || fail "$from/$name.tar.gz cannot be read"
        ;;
esac

if command -v sha256sum >/dev/null 2>&1; then
    got=$(sha256sum <"$archive")
elif command -v shasum >/dev/null 2>&1; then
    got=$(shasum -a 256 <"$archive")
elif command -v openssl >/dev/null 2>&1; then
    got=$(openssl dgst -sha256 -r <"$archive")
else
    fail 'no program here knows SHA-256 (sha256sum, shasum, openssl): install one'
fi
got=${got%% *}
[ "$got" = "$sum" ] ||
    fail "$name.tar.gz from $from is not the release's: its SHA-256 is $got, and it must be $sum. It is damaged, or another one; nothing was installed"

tar -xzf "$archive" -C "$work" || fail "$name.tar.gz cannot be unpacked"
program=$work/$name/mcp-codex-worker
said=$("$program" --version 2>&1) ||
    fail "the program does not run here: $said. ${static_name:+Try --musl. }$source_way"
case $said in
    "mcp-codex-worker $VERSION "*) ;;
    *) fail "the program says that it is $said, not $VERSION" ;;
esac

printf '{"installed_by": "installer"}\n' >"$work/install.json"
mv -f "$work/install.json" "$prefix/share/mcp-codex-worker/install.json"
# A program that runs keeps its file: a rename replaces the name only.
mv -f "$program" "$prefix/bin/mcp-codex-worker"

printf 'Installed %s\n%s\n' "$said" "$prefix/bin/mcp-codex-worker"
case :${PATH:-}: in
    *:"$prefix/bin":*) printf 'See it work: mcp-codex-worker demo\n' ;;
    *) printf 'It is not on your PATH. See it work: "%s" demo\n' "$prefix/bin/mcp-codex-worker" ;;
esac
