#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Postern on containers: makes the base image and ours where they are missing or old, then hands on to compose.
set -euo pipefail
usage="usage: compose.sh [--stages] up [--scale SERVICE=N]...    builds what is new and starts
       compose.sh [--stages] scale SERVICE=N...        changes what runs; a service not named goes back to its first count
       compose.sh [--stages] down                      ends it and removes containers, networks, volumes
       compose.sh [--stages] COMMAND...                any other command of docker-compose
  --stages: compose.stages.yaml, one worker whose stages are containers; else compose.yaml, the cluster.
  \$POSTERN_PROJECT names the project (default postern, or postern-stages)."
clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

file=compose.yaml project=postern
if [[ ${1-} == --stages ]]; then
    file=compose.stages.yaml project=postern-stages
    shift
fi
[[ $# -gt 0 && $1 != --help ]] || { echo "$usage" >&2 && exit 2; }
if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
else
    compose=(docker-compose)
fi
compose+=(-p "${POSTERN_PROJECT:-$project}" -f "$clone/deploy/$file")

case $1 in
up)
    shift
    "$clone/deploy/base-image.sh"
    "${compose[@]}" build -q
    exec "${compose[@]}" up -d --no-recreate "$@"
    ;;
scale)
    shift
    exec "${compose[@]}" up -d --no-recreate --no-build $(printf -- '--scale %s ' "$@")
    ;;
down)
    shift
    exec "${compose[@]}" down --volumes --remove-orphans "$@"
    ;;
*) exec "${compose[@]}" "$@" ;;
esac
