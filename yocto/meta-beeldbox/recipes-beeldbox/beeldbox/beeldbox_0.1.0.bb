SUMMARY = "Programs of the Beeldbox: daemon, its command line, web pages"
DESCRIPTION = "Receives, seals and exchanges imaging studies between hospitals"
# Built from the workspace's own archive and from crates that were vendored from Cargo.lock; yocto/archives makes both.
# Nothing is fetched while it is built.
HOMEPAGE = "https://beeldbox.example"
BUGTRACKER = "https://beeldbox.example/issues"
SECTION = "net"
CVE_PRODUCT = "beeldbox"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

DEPENDS = "cmake-native"

# Where yocto/archives put them; the kas file sets it.
BEELDBOX_ARCHIVES ?= "${THISDIR}/../../../../target/yocto"

SRC_URI = "\
    file://${BEELDBOX_ARCHIVES}/beeldbox-${PV}.tar.gz \
    file://${BEELDBOX_ARCHIVES}/beeldbox-crates-${PV}.tar.gz \
"

S = "${UNPACKDIR}/beeldbox-${PV}"

inherit cargo systemd useradd

# Cargo compares every vendored crate with its checksum in Cargo.lock.
CARGO_VENDORING_DIRECTORY = "${UNPACKDIR}/beeldbox-crates-${PV}"

CARGO_BUILD_FLAGS += "--package beeldbox-daemon --package beeldbox-preview --package beeldbox-admin"

# The numbers are those of firmware/dist/sysusers.d: the data partition outlives the image.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system --gid 810 beeldbox; --system --gid 811 beeldbox-pages"
USERADD_PARAM:${PN} = "\
    --system --uid 810 --gid beeldbox --no-create-home --home-dir ${localstatedir}/lib/beeldbox --shell /sbin/nologin beeldbox; \
    --system --uid 811 --gid beeldbox-pages --groups beeldbox --no-create-home --home-dir ${localstatedir}/lib/beeldbox-pages --shell /sbin/nologin beeldbox-pages \
"

SYSTEMD_SERVICE:${PN} = "\
    beeldboxd.service \
    beeldbox-admin.service \
    beeldbox-first-start.service \
    beeldbox-console.service \
    beeldbox-self-test.service \
"

# The same script that the Debian image runs. It brings files that other packages own too: those leave them out
# (bbappends of this layer), so that there is one place for each.
do_install() {
    VERSION=${PV} ${S}/firmware/dist/install ${D} ${B}/target/${CARGO_TARGET_SUBDIR}
}

FILES:${PN} += "\
    ${nonarch_libdir} \
    /efi \
"
CONFFILES:${PN} = ""

RDEPENDS:${PN} += "bash chrony cryptsetup iproute2 nftables rauc util-linux util-linux-setpriv"
