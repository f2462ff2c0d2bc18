#!/usr/bin/env bash
# Installs what the test suite needs beside npm packages, once: Python environments with the real clients, and a
# browser. Says what it cannot install and how to do it by hand.
set -euo pipefail
cd "$(dirname "$0")/.."

# Makes a Python environment with what a requirements file names, unless it is there.
environment() {
  local folder=$1 requirements=$2 wanted
  wanted=$(cksum < "$requirements")
  [ "$(cat "$folder/.installed" 2>/dev/null)" = "$wanted" ] && return
  command -v python3 > /dev/null || { echo "tests need python3 (3.9 or newer): install it first" >&2; exit 1; }
  echo "Setting up $folder (once) …"
  rm -rf "$folder"
  # virtualenv where venv is not packaged with Python (Debian splits it off).
  python3 -m venv "$folder" 2> /dev/null || {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || { echo "tests need Python's venv: apt-get install python3-venv" >&2; exit 1; }
    apt-get update -qq && apt-get install -y -qq python3-venv > /dev/null
    python3 -m venv "$folder"
  }
  # uv needs half a minute for what takes pip more than three; pip for those whose registry only pip knows.
  "$folder/bin/pip" install --quiet --disable-pip-version-check uv || true
  "$folder/bin/uv" pip install --quiet --python "$folder/bin/python" -r "$requirements" 2> /dev/null ||
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-compile -r "$requirements"
  echo "$wanted" > "$folder/.installed"
}

environment .venv-test scripts/test-requirements.txt
environment .venv-test-oldest scripts/test-requirements-oldest.txt
environment .venv-test-litellm scripts/test-requirements-litellm.txt
environment .venv-test-crewai scripts/test-requirements-crewai.txt
environment .venv-test-schemathesis scripts/test-requirements-schemathesis.txt

if ! command -v chromium > /dev/null && ! command -v google-chrome > /dev/null && [ -z "${CHROMIUM:-}" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing Chromium (once) …"
    apt-get update -qq && apt-get install -y -qq chromium fonts-dejavu-core > /dev/null
  else
    echo "tests need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path" >&2
    exit 1
  fi
fi

if ! command -v javac > /dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing a JDK (once) …"
    apt-get update -qq && apt-get install -y -qq openjdk-17-jdk-headless > /dev/null
  else
    echo "tests need a JDK, 11 or newer: install one (Debian: apt-get install openjdk-17-jdk-headless)" >&2
    exit 1
  fi
fi
