#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark: Postern beside Postfix, in turns, on this machine. Needs root (Postfix) and a release build.
#   bench/run.sh                 every cell, 5 rounds, latency, system calls: about half an hour
#   bench/run.sh --quick         one cell (4 KiB, 100 kept sessions), one round
#   bench/run.sh --slow-disk     every fdatasync delayed by 5 ms
#   bench/run.sh --connections 10000   idle clients, half of them encrypted, while mail flows
#   bench/run.sh --big           small mails in open loop while 40 MiB ones arrive
#   bench/run.sh --write         writes the tables to bench/RESULTS.md as well
# --rounds N, --only SYSTEM, --cells NAME,... and --folder DIR (on the disk to measure) choose; --help tells all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
deploy/install-deps.sh --bench
mkdir -p build/bench
if ! { cmake --preset release && cmake --build --preset release; } >build/bench/build.log 2>&1; then
    tail -n 30 build/bench/build.log
    exit 1
fi
cc -std=gnu17 -O2 -Wall -Wextra -Werror -o build/bench/openloop bench/tools/openloop.c
exec /usr/bin/python3 bench/tools/bench.py "$@"
