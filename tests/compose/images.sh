#!/usr/bin/env bash
# Builds the images that compose.yaml names where none can be pulled: out of the real programs of this machine, with the
# libraries that they need, under the same names. An image that was pulled is never replaced. `--remove` takes them away.
set -euo pipefail
cd "$(dirname "$0")/../.."
binaries="${CARGO_TARGET_DIR:-target}/debug"
label=regreen.part=stand-in
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

# Whether a name may be taken: never from an image that somebody pulled.
free() { # name
    local labels
    labels=$(docker image inspect --format '{{json .Config.Labels}}' "$1" 2>/dev/null) || return 0
    [[ $labels = *'"regreen.part":'* ]] || fail "$1 is there and no stand-in; run \`docker rmi $1\` if you want one"
}

image() { # root name changes...
    local root=$1 name=$2
    shift 2
    free "$name"
    tar -C "$root" -c . | docker import "${@/#/--change=}" --change="LABEL $label" - "$name" >/dev/null
    rm -rf "$root"
    say "made $name"
}

# What the official images bring beside their program: a shell's small tools, of which health checks use one.
tools() {
    put "$1" "$busybox" bin/busybox
    for tool in sh wget; do ln -s busybox "$1/bin/$tool"; done
    mkdir -p "$1/etc" "$1/tmp"
}

# The CAs that TLS trusts: without any, clients refuse to start.
roots() {
    mkdir -p "$1/etc/ssl/certs"
    cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/" || fail "ca-certificates is missing"
}

# The Dockerfile itself is built, on stand-ins for Rust's image and for the one without shell.
ours() {
    local rust=$work/rust bare=$work/bare program target
    tools "$rust"
    mkdir -p "$rust/built" "$bare/tmp"
    for program in regreen regreen-{ingest,probe,engine,runner,notifier,simcloud}; do
        [ -x "$binaries/$program" ] || fail "$binaries/$program is missing; run \`cargo build --workspace\`"
        put "$bare" "$binaries/$program" "built/$program"
        mv "$bare/built/$program" "$rust/built/"
    done
    rmdir "$bare/built"
    install -m 755 tests/compose/cargo "$rust/bin/cargo"
    printf '#!/bin/sh\n# Stands for the one that installs packages.\n' >"$rust/bin/apk"
    chmod 755 "$rust/bin/apk"
    for program in mkdir cp; do ln -s busybox "$rust/bin/$program"; done
    image "$rust" "$(from chef)"
    roots "$bare"
    image "$bare" "$(from base)"
    for target in cli ingest probe engine runner notifier simcloud; do
        # The old builder: it comes with the daemon, and asks nobody for images that are here.
        free "regreen/$target:0.1.0"
        DOCKER_BUILDKIT=0 docker build --target "$target" --label "$label" --tag "regreen/$target:0.1.0" . >"$work/log" 2>&1 ||
            fail "the Dockerfile can't be built: $(tail -n 20 "$work/log")"
        say "made regreen/$target:0.1.0"
    done
}

from() { # stage: the image that it begins with
    sed -n "s/^FROM \(.*\) AS $1$/\1/p" Dockerfile
}

remove() {
    local images
    images=$(docker images --quiet --filter label=regreen.part | sort -u)
    # Those that others are made of go in a later turn.
    for _ in 1 2 3; do
        [ -n "$images" ] || return 0
        xargs docker rmi --force >/dev/null 2>&1 <<<"$images" || true
        images=$(docker images --all --quiet --filter label=regreen.part | sort -u)
    done
    [ -z "$images" ] || fail "these images can't be removed: $images"
}

docker info >/dev/null 2>&1 || fail "no Docker daemon answers; start one"
if [ "${1:-}" = --remove ]; then remove; exit; fi
busybox=$(program busybox '`apt-get install busybox-static`')
ldd "$busybox" >/dev/null 2>&1 && fail "$busybox is not static; run \`apt-get install busybox-static\`"

ours

tools "$work/nats"
put "$work/nats" "$(program nats-server '`make tools`')" usr/local/bin/nats-server
image "$work/nats" nats:2.12.1-alpine
tools "$work/prometheus"
put "$work/prometheus" "$(program prometheus '`apt-get install prometheus`')" bin/prometheus
image "$work/prometheus" prom/prometheus:v2.55.1 'ENTRYPOINT ["/bin/prometheus"]'
tools "$work/alertmanager"
put "$work/alertmanager" "$(program alertmanager prometheus-alertmanager '`make tools`')" bin/alertmanager
# Debian's reads its templates from files; in the published one they are built in.
templates=/usr/share/prometheus/alertmanager
if grep -qF "$templates" "$work/alertmanager/bin/alertmanager"; then
    [ -d "$templates" ] || fail "$templates is missing; run \`apt-get install prometheus-alertmanager\`"
    mkdir -p "$work/alertmanager/$templates"
    cp -rL "$templates/." "$work/alertmanager/$templates"
fi
image "$work/alertmanager" prom/alertmanager:v0.28.1 'ENTRYPOINT ["/bin/alertmanager"]'
tools "$work/haproxy"
put "$work/haproxy" "$(program haproxy '`apt-get install haproxy`')" usr/local/sbin/haproxy
image "$work/haproxy" haproxy:3.0-alpine
search() {
    local root=$work/search tool
    tools "$root"
    for tool in tr sed hostname cut; do ln -s busybox "$root/bin/$tool"; done
    put "$root" "$binaries/regreen-simcloud" built/regreen-simcloud
    roots "$root"
    install -m 755 tests/compose/opensearch tests/compose/curl "$root/bin/"
    mkdir -p "$root/usr/share/opensearch/data"
    # As in the published image, the node's folder is that of its user.
    chown -R 1000:1000 "$root/usr/share/opensearch" "$root/tmp"
    image "$root" opensearchproject/opensearch:2.19.1 'ENTRYPOINT ["/bin/opensearch"]' 'USER 1000'
}
search
# What was of these names before, and the stages of the build.
docker image prune --force --filter label=regreen.part >/dev/null
