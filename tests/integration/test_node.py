# SPDX-License-Identifier: Apache-2.0
"""The node of a worker: what it starts and ends, and what it tells the masters when it dies."""

import json
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter

import pytest

from tests.lib.faults import kill_pid
from tests.lib.gateway import BUILD, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.scenario import assert_master_agrees, send_during, settle, wait_for_acks
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually, free_ports


def probe(port, path):
    """Status and text of one of the probes; 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def told_processes(gateway):
    """What the master says that runs: {(name, slot): pid}, the master left out."""
    return {(one["name"], one["slot"]): one["pid"] for one in gateway.ask("status")["processes"]
            if one["name"] != "master"}


def running_processes(gateway):
    return {name: sorted(gateway.pids(name)) for name in ("node", "ingress", "analyzer", "delivery")}


def status_is_right(gateway):
    told = {}
    for (name, _), pid in told_processes(gateway).items():
        told.setdefault(name, []).append(pid)
    return {name: sorted(pids) for name, pids in told.items()} == running_processes(gateway)


def assert_each_event_once(gateway):
    """In the order of the stream, without a gap, none of a mail's events twice."""
    store = gateway.home / "master/state/master/messages/stream.db"
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT epoch, sequence FROM events WHERE sequence > 0"
                                " ORDER BY commit_number").fetchall()
    by_epoch = {}
    for epoch, sequence in rows:
        by_epoch.setdefault(epoch, []).append(sequence)
    for sequences in by_epoch.values():
        assert sequences == list(range(1, len(sequences) + 1))
    # Another event of the same mail, kind and moment would be the same one, numbered anew.
    told = [json.loads(line) for line in
            gateway.command("events", "--json", "--after", "0", "--limit", "0").splitlines()]
    assert sum(one["sequence"] > 0 for one in told) == len(rows)
    times = Counter((one["id"], one["kind"], one["time"]) for one in told if one["id"])
    twice = [one for one, count in times.items() if count > 1]
    assert not twice, twice[:10]


def test_4_node_killed_again_and_again_loses_and_doubles_no_event(gateway):
    def kill(client):
        for count in (30, 60, 90, 120):
            wait_for_acks(client, count)
            gateway.kill("node")
            eventually(lambda: gateway.pids("node"), 20, "a new node")
            time.sleep(0.2)
    checker = settle(gateway, send_during(gateway, 200, kill))
    checker.assert_nothing_lost()
    assert_master_agrees(gateway, checker)
    assert_each_event_once(gateway)
    eventually(lambda: status_is_right(gateway), 20, "the status to be right")


def test_4_node_and_stages_killed_together_lose_and_double_no_event(gateway):
    def kill(client):
        for count, name in ((30, "ingress"), (60, "delivery"), (90, "master")):
            wait_for_acks(client, count)
            gateway.kill("node")
            gateway.kill(name)
            gateway.wait_ready(30)
            eventually(lambda: all(running_processes(gateway).values()), 20, "all to be back")
    checker = settle(gateway, send_during(gateway, 150, kill))
    checker.assert_nothing_lost(gateway.deaths())
    assert_master_agrees(gateway, checker)
    assert_each_event_once(gateway)
    eventually(lambda: status_is_right(gateway), 20, "the status to be right")


def test_no_client_is_refused_while_node_is_replaced(gateway):
    before = running_processes(gateway)
    gateway.kill("node")
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
            assert client.recv(64).startswith(b"220")
    eventually(lambda: gateway.pids("node"), 20, "a new node")
    after = running_processes(gateway)
    assert {**before, "node": None} == {**after, "node": None}


def test_a_stage_that_died_while_node_was_away_is_started_by_the_next_node(gateway):
    gateway.keep = False
    gateway.kill("node")
    for name in ("ingress", "analyzer", "delivery"):
        gateway.kill(name)
    eventually(lambda: not any(running_processes(gateway).values()), 10, "all to be gone")
    gateway.keep = True
    gateway.wait_ready(30)
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "delivered")
    eventually(lambda: status_is_right(gateway), 20, "the status to be right")


def test_a_stage_that_dies_at_once_is_started_slower_each_time(gateway):
    deaths = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for pid in gateway.pids("analyzer", 0):
            deaths += kill_pid(pid)
        time.sleep(0.01)
    assert 3 <= deaths <= 8, deaths  # after 0.1, 0.2, 0.4, 0.8, 1.6 s
    eventually(lambda: gateway.pids("analyzer", 0), 12, "the analyzer to be back")


def test_a_drained_worker_leaves_nothing_behind(gateway):
    gateway.keep = False
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as idle:
        assert idle.recv(64).startswith(b"220")
        mail = fresh_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        began = time.monotonic()
        gateway.kill("node", number=signal.SIGTERM)
        assert gateway.children["node"].wait(30) == 0
        print(f"drained in {time.monotonic() - began:.1f} s")
    assert not any(running_processes(gateway).values())
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", gateway.port)) != 0
    assert gateway.wait_disposition(mail, "delivered")


def test_a_second_node_on_the_same_state_gives_up(gateway):
    command = [str(BUILD / "bin/postern-node"), "--config", str(gateway.home / "worker/node.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "another node runs" in done.stderr
    assert len(gateway.pids("node")) == 1


def test_a_taken_port_is_named(tmp_path, gateway):
    home = tmp_path / "worker"
    keys = home / "keys"
    keys.mkdir(parents=True, mode=0o700)
    gateway.command("keygen", str(keys / "node.key"))
    (home / "node.conf").write_text(
        f"name = other\nrole = worker\nstate = {home}/state\nrun = {home}/run\nkeys = {keys}\n"
        f"smtp = 127.0.0.1:{gateway.port}\nmetrics = 127.0.0.1:{free_ports(1)[0]}\n")
    command = [str(BUILD / "bin/postern-node"), "--config", str(home / "node.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"127.0.0.1:{gateway.port}" in done.stderr and "in use" in done.stderr


def test_the_probes_tell_of_every_process(gateway):
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "delivered")
    eventually(lambda: probe(gateway.metrics_port, "readyz")[0] == 200, 10, "the worker to be ready")
    assert probe(gateway.metrics_port, "healthz") == (200, "ok\n")
    assert probe(gateway.metrics_port, "nothing")[0] == 404
    eventually(lambda: 'messages_accepted_total{stage="ingress",slot="0"} 1'
               in probe(gateway.metrics_port, "metrics")[1], 10, "the mail to be counted")
    text = probe(gateway.metrics_port, "metrics")[1]
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) and all(name.startswith("postern_") for name in families)
    for stage in ("node", "ingress", "analyzer", "delivery"):
        assert f'{{stage="{stage}",slot="0"' in text


def test_a_worker_without_analyzers_is_not_ready(gateway):
    eventually(lambda: probe(gateway.metrics_port, "readyz")[0] == 200, 10, "the worker to be ready")
    gateway.configure({"stages": {"ingress": 1, "analyzer": 0, "delivery": 1}})
    eventually(lambda: probe(gateway.metrics_port, "readyz")[0] == 503, 15, "it to be unready")
    assert "no analyzer lives" in probe(gateway.metrics_port, "readyz")[1]
    gateway.configure({"stages": {"ingress": 1, "analyzer": 1, "delivery": 1}})
    eventually(lambda: probe(gateway.metrics_port, "readyz")[0] == 200, 15, "it to be ready again")


def test_a_worker_that_was_never_configured_runs_and_is_not_ready(tmp_path, gateway):
    home = tmp_path / "worker"
    keys = home / "keys"
    keys.mkdir(parents=True, mode=0o700)
    gateway.command("keygen", str(keys / "node.key"))
    port = free_ports(1)[0]
    (home / "node.conf").write_text(
        f"name = other\nrole = worker\nstate = {home}/state\nrun = {home}/run\nkeys = {keys}\n"
        f"metrics = 127.0.0.1:{port}\n")
    with subprocess.Popen([str(BUILD / "bin/postern-node"), "--config", str(home / "node.conf")],
                          stderr=subprocess.DEVNULL) as node:
        try:
            eventually(lambda: probe(port, "readyz")[0] == 503, 10, "the probe")
            eventually(lambda: "no configuration" in probe(port, "readyz")[1], 10, "the reason")
            assert probe(port, "healthz")[0] == 200
        finally:
            node.terminate()
            assert node.wait(30) == 0


@pytest.mark.parametrize("stage", ["analyzer", "delivery"])
def test_a_stage_touches_nothing_before_its_first_configuration(tmp_path, stage):
    (tmp_path / "node.conf").write_text("name = other\nrole = worker\n")
    log, current = tmp_path / "log", tmp_path / "state/config/current"
    current.parent.mkdir(parents=True)
    with open(log, "wb") as out, subprocess.Popen(
            [BUILD / f"bin/postern-{stage}", "--config", tmp_path / "node.conf", "--state", tmp_path / "state",
             "--run", tmp_path / "run"], stdout=out, stderr=out) as child:
        try:
            eventually(lambda: "settings.awaited" in log.read_text(), 10, "it to wait")
            assert not (tmp_path / "state" / stage).exists()
            current.write_text("{broken")
            eventually(lambda: log.read_text().count("settings.awaited") == 2, 10, "the reason")
            assert child.poll() is None and not (tmp_path / "state" / stage).exists()
            current.with_name("next").write_text('{"revision":"1","documents":{}}')
            current.with_name("next").rename(current)
            eventually(lambda: "ready slot=0" in log.read_text(), 10, "it to be ready")
        finally:
            child.terminate()
            assert child.wait(30) == 0


def test_the_status_of_a_worker_is_json_with_what_waits(gateway):
    def told():
        status = gateway.ask("status")
        worker = status["workers"].get("worker-1")
        return worker if worker and worker["revision"] == status["revision"] else None  # its first one may be older
    worker = eventually(told, 10, "the worker's status under the revision in force")
    assert worker["alarms"] == []
    assert set(worker) >= {"processes", "spool", "queue", "disk", "syncs", "lag_events", "outbox"}
    assert json.dumps(worker)


def test_the_number_of_processes_follows_the_configuration():
    with Gateway(workers_stages={"ingress": 1, "analyzer": 1, "delivery": 1}) as gateway:
        for counts in ((3, 2, 2), (1, 3, 1), (2, 1, 2)):
            stages = dict(zip(("ingress", "analyzer", "delivery"), counts))
            gateway.configure({"stages": stages})
            eventually(lambda: all(len(gateway.pids(name)) == count for name, count in stages.items()), 40,
                       f"{stages} to run")
            mail = fresh_mail()
            assert send_mail(gateway.port, mail)[0] == 250
            gateway.wait_disposition(mail, "delivered")
        eventually(lambda: status_is_right(gateway), 20, "the status to be right")


def test_a_stage_that_hangs_is_killed_and_replaced(gateway):
    hung = gateway.pids("analyzer", 1)[0]
    kill_pid(hung, signal.SIGSTOP)
    eventually(lambda: hung not in gateway.pids("analyzer"), 40, "the one that hangs to be killed")
    eventually(lambda: gateway.pids("analyzer", 1), 10, "its successor")
    eventually(lambda: "stage-silent" in gateway.command("events", "--json"), 10, "the alarm")
