# SPDX-License-Identifier: Apache-2.0
"""Two masters and their workers: whatever happens to one or to the ways between, both end with everything.

The numbers are rows of the fault matrix.
"""

import shutil
import signal
import time

import pytest

from tests.lib.cluster import Cluster
from tests.lib.faults import Disk, kill_pid
from tests.lib.gateway import BUILD, CommandFailed
from tests.lib.proxy import DOWN, UP
from tests.lib.waiting import eventually


@pytest.fixture
def cluster():
    with Cluster() as fresh:
        yield fresh


def settle(cluster, idents, seconds=40):
    """Every mail is known as delivered on both masters, and these hold the same."""
    cluster.wait_known(idents, seconds=seconds)
    return cluster.wait_equal(seconds)


def lag_of(master, worker):
    return next(node for node in master.ask("status")["nodes"] if node["name"] == worker.name)["lag_events"]


def test_both_masters_hold_the_same_and_verify_says_so(cluster):
    a, b = cluster.masters
    verdict = settle(cluster, cluster.send(40))
    assert verdict["here"] == a.name and verdict["there"] == b.name and verdict["streams"] == 2
    assert verdict["differences"] == []
    said = a.command("verify", "--socket", str(a.home / "run/api.sock"))
    assert "hold the same" in said
    for master in cluster.masters:
        status = master.ask("status")
        assert status["replayed_share"] <= 0.01
        assert status["peer"]["connected"]
        eventually(lambda master=master: all(node["site"] == "here" for node in master.ask("node", "list")), 5,
                   "the site of every node", pause=0.2)


def verdict_of(master):
    """None while the other one does not answer."""
    try:
        return master.verify()
    except CommandFailed:
        return None


def test_verify_names_what_differs_while_the_masters_cannot_even_out(cluster):
    a, b = cluster.masters
    settle(cluster, cluster.send(10))
    b.peer_way.cut()  # it compares nothing any more, but is still asked
    b.kill(signal.SIGTERM)
    idents = cluster.send(10)
    cluster.wait_known(idents, [a])
    for worker in cluster.workers:
        worker.ways[b.name].cut()
    b.start()
    verdict = eventually(lambda: verdict_of(a), 20, "the other master to answer", pause=0.1)
    assert not verdict["equal"] and verdict["missing_there"] >= 10 and verdict["missing_here"] == 0
    assert {one["node"] for one in verdict["differences"]} == {worker.name for worker in cluster.workers}
    b.peer_way.mend()
    settle(cluster, idents)  # through its peer alone: no worker reaches it


def test_14_a_dead_master_comes_back_and_ends_with_everything(cluster):
    a, b = cluster.masters
    b.kill()
    idents = cluster.send(300)
    cluster.wait_known(idents, [a])
    b.start()
    idents += cluster.send(20)
    settle(cluster, idents)


@pytest.mark.parametrize("calls", [1, 2, 3, 4, 5, 7, 9, 12, 16, 21])
def test_16_a_master_killed_within_a_commit_has_neither_gap_nor_repetition(cluster, calls):
    b = cluster.masters[1]
    idents = cluster.send(5)
    cluster.wait_known(idents)
    b.kill()
    disk = Disk(cluster.home / "disk", BUILD / "lib" / "faultdisk.so")
    b.environment = disk.environment(["postern-master"])
    b.start()
    disk.set(kill_after=calls)
    idents += cluster.send(20)
    b.child.wait(20)
    b.start()
    settle(cluster, idents)


def test_17_a_master_that_stands_still_costs_the_workers_no_memory(cluster):
    a, b = cluster.masters
    settle(cluster, cluster.send(20))
    kill_pid(b.child.pid, signal.SIGSTOP)
    idents = cluster.send(400)
    cluster.wait_known(idents, [a])
    time.sleep(15)  # silent, but alive
    for worker in cluster.workers:
        assert worker.resident_mib() < 128
    kill_pid(b.child.pid, signal.SIGCONT)
    settle(cluster, idents)


def test_19_a_worker_cut_off_from_one_master_reaches_it_through_the_other(cluster):
    a, b = cluster.masters
    worker = cluster.workers[0]
    worker.ways[b.name].cut()
    idents = cluster.send(40)
    cluster.wait_known(idents, [a], seconds=5)
    cluster.wait_known(idents, [b], seconds=40)
    worker.ways[b.name].mend()
    settle(cluster, idents + cluster.send(20))


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_19_a_way_that_is_dead_in_one_direction_delays_nobody_else(cluster, direction):
    a, b = cluster.masters
    cluster.workers[0].ways[b.name].black_hole(direction)
    idents = cluster.send(40)
    cluster.wait_known(idents, [a], seconds=5)
    time.sleep(8)  # until heartbeats have cut what is dead
    cluster.workers[0].ways[b.name].mend()
    settle(cluster, idents + cluster.send(20))


@pytest.mark.parametrize("fault", ["half_open", "resets", "slices", "slow", "narrow"])
def test_20_bad_ways_lose_nothing(cluster, fault):
    ways = [worker.ways[master.name] for worker in cluster.workers for master in cluster.masters]
    ways += [master.peer_way for master in cluster.masters]
    idents = cluster.send(10)
    for way in ways:
        if fault == "half_open":
            way.half_open()
        elif fault == "slices":
            way.set(slice=1)
        elif fault == "slow":
            way.set(delay=0.15)
        elif fault == "narrow":
            way.set(rate=64000)
    for _ in range(10):
        idents += cluster.send(10)
        for way in ways if fault == "resets" else ():
            way.reset()
    cluster.wait_known(idents, seconds=40)
    for way in ways:
        way.mend()
    settle(cluster, idents)


def test_21_without_any_live_event_replays_bring_everything(cluster):
    for worker in cluster.workers:
        for master in cluster.masters:
            worker.ways[master.name].doors["events"].cut()
    idents = cluster.send(40)
    cluster.wait_known(idents, seconds=10)
    settle(cluster, idents)
    for master in cluster.masters:
        assert master.ask("status")["replayed_share"] > 0.5


def test_22_a_worker_that_lost_its_disk_collides_with_nothing(cluster):
    worker = cluster.workers[0]
    idents = cluster.send(40)
    settle(cluster, idents)
    worker.stop_all()
    worker.lose_disk()
    worker.launch()
    eventually(worker.accepts_mail, 30, "the new worker to take mail")
    idents += cluster.send(40)
    verdict = settle(cluster, idents)
    assert verdict["streams"] == 3  # a new epoch
    assert not any("stream.fork" in master.log() for master in cluster.masters)


def test_23_a_reinstalled_master_is_filled_from_workers_and_peer(cluster):
    a, b = cluster.masters
    idents = cluster.send(200)
    settle(cluster, idents)
    before = len(a.events())
    b.kill()
    b.lose_disk()
    idents += cluster.send(10)
    b.start()  # members and configuration come from its peer
    settle(cluster, idents)
    assert len(b.events()) >= before
    assert b.ask("status")["peer"]["repair"]["fetched"] > 0


def test_23_a_master_restored_from_a_backup_fetches_what_it_had_acknowledged(cluster):
    a, b = cluster.masters
    idents = cluster.send(40)
    settle(cluster, idents)
    b.kill(signal.SIGTERM)
    shutil.copytree(b.home / "state", b.home / "backup")
    b.start()
    idents += cluster.send(40)
    settle(cluster, idents)
    b.kill()
    shutil.rmtree(b.home / "state")
    (b.home / "backup").rename(b.home / "state")
    b.start()
    idents += cluster.send(10)
    settle(cluster, idents)
    assert "master.rolled-back" in b.log()


def test_24_a_worker_put_back_to_an_older_state_takes_a_new_epoch(cluster):
    worker = cluster.workers[0]
    settle(cluster, cluster.send(20))
    worker.kill()
    shutil.copytree(worker.outbox(), worker.home / "backup")
    worker.launch()
    settle(cluster, cluster.send(20, [worker]))
    worker.kill()
    shutil.rmtree(worker.outbox())
    (worker.home / "backup").rename(worker.outbox())
    worker.launch()
    eventually(lambda: "stream-rolled-back" in worker.log(), 20, "the alarm")
    verdict = settle(cluster, cluster.send(20))
    assert verdict["streams"] == 3


def test_24_a_worker_put_back_that_outgrew_its_masters_unseen_is_found_out(cluster):
    """Its number is higher than what they know, but it means other events."""
    worker = cluster.workers[0]
    settle(cluster, cluster.send(20))
    worker.kill()
    shutil.copytree(worker.outbox(), worker.home / "backup")
    worker.launch()
    settle(cluster, cluster.send(10, [worker]))
    known = worker.numbered()
    worker.kill()
    for master in cluster.masters:
        worker.ways[master.name].cut()
    shutil.rmtree(worker.outbox())
    (worker.home / "backup").rename(worker.outbox())
    worker.launch()
    cluster.send(40, [worker])
    eventually(lambda: worker.numbered() > known + 5, 20, "it to outgrow what the masters know")
    for master in cluster.masters:
        worker.ways[master.name].mend()
    eventually(lambda: "stream-rolled-back" in worker.log(), 20, "the alarm")
    verdict = settle(cluster, cluster.send(20))
    assert verdict["streams"] == 3
    assert not any("stream.fork" in master.log() for master in cluster.masters)


def test_24_a_deleted_outbox_begins_a_new_epoch(cluster):
    worker = cluster.workers[0]
    idents = cluster.send(20)
    settle(cluster, idents)
    worker.kill()
    shutil.rmtree(worker.outbox())
    worker.launch()
    idents += cluster.send(20)
    assert settle(cluster, idents)["streams"] == 3
