#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every test: unit, model and fuzz replay in an ordinary build and again
# under ASan and UBSan, then the integration and conformance tests over real processes, and those on containers.
# Ends with `N passed, N failed`. Tests that need root, Docker or the suites ($POSTERN_SUITES) count as skipped without.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export POSTERN_SUITES=${POSTERN_SUITES:-$(realpath -m ../shared/suites)}
results=build/results
jobs=$(nproc)

deploy/install-deps.sh --tests || exit 1
rm -rf "$results" && mkdir -p "$results"
ready=yes

build_and_run() {
    local preset=$1
    echo "== $preset: building"
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >"$results/$preset.build.log" 2>&1; then
        tail -n 40 "$results/$preset.build.log"
        echo "== $preset: the build failed"
        ready=no
        return
    fi
    echo "== $preset: unit, model and fuzz replay"
    ctest --test-dir "build/$preset" -j "$jobs" --timeout 300 --output-on-failure \
        --output-junit "$PWD/$results/$preset.xml" 2>&1 | tail -n 60
    [[ -e $results/$preset.xml ]] || ready=no
}

run_python() {
    local suite=$1
    [[ -d tests/$suite ]] || return 0
    echo "== $suite"
    POSTERN_BUILD=$PWD/build/release timeout 2400 /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider \
        --junitxml="$results/$suite.xml" "tests/$suite"
    [[ -e $results/$suite.xml ]] || ready=no
}

build_and_run release
build_and_run asan-ubsan
run_python integration
run_python conformance
run_python containers
[[ $ready == yes ]] || echo "not everything could be built or run"
/usr/bin/python3 tests/tools/total.py --ready "$ready" "$results"/*.xml
