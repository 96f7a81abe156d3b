#!/usr/bin/env bash
# What Vite needs (make demo DEV=1, and the end-to-end tests of hot module replacement): Node.js and npm.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt_install nodejs npm
fi
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    echo "Node.js $(node --version) is too old: Vite 7 needs 20.19 or newer" >&2
    exit 1
fi
