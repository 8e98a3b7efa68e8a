# The system.conf is that of firmware/dist, which the package beeldbox installs; only the keyring is added here.
BEELDBOX_KEYRING_FOLDER:beeldbox ?= "${THISDIR}/files"
FILESEXTRAPATHS:prepend:beeldbox := "${BEELDBOX_KEYRING_FOLDER}:"
RAUC_KEYRING_FILE:beeldbox = "keyring.pem"

do_install:append:beeldbox() {
    rm -f ${D}${sysconfdir}/rauc/system.conf
}
