# SPDX-License-Identifier: Apache-2.0
# Sourced. The programs are built outside the clone, which stays clean, and kept by the content of the sources:
# many homes and clones share one build, and a second run finds it ready.

programs=(postern postern-ingress postern-analyzer postern-delivery postern-node postern-master)
source_folders=(proto core mail ingress analyzer delivery node master cli cmake)

source_hash() {
    (cd "$clone" && find CMakeLists.txt CMakePresets.json "${source_folders[@]}" -type f -print0 2>/dev/null |
        sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
}

# Prints the folder that holds the programs, building them when they are not there.
built_programs() {
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/postern/build ready work
    ready=$cache/$(source_hash)
    work=$cache/work-$(printf %s "$clone" | sha256sum | cut -c 1-8)
    mkdir -p "$cache"
    (
        flock 9
        [[ -e $ready/complete ]] || build_into "$work" "$ready"
    ) 9>"$cache/lock" >&2 || return 1
    echo "$ready"
}

build_into() {
    local work=$1 ready=$2
    echo "building Postern (once for these sources)"
    cmake --preset release -S "$clone" -B "$work" >"$work.log" 2>&1 &&
        cmake --build "$work" --target "${programs[@]}" >>"$work.log" 2>&1 || {
        tail -n 30 "$work.log"
        echo "the build failed; its log is $work.log"
        return 1
    }
    rm -rf "$ready" && mkdir -p "$ready"
    cp "${programs[@]/#/$work/bin/}" "$ready/" && touch "$ready/complete"
    # Older builds: the three newest stay.
    find "$cache" -mindepth 2 -maxdepth 2 -name complete -printf '%T@ %h\n' | sort -rn | tail -n +4 |
        cut -d ' ' -f 2- | xargs -r rm -rf
}
