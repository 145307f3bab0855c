#!/bin/sh
# Printed by ePortal: installs the KernelCare agent from this portal, and makes it ask this portal.
# KCARE_MAILTO, if set, is who gets mail when an update fails.
# include head.sh

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
