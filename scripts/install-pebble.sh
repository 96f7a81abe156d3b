#!/usr/bin/env bash
# What the tests of ACME need: pebble, a certificate authority that issues for nobody but tests, which they
# start themselves on ports of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

if ! command -v pebble >/dev/null; then
    apt_install pebble
fi
