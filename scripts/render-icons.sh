#!/usr/bin/env bash
# Renders icons/src/*.svg to the PNG files the app carries. Run it after changing a drawing and commit the result;
# no build step needs it. Needs rsvg-convert (Debian: librsvg2-bin).
set -euo pipefail
cd "$(dirname "$0")/../icons"

for size in 32 64 128 256 512; do
  rsvg-convert --width "$size" --height "$size" --output "app-$size.png" src/app.svg
done
cp app-512.png icon.png

# The tray gets every size a panel asks for, so that no panel scales a lamp until its shade is gone.
mkdir -p tray
for svg in src/tray-*-on-*.svg; do
  name=$(basename "$svg" .svg)
  for size in 16 22 24 32 48; do
    rsvg-convert --width "$size" --height "$size" --output "tray/${name#tray-}-$size.png" "$svg"
  done
done
