# SPDX-License-Identifier: Apache-2.0
"""Processes that die or stand still. Each test says which rows of the fault matrix it is.

The long form: POSTERN_MAILS=5000 POSTERN_KILLS=50 pytest tests/integration/test_kills.py -k random
"""

import os
import signal

from tests.lib.faults import STAGES, Killer, kill_pid
from tests.lib.gateway import Gateway
from tests.lib.messages import fresh_mail
from tests.lib.scenario import assert_master_agrees, send_during, settle, wait_for_acks
from tests.lib.smtp import RecordingClient, send_mail
from tests.lib.waiting import eventually

MAILS = int(os.environ.get("POSTERN_MAILS", "200"))
KILLS = int(os.environ.get("POSTERN_KILLS", "5"))
SEED = int(os.environ.get("POSTERN_SEED", "1"))


def test_random_kills_of_all_processes_lose_nothing_and_the_master_agrees():
    with Gateway(workers_stages={"ingress": 2, "analyzer": 2, "delivery": 2}) as gateway:
        gateway.inbox.restart("--rule", "bounce-*=550 5.1.1 No such user")
        # One mail in fifty is made to be rejected, one in fifty to bounce.
        kinds = {0: "spam", 25: "bounce"}
        client = RecordingClient(gateway.port, kinds=lambda number: kinds.get(number % 50, "clean"))
        with Killer(gateway, KILLS, seed=SEED) as killer:
            sent = 0
            while sent < MAILS or not killer.done():
                sent += max(20, MAILS // 20)
                client.send(sent)
        gateway.wait_ready(60)
        checker = settle(gateway, client.record)
        print(f"{len(client.record.acked)} acknowledged, {len(client.record.unanswered)} unanswered, "
              f"{len(killer.killed)} kills, {checker.doubled()} doubled")
        # Promise 3: only what was in the next hop's hands when a delivery died may repeat.
        checker.assert_nothing_lost(gateway.deaths())
        assert_master_agrees(gateway, checker)


def test_1_ingress_killed_while_mail_flows_loses_nothing(gateway):
    def kill(client):
        for count in (30, 60, 90):
            wait_for_acks(client, count)
            gateway.kill("ingress")
            eventually(lambda: gateway.pids("ingress"), 20, "a new ingress")
    checker = settle(gateway, send_during(gateway, 150, kill))
    checker.assert_nothing_lost()


def test_2_analyzers_killed_while_mail_flows_lose_and_double_nothing(gateway):
    def kill(client):
        for count in (30, 60, 90):
            wait_for_acks(client, count)
            kill_pid(eventually(lambda: gateway.pids("analyzer"), 20, "an analyzer")[0])
    checker = settle(gateway, send_during(gateway, 150, kill))
    checker.assert_nothing_lost()


def test_3_delivery_killed_after_the_next_hop_took_a_mail_repeats_at_most_that_mail(gateway):
    mail = fresh_mail()
    send_mail(gateway.port, mail)
    gateway.inbox.wait_for(mail.ident)
    gateway.kill("delivery")
    gateway.wait_disposition(mail, "delivered", 60)
    copies = gateway.inbox.having(mail.ident)
    assert 1 <= len(copies) <= 2
    assert len({copy.field("Message-ID") for copy in copies}) == 1


def test_3_delivery_killed_while_mail_flows_loses_nothing(gateway):
    def kill(client):
        for count in (30, 60, 90):
            wait_for_acks(client, count)
            gateway.kill("delivery")
            eventually(lambda: gateway.pids("delivery"), 20, "a new delivery")
    checker = settle(gateway, send_during(gateway, 150, kill))
    checker.assert_nothing_lost(gateway.deaths())


def test_4_node_aborted_while_mail_flows_interrupts_nothing(gateway):
    def kill(client):
        wait_for_acks(client, 30)
        gateway.kill("node", number=signal.SIGABRT)
    record = send_during(gateway, 200, kill)
    assert not record.unanswered and not record.refused
    checker = settle(gateway, record)
    checker.assert_nothing_lost()
    assert_master_agrees(gateway, checker)


def test_4_stages_outlive_node_and_the_new_node_finds_them(gateway):
    before = {name: gateway.pids(name) for name in STAGES}
    old = gateway.kill("node")
    eventually(lambda: gateway.pids("node") and gateway.pids("node") != old, 20, "a new node")
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "delivered")
    assert {name: gateway.pids(name) for name in STAGES} == before


def test_5_all_processes_killed_at_once_lose_nothing(gateway):
    def kill(client):
        for count in (40, 80):
            wait_for_acks(client, count)
            gateway.kill_everything()
            gateway.wait_ready(60)
    checker = settle(gateway, send_during(gateway, 150, kill))
    checker.assert_nothing_lost(gateway.deaths())
    assert_master_agrees(gateway, checker)


def test_5_a_thousand_spooled_mails_are_ready_again_within_five_seconds(gateway):
    gateway.inbox.stop()
    client = RecordingClient(gateway.port, size=500)
    client.send(1000)
    gateway.kill_everything()
    gateway.wait_ready(5)
    gateway.inbox.start()
    checker = settle(gateway, client.record)
    checker.assert_nothing_lost()


def test_8_killed_five_times_during_recovery_loses_nothing(gateway):
    gateway.inbox.stop()
    client = RecordingClient(gateway.port, size=2000)
    client.send(500)
    for _ in range(5):
        old = gateway.kill("ingress")
        eventually(lambda gone=old: set(gateway.pids("ingress")) - set(gone), 20, "a new ingress")
    gateway.inbox.start()
    checker = settle(gateway, client.record)
    checker.assert_nothing_lost()


def test_a_stopped_analyzer_loses_and_doubles_nothing_when_it_wakes(gateway):
    pid = gateway.pids("analyzer")[0]
    kill_pid(pid, signal.SIGSTOP)
    client = RecordingClient(gateway.port)
    client.send(100)
    kill_pid(pid, signal.SIGCONT)
    checker = settle(gateway, client.record)
    checker.assert_nothing_lost()
    assert not client.record.refused


def test_with_no_analyzer_alive_a_durable_mail_waits(gateway):
    gateway.configure({"stages": {"ingress": 1, "analyzer": 0, "delivery": 1}, "ingress": {"verdict_wait_ms": 500}})
    eventually(lambda: not gateway.pids("analyzer"), 20, "the analyzers to leave")
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    assert not gateway.inbox.having(mail.ident)
    gateway.configure({"stages": {"ingress": 1, "analyzer": 1, "delivery": 1}})
    gateway.inbox.wait_for(mail.ident, 60)


def test_fewer_ingresses_under_load_refuse_lose_and_double_nothing():
    with Gateway(workers_stages={"ingress": 3, "analyzer": 1, "delivery": 1}) as gateway:
        def shrink(client):
            wait_for_acks(client, 50)
            gateway.configure({"stages": {"ingress": 1, "analyzer": 1, "delivery": 1}})
        record = send_during(gateway, 400, shrink, per_connection=5)
        eventually(lambda: len(gateway.pids("ingress")) == 1, 40, "one ingress to stay")
        assert not [one for one in record.refused.values() if one[0] != 421]
        settle(gateway, record).assert_nothing_lost()


def test_the_deferred_mail_of_a_delivery_removed_for_good_is_adopted():
    with Gateway(workers_stages={"ingress": 1, "analyzer": 1, "delivery": 2}) as gateway:
        gateway.inbox.stop()
        client = RecordingClient(gateway.port, size=500)
        client.send(300)
        gateway.configure({"stages": {"ingress": 1, "analyzer": 1, "delivery": 1}})
        eventually(lambda: len(gateway.pids("delivery")) == 1, 40, "one delivery to stay")
        gateway.inbox.start()
        settle(gateway, client.record).assert_nothing_lost()
