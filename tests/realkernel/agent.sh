#!/bin/sh
#
# A small live-patch agent: how a server talks to ePortal, in the order in which it happens.
#
#     agent.sh http://eportal.example KEY
#
# Needs wget, base64, sha1sum and insmod, busybox's will do. Prints name=value lines.
# An agent for production would also keep its server id, verify the signature that
# kpatch.bin.sig holds before it loads anything, and come back every four hours.
set -eu

portal=$1
key=$2

fail() {
    echo "error=$*"
    exit 1
}

# The portal knows a kernel by the hash of its /proc/version, newline included.
kernel_id=$(sha1sum </proc/version | cut -d ' ' -f 1)
echo "kernel_id=$kernel_id"
echo "cmdline_before=$(cat /proc/cmdline)"

# Registration: once in a server's life, with a key. The answer is lines of name:value;
# code 0 is yes, 1 account locked, 2 unknown key, 3 the key's limit is reached.
answer=$(wget -q -O - "$portal/admin/api/kcare/register_server.plain?key=$key&hostname=$(hostname)")
code=$(echo "$answer" | sed -n 's/^code://p')
[ "$code" = 0 ] || fail "registration refused, the portal says: $answer"
server_id=$(echo "$answer" | sed -n 's/^server_id://p')
echo "server_id=$server_id"

# From now on the server id is the user name of HTTP Basic authentication; any password.
authorization="Authorization: Basic $(printf '%s:any' "$server_id" | base64 | tr -d '\n')"

# fetch PATH FILE: one file that belongs to this kernel.
fetch() {
    wget -q -O "$2" --header "$authorization" "$portal/$kernel_id/$1"
}

# What the portal shows of a server, as a JSON object. No value here holds a quote or backslash.
# $level is what runs now, 0 = not patched; $euname is the release that this level amounts to.
facts() {
    cat <<END
{
    "hostname": "$(hostname)",
    "release": "$(uname -r)",
    "version": "$(uname -v)",
    "machine": "$(uname -m)",
    "processor": "$(uname -m)",
    "distro": "$ID",
    "distro_version": "$VERSION_ID",
    "uptime": $(cut -d . -f 1 /proc/uptime),
    "kernel_id": "$kernel_id",
    "euname": "$euname",
    "patch_type": "default",
    "patch_level": $level
}
END
}

# Check-in: ask for the latest level, and by the same request say who asks and what runs. The facts
# travel as base64url, the answer is bare digits without a newline.
check_in() {
    fetch "latest.v1?info=$(facts | base64 | tr -d '=\n' | tr '+/' '-_')" -
}

# shellcheck source=/dev/null
. /etc/os-release
level=0
euname=$(uname -r)
latest=$(check_in)
case $latest in
    '' | *[!0-9]*) fail "not a level: $latest" ;;
esac
echo "latest=$latest"

if [ "$latest" -gt "$level" ]; then
    fetch "$latest/kpatch.info" /tmp/kpatch.info
    fetch "$latest/kpatch.bin" /tmp/kpatch.bin
    insmod /tmp/kpatch.bin

    # The kernel moves its tasks to the new code one by one; "1" is: not all of them yet.
    tries=30
    while grep -q 1 /sys/kernel/livepatch/*/transition; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "the patch is still in transition"
        sleep 1
    done
    level=$latest
    euname=$(sed -n 's/^uname: //p' /tmp/kpatch.info)

    # Say so at once, or the portal would show the old level until the next regular check-in.
    check_in >/dev/null
fi

echo "level=$level"
echo "euname=$euname"
echo "loaded=$(ls /sys/kernel/livepatch)"
echo "cmdline_after=$(cat /proc/cmdline)"
echo "finished=yes"
