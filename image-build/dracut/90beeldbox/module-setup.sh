#!/bin/bash
# The part of the initrd that is ours: opens the slot whose verity tree belongs to the root hash in the signed command
# line, and measures the phases of booting.
# shellcheck disable=SC2154 # moddir, initdir and SYSTEMCTL are dracut's

check() { return 0; }

depends() { echo systemd systemd-initrd dm; }

installkernel() {
    # Disks that a box may boot from, and what its root is made of. The watchdogs belong in here: the kernel that hangs
    # before the root is there must be reset too.
    hostonly='' instmods '=drivers'/virtio virtio_blk virtio_pci virtio_scsi nvme ahci sd_mod usb_storage uas xhci_pci \
        mmc_block sdhci_pci erofs dm_mod dm_verity dm_bufio crypto-sha256 sha256_generic sha256_ssse3 i6300esb iTCO_wdt
}

install() {
    inst_multiple veritysetup cat sed cut sleep tr seq
    inst_multiple /usr/lib/systemd/systemd-pcrextend /usr/lib/systemd/system/systemd-pcrphase-initrd.service \
        /usr/lib/systemd/system-generators/systemd-tpm2-generator
    inst_libdir_file "libtss2-esys.so.*" "libtss2-mu.so.*" "libtss2-rc.so.*" "libtss2-sys.so.*" "libtss2-tcti-device.so.*"
    inst_multiple -o /usr/lib/udev/rules.d/60-tpm-udev.rules /usr/lib/udev/rules.d/90-tpm.rules \
        /usr/lib/systemd/system/tpm2.target
    inst_simple "$moddir/open-root" /usr/lib/beeldbox/open-root
    inst_simple "$moddir/beeldbox-root.service" /usr/lib/systemd/system/beeldbox-root.service
    inst_simple "$moddir/sysroot.mount" /usr/lib/systemd/system/sysroot.mount
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target systemd-pcrphase-initrd.service
    $SYSTEMCTL -q --root "$initdir" add-requires initrd-root-fs.target sysroot.mount
    $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-device.target beeldbox-root.service
}
