#!/usr/bin/env bash
# Builds the images that compose.yaml names where none can be pulled: out of the real programs of this machine, with the
# libraries that they need, under the same names. What differs from the published ones is said in override.yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."
binaries="${CARGO_TARGET_DIR:-target}/debug"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

program() { # names... package: where the first of them is
    local package=${*: -1} name
    for name in "${@:1:$#-1}"; do
        if [ -x ".tools/bin/$name" ]; then echo ".tools/bin/$name"; return; fi
        if command -v "$name" >/dev/null; then command -v "$name"; return; fi
    done
    fail "$1 is missing; run $package"
}

# A program with every library that it is linked to, where its own linker looks for them.
put() { # root program path
    local library
    mkdir -p "$1/$(dirname "$3")"
    strip -o "$1/$3" "$2" 2>/dev/null || cp -L "$2" "$1/$3"
    chmod 755 "$1/$3"
    # A static program has none: ldd says so by its exit.
    ldd "$2" >/dev/null 2>&1 || return 0
    ldd "$2" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$1/$(dirname "$library")"
        cp -L "$library" "$1/$library"
    done
}

image() { # root name changes...
    local root=$1 name=$2 before
    shift 2
    before=$(docker images --quiet "$name")
    tar -C "$root" -c . | docker import "${@/#/--change=}" - "$name" >/dev/null
    # The one of this name before would stay without a name.
    if [ -n "$before" ]; then docker rmi "$before" >/dev/null || say "$before is still in use"; fi
    rm -rf "$root"
    say "made $name"
}

# What the official images bring beside their program: a shell's small tools, of which health checks use one.
tools() {
    put "$1" "$busybox" bin/busybox
    for tool in sh wget; do ln -s busybox "$1/bin/$tool"; done
    mkdir -p "$1/etc" "$1/tmp"
}

ours() { # service program
    local root=$work/$1 folder
    [ -x "$binaries/$2" ] || fail "$binaries/$2 is missing; run \`cargo build --workspace\`"
    put "$root" "$binaries/$2" "usr/local/bin/$2"
    mkdir -p "$root/etc/ssl/certs" "$root/tmp"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" || fail "ca-certificates is missing"
    # The same folders as in the Dockerfile, of the same user.
    while read -r folder; do mkdir -p "$root/$folder"; done <deploy/compose/folders
    chown -R 65532:65532 "$root"
    image "$root" "regreen/$1:0.1.0" "ENTRYPOINT [\"$2\"]" "USER 65532:65532"
}

docker info >/dev/null 2>&1 || fail "no Docker daemon answers; start one"
busybox=$(program busybox '`apt-get install busybox-static`')
ldd "$busybox" >/dev/null 2>&1 && fail "$busybox is not static; run \`apt-get install busybox-static\`"

for service in ingest probe engine runner notifier simcloud; do ours "$service" "regreen-$service"; done
ours cli regreen

tools "$work/nats"
put "$work/nats" "$(program nats-server '`make tools`')" usr/local/bin/nats-server
image "$work/nats" nats:2.12.1-alpine
tools "$work/prometheus"
put "$work/prometheus" "$(program prometheus '`apt-get install prometheus`')" bin/prometheus
image "$work/prometheus" prom/prometheus:v2.55.1 'ENTRYPOINT ["/bin/prometheus"]'
tools "$work/alertmanager"
put "$work/alertmanager" "$(program alertmanager prometheus-alertmanager '`make tools`')" bin/alertmanager
# Debian's reads its templates from a file; in the published one they are built in.
templates=/usr/share/prometheus/alertmanager
if [ -d "$templates" ]; then mkdir -p "$work/alertmanager/$templates" && cp -rL "$templates/." "$work/alertmanager/$templates"; fi
image "$work/alertmanager" prom/alertmanager:v0.28.1 'ENTRYPOINT ["/bin/alertmanager"]'
tools "$work/haproxy"
put "$work/haproxy" "$(program haproxy '`apt-get install haproxy`')" usr/local/sbin/haproxy
image "$work/haproxy" haproxy:3.0-alpine
