# Sourced by the install scripts: installs Debian packages, saying which, only when they are missing.

apt_install() {
    if ! command -v apt-get >/dev/null; then
        echo "cannot install $*: this machine has no apt-get; install them with its own package manager" >&2
        exit 1
    fi
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "cannot install $*: not root and no sudo; run as root: apt-get install $*" >&2
            exit 1
        fi
        root=(sudo)
    fi
    echo "installing Debian packages: $*"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
