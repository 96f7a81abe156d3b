#!/usr/bin/env bash
# What the tests of the transactional outbox need: PostgreSQL and MariaDB, which the tests start
# themselves in folders of their own, and what mysqlclient is built with.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/apt.sh

has_postgres() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

missing=()
has_postgres || missing+=(postgresql)
command -v mariadbd >/dev/null || missing+=(mariadb-server)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v pkg-config >/dev/null || missing+=(pkg-config)
pkg-config --exists libmariadb 2>/dev/null || missing+=(libmariadb-dev)
headers=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -e "$headers/Python.h" ] || missing+=(python3-dev)
if [ "${#missing[@]}" -gt 0 ]; then
    apt_install "${missing[@]}"
fi
