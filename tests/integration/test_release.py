# SPDX-License-Identifier: Apache-2.0
"""Orders about quarantined mail on two masters: carried out once, whoever gives them and from wherever."""

import json
import shutil
from datetime import date, timedelta

import pytest

from tests.lib.cluster import Cluster
from tests.lib.gateway import CommandFailed
from tests.lib.held import HOLD, quarantined, row_on, socket
from tests.lib.waiting import eventually


@pytest.fixture(scope="module")
def cluster():
    with Cluster(masters=2, workers=1, documents=HOLD) as fresh:
        yield fresh


def order(master, what, row, *options):
    return json.loads(master.command("quarantine", what, row["id"], "--no-wait", "--json", *options, *socket(master),
                                     codes=(0, 1)))


def orders(master, row):
    return master.ask("quarantine", "show", row["id"])["orders"]


def outcomes(master, row):
    return {one["order"].partition("|")[2]: one["outcome"] for one in orders(master, row)}


def wait_outcomes(cluster, row, wanted, masters=None):
    for master in masters or cluster.masters:
        eventually(lambda master=master: outcomes(master, row) == wanted, 45,
                   f"{master.name} to tell {wanted}", pause=0.2)


def copies(cluster, mail):
    return len(cluster.inbox.having(mail.ident))


def cut(*proxies):
    for proxy in proxies:
        proxy.cut()


def heal(*proxies):
    for proxy in proxies:
        proxy.mend()


def test_an_order_is_on_both_masters_and_carried_out_once(cluster):
    mail, row = quarantined(cluster)
    one, other = cluster.masters
    assert order(one, "release", row)[0]["order"] == order(other, "release", row)[0]["order"]
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    order(one, "release", row)
    assert copies(cluster, mail) == 1
    order(other, "release", row, "--again")
    wait_outcomes(cluster, row, {"0|1": "delivered", "0|2": "delivered"})
    assert copies(cluster, mail) == 2


def test_37_release_clicked_on_both_masters_in_a_partition_is_delivered_once(cluster):
    mail, row = quarantined(cluster)
    one, other = cluster.masters
    between = (one.peer_way, other.peer_way)
    away = cluster.workers[0].ways[other.name]
    cut(*between, away)
    for master in cluster.masters:
        eventually(lambda master=master: not master.ask("status")["peer"]["connected"], 20, "the partition")
    assert order(one, "release", row)[0]["unreplicated"]
    assert order(other, "release", row)[0]["unreplicated"]
    wait_outcomes(cluster, row, {"0|1": "delivered"}, [one])
    heal(*between, away)
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    assert copies(cluster, mail) == 1


def test_an_order_survives_the_master_it_was_clicked_on(cluster):
    mail, row = quarantined(cluster)
    one, other = cluster.masters
    worker = cluster.workers[0]
    cut(*worker.ways.values())
    for master in cluster.masters:
        eventually(lambda master=master: master.ask("status")["nodes"][1]["state"] != "up" or
                   not any(node["state"] == "up" for node in master.ask("status")["nodes"] if node["role"] == "worker"),
                   30, "the worker to be away")
    order(one, "release", row)
    eventually(lambda: orders(other, row), 20, "the peer to hold the order")
    eventually(lambda: not orders(one, row)[0]["unreplicated"], 20, "it to be replicated")
    one.kill()
    heal(*worker.ways.values())
    wait_outcomes(cluster, row, {"0|1": "delivered"}, [other])
    one.start()
    eventually(cluster.linked, 30, "all to be linked")
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    assert copies(cluster, mail) == 1


def test_a_release_after_a_delete_ends_as_deleted_before(cluster):
    mail, row = quarantined(cluster)
    one, other = cluster.masters
    order(one, "delete", row)
    wait_outcomes(cluster, row, {"0|delete": "deleted"})
    order(other, "release", row)
    wait_outcomes(cluster, row, {"0|delete": "deleted", "0|1": "deleted before"})
    assert copies(cluster, mail) == 0


def test_a_delete_after_a_release_changes_nothing_of_it(cluster):
    mail, row = quarantined(cluster)
    order(cluster.masters[0], "release", row)
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    order(cluster.masters[1], "delete", row)
    wait_outcomes(cluster, row, {"0|1": "delivered", "0|delete": "deleted"})
    assert copies(cluster, mail) == 1


def test_a_body_that_the_worker_let_go_comes_along_with_the_order(cluster):
    mail, row = quarantined(cluster)
    folder = cluster.workers[0].home / "state/quarantine"
    (file,) = folder.glob(f"*/{row['id']}")
    file.unlink()                                            # as its day's removal does
    order(cluster.masters[0], "release", row)
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    assert copies(cluster, mail) == 1
    assert cluster.inbox.having(mail.ident)[0].original == mail.content()


def test_a_reinstalled_master_gets_the_bodies_from_its_peer(cluster):
    mail, row = quarantined(cluster)
    one, other = cluster.masters
    (file,) = (cluster.workers[0].home / "state/quarantine").glob(f"*/{row['id']}")
    file.unlink()
    other.kill()
    other.lose_disk()
    other.start()
    eventually(lambda: row_on(other, mail), 60, "the reinstalled master to list it", pause=0.2)
    def shown():
        try:
            return mail.ident in other.command("quarantine", "show", row["id"], "--body", *socket(other))
        except CommandFailed:
            return False
    eventually(shown, 60, "the body from the peer", pause=0.3)


def local(worker, *arguments, codes=(0,)):
    return json.loads(worker.command("quarantine", *arguments, "--local", "--json", *socket(worker), codes=codes))


def test_the_worker_releases_what_lies_there_with_both_masters_gone(cluster):
    mail, row = quarantined(cluster)
    kept, _ = quarantined(cluster)
    worker = cluster.workers[0]
    for master in cluster.masters:
        master.kill()
    try:
        listed = {one["message_id"].strip("<>"): one for one in local(worker, "list")}
        assert {mail.message_id.strip("<>"), kept.message_id.strip("<>")} <= set(listed)
        assert listed[mail.message_id.strip("<>")]["sender"] == "sender@client.example"
        body = worker.command("quarantine", "show", row["id"], "--body", "--local", *socket(worker))
        assert mail.ident in body
        assert local(worker, "release", row["id"])[0]["outcome"] == "delivered"
        assert local(worker, "release", row["id"])[0]["outcome"] == "delivered"
        cluster.inbox.wait_for(mail.ident)
    finally:
        for master in cluster.masters:
            master.start()
    eventually(cluster.linked, 30, "all to be linked")
    wait_outcomes(cluster, row, {"0|1": "delivered"})
    order(cluster.masters[0], "release", row)                # it is known there now
    assert copies(cluster, mail) == 1


def test_a_mail_deleted_on_the_worker_is_deleted_for_the_masters(cluster):
    mail, row = quarantined(cluster)
    assert local(cluster.workers[0], "delete", row["id"])[0]["outcome"] == "deleted"
    wait_outcomes(cluster, row, {"0|delete": "deleted"})
    assert row["id"] not in [one["id"] for one in local(cluster.workers[0], "list")]
    assert copies(cluster, mail) == 0


def test_the_worker_knows_no_mail_of_others(cluster):
    worker = cluster.workers[0]
    for words in (("show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("release", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("show", "xyz")):
        with pytest.raises(CommandFailed):
            worker.command("quarantine", *words, "--local", *socket(worker))


def test_a_sender_is_allowed_from_the_quarantine(cluster):
    _, row = quarantined(cluster)
    master = cluster.masters[0]
    for words in ("was added to", "stands already in"):
        assert words in master.command("quarantine", "allow-sender", row["id"], *socket(master))
    assert master.ask("config", "get", "list/allowed-senders")["entries"] == ["sender@client.example"]
