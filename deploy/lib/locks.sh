# SPDX-License-Identifier: Apache-2.0
# Sourced. Everything that runs under $POSTERN_HOME holds a lock there: so it is found, and nothing else is.

# Pids of the processes that have a file of that name open below the home; `*` matches anything.
holders_of() {
    local real
    real=$(realpath -m "$home")
    {
        find /proc/[0-9]*/fd -mindepth 1 -maxdepth 1 -lname "$real/$1" 2>/dev/null | cut -d / -f 3
        programs_of "$real/$1"
    } | sort -un
}

# Postern's programs let nobody look into them, not even their own user (they are not dumpable): they are known by the
# state and slot that they were started with.
programs_of() {
    local file words i state slot stage
    for file in /proc/[0-9]*/cmdline; do
        { mapfile -d '' -t words <"$file"; } 2>/dev/null || continue
        stage=${words[0]-} stage=${stage##*/} state='' slot=0/
        [[ $stage == postern-?* ]] || continue
        for ((i = 1; i < ${#words[@]}; i++)); do
            [[ ${words[i]} != --state ]] || state=${words[i + 1]-}
            [[ ${words[i]} != --slot ]] || slot=${words[i + 1]-}/
        done
        [[ $stage != postern-master ]] || slot=''
        [[ $(realpath -m "$state/${stage#postern-}/${slot}lock") != $1 ]] || cut -d / -f 3 <<<"$file"
    done
}

running() { [[ -n $(holders_of "$1") ]]; }
keepers() { holders_of keeper.lock; }
holders() { holders_of '*/lock'; }

# Ends the processes that `$1` lists: asked first, killed after `$2` seconds.
end_all() {
    local list=$1 end=$((SECONDS + $2)) pids asked=
    while pids=$($list); [[ -n $pids ]]; do
        if [[ $SECONDS -ge $end ]]; then
            kill -KILL $pids 2>/dev/null
        elif [[ $asked != "$pids" ]]; then
            kill -TERM $pids 2>/dev/null
            asked=$pids
        fi
        [[ $SECONDS -lt $((end + 5)) ]] || return 1
        sleep 0.1
    done
}

# The keeper first, so that it starts nothing anew. Node drains its stages when it is asked to end.
stop_everything() {
    end_all keepers 5 && end_all holders 20
}
