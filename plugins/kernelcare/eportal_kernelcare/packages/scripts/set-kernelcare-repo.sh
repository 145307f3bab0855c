#!/bin/sh
# Printed by ePortal: makes this host's package manager get the KernelCare agent from this portal.
# The vendor's script of this name is not public; this one is ePortal's own.
# Nothing is changed that is right already. EPORTAL_ROOT puts everything below another folder.
# Variables in values are for dnf, or for fill_in below.
# shellcheck disable=SC2016
set -eu
EPORTAL_ROOT=${EPORTAL_ROOT:-}
# Filled in by the portal:
PORTAL=@PORTAL@
RPM_PATH=@RPM_PATH@
RPM_KEY=@RPM_KEY@
DEB=@DEB@
DEB_KEY=@DEB_KEY@

# include files.sh

# include repository.sh

main() {
    need_root
    set_repository
}

main
