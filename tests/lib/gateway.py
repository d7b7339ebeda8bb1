# SPDX-License-Identifier: Apache-2.0
"""A whole gateway on this machine for one test: master, node with its stages, and a next hop.

It has the layout that `deploy/quickstart.sh` makes, in a temporary folder and on ports of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from tests.lib import daemons
from tests.lib.faults import EVERYTHING, Disk, kill_pid
from tests.lib.inbox import Inbox
from tests.lib.smtp import Dialogue
from tests.lib.waiting import eventually, free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("POSTERN_BUILD", ROOT / "build" / "release"))


class CommandFailed(AssertionError):
    """The command line said no."""


class Gateway:
    def __init__(self, documents=None, disk=False, disk_programs=None, keep=True, workers_stages=None,
                 worker_state=None):
        self.home = Path(tempfile.mkdtemp(prefix="pt-", dir=os.environ.get("POSTERN_TEST_FOLDER", "/tmp")))
        self.worker_state = Path(worker_state or self.home / "worker/state")
        ports = free_ports(9)
        self.port, self.metrics_port, self.master_metrics_port = ports[0], ports[6], ports[7]
        self.cluster_ports = ports[2:6]
        self.enrol_port = ports[8]
        self.inbox = Inbox(self.home / "inbox", ports[1])
        self.inbox.folder.mkdir()
        self.documents = self.default_documents()
        self.documents["stages"].update(workers_stages or {})
        self.documents.update(documents or {})
        self.disk = None
        self.disk_programs = disk_programs
        if disk:
            self.disk = Disk(self.home / "disk", BUILD / "lib" / "faultdisk.so")
        self.children = {}          # name -> Popen, of master and node
        self.killed = []            # (seconds, name)
        self.keep = keep            # a killed master or node is started again, as by systemd
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    # --- life ------------------------------------------------------------------------------
    def start(self):
        self.worker_state.mkdir(parents=True, exist_ok=True)
        for folder in ("master/state", "master/keys", "worker/keys", "run/master", "run/worker"):
            (self.home / folder).mkdir(parents=True, mode=0o700)
        (self.home / "bin").symlink_to(BUILD / "bin")
        self.inbox.start()
        master_key = self.command("keygen", str(self.home / "master/keys/node.key")).split()[-1]
        worker_key = self.command("keygen", str(self.home / "worker/keys/node.key")).split()[-1]
        (self.home / "master/node.conf").write_text(self.master_conf())
        (self.home / "worker/node.conf").write_text(self.worker_conf(master_key))
        self.launch("master")
        eventually(self.master_answers, 20, "the master to answer")
        self.command("node", "add", "worker-1", worker_key)
        self.configure(self.documents)
        self.launch("node")
        threading.Thread(target=self.look_after, daemon=True).start()
        self.wait_ready()
        eventually(lambda: "worker-1" in self.ask("status")["workers"], 20, "the master to hear of its worker")
        return self

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.tell_logs()
            self.stop()
            raise

    def __exit__(self, kind, *_):
        self.stop(keep_folder=kind is not None)

    def stop(self, keep_folder=False):
        """Ends every process of this gateway, and removes the folder unless a test failed in it."""
        self.stopping.set()
        with self.lock:
            everything = [pid for pid, _, _ in daemons.processes_of(self.home)]
        for pid in everything:
            kill_pid(pid, signal.SIGCONT)
        for name in ("node", "ingress", "analyzer", "delivery", "master"):
            for pid in self.pids(name):
                kill_pid(pid, signal.SIGTERM)
        self.reap(10)
        for pid, _, _ in list(daemons.processes_of(self.home)):
            kill_pid(pid, signal.SIGKILL)
        self.reap(5)
        self.inbox.stop()
        if keep_folder:
            print(f"kept for looking into it: {self.home}")
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    def reap(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for child in self.children.values():
                child.poll()
            if not list(daemons.processes_of(self.home)):
                return
            time.sleep(0.02)

    def launch(self, name):
        part = "master" if name == "master" else "worker"
        state = self.home / "master/state" if name == "master" else self.worker_state
        command = [str(BUILD / "bin" / f"postern-{name}"), "--config", str(self.home / part / "node.conf"),
                   "--state", str(state), "--run", str(self.home / "run" / part)]
        environment = dict(os.environ)
        if self.disk:
            environment.update(self.disk.environment(self.disk_programs))
        with open(self.home / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment,
                                                   start_new_session=True)

    def look_after(self):
        while not self.stopping.wait(0.1):
            with self.lock:
                for name in list(self.children):
                    if self.keep and not self.stopping.is_set() and self.children[name].poll() is not None:
                        self.launch(name)

    # --- configuration ---------------------------------------------------------------------
    def default_documents(self):
        return {
            "domain/example.org": {"route": "sink"},
            "route/sink": {"hops": [{"host": "127.0.0.1", "port": self.inbox.port}], "tls": "none"},
            "policy/default": {},
            "ingress": {"xclient": ["127.0.0.0/8"], "unlimited": ["127.0.0.0/8"]},
            "delivery": {"retry_first_s": 1, "retry_most_s": 2},
            "stages": {"ingress": 1, "analyzer": 2, "delivery": 1},
        }

    def master_conf(self):
        control, publish, events, public = (f"tcp://127.0.0.1:{port}" for port in self.cluster_ports)
        return "\n".join([
            "name = master-a", "site = here", "role = master",
            f"state = {self.home}/master/state", f"run = {self.home}/run/master", f"keys = {self.home}/master/keys",
            f"metrics = 127.0.0.1:{self.master_metrics_port}",
            "bind", f"    control = {control}", f"    publish = {publish}", f"    events = {events}",
            f"    public = {public}", f"    enrol = tcp://127.0.0.1:{self.enrol_port}", ""])

    def worker_conf(self, master_key):
        control, publish, events, _ = (f"tcp://127.0.0.1:{port}" for port in self.cluster_ports)
        return "\n".join([
            "name = worker-1", "site = here", "role = worker",
            f"state = {self.worker_state}", f"run = {self.home}/run/worker", f"keys = {self.home}/worker/keys",
            f"smtp = 127.0.0.1:{self.port}", "hostname = mx.test.example",
            f"metrics = 127.0.0.1:{self.metrics_port}",
            "master", "    name = master-a", f"    control = {control}", f"    publish = {publish}",
            f"    events = {events}", f'    key = "{master_key}"', ""])

    def configure(self, changes):
        """Applies documents over those in force; the worker runs them when this returns."""
        file = self.home / "apply.json"
        file.write_text(json.dumps(changes))
        said = self.command("config", "apply", str(file))
        if self.pids("node"):
            def runs():
                nodes = self.ask("node", "list")
                return len({node["revision"] for node in nodes}) == 1
            eventually(runs, 20, "the worker to run the configuration")
        return said

    # --- asking ----------------------------------------------------------------------------
    def command(self, *arguments, seconds=30):
        """Runs `postern`; its output, or CommandFailed with what it complained of."""
        environment = dict(os.environ, POSTERN_HOME=str(self.home))
        done = subprocess.run([str(BUILD / "bin" / "postern"), *arguments], env=environment, text=True,
                              capture_output=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise CommandFailed(f"postern {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def ask(self, *arguments):
        """Runs `postern ... --json` and returns the value."""
        return json.loads(self.command(*arguments, "--json"))

    def metrics(self, name="node"):
        """What the node's or the master's probes tell Prometheus."""
        port = self.master_metrics_port if name == "master" else self.metrics_port
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def messages(self, *arguments):
        return self.ask("messages", *(arguments or ("--limit", "0")))

    def message(self, mail):
        """The master's row of a mail, None while there is none."""
        rows = self.messages("--message-id", mail.message_id)
        return rows[0] if rows else None

    def wait_disposition(self, mail, disposition, seconds=30):
        """Waits until the master says so of every recipient; the row."""
        def told():
            row = self.message(mail)
            if row and all(one["disposition"] == disposition for one in row["recipients"]):
                return row
            return None
        return eventually(told, seconds, f"{mail.ident} to be {disposition}", pause=0.1)

    def held_for(self, finding):
        """Idents of the mails in quarantine with that finding, as far as the master knows them now."""
        try:
            rows = json.loads(self.command("quarantine", "list", "--limit", "0", "--json", seconds=5))
        except (CommandFailed, ValueError, subprocess.TimeoutExpired):
            return []  # it may be stopped
        return [row["message_id"].strip("<>").partition("@")[0] for row in rows
                if any(one["name"] == finding for one in row["findings"])]

    def master_answers(self):
        try:
            return self.ask("status") is not None
        except (CommandFailed, ValueError):
            return False

    def accepts_mail(self):
        try:
            with Dialogue(self.port, timeout=3) as session:
                session.command("EHLO probe.example")
                session.command("MAIL FROM:<probe@client.example>")
                return session.command("RCPT TO:<postmaster@example.org>") == 250
        except OSError:
            return False

    def wait_ready(self, seconds=30):
        eventually(self.accepts_mail, seconds, "the gateway to accept mail")

    # --- processes -------------------------------------------------------------------------
    def pids(self, name, slot=None):
        return daemons.pids_of(self.home, name, slot)

    def kill(self, name, slot=None, number=signal.SIGKILL):
        """Sends the signal to the processes of that name; returns their pids."""
        pids = self.pids(name, slot)
        assert pids, f"no postern-{name} to signal"
        hit = [pid for pid in pids if kill_pid(pid, number)]
        self.note_deaths(name)
        return hit

    def note_deaths(self, name):
        self.killed.append((time.time(), name))

    def deaths(self):
        """When deliveries were killed (seconds): what was in the next hop's hands then may repeat."""
        return [at for at, name in self.killed if name == "delivery"]

    def kill_everything(self):
        """SIGKILL to all processes at once, as a power button would."""
        with self.lock:
            for _ in range(2):
                for name in EVERYTHING:
                    for pid in self.pids(name):
                        kill_pid(pid)
                    self.note_deaths(name)

    def tell_logs(self, lines=60):
        """Prints the ends of the logs: pytest shows them beside a failure."""
        for log in sorted(self.home.glob("*.log")):
            print(f"== {log.name}", *log.read_text(errors="replace").splitlines()[-lines:], sep="\n")

    def log(self, name):
        return (self.home / f"{name}.log").read_text(errors="replace")
