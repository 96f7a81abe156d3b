#!/usr/bin/env bash
# What building the gateway needs: cargo of the version Cargo.toml names, and a C compiler for
# aws-lc.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

command -v cc >/dev/null || apt_install gcc libc6-dev
if ! command -v cargo >/dev/null; then
    if apt_has rustup; then
        apt_install rustup
        rustup default stable
    elif apt_has cargo-web; then
        # Debian 12: the Rust that its browsers are built with, kept up to date like them.
        apt_install cargo-web rustc-web rustfmt-web
    else
        echo "cargo is missing, and no package here has it: get Rust from https://rustup.rs" >&2
        exit 1
    fi
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
found=$(cargo --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "cargo $found is too old: Gatepost needs Rust $wanted or newer (rustup update stable)" >&2
    exit 1
fi
