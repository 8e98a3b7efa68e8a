# firmware/dist names the clock's user as Debian does, and brings the settings.
EXTRA_OECONF:append:beeldbox = " --with-user=_chrony"
USERADD_PARAM:${PN}:beeldbox = "--system --home-dir ${localstatedir}/lib/chrony --no-create-home --shell /sbin/nologin --user-group _chrony"

do_install:append:beeldbox() {
    rm -f ${D}${sysconfdir}/chrony.conf
}
