# SPDX-License-Identifier: Apache-2.0
"""Stages as containers join the running pipeline and leave it, in order or without a word, and nothing is lost."""

import asyncio
import time

from tests.lib.checker import Checker
from tests.lib.compose import docker
from tests.lib.exchanging import Sending
from tests.lib.scenario import assert_master_agrees, settle, wait_for_acks
from tests.lib.smtp import RecordingClient
from tests.lib.waiting import eventually


PAUSE_S = 0.03


class Spread(RecordingClient):
    """Connects to the ingresses that there are, in turn, and takes its time between mails."""

    def __init__(self, stages, **options):
        super().__init__(None, **options)
        self.ports = stages.ports()
        self.turn = 0

    async def connect(self):
        self.turn += 1
        return await asyncio.open_connection("127.0.0.1", self.ports[self.turn % len(self.ports)])

    async def send_one(self, mail, reader, writer):
        await asyncio.sleep(PAUSE_S)
        return await super().send_one(mail, reader, writer)


def sending(stages, prefix, count=100):
    return Sending(Spread(stages, connections=6, prefix=prefix), count)


def assert_nothing_lost(stages, record, deaths=()):
    checker = settle(stages, record)
    checker.assert_nothing_lost(deaths)
    assert_master_agrees(stages, checker)


def test_stages_are_added_and_removed_while_mail_flows(stages):
    stages.empty_inbox()
    with sending(stages, "scale") as client:
        stages.scale(analyzer=4, delivery=2, ingress=2)
        client.ports = stages.ports()
        assert len(client.ports) == 2
        settled = client.settled
        wait_for_acks(client, settled + 200)
        client.ports = client.ports[:1]
        stages.scale(analyzer=1, delivery=1, ingress=1)
    assert_nothing_lost(stages, client.record)


def test_an_analyzer_removed_in_mid_work_costs_no_mail(stages):
    stages.empty_inbox()
    stages.scale(analyzer=2)
    with sending(stages, "analyzer") as client:
        for _ in range(3):
            docker("rm", "-f", stages.containers("analyzer")[-1])
            stages.scale(analyzer=2)
    stages.scale(analyzer=1)
    assert_nothing_lost(stages, client.record)


def test_a_delivery_removed_with_its_mail_strands_nothing(stages):
    stages.empty_inbox()
    stages.scale(delivery=2)
    docker("pause", stages.one("sink"))
    with sending(stages, "delivery", count=300) as client:
        pass
    eventually(lambda: stages.master_answers()["queue"] + stages.master_answers()["spool"] > 0, 30, "mail that waits")
    gone = stages.containers("delivery")[-1]
    docker("rm", "-f", gone)
    docker("unpause", stages.one("sink"))
    assert_nothing_lost(stages, client.record, deaths=[time.time()])
    stages.scale(delivery=1)


def test_an_ingress_removed_with_its_mail_leaves_it_to_the_other(stages):
    stages.empty_inbox()
    stages.scale(ingress=2)
    deliveries = stages.containers("delivery")
    for delivery in deliveries:
        docker("pause", delivery)
    with sending(stages, "ingress", count=300) as client:
        pass
    docker("rm", "-f", stages.containers("ingress")[-1])
    for delivery in deliveries:
        docker("unpause", delivery)
    assert_nothing_lost(stages, client.record)
    stages.scale(ingress=1)


def test_mail_flows_on_while_the_node_is_away(stages):
    stages.empty_inbox()
    docker("kill", stages.one("node"))
    with sending(stages, "node") as client:
        pass
    docker("start", stages.containers("node", every=True)[0])
    assert_nothing_lost(stages, client.record)
