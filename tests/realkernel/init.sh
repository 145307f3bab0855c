#!/bin/sh
#
# /init of the guest: bring up just enough of a system, run the agent once, switch off.
# The kernel hands unknown name=value words of its command line to init as environment;
# "eportal" and "key" are such words, while it takes "hostname" itself.

/bin/busybox --install -s /bin
mkdir -p /proc /sys /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys

# Named so that their alphabetical order is the one in which they depend on each other.
for module in /modules/*.ko; do
    insmod "$module"
done
# The address that qemu's user network has for its guest; the host's loopback is 10.0.2.2.
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0

# shellcheck disable=SC2154 # from the kernel's command line
/bin/sh /agent.sh "$eportal" "$key" || echo "The agent ended with exit code $?."
dmesg | grep livepatch
poweroff -f
