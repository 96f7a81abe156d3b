#!/usr/bin/env bash
# npm-packages.sh FOLDER: installs the npm packages that the folder's package-lock.json names,
# unless they are there.
set -euo pipefail
folder=$1

stamp="$folder/node_modules/.installed-lock.json"
if cmp -s "$folder/package-lock.json" "$stamp"; then
    exit 0
fi
echo "installing the npm packages of $folder"
# Not `npm ci`: it refuses a lock file that lacks the builds for other platforms, which not every
# registry has.
npm install --prefix "$folder" --no-save --loglevel=error --no-audit --no-fund
cp "$folder/package-lock.json" "$stamp"
