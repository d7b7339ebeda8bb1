# SPDX-License-Identifier: Apache-2.0
# Sourced. Everything that runs under $POSTERN_HOME holds a lock there: so it is found, and nothing else is.

locks() {
    [[ -d $home ]] || return 0
    find "$home/" -name lock -type f -o -name 'inbox.lock' -type f
}

# Pids of the processes that hold locks, the keeper's not among them.
holders() {
    local files
    mapfile -t files < <(locks)
    [[ ${#files[@]} -eq 0 ]] || fuser "${files[@]}" 2>/dev/null | tr -s ' \n' '\n\n' | sort -un | tr '\n' ' '
}

keeper_runs() { [[ -e $home/keeper.lock ]] && fuser -s "$home/keeper.lock" 2>/dev/null; }

# Ends the processes that `$1` lists: asked first, killed after `$2` seconds.
end_all() {
    local list=$1 end=$((SECONDS + $2)) pids
    while pids=$($list) && [[ -n ${pids// /} ]]; do
        if [[ $SECONDS -ge $end ]]; then
            kill -KILL $pids 2>/dev/null
        elif [[ ${asked-} != "$pids" ]]; then
            kill -TERM $pids 2>/dev/null
            local asked=$pids
        fi
        [[ $SECONDS -lt $((end + 5)) ]] || return 1
        sleep 0.1
    done
}

keepers() { [[ ! -e $home/keeper.lock ]] || fuser "$home/keeper.lock" 2>/dev/null | tr -s ' ' ' '; }

# The keeper first, so that it starts nothing anew. Node drains its stages when it is asked to end.
stop_everything() {
    end_all keepers 5 && end_all holders 20
}
