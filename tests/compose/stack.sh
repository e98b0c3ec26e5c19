#!/usr/bin/env bash
# `make stack`: the stack of compose.yaml, brought up, broken, repaired and taken down. It starts a Docker daemon where none
# runs and it may, and ends the one that it started. Nothing is left: containers, volumes, images.
set -euo pipefail
cd "$(dirname "$0")/../.."
# How long a daemon may take to answer, in tenths of a second.
daemon_max=300

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

daemon=
log=
end() {
    local code=$?
    tests/compose/images.sh --remove || code=1
    if [ -n "$daemon" ]; then
        kill "$daemon" && wait "$daemon" || true
        rm -f "$log"
    fi
    exit "$code"
}

answers() { docker info >/dev/null 2>&1; }

start_daemon() {
    local turn
    [ "$(id -u)" = 0 ] || fail "no Docker daemon answers; start it (\`sudo systemctl start docker\`), and be of the group \`docker\`"
    command -v dockerd >/dev/null || fail "dockerd is missing; run \`apt-get install docker.io\`"
    log=$(mktemp)
    dockerd >"$log" 2>&1 &
    daemon=$!
    for turn in $(seq "$daemon_max"); do
        if answers; then return; fi
        kill -0 "$daemon" 2>/dev/null || fail "dockerd ended: $(tail -n 5 "$log")"
        sleep 0.1
    done
    fail "dockerd did not answer within $((turn / 10)) s: $(tail -n 5 "$log")"
}

scripts/compose.sh
trap end EXIT
answers || start_daemon
tests/compose/images.sh
cargo run --quiet --locked -p regreen-tests --bin regreen-stack
