#!/usr/bin/env bash
# Fuzzes the HTTP API over its OpenAPI document with schemathesis, before a line that is none.
# Needs schemathesis on the PATH (pip install schemathesis); more arguments go to it, such as --max-examples 500.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v schemathesis >/dev/null || { echo "fuzz-api: schemathesis is missing: pip install schemathesis" >&2; exit 1; }

address=${EYELINE_FUZZ_ADDRESS:-127.0.0.1:18480}
token=fuzz-$RANDOM$RANDOM$RANDOM$RANDOM
cargo build --quiet --locked --all-features --example page
"${CARGO_TARGET_DIR:-target}/debug/examples/page" "$address" "$token" &
page=$!
trap 'kill "$page"' EXIT
schemathesis --config-file scripts/schemathesis.toml run "http://$address/openapi.json" --wait-for-schema 20 \
  --header "Authorization: Bearer $token" --continue-on-failure "$@"
