# SPDX-License-Identifier: Apache-2.0
"""What a person sees: status, probes, and alarms that begin and end as events."""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from tests.lib.cluster import Cluster
from tests.lib.faults import kill_pid
from tests.lib.gateway import ROOT, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually, free_ports


@pytest.fixture(scope="module")
def gateway():
    with Gateway() as fresh:
        yield fresh


def alarm_events(gateway, name):
    """[raised or cleared, ...] of an alarm, in order."""
    rows = gateway.command("events", "--after", "0", "--filter", "kind=node", "--json").splitlines()
    return ["cleared" if row["clear"] else "raised" for row in map(json.loads, rows) if row.get("alarm") == name]


def standing(gateway):
    status = gateway.ask("status")
    return set(status["alarms"]) | {f"{node}: {name}" for node, told in status["workers"].items()
                                    for name in told["alarms"]}


def begins_and_ends(gateway, name, text, begin, end, seconds=25):
    """The alarm `text` stands after begin() and is gone after end(); both are events."""
    before = alarm_events(gateway, name)
    assert text not in standing(gateway)
    begin()
    eventually(lambda: text in standing(gateway), seconds, f"the alarm {text}", pause=0.2)
    assert f"ALARM on {text.split(': ')[0] if text.endswith(': ' + name) else 'master-a'}" in gateway.command("status")
    eventually(lambda: alarm_events(gateway, name) == before + ["raised"], 10, "its event", pause=0.2)
    end()
    eventually(lambda: text not in standing(gateway), seconds, f"the end of {text}", pause=0.2)
    eventually(lambda: alarm_events(gateway, name) == before + ["raised", "cleared"], 10, "its event", pause=0.2)


def test_a_node_that_is_silent_is_lost_until_it_speaks(gateway):
    def signal_node(which):
        kill_pid(gateway.pids("node")[0], which)
    begins_and_ends(gateway, "node-lost", "node-lost: worker-1", lambda: signal_node(signal.SIGSTOP),
                    lambda: signal_node(signal.SIGCONT))


@pytest.mark.skipif(not shutil.which("redis-server"), reason="not run: no redis-server")
def test_redis_is_away_until_it_answers(gateway):
    port = free_ports(1)[0]
    gateway.configure({"redis": {"address": f"127.0.0.1:{port}"}})
    started = []
    def start():
        started.append(subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--dir", gateway.home],
                                        stdout=subprocess.DEVNULL))
    def end():
        gateway.configure({"redis": {}})
    try:
        eventually(lambda: "worker-1: redis-away" in standing(gateway), 25, "the alarm", pause=0.2)
        start()
        eventually(lambda: "worker-1: redis-away" not in standing(gateway), 25, "its end", pause=0.2)
        row = next(row for row in gateway.ask("node", "list") if row["name"] == "worker-1")
        assert row["redis"] == "primary"
        begins_and_ends(gateway, "redis-away", "worker-1: redis-away", started[0].kill, start)
    finally:
        for child in started:
            child.kill()
            child.wait()
        end()


def certificate(folder, name, days):
    key, chain = folder / f"{name}.key.pem", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj",
                    "/CN=mx.test.example", "-keyout", key, "-out", chain], check=True, capture_output=True)
    return {"tls_certificate": str(chain), "tls_key": str(key)}


def test_a_certificate_that_ends_soon_is_told_until_it_is_renewed(gateway):
    ingress = gateway.documents["ingress"]
    short, long = certificate(gateway.home, "short", 5), certificate(gateway.home, "long", 90)
    begins_and_ends(gateway, "certificate-expiry", "worker-1: certificate-expiry",
                    lambda: gateway.configure({"ingress": {**ingress, **short}}),
                    lambda: gateway.configure({"ingress": {**ingress, **long}}))


def test_status_tells_how_mail_flows(gateway):
    for kind in ("clean", "clean", "spam"):
        send_mail(gateway.port, fresh_mail(kind=kind))
    def flows():
        row = next(row for row in gateway.ask("status")["nodes"] if row["name"] == "worker-1")
        return row.get("accepted_per_minute", 0) >= 2 and row["rejected_per_minute"] >= 1 and \
            row["delivered_per_minute"] >= 2 and row
    row = eventually(flows, 10, "the rates")
    assert row["state"] == "up" and row["site"] and row["revision"] and row["version"]
    assert row["queue"] == 0 and row["queue_oldest_ms"] == 0 and row["spool"] == 0
    assert 0 < row["disk_free_percent"] <= 100 and row["redis"] in ("none", "primary")
    eventually(lambda: gateway.ask("status")["workers"]["worker-1"]["lag_seconds"] == {"master-a": 0.0}, 10, "no lag")
    text = gateway.command("status")
    for word in ("ACCEPTED/MIN", "OLDEST", "BEHIND", "DISK FREE", "REDIS"):
        assert word in text


@pytest.mark.root
def test_a_disk_that_is_nearly_full_is_told_until_there_is_room(tmp_path):
    image, mounted = tmp_path / "image", tmp_path / "disk"
    mounted.mkdir()
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        with Gateway(worker_state=mounted / "state") as gateway:
            ballast = mounted / "ballast"
            def fill():
                disk = os.statvfs(mounted)
                with open(ballast, "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, (disk.f_bavail - disk.f_blocks // 16) * disk.f_frsize)
            begins_and_ends(gateway, "disk-low", "worker-1: disk-low", fill, ballast.unlink)
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_masters_that_do_not_hear_each_other_say_so_until_they_do():
    with Cluster(workers=1) as cluster:
        for master in cluster.masters:
            master.peer_way.cut()
        for master in cluster.masters:
            eventually(lambda: "peer-lost" in master.ask("status")["alarms"], 40, "the alarm", pause=0.2)
            master.peer_way.mend()
        for master in cluster.masters:
            eventually(lambda: "peer-lost" not in master.ask("status")["alarms"], 40, "its end", pause=0.2)
            def events():
                rows = master.command("events", "--after", "0", "--filter", "kind=node", "--json", "--socket",
                                      str(master.home / "run/api.sock")).splitlines()
                return [row["clear"] for row in map(json.loads, rows)
                        if row.get("alarm") == "peer-lost" and row["node"] == master.name]
            eventually(lambda: events() == [False, True], 10, "both events", pause=0.2)


def probe(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_every_node_has_its_probes(gateway):
    for port, wanted in ((gateway.metrics_port, ("postern_outbox_lag_ms{", "postern_disk_free_percent{",
                                                 'name="redis-away"', 'name="certificate-expiry"')),
                         (gateway.master_metrics_port, ("postern_lag_ms{", "postern_nodes_up", 'name="node-lost"',
                                                        "postern_public_commit"))):
        assert probe(port, "healthz") == (200, "ok\n")
        assert probe(port, "readyz") == (200, "ok\n")
        status, text = probe(port, "metrics")
        assert status == 200 and [one for one in wanted if one not in text] == []
        for line in text.splitlines():
            assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0, line


def test_the_dashboard_shows_only_metrics_that_exist(gateway):
    told = probe(gateway.metrics_port, "metrics")[1] + probe(gateway.master_metrics_port, "metrics")[1]
    board = json.loads((ROOT / "deploy/grafana/postern.json").read_text())
    wanted = set(re.findall(r"postern_\w+", " ".join(target["expr"] for panel in board["panels"]
                                                     for target in panel["targets"])))
    assert len(wanted) > 10 and {name for name in wanted if f"# TYPE {name} " not in told} == set()
