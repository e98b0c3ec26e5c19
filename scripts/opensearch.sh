#!/usr/bin/env bash
# Gets OpenSearch by Maven and writes .tools/bin/opensearch-node, which runs one node as one process. The jars are kept
# outside the clone, under a name made of what they were made from: clones share them. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.tools/bin
from=scripts/opensearch
# Of each node; three of them and a drill fit into two gigabytes.
heap=384m

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }
need() { # program, package of Debian
    command -v "$1" >/dev/null || fail "$1 is missing; run \`sudo apt-get install $2\`"
}

need java default-jdk-headless
need javac default-jdk-headless
made_from=$(cat "$from"/* | sha256sum | cut -c1-12)
home="${XDG_CACHE_HOME:-$HOME/.cache}/regreen/opensearch-$made_from"

get_opensearch() {
    if [ -d "$home" ]; then return; fi
    need mvn maven
    say "getting OpenSearch by Maven into $home"
    mkdir -p "$(dirname "$home")"
    dir=$(mktemp -d "$home.XXXXXX")
    trap 'rm -rf "$dir"' EXIT
    cp "$from/pom.xml" "$from/log4j2.properties" "$dir"
    mvn -q -B -Dstyle.color=never -f "$dir/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$dir/lib" >&2 ||
        fail "Maven can't get OpenSearch; is Maven Central, or the mirror in ~/.m2/settings.xml, within reach?"
    javac -cp "$dir/lib/*" -d "$dir" "$from/SearchNode.java" || fail "$from/SearchNode.java does not compile"
    # Whole or not at all; another clone may have been faster.
    mv -T "$dir" "$home" 2>/dev/null || [ -d "$home" ] || fail "$home can't be written"
}

get_opensearch
mkdir -p "$bin"
cat >"$bin/opensearch-node.new" <<SH
#!/bin/sh
# Written by scripts/opensearch.sh. The process is the node: its pid is the one to kill.
exec java -Xms128m -Xmx$heap -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '$home:$home/lib/*' SearchNode "\$@"
SH
chmod 755 "$bin/opensearch-node.new"
mv "$bin/opensearch-node.new" "$bin/opensearch-node"
