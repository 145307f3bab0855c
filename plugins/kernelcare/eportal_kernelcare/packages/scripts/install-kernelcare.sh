#!/bin/sh
# Printed by ePortal: installs the KernelCare agent from this portal, and makes it ask this portal.
# The vendor's script of this name is not public; this one is ePortal's own.
# KCARE_MAILTO, if set, is who gets mail when an update fails.
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

# include patch_server.sh

# include repository.sh

# include package.sh

main() {
    need_root
    check_mailto
    set_repository
    # Before the package, so that the agent never asks anybody else, and after it, in case that the
    # package has brought a configuration of its own.
    set_patch_server
    export_addresses
    install_package
    set_patch_server
    set_mailto
    say "the agent is installed. Register this host with: kcarectl --register KEY"
}

main
