# shellcheck shell=bash
# What the set-up scripts share: where things lie, how they speak, and how a download becomes a file in place.
#
# Everything is fetched into a temporary folder inside .eyeline, checked there, and moved to its name at the end; so
# whatever stops a script half-way leaves either the old file or none. The clients (apt-get, pip) are called plainly,
# that mirrors and proxies set up for them hold here too.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this file
pins=$root/scripts/pins
store=$root/.eyeline
complaint=""

say() {
  printf 'setup: %s\n' "$*"
}

warn() {
  printf 'setup: warning: %s\n' "$*" >&2
}

# fail WHAT REMEDY: the one error of a script.
fail() {
  printf 'setup: error: %s\n       remedy: %s\n' "$1" "$2" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

can_be_root() {
  [ "$(id -u)" = 0 ] || has sudo
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Runs a command and keeps its error output in $complaint, for `fail_fetch` to make sense of; standard output passes.
attempt() {
  { complaint=$("$@" 2>&1 >&3 3>&-); } 3>&1
}

# fail_fetch NAME CLIENT: says why CLIENT could not deliver NAME, as far as its own words ($complaint) tell.
fail_fetch() {
  local name=$1 client=$2
  [ -z "$complaint" ] || printf '%s\n' "$complaint" | tail -n 8 | sed 's/^/  | /' >&2
  case $complaint in
    *"No space left"* | *"no space left"* | *"not have enough free space"*)
      fail "$name: the disk is full" "free some space on the disk that holds $store, then run make setup again" ;;
    *"DO NOT MATCH THE HASHES"*)
      fail "$name: what $client delivered does not match the sha256 pinned in scripts/pins" \
        "try again; if it stays so, the package index or mirror in use serves an altered package" ;;
    *)
      fail "$name: could not be fetched with $client" \
        "check the network and the mirror or proxy set for $client, then run make setup again" ;;
  esac
}

# Opens $work, a temporary folder beside the final place that vanishes with the script. One script at a time has it,
# so what an earlier one left (killed, power cut) is safe to remove.
open_work() {
  local remedy="make it writable and free some space there, then run make setup again"
  { mkdir -p "$store" && exec 9>"$store/.lock"; } || fail "$store: cannot be written" "$remedy"
  flock 9
  rm -rf "$store"/tmp.*
  work=$(mktemp -d "$store/tmp.XXXXXX") || fail "$store: no temporary folder can be made there" "$remedy"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export TMPDIR=$work # the clients' own temporary files go the same way
}

# need_space MEGABYTES NAME: fails early where NAME will not fit.
need_space() {
  local free
  free=$(df -Pk "$store" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$1" ] || fail "$2: needs $1 MB of disk while it is installed, only $free MB are free" \
    "free some space on the disk that holds $store, then run make setup again"
}

# The line of scripts/pins/assets.sha256 for an asset ("models/yolov3-tiny.cfg").
pin_of() {
  grep -E "^[0-9a-f]{64}  $1\$" "$pins/assets.sha256" ||
    fail "$1: has no line in scripts/pins/assets.sha256" "restore that file from the repository"
}

# asset_is_good NAME FOLDER: whether FOLDER/NAME is there with the pinned contents.
asset_is_good() {
  local pin
  pin=$(pin_of "$1") && (cd "$2" 2>/dev/null && sha256sum --status --check <<<"$pin" 2>/dev/null)
}

# install_asset NAME: moves $work/NAME to its final place, if it is what the pin says.
install_asset() {
  if ! asset_is_good "$1" "$work"; then
    fail "$1: wrong checksum, what was downloaded is not the file pinned in scripts/pins/assets.sha256" \
      "run make setup again; if it stays so, the package index or mirror in use serves another file"
  fi
  mkdir -p "$(dirname "$store/$1")"
  mv -f "$work/$1" "$store/$1"
  say "installed .eyeline/$1"
}

# pip of whichever Python has one: a python3 first in PATH is not always the one Debian's python3-pip belongs to.
pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip --disable-pip-version-check "$@"
      return
    fi
  done
  echo "no python3 with pip (Debian: python3-pip)" >&2
  return 1
}

# pip_download PIN ARGUMENT...: the packages pinned in scripts/pins/PIN, hashes checked, into $work. No cache: what is
# kept is unpacked in .eyeline, and libtorch would sit on the disk twice.
pip_download() {
  local pin=$1
  shift
  [ -t 1 ] || set -- --quiet "$@"
  pip download --no-cache-dir --no-deps --require-hashes --requirement "$pins/$pin" --dest "$work" "$@"
}
