#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Postern on this machine, all in one: builds, makes keys and a configuration, starts a master, Redis, one worker and
# a small receiving server, sends real mails through them and shows what became of each.
set -uo pipefail
usage="usage: quickstart.sh [--check | --detach | --stop] [--next-hop HOST:PORT] [--port-base N]
  (none)      starts, shows what became of three mails, stays until Ctrl-C
  --check     starts, verifies what became of the mails, stops; exits 0 or 1
  --detach    returns when mail is accepted; called again it starts what is missing
  --stop      stops everything that was started under \$POSTERN_HOME
  --next-hop  where accepted mail goes instead of the receiving server
  --port-base first of the eleven ports used (default 2525: SMTP)
Everything it makes lies under \$POSTERN_HOME (default ~/.postern); the build under ~/.cache/postern."

clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
home=${POSTERN_HOME:-$HOME/.postern}
mode=stay given_port='' given_hop=''
. "$clone/deploy/lib/build.sh"
. "$clone/deploy/lib/home.sh"
. "$clone/deploy/lib/locks.sh"

fail() {
    echo "quickstart: $*" >&2
    exit 1
}

read_options() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --check | --detach | --stop) mode=${1#--} ;;
        --next-hop) given_hop=${2-} && shift ;;
        --port-base) given_port=${2-} && shift ;;
        --help | -h) echo "$usage" && exit 0 ;;
        *) echo "$usage" >&2 && exit 2 ;;
        esac
        shift || { echo "$usage" >&2 && exit 2; }
    done
    [[ -z $given_port ]] || [[ $given_port =~ ^[0-9]+$ && $given_port -ge 1 && $given_port -le 65525 ]] ||
        fail "--port-base $given_port: give a number from 1 to 65525"
    [[ -z $given_hop || $given_hop =~ ^.+:[0-9]+$ ]] || fail "--next-hop $given_hop: give HOST:PORT"
}

# What is given counts, then what was stored at the first start, then the defaults.
choose_settings() {
    port_base=2525 next_hop='' own_inbox=yes
    [[ ! -e $home/settings ]] || . "$home/settings"
    local old="$port_base $next_hop"
    port_base=${given_port:-$port_base}
    [[ $own_inbox != yes ]] || next_hop=127.0.0.1:$((port_base + 1))
    if [[ -n $given_hop ]]; then
        next_hop=$given_hop own_inbox=no
    fi
    if running keeper.lock && [[ "$port_base $next_hop" != "$old" ]]; then
        fail "it runs with port base ${old% *} and next hop ${old#* }; stop it first: $0 --stop"
    fi
}

store_settings() {
    printf 'port_base=%q\nnext_hop=%q\nown_inbox=%q\n' "$port_base" "$next_hop" "$own_inbox" |
        as_owner tee "$home/settings" >/dev/null
}

check_ports() {
    local port
    for port in {0..10}; do
        [[ $port -ne 1 || $own_inbox == yes ]] || continue
        port=$((port_base + port))
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            fail "port $port is taken: choose other ports with --port-base N"
        fi
    done
}

start_keeper() {
    as_owner setsid bash "$home/bin/keeper.sh" "$home" >>"$home/log/keeper.log" 2>&1 </dev/null &
    disown
}

cli() { as_owner "$home/bin/postern" "$@"; }

# Waits up to $1 seconds for a command to succeed.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $end ]] || return 1
        sleep 0.1
    done
}

accepts_mail() { python3 "$clone/deploy/lib/tour.py" accepts --port "$port_base"; }

# Enrols the worker and applies the documents, once for each state of the settings.
configure() {
    local wanted
    wanted=$(sha256sum <"$home/documents.json")
    [[ $(cat "$home/configured" 2>/dev/null) != "$wanted" ]] || return 0
    wait_for 30 cli status || fail "the master does not answer; its log is $home/log/master.log"
    [[ -e $home/configured ]] || cli node add worker-1 "$worker_key" >/dev/null || fail "the worker was not enrolled"
    cli config apply "$home/documents.json" >/dev/null || fail "the configuration was refused"
    echo "$wanted" | as_owner tee "$home/configured" >/dev/null
}

start() {
    local ready
    "$clone/deploy/install-deps.sh" || fail "packages are missing"
    ready=$(built_programs) || fail "the programs could not be built"
    make_home
    if ! running keeper.lock; then
        [[ -n $(holders) ]] || check_ports
        install_programs "$ready"
        write_node_files
        store_settings
        write_documents
        start_keeper
        configure
    fi
    wait_for 60 accepts_mail || fail "mail is not accepted on port $port_base; logs are in $home/log"
}

tour() {
    as_owner python3 - --port "$port_base" --postern "$home/bin/postern" --inbox "$home/inbox" \
        --own-inbox "$own_inbox" send <"$clone/deploy/lib/tour.py"
}

show_how_to_look() {
    cat <<TEXT

Postern accepts mail for example.org on 127.0.0.1:$port_base. To look further:
    export POSTERN_HOME=$home PATH=$home/bin:\$PATH
    postern status                 # processes, spool, queue, lag
    postern messages               # every mail and what became of it
    postern quarantine list        # what is held back
    postern events --follow        # live
    postern config export          # the configuration
Delivered mails: $([[ $own_inbox == yes ]] && echo "$home/inbox/" || echo "at $next_hop"). Logs: $home/log/.
TEXT
}

read_options "$@"
case $mode in
stop)
    stop_everything || fail "still running:" $(holders)
    ;;
detach)
    choose_settings
    start
    show_how_to_look
    ;;
check)
    choose_settings
    start
    tour
    result=$?
    stop_everything || fail "still running:" $(holders)
    exit $result
    ;;
stay)
    choose_settings
    trap 'echo; stop_everything; exit 0' INT TERM
    start
    tour
    show_how_to_look
    echo "Ctrl-C stops it."
    while true; do sleep 3600 & wait $!; done
    ;;
esac
