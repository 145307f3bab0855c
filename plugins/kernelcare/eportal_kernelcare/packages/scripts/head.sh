# The vendor's script of this name is not public; this one is ePortal's own.
# Nothing is changed that is right already. EPORTAL_ROOT puts everything below another folder.
# Variables in values are for dnf, or for fill_in below.
# shellcheck disable=SC2016
set -eu
# apt reads keys as a user of its own: folders that are made here must not be root's alone.
umask 022
EPORTAL_ROOT=${EPORTAL_ROOT:-}
# Filled in by the portal:
PORTAL=@PORTAL@

say() { printf 'ePortal: %s\n' "$*"; }
die() {
    printf 'ePortal: %s\n' "$*" >&2
    exit 1
}

need_root() {
    [ -n "$EPORTAL_ROOT" ] || [ "$(id -u)" -eq 0 ] || die "run this as root."
}
