#!/usr/bin/env bash
# What an editor makes of schemas/json/playbooks.schema.json: the real yaml-language-server completes, explains and
# checks playbooks by it. Needs Node 18 or newer, and npm with its registry the first time.
set -euo pipefail
cd "$(dirname "$0")"
for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing; apt-get install nodejs npm" >&2; exit 1; }
done
major="$(node -p 'process.versions.node.split(".")[0]')"
[ "$major" -ge 18 ] || { echo "error: Node 18 or newer is needed, not $major; apt-get install nodejs npm" >&2; exit 1; }
# Only what package-lock.json pins, and only when it changed.
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi
exec node test.mjs
