#!/usr/bin/env bash
# What the tests of a gateway behind others need: nginx, HAProxy and Caddy, which the tests start themselves in
# folders of their own, and openssl, which makes their certificates.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh
PATH="$PATH:/usr/sbin"

missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v caddy >/dev/null || missing+=(caddy)
command -v openssl >/dev/null || missing+=(openssl)
if [ "${#missing[@]}" -gt 0 ]; then
    apt_install "${missing[@]}"
fi
