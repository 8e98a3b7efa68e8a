# shellcheck shell=bash
# What every step needs: where things are, how a package list is read, how a tree of packages is made.
# Sourced, never run. Expects OUT (where everything goes) to be set.

set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO=$(cd "$HERE/.." && pwd)
: "${OUT:=$REPO/target/image}" 
# Packages come from where this machine gets its own, unless told otherwise.
sources=/etc/apt/sources.list.d/debian.sources
mirror_for() { awk -v "wanted=$1" '/^URIs:/ { uri = $2 } /^Suites:/ && ($0 ~ /security/) == (wanted == "security") { print uri; exit }' $sources 2>/dev/null; }
: "${MIRROR:=$(mirror_for archive)}" "${SECURITY:=$(mirror_for security)}"
: "${SOURCE_DATE_EPOCH:=1764547200}" "${KEYS:=$OUT/keys}" "${VERSION:=0.1.0}"
export OUT REPO HERE MIRROR SECURITY SOURCE_DATE_EPOCH KEYS VERSION
# shellcheck disable=SC2034 # for the steps
SUITE=trixie
mkdir -p "$OUT"

say() { printf '\e[1m%s\e[0m\n' "$*" >&2; }
fail() { printf 'image-build: %s\n' "$*" >&2; exit 1; }

# packages FILE: the names in a list, with commas.
packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]].*//' "$HERE/packages/$1.list" | paste -sd,; }

# tree NAME VARIANT DIRECTORY [mmdebstrap options]: a tree of the packages of one list.
tree() {
    local list=$1 variant=$2 target=$3
    shift 3
    rm -rf "$target" "$target.part"
    mmdebstrap --quiet --variant="$variant" --format=directory \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --include="$(packages "$list")" "$@" \
        "$SUITE" "$target.part" \
        "deb $MIRROR $SUITE main" "deb $MIRROR $SUITE-updates main" "deb $SECURITY $SUITE-security main"
    mv "$target.part" "$target"
}

# in_tools COMMAND...: runs a program of the tools' tree; sees OUT as /out and KEYS as /keys. In a mount name space of
# its own, so that nothing stays mounted whatever happens.
in_tools() {
    # shellcheck disable=SC2016 # expanded by the shell inside
    OUT=$OUT KEYS=$KEYS unshare --mount --propagation private bash -euc '
        tools=$OUT/trees/tools
        mkdir -p "$tools/out" "$tools/keys"
        mount -t proc proc "$tools/proc"
        mount --rbind /dev "$tools/dev"
        mount --bind "$OUT" "$tools/out"
        mount --bind "$KEYS" "$tools/keys"
        exec env -u TMPDIR PATH=/usr/sbin:/usr/bin chroot "$tools" "$@"' in_tools "$@"
}
