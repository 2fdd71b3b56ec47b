#!/usr/bin/env bash
# `make lint`: formatting and clippy, then the shell scripts and the compose file where the tools for them are installed.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
cargo clippy --locked --no-default-features --all-targets -- --deny warnings
cargo clippy --locked --all-features --all-targets -- --deny warnings

if command -v shellcheck >/dev/null; then
  shellcheck --external-sources scripts/*.sh .ci/run
  echo "lint: shell scripts are clean"
else
  echo "lint: skipped the shell scripts: shellcheck is not installed"
fi

if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  echo "lint: skipped docker-compose.yml: docker compose is not installed"
  exit 0
fi
"${compose[@]}" --file docker-compose.yml config --quiet
echo "lint: docker-compose.yml is valid"
