#!/bin/sh
# Installs the executable of Iron Cage for this platform: downloads it, verifies its SHA-256, puts it into a folder.
#
#   IRON_CAGE_RELEASE   address or folder of a release (required until the project has a public one)
#   IRON_CAGE_TO        folder for the executable (default: ~/.local/bin)
set -eu

fail() {
  echo "✖ $1" >&2
  exit 1
}

release=${IRON_CAGE_RELEASE:-}
to=${IRON_CAGE_TO:-$HOME/.local/bin}
[ -n "$release" ] || fail 'set IRON_CAGE_RELEASE to the address of a release, such as https://example.com/iron-cage/0.3.0'

case "$(uname -s)" in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  *) fail "no executable is built for $(uname -s). With Node: npm install -g iron-cage" ;;
esac
case "$(uname -m)" in
  x86_64 | amd64) cpu=x64 ;;
  aarch64 | arm64) cpu=arm64 ;;
  *) fail "no executable is built for $(uname -m). With Node: npm install -g iron-cage" ;;
esac

fetch() {
  case "$release" in
    http://* | https://*)
      if command -v curl > /dev/null; then curl --fail --silent --show-error --location --output "$2" "$release/$1"
      elif command -v wget > /dev/null; then wget --quiet --output-document="$2" "$release/$1"
      else fail 'neither curl nor wget is installed'; fi ;;
    *) cp "$release/$1" "$2" ;;
  esac
}
sum() {
  if command -v sha256sum > /dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch SHA256SUMS "$work/SHA256SUMS" || fail "there is no release at $release"
archive=$(sed -n "s/^[0-9a-f]*  \(iron-cage-[^ ]*-$os-$cpu\.tar\.xz\)\$/\1/p" "$work/SHA256SUMS")
[ -n "$archive" ] || fail "this release has no executable for $os-$cpu. With Node: npm install -g iron-cage"
fetch "$archive" "$work/$archive" || fail "$archive could not be downloaded"
wanted=$(sed -n "s/^\([0-9a-f]*\)  $archive\$/\1/p" "$work/SHA256SUMS")
[ "$(sum "$work/$archive")" = "$wanted" ] || fail "$archive does not have the SHA-256 that the release promises; nothing was installed"

tar -xf "$work/$archive" -C "$work"
mkdir -p "$to"
# Under another name first: a program that runs from there keeps its file.
mv "$work/iron-cage" "$to/iron-cage.new"
mv "$to/iron-cage.new" "$to/iron-cage"
echo "✔ $("$to/iron-cage" version) in $to"
case ":$PATH:" in
  *":$to:"*) ;;
  *) echo "  $to is not on your PATH. Add it: export PATH=\"$to:\$PATH\"" ;;
esac
echo '  Try it: iron-cage demo'
