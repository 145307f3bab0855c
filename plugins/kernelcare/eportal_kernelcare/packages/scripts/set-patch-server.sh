#!/bin/sh
# Printed by ePortal: makes this host's KernelCare agent ask this portal for patches.
# The vendor's script of this name is not public; this one is ePortal's own.
# Nothing is changed that is right already. EPORTAL_ROOT puts everything below another folder.
set -eu
EPORTAL_ROOT=${EPORTAL_ROOT:-}
# Filled in by the portal:
PORTAL=@PORTAL@

# include files.sh

# include patch_server.sh

main() {
    need_root
    set_patch_server
}

main
