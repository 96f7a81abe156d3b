#!/usr/bin/env bash
# What the tests of a clock that jumps need: libfaketime, under the gateway of these tests alone.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

if ! compgen -G "/usr/lib/*/faketime/libfaketimeMT.so.1" >/dev/null; then
    apt_install libfaketime
fi
