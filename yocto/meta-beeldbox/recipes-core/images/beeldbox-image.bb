SUMMARY = "The appliance: read-only root for slot A or B"
DESCRIPTION = "Root file system with dm-verity, unified kernel image, and the disk with two slots."
HOMEPAGE = "https://beeldbox.example"
BUGTRACKER = "https://beeldbox.example/issues"
SECTION = "base"
CVE_PRODUCT = "beeldbox"
LICENSE = "Apache-2.0"

inherit core-image uki

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_INSTALL = "\
    packagegroup-core-boot \
    beeldbox \
    chrony \
    cryptsetup \
    dbus-broker \
    nftables \
    rauc \
    systemd-boot \
    tpm2-tss \
"
IMAGE_FSTYPES = "erofs-zst wic.zst wic.bmap"
IMAGE_LINGUAS = ""

UKI_CMDLINE = "ro systemd.gpt_auto=0 systemd.import_credentials=no systemd.machine_id=firmware console=tty1 panic=10 lockdown=integrity slab_nomerge vsyscall=none debugfs=off"

# Nobody signs in.
ROOTFS_POSTPROCESS_COMMAND += "forbid_sign_in"
forbid_sign_in[doc] = "Locks root, masks every prompt, takes away set-user-id"
forbid_sign_in() {
    sed -i -E 's#^root:[^:]*:#root:!*:#' ${IMAGE_ROOTFS}${sysconfdir}/shadow
    for unit in getty@ serial-getty@ autovt@ debug-shell emergency rescue; do
        ln -sf /dev/null ${IMAGE_ROOTFS}${sysconfdir}/systemd/system/$unit.service
    done
    find ${IMAGE_ROOTFS} -xdev -perm /6000 -type f -exec chmod ug-s {} +
}
