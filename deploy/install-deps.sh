#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building and running Postern takes; --tests adds those of the tests, --bench
# those of the benchmark; --libraries is only what the built programs load, for the image of containers.
# Looks first what is missing: with nothing missing it needs no rights and no network.
set -euo pipefail

build=(cmake ninja-build gcc libc6-dev pkg-config protobuf-c-compiler libprotobuf-c-dev libzmq3-dev libczmq-dev
    libssl-dev libhiredis-dev libjansson-dev libsqlite3-dev libmicrohttpd-dev libcurl4-openssl-dev libicu-dev
    libarchive-dev libunbound-dev libevent-dev libsodium-dev libev-dev libcmocka-dev zlib1g-dev libseccomp-dev
    libzstd-dev)
run=(redis-server python3 util-linux findutils)
tests=(python3-pytest python3-dnslib python3-zmq openssl strace clang-format-14 e2fsprogs xfsprogs)
containers=(docker-compose debootstrap)
libraries=(libzmq5 libczmq4 libprotobuf-c1 libssl3 libhiredis0.14 libjansson4 libsqlite3-0 libmicrohttpd12 libcurl4
    libicu72 libarchive13 libunbound8 libevent-2.1-7 libsodium23 libev4 zlib1g libseccomp2)
bench=(postfix linux-perf openssl)

wanted=("${build[@]}" "${run[@]}")
for argument in "$@"; do
    case $argument in
    --tests) wanted+=("${tests[@]}") && ! docker info >/dev/null 2>&1 || wanted+=("${containers[@]}") ;;
    --libraries) wanted=("${libraries[@]}") ;;
    --bench) wanted+=("${bench[@]}") ;;
    *) echo "usage: install-deps.sh [--tests] [--bench] | --libraries" >&2 && exit 2 ;;
    esac
done

missing=()
for package in "${wanted[@]}"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0
echo "installing: ${missing[*]}"

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || {
        echo "these packages are missing and there is no sudo; as root: apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi

# Debian starts a daemon as soon as its package is there. Postern wants the programs only, so for the time of
# the installation every start is refused, unless the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
