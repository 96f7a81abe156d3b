#!/usr/bin/env bash
# What building the gateway needs: cargo of the version Cargo.toml names, and a C compiler for aws-lc.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v cargo >/dev/null || missing+=(rustup)
if [ "${#missing[@]}" -gt 0 ]; then
    if [[ " ${missing[*]} " == *" rustup "* ]] && ! apt-cache show rustup >/dev/null 2>&1; then
        echo "cargo is missing and this Debian has no rustup package: install Rust from https://rustup.rs and try again" >&2
        exit 1
    fi
    apt_install "${missing[@]}"
fi
cargo --version >/dev/null 2>&1 || rustup default stable

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "cargo $found is too old: Gatepost needs Rust $wanted or newer (rustup update stable)" >&2
    exit 1
fi
