#!/usr/bin/env bash
# Installs the sample video, .eyeline/video/vtest.avi, out of Debian's package opencv-doc (which is not installed).
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

name=video/vtest.avi
! asset_is_good "$name" "$store" || exit 0

if ! has apt-get || ! has dpkg-deb; then
  fail "$name: comes from Debian's package opencv-doc, and this is not Debian" \
    "put vtest.avi of OpenCV's samples at $store/$name"
fi

download_package() {
  (cd "$work" && apt-get -qq download opencv-doc)
}

open_work
need_space 120 "$name"
say "fetching $name from Debian's package opencv-doc (96 MB)"
if ! attempt download_package; then
  # A machine whose package lists are old, or that has none yet.
  { can_be_root && as_root apt-get -qq update && attempt download_package; } || fail_fetch "$name" apt-get
fi

mkdir -p "$work/video"
unpack() {
  dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb |
    tar -xO ./usr/share/doc/opencv-doc/examples/data/vtest.avi >"$work/$name"
}
attempt unpack || fail_fetch "$name" "dpkg-deb"
install_asset "$name"
