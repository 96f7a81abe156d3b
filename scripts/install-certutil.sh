#!/usr/bin/env bash
# What the tests of `gatepost trust` need: certutil, for stores below folders of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

command -v certutil >/dev/null || apt_install libnss3-tools
