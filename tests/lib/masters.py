# SPDX-License-Identifier: Apache-2.0
"""Two masters that name each other, and a worker's node process that names both."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.lib import daemons
from tests.lib.faults import kill_pid
from tests.lib.gateway import BUILD
from tests.lib.waiting import eventually, free_ports

NODES = ("a", "b", "w")


class Masters:
    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="pt-", dir=os.environ.get("POSTERN_TEST_FOLDER", "/tmp")))
        ports = free_ports(12)
        self.ports = {"a": ports[:5], "b": ports[5:10], "w": ports[10:]}
        self.children = {}
        self.keys = {}

    def __enter__(self):
        try:
            for name in NODES:
                for folder in ("state", "keys", "run"):
                    (self.home / name / folder).mkdir(parents=True, mode=0o700)
                done = subprocess.run([BUILD / "bin/postern", "keygen", self.home / name / "keys/node.key"],
                                      text=True, capture_output=True, check=True)
                self.keys[name] = done.stdout.split()[-1]
            for name in NODES:
                (self.home / name / "node.conf").write_text(self.conf(name))
            self.launch("a")
            self.launch("b")
            for name in "ab":
                eventually(lambda name=name: self.answers(name), 20, f"master {name} to answer")
            eventually(lambda: self.status("a")["peer"]["connected"] and self.status("b")["peer"]["connected"], 20,
                       "the masters to meet")
            self.run("a", "node", "add", "w", self.keys["w"])
            self.launch("w")
            return self
        except BaseException:
            self.tell_logs()
            self.stop()
            raise

    def __exit__(self, kind, *_):
        if kind is not None:
            self.tell_logs()
        self.stop()

    def conf(self, name):
        role = "worker" if name == "w" else "master"
        lines = [f"name = {name}", f"role = {role}", f"state = {self.home}/{name}/state",
                 f"run = {self.home}/{name}/run", f"keys = {self.home}/{name}/keys",
                 f"metrics = 127.0.0.1:{self.ports[name][-1]}"]
        if name == "w":
            lines += [f"smtp = 127.0.0.1:{self.ports[name][0]}", "hostname = mx.test.example"]
        else:
            lines += ["bind", *self.addresses(name, "public")]
        for other in "ab":
            if other != name:
                lines += ["master", f"    name = {other}", *self.addresses(other), f'    key = "{self.keys[other]}"']
        return "\n".join([*lines, ""])

    def addresses(self, master, *keys):
        return [f"    {key} = tcp://127.0.0.1:{port}"
                for key, port in zip(("control", "publish", "events", *keys), self.ports[master])]

    def launch(self, name):
        program = "node" if name == "w" else "master"
        with open(self.home / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(
                [BUILD / f"bin/postern-{program}", "--config", self.home / name / "node.conf"],
                stdout=log, stderr=log, start_new_session=True)

    def signal(self, name, number):
        """To the process itself; waits where that ends it."""
        child = self.children[name]
        child.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            child.wait(20)

    def stop(self):
        for number in (signal.SIGCONT, signal.SIGTERM, signal.SIGKILL):
            for pid, _, _ in list(daemons.processes_of(self.home)):
                kill_pid(pid, number)
            for child in self.children.values():
                if number != signal.SIGCONT:
                    try:
                        child.wait(10)
                    except subprocess.TimeoutExpired:
                        continue
        shutil.rmtree(self.home, ignore_errors=True)

    def tell_logs(self, lines=60):
        for log in sorted(self.home.glob("*.log")):
            print(f"== {log.name}", *log.read_text(errors="replace").splitlines()[-lines:], sep="\n")

    # --- asking ----------------------------------------------------------------------------
    def call(self, master, *arguments):
        """Exit status, output and complaint of `postern` against that master."""
        done = subprocess.run([BUILD / "bin/postern", *arguments, "--run", self.home / master / "run"], text=True,
                              capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def run(self, master, *arguments):
        code, out, complaint = self.call(master, *arguments)
        assert code == 0, f"postern {arguments} on {master}: {complaint}"
        return out

    def ask(self, master, *arguments):
        return json.loads(self.run(master, *arguments, "--json"))

    def status(self, master):
        return self.ask(master, "status")

    def answers(self, master):
        return self.call(master, "status")[0] == 0

    def documents(self, master):
        return self.ask(master, "config", "export")

    def trees(self):
        """The hashes of what the two masters have in force, and of what the worker runs by their word."""
        both = [self.status(master)["config"]["tree"] for master in "ab"]
        drift = [next((node.get("drift", True) for node in self.ask(master, "node", "list") if node["name"] == "w"),
                      True) for master in "ab"]
        return both, drift

    def wait_alike(self, seconds=10):
        def alike():
            both, drift = self.trees()
            return both[0] == both[1] and not any(drift)
        eventually(alike, seconds, "masters and worker to run the same", pause=0.2)
