#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast a cluster is: two masters, three workers and a next hop as processes on this machine. No root needed.
#   bench/cluster.sh             everything, small: about a minute and a half
#   bench/cluster.sh --long      1,000,000 events to catch up with, a partition of 10 minutes, 200 changes: about 20 minutes
#   bench/cluster.sh --write     writes the table to bench/CLUSTER.md as well
# --only NAME,..., --events N,..., --partition SECONDS, --changes N, --seconds N and --folder DIR (on the disk to
# measure) choose; --help tells all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build/bench
if ! { cmake --preset release && cmake --build --preset release; } >build/bench/build.log 2>&1; then
    tail -n 30 build/bench/build.log
    exit 1
fi
exec /usr/bin/python3 bench/tools/cluster_run.py "$@"
