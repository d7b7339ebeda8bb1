# SPDX-License-Identifier: Apache-2.0
"""More than the gateway can take: it says so, and loses nothing that it took."""

import resource
import socket

from tests.lib.daemons import memory_kib
from tests.lib.gateway import Gateway
from tests.lib.messages import fresh_mail
from tests.lib.scenario import settle
from tests.lib.smtp import Dialogue, RecordingClient, send_mail

MEMORY = {"ingress": {"memory_max": "16M", "unlimited": ["127.0.0.0/8"]}}


def test_36_a_burst_of_big_mails_stays_within_the_memory_budget():
    with Gateway(documents=MEMORY) as gateway:
        client = RecordingClient(gateway.port, connections=30, size=900_000, per_connection=5)
        client.send(60)
        settle(gateway, client.record).assert_nothing_lost()
        peak = max(memory_kib(pid) for pid in gateway.pids("ingress"))
        assert peak < 200 * 1024, f"{peak} KiB"
        assert all(400 <= code < 500 for code, _ in client.record.refused.values())


def test_36_a_next_hop_ten_times_slower_than_the_mail_loses_nothing(gateway):
    gateway.inbox.restart("--delay", "0.2")
    client = RecordingClient(gateway.port, connections=20, size=1000)
    client.send(400)
    settle(gateway, client.record).assert_nothing_lost()


def test_13_out_of_descriptors_the_ingress_goes_on_with_those_it_has(gateway):
    pid = gateway.pids("ingress")[0]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (120, 120))
    crowd = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(200)]
    for one in crowd:
        one.close()
    gateway.wait_ready()
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)
    assert gateway.pids("ingress") == [pid]


def test_idle_clients_do_not_keep_others_out(gateway):
    crowd = [Dialogue(gateway.port) for _ in range(300)]
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)
    for one in crowd:
        one.close()
