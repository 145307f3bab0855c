# Filled in by the portal:
RPM_PATH=@RPM_PATH@
RPM_KEY=@RPM_KEY@
DEB=@DEB@
DEB_KEY=@DEB_KEY@

# os NAME: a value of os-release, which is read and not executed.
os() {
    if [ -e "$EPORTAL_ROOT/etc/os-release" ]; then
        sed -n "s/^$1=//p" "$EPORTAL_ROOT/etc/os-release" | tr -d "\"'" | head -n 1
    fi
}

# deb or rpm.
package_format() {
    case " $(os ID) $(os ID_LIKE) " in
        *' debian '* | *' ubuntu '*) echo deb ;;
        *' rhel '* | *' centos '* | *' fedora '* | *' amzn '*) echo rpm ;;
        *)
            if [ -e "$EPORTAL_ROOT/etc/debian_version" ]; then
                echo deb
            elif [ -e "$EPORTAL_ROOT/etc/redhat-release" ]; then
                echo rpm
            else
                die "this system is neither a Debian nor a Red Hat one."
            fi
            ;;
    esac
}

# fill_in TEXT: with the variables of os-release that it names.
fill_in() {
    filled=$1
    for name in VERSION_CODENAME VERSION_ID ID; do
        case $filled in
            *"\$$name"*)
                value=$(os "$name")
                case $value in
                    '' | *[!A-Za-z0-9._~-]*) die "/etc/os-release has no usable $name." ;;
                esac
                filled=$(printf '%s\n' "$filled" | sed "s/[\$]$name/$value/g")
                ;;
        esac
    done
    printf '%s\n' "$filled"
}

# fetch PATH: from the portal's /repo to $new.
fetch() {
    status=$(curl -sS -o "$new" -w '%{http_code}' "$PORTAL/repo/$1") || {
        rm -f "$new"
        die "$PORTAL/repo/$1 cannot be had."
    }
    if [ "$status" != 200 ]; then
        reason=$(head -n 1 "$new" | tr -cd '[:print:]')
        rm -f "$new"
        die "$PORTAL/repo/$1 answers $status: $reason"
    fi
}

set_repository() {
    format=$(package_format)
    "set_${format}_repository"
}

set_rpm_repository() {
    key=$EPORTAL_ROOT/etc/pki/rpm-gpg/RPM-GPG-KEY-KernelCare
    begin "$key"
    fetch "$RPM_KEY"
    finish "$key"
    file=$EPORTAL_ROOT/etc/yum.repos.d/kernelcare-eportal.repo
    begin "$file"
    cat >"$new" <<END
# Written by set-kernelcare-repo of ePortal, which will write it again.
[kernelcare-eportal]
name=KernelCare through ePortal
baseurl=$PORTAL/repo/$RPM_PATH
enabled=1
gpgcheck=1
gpgkey=file://$key
END
    finish "$file"
}

set_deb_repository() {
    source=$(fill_in "$DEB")
    key=$EPORTAL_ROOT/usr/share/keyrings/kernelcare-eportal
    begin "$key"
    fetch "$DEB_KEY"
    # apt tells the two forms of a key by their names.
    if head -n 1 "$new" | grep -q -e '-----BEGIN PGP'; then suffix=asc; else suffix=gpg; fi
    mv -f "$new" "$key.$suffix.eportal-new"
    key=$key.$suffix
    new=$key.eportal-new
    finish "$key"
    file=$EPORTAL_ROOT/etc/apt/sources.list.d/kernelcare-eportal.list
    begin "$file"
    cat >"$new" <<END
# Written by set-kernelcare-repo of ePortal, which will write it again.
deb [signed-by=$key] $PORTAL/repo/$source
END
    finish "$file"
}
