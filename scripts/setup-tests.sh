#!/usr/bin/env bash
# Installs what the test suite needs beside npm packages, once: a Python environment with the real clients, and a
# browser. Says what it cannot install and how to do it by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv-test/.installed
wanted=$(cksum < scripts/test-requirements.txt)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  command -v python3 > /dev/null || { echo "tests need python3 (3.9 or newer): install it first" >&2; exit 1; }
  echo "Setting up .venv-test (once) …"
  rm -rf .venv-test
  # virtualenv where venv is not packaged with Python (Debian splits it off).
  python3 -m venv .venv-test 2> /dev/null || {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || { echo "tests need Python's venv: apt-get install python3-venv" >&2; exit 1; }
    apt-get update -qq && apt-get install -y -qq python3-venv > /dev/null
    python3 -m venv .venv-test
  }
  .venv-test/bin/pip install --quiet --disable-pip-version-check -r scripts/test-requirements.txt
  echo "$wanted" > "$stamp"
fi

if ! command -v chromium > /dev/null && ! command -v google-chrome > /dev/null && [ -z "${CHROMIUM:-}" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing Chromium (once) …"
    apt-get update -qq && apt-get install -y -qq chromium fonts-dejavu-core > /dev/null
  else
    echo "tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path" >&2
    exit 1
  fi
fi
