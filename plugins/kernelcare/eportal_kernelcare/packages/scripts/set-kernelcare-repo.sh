#!/bin/sh
# Printed by ePortal: makes this host's package manager get the KernelCare agent from this portal.
# include head.sh

# include files.sh

# include repository.sh

main() {
    need_root
    set_repository
}

main
