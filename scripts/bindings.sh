#!/usr/bin/env bash
# Writes the contract's types to frontend/src/lib/bindings; with --check only compares and fails on a difference.
set -euo pipefail
cd "$(dirname "$0")/.."
committed=frontend/src/lib/bindings

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
TS_RS_EXPORT_DIR="$fresh" cargo test --quiet -p lamplight-model export_bindings > "$fresh.log" 2>&1 ||
  { cat "$fresh.log" >&2; exit 1; }
rm -f "$fresh.log"

if [ "${1:-}" = --check ]; then
  diff -r "$committed" "$fresh" || { echo "The TypeScript types differ from the model: run make bindings and commit them." >&2; exit 1; }
else
  rm -rf "$committed"
  cp -r "$fresh" "$committed"
fi
