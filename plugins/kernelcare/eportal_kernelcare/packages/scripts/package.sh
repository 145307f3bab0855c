check_mailto() {
    case ${KCARE_MAILTO:-} in
        *[!A-Za-z0-9._%+@,-]*) die "KCARE_MAILTO holds more than addresses and commas." ;;
    esac
}

# The package's own scripts may look at these.
export_addresses() {
    export KCARE_PATCH_SERVER="$PORTAL/"
    export KCARE_REGISTRATION_URL="$PORTAL/admin/api/kcare"
    export KCARE_REPO="$PORTAL/repo"
    export KCARE_MAILTO="${KCARE_MAILTO:-}"
}

# Standard input is this script, when it is piped into a shell: nobody else may read it.
install_package() {
    "install_$(package_format)" </dev/null
}

install_deb() {
    list=$EPORTAL_ROOT/etc/apt/sources.list.d/kernelcare-eportal.list
    set --
    if [ -n "$EPORTAL_ROOT" ]; then
        set -- -o "Dir=$EPORTAL_ROOT/" -o "Dir::State::status=$EPORTAL_ROOT/var/lib/dpkg/status" \
            -o "DPkg::Options::=--root=$EPORTAL_ROOT" \
            -o "DPkg::Options::=--log=$EPORTAL_ROOT/var/log/dpkg.log"
    fi
    # Only our list is read again, the others may be out of reach; what is known of them stays.
    apt-get "$@" -o "Dir::Etc::SourceList=$list" -o Dir::Etc::SourceParts=- \
        -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update
    # The configuration is there before the package: it must not ask whose it is.
    DEBIAN_FRONTEND=noninteractive apt-get "$@" -o DPkg::Options::=--force-confold \
        -y --no-install-recommends install kernelcare
}

install_rpm() {
    # Other repositories may be out of reach; this one may not.
    set -- "--setopt=*.skip_if_unavailable=1" --setopt=kernelcare-eportal.skip_if_unavailable=0
    if [ -n "$EPORTAL_ROOT" ]; then set -- "$@" "--installroot=$EPORTAL_ROOT"; fi
    if command -v dnf >/dev/null; then
        dnf "$@" -y install kernelcare
    else
        yum "$@" -y install kernelcare
    fi
}

set_mailto() {
    if [ -n "${KCARE_MAILTO:-}" ]; then
        set_options "$EPORTAL_ROOT/etc/cron.d/kcare-cron" first MAILTO "$KCARE_MAILTO"
    fi
}
