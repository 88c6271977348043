#!/usr/bin/env bash
# Installs what a Debian or Ubuntu machine lacks for building and testing Lamplight. Does nothing when all is there.
#   scripts/setup.sh build   what `make run` and `make release` need
#   scripts/setup.sh test    that, and what the browser and window suites need
set -euo pipefail

# To build: compiler, WebKitGTK with its headers, and what Tauri's libraries link against.
build=(build-essential pkg-config libwebkit2gtk-4.1-dev nodejs npm)

# To test: a screen, a window manager, a notification daemon, a panel with a tray, the driver of the webview, and what
# looks at them: busctl (systemd) at the bus, xclip at the clipboard, xdotool and xprop at windows, import at the screen.
# Then the terminals that are brought to the front; kitty draws with OpenGL, which Mesa does here without a GPU.
test=(webkit2gtk-driver xvfb openbox dunst dbus xfce4-panel xfconf systemd xclip xdotool x11-utils imagemagick
  chromium git python3 zsh fish python3-venv fonts-noto-core fonts-dejavu-core
  xterm tmux screen kitty libgl1-mesa-dri)

case "${1:-test}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: scripts/setup.sh build|test" >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."

# Whether Node is there and new enough for the frontend's tools (20.19).
has_node() {
  command -v npm > /dev/null && command -v node > /dev/null &&
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
}

# Node from elsewhere (NodeSource, nvm, an image) is as good as Debian's; its npm would even be in the way of Debian's.
if has_node; then
  mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | grep -vxE 'nodejs|npm')
fi

if command -v dpkg > /dev/null; then
  missing=()
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "Installing: ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo > /dev/null || { echo "These packages are missing and there is no sudo. As root: apt-get install ${missing[*]}" >&2; exit 1; }
      as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  fi
elif [ "$(uname)" = Linux ]; then
  echo "Not a Debian system: install the equivalents of ${wanted[*]} by hand." >&2
fi

command -v cargo > /dev/null || { echo "Rust is missing: install it with rustup (https://rustup.rs), then run this again." >&2; exit 1; }

# Debian 12's Node is too old: one from the npm registry, for this folder only (the Makefile looks there first).
if ! has_node; then
  command -v npm > /dev/null || { echo "Node.js 20.19 or newer is missing: install it, then run this again." >&2; exit 1; }
  echo "Installing: node and npm, into target/tools"
  npm install --prefix target/tools --no-audit --no-fund --loglevel=error node@22 npm@10
fi
