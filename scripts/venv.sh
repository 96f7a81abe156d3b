#!/usr/bin/env bash
# venv.sh FOLDER REQUIREMENTS: makes the virtual environment, or brings it up to date when the file
# changed.
set -euo pipefail
folder=$1
requirements=$2

stamp="$folder/.requirements"
if [ -x "$folder/bin/python" ] && cmp -s "$requirements" "$stamp"; then
    exit 0
fi
echo "installing the Python packages of $requirements into $folder"
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
cp "$requirements" "$stamp"
