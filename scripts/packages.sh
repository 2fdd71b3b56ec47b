#!/usr/bin/env bash
# Installs the Debian packages that are missing. usage: packages.sh [LIST], by default scripts/packages.txt
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

list=${1:-$root/scripts/packages.txt}
mapfile -t wanted < <(sed -e 's/ *#.*//' -e '/^$/d' "$list")
[ ${#wanted[@]} -gt 0 ] || fail "$list: names no packages" "restore that file from the repository"

# What the packages are for, asked of the system itself, however it came by them.
built_by_other_means() {
  local program
  for program in c++ make pkg-config clang python3 unzip; do
    has "$program" || return 1
  done
  pkg-config --exists 'gstreamer-1.0 >= 1.22' gstreamer-app-1.0 gstreamer-video-1.0 opencv4
}

go_on_or_fail() {
  local what=$1 remedy=$2
  if built_by_other_means; then
    warn "$what; going on, as pkg-config finds GStreamer and OpenCV (set OPENCV_LINK_LIBS, OPENCV_LINK_PATHS and" \
      "OPENCV_INCLUDE_PATHS where they are not in Debian's places)"
    exit 0
  fi
  fail "$what" "$remedy"
}

if ! has apt-get || ! has dpkg-query; then
  go_on_or_fail "this is not Debian, so its packages cannot be installed from here" \
    "install the equivalents of: ${wanted[*]}"
fi

installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qx "$package installed" <<<"$installed" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

by_hand="apt-get install --no-install-recommends ${missing[*]}"
if ! can_be_root; then
  go_on_or_fail "Debian packages are missing, and this is neither root nor a user with sudo" "as root: $by_hand"
fi
say "these Debian packages are missing and will now be installed, with what they depend on:"
printf '  %s\n' "${missing[@]}"
# Waits for another apt-get rather than failing beside it; asks nothing.
apt_get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
as_root "${apt_get[@]}" update || warn "apt-get update failed; trying with the package lists at hand"
as_root "${apt_get[@]}" install --yes --no-install-recommends "${missing[@]}" ||
  go_on_or_fail "apt-get could not install the packages above" \
    "see what apt-get says above, put it right, then run make setup again; by hand it is: $by_hand"
say "installed ${#missing[@]} packages"
