#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's Postfix as a plain relay with a durable queue, in a folder of its own; the system's instance is not
# touched. Usage: postfix.sh start FOLDER PORT NEXT_HOP_PORT | stop FOLDER | pid FOLDER. Needs root.
#
# Tuned as an administrator of a busy relay would: enough processes for 100 sessions, no DNS, no client limits, no
# brake on input, high concurrency towards the one next hop. Logging goes to syslog, which costs nothing where none runs.
set -euo pipefail
action=$1 folder=$2

write_files() {
    local port=$1 next=$2
    mkdir -p "$folder/etc" "$folder/queue" "$folder/data"
    chmod 755 "$folder"
    chown postfix "$folder/data"
    cat >"$folder/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.test.example
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = example.org
relayhost = [127.0.0.1]:$next
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtp_tls_security_level = none
smtpd_tls_security_level = none
message_size_limit = 52428800
default_process_limit = 220
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0
qmgr_message_active_limit = 40000
initial_destination_concurrency = 20
default_destination_concurrency_limit = 50
smtp_connection_cache_destinations = 127.0.0.1
CONF
    cat >"$folder/etc/master.cf" <<CONF
127.0.0.1:$port inet n - n - 220 smtpd
pickup   unix n - n 60 1 pickup
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
verify   unix - - n - 1 verify
flush    unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp     unix - - n - 50 smtp
relay    unix - - n - 50 smtp
showq    unix n - n - - showq
error    unix - - n - - error
retry    unix - - n - - error
discard  unix - - n - - discard
anvil    unix - - n - 1 anvil
scache   unix - - n - 1 scache
CONF
}

case $action in
start)
    write_files "$3" "$4"
    postfix -c "$folder/etc" start >"$folder/start.log" 2>&1 || { cat "$folder/start.log" >&2 && exit 1; }
    ;;
stop) postfix -c "$folder/etc" stop >/dev/null 2>&1 ;;
pid) tr -d ' ' <"$folder/queue/pid/master.pid" ;;
*) exit 2 ;;
esac
