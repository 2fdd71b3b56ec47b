#!/usr/bin/env bash
# Fuzzes the HTTP API over its OpenAPI document with schemathesis: before a line that is none, or with EYELINE_FUZZ_LINE=real
# before the real program, which watches the sample video.
# Needs schemathesis on the PATH (pip install schemathesis); more arguments go to it, such as --max-examples 500.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v schemathesis >/dev/null || { echo "fuzz-api: schemathesis is missing: pip install schemathesis" >&2; exit 1; }

address=${EYELINE_FUZZ_ADDRESS:-127.0.0.1:18480}
token=fuzz-$RANDOM$RANDOM$RANDOM$RANDOM
programs=${CARGO_TARGET_DIR:-target}/debug
out=$(mktemp -d)
case ${EYELINE_FUZZ_LINE:-none} in
  none)
    cargo build --quiet --locked --all-features --example page
    "$programs/examples/page" "$address" "$token" &
    ;;
  real)
    cargo build --quiet --locked --all-features --bin eyeline
    EYELINE_API_TOKEN=$token "$programs/eyeline" watch .eyeline/video/vtest.avi --embedder none --input-px 320 --max-fps 2 \
      --out "$out" --api "$address" --quiet &
    ;;
  *)
    echo "fuzz-api: EYELINE_FUZZ_LINE: expected none or real" >&2
    exit 2
    ;;
esac
line=$!
trap 'kill "$line"; wait "$line" || true; rm -rf "$out"' EXIT
schemathesis --config-file scripts/schemathesis.toml run "http://$address/openapi.json" --wait-for-schema 60 \
  --header "Authorization: Bearer $token" --continue-on-failure "$@"
kill -0 "$line" || { echo "fuzz-api: the program ended" >&2; exit 1; }
