#!/usr/bin/env bash
# Installs what the test suite needs beside npm packages, once: a browser, a JDK, and Python environments with the real
# clients. System packages are installed by root and in CI only; anybody else gets the one command to type, and the
# suite goes on: tests that need what is missing fail and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v chromium > /dev/null || command -v google-chrome > /dev/null || [ -n "${CHROMIUM:-}" ] ||
  missing+=(chromium fonts-dejavu-core)
[ -n "$(ls /usr/lib/postgresql/*/bin/initdb 2> /dev/null)" ] || missing+=(postgresql)
command -v redis-server > /dev/null || missing+=(redis-server)
command -v strace > /dev/null || missing+=(strace)
command -v javac > /dev/null || missing+=(openjdk-17-jdk-headless)
python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3 python3-venv)

if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get > /dev/null && { [ "$(id -u)" = 0 ] || [ -n "${CI:-}" ]; }; then
    echo "Installing ${missing[*]} (once) …"
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq "${missing[@]}" > /dev/null
  else
    echo "Some tests will fail without these packages. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
  fi
fi

# Where uv is, which needs half a minute for what takes pip more than two: what several environments have is downloaded once.
tools=.venv-test/bin
# As pip does: a company's proxy has a certificate that only the system knows.
export UV_SYSTEM_CERTS=true

is_installed() { [ "$(cat "$1/.installed" 2> /dev/null)" = "$(cksum < "$2")" ]; }

# Makes a Python environment with nothing in it, unless the one that is there has what a requirements file names.
empty() {
  local folder=$1 requirements=$2
  is_installed "$folder" "$requirements" && return
  echo "Setting up $folder (once) …"
  rm -rf "$folder"
  python3 -m venv "${@:3}" "$folder" || echo "Tests that need $folder will fail: python3 and its venv are missing" >&2
}

# Fills it. Compiled once here: agents in a sandbox cannot write what Python compiles, and would compile it again in every run.
fill() {
  local folder=$1 requirements=$2
  ! is_installed "$folder" "$requirements" && [ -x "$folder/bin/python" ] || return 0
  # pip for those whose registry only pip knows.
  "$tools/uv" pip install --quiet --compile-bytecode --python "$folder/bin/python" -r "$requirements" 2> /dev/null ||
    "$tools/pip" --python "$folder/bin/python" install --quiet --disable-pip-version-check -r "$requirements"
  cksum < "$requirements" > "$folder/.installed"
}

# Claude Code, for its tutorial.
claude_code() {
  local claude=@anthropic-ai/claude-code@2.1.330
  [ "$(cat .venv-test-claude/.installed 2> /dev/null)" = "$claude" ] && return
  command -v npm > /dev/null || return 0
  echo "Setting up .venv-test-claude (once) …"
  rm -rf .venv-test-claude
  mkdir .venv-test-claude
  # Not with --prefix, which hides the settings of this machine's npm. Without a package npm would install into ours.
  echo '{ "private": true }' > .venv-test-claude/package.json
  (cd .venv-test-claude && npm install --silent --no-audit --no-fund "$claude")
  echo "$claude" > .venv-test-claude/.installed
}

# All at once: each waits for the network, for a disk and for one processor in turn.
claude_code & jobs=($!)
empty .venv-test scripts/test-requirements.txt
[ -x "$tools/uv" ] || [ ! -x "$tools/pip" ] || "$tools/pip" install --quiet --disable-pip-version-check uv==0.13.9 || true
fill .venv-test scripts/test-requirements.txt & jobs+=($!)
for name in oldest litellm providers crewai schemathesis; do
  empty ".venv-test-$name" "scripts/test-requirements-$name.txt" --without-pip
  fill ".venv-test-$name" "scripts/test-requirements-$name.txt" & jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done
