#!/usr/bin/env bash
# Builds the two images from release/ and pushes them, each with its version: push-images.sh ghcr.io/owner/iron-cage
# Needs a docker that is signed in there.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1,,} # registries refuse capitals
version=$(basename release/iron-cage-*.tgz .tgz)
version=${version#iron-cage-}

build() {
  local tags=(--tag "$image:$version$1" --tag "$image:$2")
  docker build --file container/Dockerfile "${tags[@]}" "${@:3}" .
}

build "" latest
build -python python --build-arg BASE=python:3.13-slim
docker push --all-tags "$image"
