# SPDX-License-Identifier: Apache-2.0
"""What is measured: Postern, Postfix, and the load straight into the sink."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.lib.gateway import Gateway  # noqa: E402
from tests.lib.waiting import accepts, eventually, free_ports  # noqa: E402

from measure import Sink, with_children  # noqa: E402

WORKER = ("ingress", "analyzer", "delivery", "node")


class Direct:
    """The load generator straight into the sink: what the tools themselves reach."""

    name = "direct"

    def __init__(self, _folder):
        self.port = free_ports(1)[0]
        self.sink = Sink(self.port)
        eventually(lambda: accepts("127.0.0.1", self.port), 10, "the sink")

    def pids(self):
        return []

    def stop(self):
        self.sink.stop()


class Postfix:
    name = "postfix"
    script = ROOT / "bench" / "peers" / "postfix.sh"

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix="postfix-", dir=folder)
        self.port, sink_port = free_ports(2)
        self.sink = Sink(sink_port)
        self.run("start", str(self.port), str(sink_port))
        eventually(lambda: accepts("127.0.0.1", self.port), 20, "Postfix to accept")

    def run(self, action, *arguments):
        done = subprocess.run([self.script, action, self.folder, *arguments], capture_output=True, text=True,
                              check=True)
        return done.stdout.strip()

    def pids(self):
        return with_children(int(self.run("pid")))

    def stop(self):
        self.run("stop")
        self.sink.stop()
        subprocess.run(["rm", "-rf", self.folder], check=False)


class Postern:
    """With the default configuration but for the route and the limits of this machine's own clients."""

    name = "postern"

    def __init__(self, folder, disk=False):
        os.environ["POSTERN_TEST_FOLDER"] = str(folder)
        sink_port = free_ports(1)[0]
        self.sink = Sink(sink_port)
        route = {"hops": [f"127.0.0.1:{sink_port}"], "tls": "none"}
        documents = {"route/sink": route, "delivery": {}, "ingress": {"unlimited": ["127.0.0.0/8"]}}
        self.gateway = Gateway(documents, disk=disk, workers_stages={"ingress": 1, "analyzer": 1, "delivery": 1})
        self.gateway.start()
        self.port = self.gateway.port
        for pid in self.gateway.pids("master"):
            os.setpriority(os.PRIO_PROCESS, pid, 19)

    def pids(self):
        return [pid for name in WORKER for pid in self.gateway.pids(name)]

    def pids_by_name(self):
        return {name: self.gateway.pids(name) for name in (*WORKER, "master")}

    def lag(self):
        """Events that the master has yet to take."""
        lag = self.gateway.ask("status").get("lag_events")
        return sum(lag.values()) if isinstance(lag, dict) else lag or 0

    def catch_up_seconds(self):
        start = time.monotonic()
        eventually(lambda: self.lag() == 0, 600, "the master to catch up", pause=0.2)
        return time.monotonic() - start

    def metric(self, name):
        """Sum of a metric's samples at the worker's probe; None when there is no such metric."""
        url = f"http://127.0.0.1:{self.gateway.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(values) if values else None

    def stop(self):
        self.gateway.stop()
        self.sink.stop()


SYSTEMS = {system.name: system for system in (Postfix, Postern, Direct)}
