# Sourced by the scripts beside it: `prepare LOCK` makes .venv hold what LOCK names, and ePortal.
# shellcheck shell=sh

root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/.venv
cd "$root" || exit
# Compiled modules make each start of the command three times faster, and tests start hundreds.
unset PYTHONDONTWRITEBYTECODE

# debian PACKAGE...: install what is missing, on machines that have apt-get.
debian() {
    missing=
    for package; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null || {
            echo "Please have an administrator install:$missing" >&2
            exit 1
        }
    fi
    echo "Installing Debian packages:$missing" >&2
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -qq -y --no-install-recommends \
        $missing >/dev/null
}

prepare() {
    lock=$1
    if [ ! -x "$venv/bin/python" ]; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
            echo "ePortal needs Python 3.11 or newer; python3 is $(python3 -V)." >&2
            exit 1
        }
        python3 -c 'import ensurepip' 2>/dev/null || debian python3-venv
        python3 -m venv "$venv"
    fi
    # Installed already from this very lock and project file: nothing to do.
    stamp=$venv/$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1).installed
    [ -e "$stamp" ] && return 0
    echo "Installing Python packages into .venv" >&2
    "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$lock"
    "$venv/bin/pip" install -q --disable-pip-version-check --no-deps -e .
    touch "$stamp"
}
