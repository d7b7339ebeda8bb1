# SPDX-License-Identifier: Apache-2.0
"""A cluster of three workers on containers while things break, under a sender that resolves MX.

Each test sends mails, does one kind of harm in their midst, heals it, and compares what clients
were told with what the receiving server took and what either master has on record. $POSTERN_MAILS is how
many mails each kind of harm has to see acknowledged (the long form: 5000).
"""

import os
import time

import pytest

from tests.lib.compose import docker
from tests.lib.exchanging import Exchangers, ExchangingClient, Sending
from tests.lib.scenario import assert_master_agrees, settle
from tests.lib.waiting import eventually, none_left

MAILS = int(os.environ.get("POSTERN_MAILS", "400"))
OUTAGE_MAILS = 150      # acknowledged while something is away
MAILS_A_ROUND = 1000    # the harm is done again after so many


class Trial:
    """One kind of harm: mails flow, `hurt` and `heal` are called in their midst."""

    def __init__(self, cluster, recoveries, name):
        self.cluster, self.recoveries, self.name = cluster, recoveries, name
        cluster.empty_inbox()
        self.deaths = []    # when deliveries died or lost their next hop: what was in flight may repeat
        prefix = "".join(letter for letter in name if letter.isalnum())
        self.client = ExchangingClient(Exchangers(cluster.dns_port()), connections=8, prefix=prefix, per_connection=5,
                                       reply_seconds=15.0, kinds=lambda number: "spam" if number % 20 == 0 else "clean")

    def died(self):
        self.deaths.append(time.time())

    def run(self, hurt, heal, noticed=lambda: True, once=False):
        """`noticed` tells that the harm has had its effect: until then nothing is healed."""
        with Sending(self.client, MAILS) as client:
            for _ in range(1 if once else max(1, MAILS // MAILS_A_ROUND)):
                hurt()
                before = client.settled
                eventually(lambda before=before: client.settled >= before + OUTAGE_MAILS, 120, "mails in the outage")
                eventually(noticed, 60, "the cluster to notice", pause=0.5)
                heal()
        healed = time.monotonic()
        checker = settle(self.cluster, self.client.record)
        checker.assert_nothing_lost(self.deaths)
        acked = len(self.client.record.acked)
        assert_master_agrees(self.cluster, checker)
        self.assert_masters_alike(checker)
        none_left(self.cluster.misjudged, 60, pause=0.5)
        self.recoveries.append((self.name, acked, len(checker.missing()), checker.doubled(), time.monotonic() - healed))

    def assert_masters_alike(self, checker, seconds=20):
        """The second master tells what the first tells, which is the inbox's truth; both hold the same events."""
        assert_master_agrees(self.cluster, checker, seconds, master="master-b")
        acked = self.client.record.acked.values()
        none_left(lambda: self.cluster.told_apart(acked), seconds, pause=0.5)
        none_left(self.cluster.unequal, seconds, pause=0.5)


@pytest.fixture
def trial(cluster, recoveries, request):
    return Trial(cluster, recoveries, request.node.name.removeprefix("test_").replace("_", " "))


def lost(cluster, container):
    """Does the first master miss that worker?"""
    name = cluster.inspect(container)["Config"]["Hostname"]
    return lambda: {node["name"]: node["state"] for node in cluster.nodes()}.get(name) == "lost"


def killer(trial, containers):
    """SIGKILL to containers; and their start."""
    def hurt():
        docker("kill", *containers)
        trial.died()

    def heal():
        docker("start", *containers)
    return hurt, heal


def test_a_worker_is_killed(cluster, trial):
    worker = cluster.workers()[0]
    trial.run(*killer(trial, [worker]), noticed=lost(cluster, worker))


def test_a_worker_is_paused(cluster, trial):
    worker = cluster.workers()[0]

    def heal():
        trial.died()
        docker("unpause", worker)
    trial.run(lambda: docker("pause", worker), heal, noticed=lost(cluster, worker))


def test_a_worker_is_cut_off_from_the_wan(cluster, trial):
    worker = cluster.workers()[0]

    def hurt():
        cluster.cut(worker)
        trial.died()
    trial.run(hurt, lambda: cluster.mend(worker))


def test_the_other_data_centre_is_cut_off(cluster, trial):
    containers = [*cluster.containers("worker-b"), cluster.one("master-b")]

    def hurt():
        for container in containers:
            cluster.cut(container)
            trial.died()

    def heal():
        for container in containers:
            cluster.mend(container)
    trial.run(hurt, heal, noticed=lost(cluster, containers[0]))


def test_the_first_master_is_killed(cluster, trial):
    trial.run(*killer(trial, [cluster.one("master-a")]))


def test_both_masters_are_away(cluster, trial):
    trial.run(*killer(trial, [cluster.one("master-a"), cluster.one("master-b")]))


def test_the_redis_primary_is_killed(cluster, trial):
    sentinel = cluster.one("sentinel-a")
    containers = [cluster.one(name) for name in ("redis-a", "redis-b")]
    addresses = [cluster.address(container) for container in containers]

    def primary():
        said = docker("exec", sentinel, "redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "postern")
        return addresses.index(said.split()[0])
    killed = []     # which of the two, each time

    def hurt():
        killed.append(primary())
        docker("kill", containers[killed[-1]])

    trial.run(hurt, lambda: docker("start", containers[killed[-1]]), noticed=lambda: primary() != killed[-1])


def test_a_stopped_worker_costs_no_delivery(cluster, trial):
    worker = cluster.workers()[0]
    address = cluster.address(worker)

    def hurt():
        docker("stop", worker)
        trial.died()
        assert address in trial.client.exchangers.addresses()   # still published: the sender has to pass it over
    trial.run(hurt, lambda: docker("start", worker))
    assert trial.client.passed_over > 0


def test_a_worker_leaves_for_good(cluster, trial):
    worker = cluster.containers("worker")[-1]
    name = cluster.inspect(worker)["Config"]["Hostname"]

    def hurt():
        docker("stop", worker)      # drains, and the node goes when its last event is with the masters
        trial.died()

    def heal():
        cluster.command("node", "remove", name)
        docker("rm", "-f", "-v", worker)
    trial.run(hurt, heal, once=True)
