# SPDX-License-Identifier: Apache-2.0
"""Orders about the mail of a worker that is lost, or to go: another one carries them out, behind a fence."""

import json

import pytest

from tests.lib.cluster import Cluster
from tests.lib.gateway import CommandFailed
from tests.lib.held import HOLD, quarantined, socket
from tests.lib.waiting import eventually


@pytest.fixture(scope="module")
def cluster():
    with Cluster(masters=2, workers=2, documents=HOLD) as fresh:
        yield fresh


def order(process, what, row, *options):
    return json.loads(process.command("quarantine", what, row["id"], "--no-wait", "--json", *options,
                                      *socket(process), codes=(0, 1)))


def orders(master, row):
    return master.ask("quarantine", "show", row["id"])["orders"]


def wait_outcomes(cluster, row, wanted):
    for master in cluster.masters:
        eventually(lambda master=master: {one["order"].partition("|")[2]: one["outcome"]
                                          for one in orders(master, row)} == wanted, 60,
                   f"{master.name} to tell {wanted}", pause=0.2)


def copies(cluster, mail):
    return len(cluster.inbox.having(mail.ident))


def takeover(master, *options):
    return json.loads(master.command("quarantine", "takeover", "worker-1", "--json", *options, *socket(master)))


def lands_in_journal_of(worker, row):
    """The worker knows the mail: it took it over."""
    shown = worker.command("quarantine", "show", row["id"], "--local", "--json", *socket(worker), codes=(0, 1))
    return row["id"] in shown


def test_a_living_worker_leaves_its_mail_behind_a_fence(cluster):
    one, other = cluster.masters
    worker, taker = cluster.workers
    mail, row = quarantined(cluster)
    begun, begun_row = quarantined(cluster)
    cluster.inbox.stop()
    order(one, "release", begun_row)
    eventually(lambda: one.ask("queue", "list"), 20, "the release to be begun", pause=0.1)
    assert not takeover(one, "--to", "worker-2")["copy_possible"]
    eventually(cluster.agreed, 20, "both masters to know of it", pause=0.1)
    order(one, "release", row)
    order(other, "release", row)
    eventually(lambda: lands_in_journal_of(taker, row), 20, "the taker to have the mail", pause=0.1)
    assert not lands_in_journal_of(taker, begun_row)         # its owner ends what it has begun
    cluster.inbox.start()
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    wait_outcomes(cluster, begun_row, {"0|1": "delivered"})
    assert order(worker, "release", row, "--local", "--again")[0]["outcome"] == "fenced worker-2"
    order(other, "release", begun_row)                       # what the owner did stays done
    order(one, "release", row, "--again")
    wait_outcomes(cluster, row, {"0|1": "delivered", "0|2": "delivered"})
    wait_outcomes(cluster, begun_row, {"0|1": "delivered"})
    assert (copies(cluster, mail), copies(cluster, begun)) == (2, 1)
    assert cluster.inbox.having(mail.ident)[0].original == mail.content()


def test_a_fence_outlives_the_death_of_the_worker(cluster):
    worker = cluster.workers[0]
    mail, row = quarantined(cluster)
    order(cluster.masters[0], "release", row)
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    worker.stop_all()
    worker.launch()
    eventually(worker.accepts_mail, 30, "it to be back")
    assert order(worker, "release", row, "--local", "--again")[0]["outcome"] == "fenced worker-2"
    assert copies(cluster, mail) == 1


def test_a_mail_deleted_by_its_taker_is_not_released(cluster):
    mail, row = quarantined(cluster)
    order(cluster.masters[1], "delete", row)
    wait_outcomes(cluster, row, {"0|delete": "deleted"})
    order(cluster.masters[0], "release", row)
    wait_outcomes(cluster, row, {"0|delete": "deleted", "0|1": "deleted before"})
    assert copies(cluster, mail) == 0


def test_the_mail_of_a_worker_lost_for_good_is_delivered_by_another(cluster):
    one, other = cluster.masters
    mail, row = quarantined(cluster)
    cluster.workers[0].stop_all()
    def lost(master):
        return [node["state"] for node in master.ask("node", "list")
                if node["name"] == "worker-1"] == ["lost"]
    for master in cluster.masters:
        eventually(lambda master=master: lost(master), 30, "the worker to be lost", pause=0.2)
    order(one, "release", row)
    assert "takeover worker-1 --force" in orders(one, row)[0]["advice"]
    with pytest.raises(CommandFailed, match="second copy"):
        takeover(one)
    assert takeover(one, "--force")["copy_possible"]
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    order(other, "release", row)
    one.command("node", "remove", "worker-1", *socket(one))
    order(one, "release", row, "--again")
    wait_outcomes(cluster, row, {"0|1": "delivered", "0|2": "delivered"})
    assert copies(cluster, mail) == 2
    assert cluster.inbox.having(mail.ident)[0].original == mail.content()
