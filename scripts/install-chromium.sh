#!/usr/bin/env bash
# What the end-to-end tests need: Debian's Chromium, and certutil to make it trust the local CA.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

missing=()
command -v chromium >/dev/null || missing+=(chromium fonts-dejavu-core)
command -v certutil >/dev/null || missing+=(libnss3-tools)
if [ "${#missing[@]}" -gt 0 ]; then
    apt_install "${missing[@]}"
fi
