#!/usr/bin/env bash
# Installs the gateways that `npm run bench` measures beside the cage, once, into .bench-peers: they are no part of the
# product, so they are in no package.json. Without them the benchmark runs with the bare pipe only.
set -euo pipefail
cd "$(dirname "$0")/../.."

portkey=1.15.2
litellm=1.106.2

mkdir -p .bench-peers/portkey
echo '{ "private": true }' > .bench-peers/portkey/package.json
npm install --prefix .bench-peers/portkey --save-exact --no-audit --no-fund "@portkey-ai/gateway@$portkey"

python3 -m venv .bench-peers/litellm
pip=.bench-peers/litellm/bin/pip
# uv needs half a minute for what takes pip ten; pip for those whose registry only pip knows.
$pip install --quiet --disable-pip-version-check uv || true
.bench-peers/litellm/bin/uv pip install --quiet --python .bench-peers/litellm/bin/python "litellm[proxy]==$litellm" 2> /dev/null ||
  $pip install --quiet --disable-pip-version-check --no-compile "litellm[proxy]==$litellm"
echo "installed Portkey $portkey and LiteLLM $litellm into .bench-peers"
