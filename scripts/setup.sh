#!/usr/bin/env bash
# Brings a fresh Debian 12 machine to where eyeline builds, tests and runs. Safe to run again: it fetches only what is
# missing. TORCH=cuda installs libtorch with its CUDA half; a LIBTORCH of your own is left to you.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

for step in packages rust libtorch models video; do
  "$root/scripts/$step.sh"
done
say "ready"
