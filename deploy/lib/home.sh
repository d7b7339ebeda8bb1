# SPDX-License-Identifier: Apache-2.0
# Sourced. What lies in $POSTERN_HOME: bin/, master/ and worker/ (node.conf, keys/, state/), run/, inbox/, redis/,
# log/, and `settings`: the port base and the next hop of the first start.

control_port() { echo "tcp://127.0.0.1:$((port_base + 5))"; }
publish_port() { echo "tcp://127.0.0.1:$((port_base + 6))"; }
events_port() { echo "tcp://127.0.0.1:$((port_base + 7))"; }
public_port() { echo "tcp://127.0.0.1:$((port_base + 8))"; }

# As root everything runs under the system user `postern`, to whom the home is given.
as_owner() {
    if [[ $(id -u) -eq 0 ]]; then
        setpriv --reuid=postern --regid=postern --clear-groups env HOME="$home" POSTERN_HOME="$home" "$@"
    else
        env POSTERN_HOME="$home" "$@"
    fi
}

make_owner() {
    id postern >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin postern
    # A home below a folder that only root may enter (/root) is a link to one that `postern` can reach.
    if ! setpriv --reuid=postern --regid=postern --clear-groups test -x "$(dirname "$home")" && [[ ! -L $home ]]; then
        mkdir -p /var/lib/postern-homes
        rmdir "$home" 2>/dev/null || [[ ! -e $home ]] || fail "$home cannot be reached by the user postern: move it"
        ln -s "$(mktemp -d /var/lib/postern-homes/XXXXXX)" "$home"
    fi
    home=$(realpath "$home")
    chown postern:postern "$home"
}

# 107 bytes is the kernel's limit of a socket path; the longest below run/ is worker/ingress/63.fd.
check_length() {
    local longest=$home/run/worker/ingress/63.fd
    [[ ${#longest} -le 107 ]] ||
        fail "POSTERN_HOME is too long: the socket path $longest has ${#longest} bytes, 107 is the kernel's limit"
}

make_home() {
    local part
    mkdir -p "$(dirname "$home")"
    [[ -L $home ]] || mkdir -p "$home"
    [[ $(id -u) -ne 0 ]] || make_owner
    check_length
    for part in master worker; do
        as_owner mkdir -p "$home/$part/state" "$home/$part/keys" "$home/run/$part"
        as_owner chmod 700 "$home/$part/keys" "$home/$part/state"
    done
    as_owner mkdir -p "$home/inbox" "$home/redis" "$home/receiver" "$home/log"
}

install_programs() {
    local ready=$1 file
    as_owner mkdir -p "$home/bin"
    for file in "${programs[@]/#/$ready/}" "$clone/tests/tools/inbox.py" "$clone"/deploy/lib/{keeper,locks}.sh; do
        install -m 755 "$file" "$home/bin/.new" && mv "$home/bin/.new" "$home/bin/$(basename "$file")"
    done
}

key_of() {
    [[ -e $home/$1/keys/node.key ]] || as_owner "$home/bin/postern" keygen "$home/$1/keys/node.key" >/dev/null
    head -n 1 "$home/$1/keys/node.key"
}

write_node_files() {
    local master_key
    master_key=$(key_of master) || fail "cannot make the master's key"
    worker_key=$(key_of worker) || fail "cannot make the worker's key"
    as_owner tee "$home/master/node.conf" >/dev/null <<CONF
name = master-a
site = home
role = master
state = "$home/master/state"
run = "$home/run/master"
keys = "$home/master/keys"
metrics = 127.0.0.1:$((port_base + 9))
bind
    control = $(control_port)
    publish = $(publish_port)
    events = $(events_port)
    public = $(public_port)
CONF
    as_owner tee "$home/worker/node.conf" >/dev/null <<CONF
name = worker-1
site = home
role = worker
state = "$home/worker/state"
run = "$home/run/worker"
keys = "$home/worker/keys"
smtp = 127.0.0.1:$port_base
hostname = mx.example.org
metrics = 127.0.0.1:$((port_base + 10))
master
    name = master-a
    control = $(control_port)
    publish = $(publish_port)
    events = $(events_port)
    key = "$master_key"
CONF
}

# Mail for example.org, any local part, from this machine without limits; no relaying.
write_documents() {
    as_owner tee "$home/documents.json" >/dev/null <<JSON
{
    "domain/example.org": {"description": "Made by the quickstart.", "route": "next-hop"},
    "route/next-hop": {"hops": ["$next_hop"], "tls": "may"},
    "ingress": {"xclient": ["127.0.0.0/8", "::1"], "unlimited": ["127.0.0.0/8", "::1"]},
    "redis": {"address": "unix:$home/redis/redis.sock"},
    "stages": {"ingress": 1, "analyzer": 2, "delivery": 1}
}
JSON
}
