SUMMARY = "Signed update bundle of the appliance"
DESCRIPTION = "Root file system and kernel image of one version, for the other slot."
HOMEPAGE = "https://beeldbox.example"
BUGTRACKER = "https://beeldbox.example/issues"
SECTION = "base"
CVE_PRODUCT = "beeldbox"
LICENSE = "Apache-2.0"

inherit bundle

RAUC_BUNDLE_COMPATIBLE = "beeldbox-x86-64"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_SLOTS = "system"
RAUC_SLOT_system = "beeldbox-image"
RAUC_SLOT_system[fstype] = "erofs-zst"

# The keys of a release come from outside (kas file, local.conf); without them there is no bundle.
RAUC_KEY_FILE ?= "${BEELDBOX_RELEASE_KEY}"
RAUC_CERT_FILE ?= "${BEELDBOX_RELEASE_CERTIFICATE}"
BEELDBOX_RELEASE_KEY ?= ""
BEELDBOX_RELEASE_CERTIFICATE ?= ""
