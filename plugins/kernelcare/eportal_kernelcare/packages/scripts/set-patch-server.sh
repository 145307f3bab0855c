#!/bin/sh
# Printed by ePortal: makes this host's KernelCare agent ask this portal for patches.
# include head.sh

# include files.sh

# include patch_server.sh

main() {
    need_root
    set_patch_server
}

main
