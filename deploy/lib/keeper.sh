#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Keeps the quickstart's processes running: Redis, the receiving server, master and node. Whichever is gone is
# started again within seconds; the stages are node's affair. Usage: keeper.sh HOME, as the home's owner.
set -uo pipefail
home=$1
. "$home/settings"
. "$home/bin/locks.sh"
cd "$home" || exit 1

# One keeper a home. Its children must not inherit the lock, or it would outlive the keeper.
exec 9>>"$home/keeper.lock"
flock -n 9 || exit 0

# Runs a program that holds no lock of its own with one that ends with it.
launch_locked() {
    local lock=$1 log=$2
    shift 2
    (
        exec 8>>"$lock"
        flock -n 8 || exit 0
        exec "$@"
    ) 9>&- >>"$home/log/$log" 2>&1 </dev/null &
}

# Sets `command` to a daemon's command line.
daemon() {
    local part=$1 name=$2
    command=("$home/bin/postern-$name" --config "$home/$part/node.conf" --state "$home/$part/state"
        --run "$home/run/$part")
}

launch() {
    local log=$1
    shift
    "$@" 9>&- >>"$home/log/$log" 2>&1 </dev/null &
}

start_missing() {
    running redis/lock ||
        launch_locked redis/lock redis.log redis-server --port 0 --unixsocket "$home/redis/redis.sock" \
            --unixsocketperm 700 --dir "$home/redis" --save '' --appendonly no --daemonize no
    [[ $own_inbox != yes ]] || running receiver/lock ||
        launch_locked receiver/lock inbox.log python3 "$home/bin/inbox.py" --listen "$next_hop" --folder "$home/inbox"
    daemon master master
    running master/state/master/lock || launch master.log "${command[@]}"
    # Node, like the master, holds its lock itself; an inherited one would pass to the stages, which outlive it.
    daemon worker node
    running worker/state/node/0/lock || launch node.log "${command[@]}"
}

nap=
trap 'kill $nap 2>/dev/null; exit 0' TERM INT
while true; do
    start_missing
    sleep 2 9>&- &
    nap=$!
    wait $nap
done
