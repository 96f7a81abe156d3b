#!/usr/bin/env bash
# What the demo and the tests in Python need: Python 3.10 or newer that can make a virtual
# environment.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install python3 python3-venv
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "$(python3 --version) is too old: the demo and the tests need Python 3.10 or newer" >&2
    exit 1
fi
