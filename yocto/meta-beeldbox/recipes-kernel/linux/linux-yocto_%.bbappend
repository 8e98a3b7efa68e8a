FILESEXTRAPATHS:prepend:beeldbox := "${THISDIR}/files:"

SRC_URI:append:beeldbox = " file://beeldbox.cfg"
