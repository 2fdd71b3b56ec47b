#!/usr/bin/env bash
# Sees to a Rust that can build eyeline: rustup where there is no cargo at all, then the toolchain the repository names.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' "$root/rust-toolchain.toml")
page="https://www.rust-lang.org/tools/install"

install_rustup() {
  say "cargo is missing: installing rustup, Rust's own installer, for this user (see $page)"
  open_work
  attempt curl --proto '=https' --tlsv1.2 --silent --show-error --fail --location \
    --output "$work/rustup-init.sh" https://sh.rustup.rs || fail_fetch "rustup" curl
  sh "$work/rustup-init.sh" -y --quiet --no-modify-path --profile minimal --default-toolchain "$channel" ||
    fail "rustup could not install Rust $channel" "install Rust by hand ($page), then run make setup again"
}

has cargo || PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
has cargo || install_rustup

# Under rustup this also fetches the toolchain that rust-toolchain.toml names, where it is missing.
version=$(cd "$root" && cargo --version) ||
  fail "cargo does not start (is Rust $channel installed?)" "rustup toolchain install $channel, or see $page"
version=${version#cargo }
version=${version%% *}
if [ "$(printf '%s\n' "$channel" "$version" | sort -V | head -n 1)" != "$channel" ]; then
  fail "cargo is version $version, eyeline needs $channel or newer" "install Rust with rustup: $page"
fi
