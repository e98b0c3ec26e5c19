#!/usr/bin/env bash
# Sees to it that `docker compose` is there, version 2.24 or newer; else builds it into .tools/bin/docker-compose, where Go is.
# What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.tools/bin
compose_version=v2.39.4

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

new_enough() { # command: at least 2.24, which knows `!reset` and waits for services that only run once
    local version
    version=$("$@" version --short 2>/dev/null) || return 1
    [[ $version =~ ^v?([0-9]+)\.([0-9]+) ]] || return 1
    (( BASH_REMATCH[1] > 2 || (BASH_REMATCH[1] == 2 && BASH_REMATCH[2] >= 24) ))
}

command -v docker >/dev/null || fail "docker is missing; run \`sudo apt-get install docker.io\`, or see https://docs.docker.com/engine/install"
if new_enough "$bin/docker-compose" || new_enough docker compose; then exit 0; fi
command -v go >/dev/null ||
    fail "docker compose 2.24 or newer is missing; run \`sudo apt-get install docker-compose-v2\`, or install Go 1.24 and run $0 again"
say "building docker compose $compose_version with Go; this takes some minutes"
mkdir -p "$bin"
target=$(realpath "$bin")/docker-compose
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# In a module of its own: plain `go install` refuses a module that excludes versions.
(
    cd "$dir"
    go mod init compose && go get -tool "github.com/docker/compose/v2/cmd@$compose_version" &&
        CGO_ENABLED=0 go build -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=$compose_version" \
            -o "$target" github.com/docker/compose/v2/cmd
) >"$dir/log" 2>&1 || fail "docker compose can't be built: $(tail -n 5 "$dir/log")"
new_enough "$bin/docker-compose" || fail "$bin/docker-compose is not 2.24 or newer"
