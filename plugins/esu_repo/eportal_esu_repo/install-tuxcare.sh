#!/bin/sh
# Set up the ESU repositories of an ePortal on this machine: curl -s PORTAL/install-tuxcare | bash
#
# The vendor's own script and its program tuxctl are not public: this is ePortal's own script, and it
# was never tried with them. EPORTAL_KEY registers a machine that has no server id yet; EPORTAL_ROOT
# is a folder to set up instead of /.
set -eu

# Filled in by the portal that gave you this script.
portal=@portal@
repositories=@repositories@

root=${EPORTAL_ROOT:-}
identity=$root/etc/sysconfig/kcare/systemid
folder=$root/etc/yum.repos.d

fail() {
    echo "install-tuxcare: $*" >&2
    exit 1
}

known_id() {
    [ ! -f "$identity" ] || sed -n 's/^server_id=\([A-Za-z0-9]\{1,64\}\)$/\1/p' "$identity" | head -n 1
}

# The answer of a registration is code:0 and server_id:ID; of a refusal, the code.
register() {
    answer=$(printf %s "$EPORTAL_KEY" | curl -sSfG --data-urlencode key@- \
        --data-urlencode "hostname=$(uname -n)" "$portal/admin/api/kcare/register_server.plain") ||
        fail "$portal does not answer."
    new=$(echo "$answer" | sed -n 's/^server_id:\([A-Za-z0-9]\{1,64\}\)$/\1/p')
    [ -n "$new" ] || fail "$portal refused to register this machine with the key in EPORTAL_KEY."
    mkdir -p "${identity%/*}"
    echo "server_id=$new" >"$identity.new"
    mv "$identity.new" "$identity"
}

# The release of AlmaLinux and its kin, such as 9.6; empty when the machine does not tell.
own_release() {
    file=$root/etc/os-release
    [ ! -f "$file" ] || sed -n "s/^VERSION_ID=[\"']\{0,1\}\([0-9.]*\)[\"']\{0,1\}\$/\1/p" "$file" | head -n 1
}

# Whether a path names no architecture but this machine's, and no other release: almalinux9 is any 9.
fits() {
    for arch in x86_64 aarch64 ppc64le s390x; do
        case $1 in *"$arch"*) [ "$arch" = "$(uname -m)" ] || return 1 ;; esac
    done
    named=$(echo "$1" | sed -n 's/^almalinux\([0-9][0-9]*\(\.[0-9][0-9]*\)*\).*/\1/p')
    [ -n "$named" ] && [ -n "$release" ] || return 0
    case $release. in "$named".*) ;; *) return 1 ;; esac
}

sections() {
    echo "# Written by $portal/install-tuxcare, which writes it anew each time."
    for repository in $wanted; do
        printf '\n[eportal-esu:%s]\nname=ESU %s\n' "$(echo "$repository" | tr / :)" "$repository"
        printf 'baseurl=%s/esu/%s/\nusername=%s\npassword=\n' "$portal" "$repository" "$id"
        printf 'enabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=%s/esu-gpg-key\n' "$portal"
    done
}

# dnf or yum, with these repositories alone; what it may not read is the rest of this script.
package() {
    "$tool" -q -y ${root:+"--installroot=$root"} --disablerepo='*' --enablerepo='eportal-esu:*' \
        --setopt=skip_if_unavailable=0 "$@" </dev/null
}

main() {
    [ "$(id -u)" = 0 ] || [ -n "$root" ] || fail "Run this as root."
    tool=$(command -v dnf || command -v yum) || fail "Neither dnf nor yum is here."
    umask 077
    release=${EPORTAL_RELEASE:-$(own_release)}
    wanted=$(for each in $repositories; do ! fits "$each" || echo "$each"; done)
    [ -n "$wanted" ] || fail "$portal mirrors no repository for this machine."
    id=$(known_id)
    if [ -z "$id" ]; then
        [ -n "${EPORTAL_KEY:-}" ] ||
            fail "This machine has no server id in $identity: set EPORTAL_KEY to a key of the portal."
        register
        id=$(known_id)
    fi
    (umask 022 && mkdir -p "$folder")
    sections >"$folder/eportal-esu.repo.new"
    mv "$folder/eportal-esu.repo.new" "$folder/eportal-esu.repo"
    package makecache >/dev/null ||
        fail "$portal did not let this machine read the repositories: has its key the product ESU?"
    if package list tuxctl >/dev/null 2>&1; then
        package install tuxctl
        echo "tuxctl is installed."
    else
        echo "The repositories are set up; they have no package tuxctl."
    fi
    echo "Now run: tuxctl --license-key KEY"
}

# Last, so that nothing is done when only a part of this script arrived.
main
