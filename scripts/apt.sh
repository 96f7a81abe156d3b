# Sourced by the install scripts: installs Debian packages, saying which, only when they are
# missing.

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

apt_install() {
    if ! command -v apt-get >/dev/null; then
        echo "cannot install $*: there is no apt-get; use the package manager of this system" >&2
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "cannot install $*: not root and no sudo; run as root: apt-get install $*" >&2
        exit 1
    fi
    echo "installing Debian packages: $*"
    # Targets that are made side by side install in turn; a service that is started must not keep the lock.
    (
        flock 9
        as_root apt-get update -qq 9>&-
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null 9>&-
    ) 9>"${TMPDIR:-/tmp}/gatepost-apt.lock"
}

# Whether Debian has this package.
apt_has() {
    command -v apt-cache >/dev/null && as_root apt-get update -qq &&
        apt-cache policy "$1" | grep -q 'Candidate: [^(]'
}
