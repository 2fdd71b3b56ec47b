#!/usr/bin/env bash
# `make audit`: licences, bans and sources of every dependency (deny.toml), and known advisories where their database
# can be fetched. cargo-deny is installed under .eyeline/tools where it is missing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

version=0.20.2
deny=cargo-deny
if ! has cargo-deny; then
  deny=$store/tools/bin/cargo-deny
  if [ ! -x "$deny" ]; then
    say "installing cargo-deny under .eyeline/tools (compiles for some minutes)"
    cargo install --locked --version "$version" --root "$store/tools" cargo-deny ||
      fail "cargo-deny could not be installed" "check the network, or install it yourself: cargo install cargo-deny"
  fi
fi

cd "$root"
"$deny" --all-features --locked check licenses bans sources
if attempt "$deny" --all-features --locked fetch db; then
  "$deny" --all-features --locked check advisories
else
  printf '%s\n' "$complaint" | tail -n 3 | sed 's/^/  | /'
  echo "audit: licences, bans and sources hold; SKIPPED advisories: their database could not be fetched from here"
fi
