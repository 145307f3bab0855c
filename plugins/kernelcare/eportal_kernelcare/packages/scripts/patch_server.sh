# What a person has set in kcare.conf besides the two addresses is kept.
set_patch_server() {
    set_options "$EPORTAL_ROOT/etc/sysconfig/kcare/kcare.conf" last \
        PATCH_SERVER "$PORTAL/" \
        REGISTRATION_URL "$PORTAL/admin/api/kcare"
}
