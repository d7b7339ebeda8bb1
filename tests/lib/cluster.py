# SPDX-License-Identifier: Apache-2.0
"""Masters and workers as processes on this machine, with a fault proxy on every way between them."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.lib import daemons
from tests.lib.faults import kill_pid
from tests.lib.gateway import BUILD, CommandFailed
from tests.lib.inbox import Inbox
from tests.lib.proxy import Way
from tests.lib.smtp import Dialogue
from tests.lib.waiting import eventually, free_ports

DOORS = ("control", "publish", "events")


class Process:
    """What masters and workers have in common: a folder, a program, a socket for `postern`."""

    def __init__(self, cluster, name, program):
        self.cluster, self.name, self.program = cluster, name, program
        self.home = cluster.home / name
        self.child = None
        self.key = ""
        self.environment = {}

    def prepare(self):
        for folder in ("state", "keys", "run"):
            (self.home / folder).mkdir(parents=True, mode=0o700, exist_ok=True)
        self.key = self.command("keygen", str(self.home / "keys/node.key")).split()[-1]

    def launch(self):
        (self.home / "node.conf").write_text("\n".join(self.conf()) + "\n")
        command = [str(BUILD / "bin" / self.program), "--config", str(self.home / "node.conf"),
                   "--state", str(self.home / "state"), "--run", str(self.home / "run")]
        with open(self.cluster.home / f"{self.name}.log", "ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True,
                                          env=dict(os.environ, **self.environment))

    def command(self, *arguments, seconds=60, codes=(0,)):
        done = subprocess.run([str(BUILD / "bin" / "postern"), *arguments], text=True, capture_output=True,
                              timeout=seconds, check=False)
        if done.returncode not in codes:
            raise CommandFailed(f"postern {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def kill(self, number=signal.SIGKILL):
        """Ends the program itself; a worker's stages live on."""
        self.child.send_signal(number)
        self.child.wait(20)

    def log(self):
        return (self.cluster.home / f"{self.name}.log").read_text(errors="replace")


class Master(Process):
    def __init__(self, cluster, name):
        super().__init__(cluster, name, "postern-master")
        self.peer = None        # the other master
        self.peer_way = None    # the way to it
        ports = free_ports(5)
        self.ports = dict(zip((*DOORS, "public"), ports))
        self.metrics_port = ports[4]

    def conf(self):
        lines = [f"name = {self.name}", "site = here", "role = master", f"state = {self.home}/state",
                 f"run = {self.home}/run", f"keys = {self.home}/keys", f"metrics = 127.0.0.1:{self.metrics_port}",
                 "bind"]
        lines += [f"    {door} = tcp://127.0.0.1:{port}" for door, port in self.ports.items()]
        if self.peer:
            control = f"tcp://127.0.0.1:{self.peer_way.ports['control']}"
            lines += ["master", f"    name = {self.peer.name}", f"    control = {control}",
                      f"    publish = {control}", f"    events = {control}", f'    key = "{self.peer.key}"',
                      "    pinned = yes"]
        return lines

    def ask(self, *arguments, codes=(0,)):
        """`postern ARGUMENTS --json` on this master."""
        return json.loads(self.command(*arguments, "--json", "--socket", str(self.home / "run/api.sock"),
                                       codes=codes))

    def start(self):
        self.launch()
        eventually(self.answers, 20, f"{self.name} to answer")

    def answers(self):
        try:
            return self.ask("status")
        except (CommandFailed, ValueError):
            return None

    def verify(self):
        """Does this master hold what its peer holds? The verdict."""
        return self.ask("verify", codes=(0, 1))

    def idents(self):
        """Of the mails that it has a row of, with how each fared."""
        return {row["message_id"].strip("<>").partition("@")[0]: [one["disposition"] for one in row["recipients"]]
                for row in self.ask("messages", "--limit", "0")}

    def events(self):
        """Every event of the workers that it holds, as (node, epoch, sequence)."""
        out = self.command("events", "--after", "0", "--limit", "1000000", "--json", "--socket",
                           str(self.home / "run/api.sock"))
        rows = [json.loads(line) for line in out.splitlines() if line.strip()]
        return [(row["node"], row["epoch"], row["sequence"]) for row in rows
                if not row["node"].startswith("master-")]

    def lose_disk(self):
        """Reinstalled: its key is put back, its state is not."""
        shutil.rmtree(self.home / "state")
        (self.home / "state").mkdir(mode=0o700)


class Worker(Process):
    def __init__(self, cluster, name):
        super().__init__(cluster, name, "postern-node")
        self.port, self.metrics_port = free_ports(2)
        self.ways = {}  # master's name -> the way there

    def conf(self):
        lines = [f"name = {self.name}", "site = here", "role = worker", f"state = {self.home}/state",
                 f"run = {self.home}/run", f"keys = {self.home}/keys", f"smtp = 127.0.0.1:{self.port}",
                 "hostname = mx.test.example", f"metrics = 127.0.0.1:{self.metrics_port}"]
        for master in self.cluster.masters:
            lines += ["master", f"    name = {master.name}"]
            lines += [f"    {door} = tcp://127.0.0.1:{self.ways[master.name].ports[door]}" for door in DOORS]
            lines += [f'    key = "{master.key}"', "    pinned = yes"]
        return lines

    def accepts_mail(self):
        try:
            with Dialogue(self.port, timeout=3) as session:
                session.command("EHLO probe.example")
                session.command("MAIL FROM:<probe@client.example>")
                return session.command("RCPT TO:<postmaster@example.org>") == 250
        except OSError:
            return False

    def outbox(self):
        return self.home / "state/node/0/journal"

    def lose_disk(self):
        """A new machine with the old key and name."""
        shutil.rmtree(self.home / "state")
        (self.home / "state").mkdir(mode=0o700)

    def resident_mib(self):
        """Of the node process."""
        fields = Path(f"/proc/{self.child.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1048576

    def numbered(self):
        """The last sequence of its outbox; -1 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return -1
        return next((int(line.split()[-1]) for line in lines if line.startswith("postern_outbox_events")), -1)

    def stop_all(self):
        """SIGKILL to node and stages, as a power button would."""
        for _ in range(2):
            for pid, program, _ in list(daemons.processes_of(self.home)):
                kill_pid(pid)
        self.child.wait(20)


class Cluster:
    def __init__(self, masters=2, workers=2, documents=None):
        self.home = Path(tempfile.mkdtemp(prefix="pt-", dir=os.environ.get("POSTERN_TEST_FOLDER", "/tmp")))
        self.masters = [Master(self, f"master-{'ab'[i]}") for i in range(masters)]
        self.workers = [Worker(self, f"worker-{i + 1}") for i in range(workers)]
        self.inbox = Inbox(self.home / "inbox", free_ports(1)[0])
        self.inbox.folder.mkdir()
        self.documents = {
            "domain/example.org": {"route": "sink"},
            "route/sink": {"hops": [{"host": "127.0.0.1", "port": self.inbox.port}], "tls": "none"},
            "policy/default": {},
            "ingress": {"xclient": ["127.0.0.0/8"], "unlimited": ["127.0.0.0/8"]},
            "delivery": {"retry_first_s": 1, "retry_most_s": 2},
            "stages": {"ingress": 1, "analyzer": 1, "delivery": 1},
        }
        self.documents.update(documents or {})
        self.ways = []

    # --- life ------------------------------------------------------------------------------
    def start(self):
        self.inbox.start()
        for process in (*self.masters, *self.workers):
            process.prepare()
        self.connect()
        for master in self.masters:
            master.start()
        self.enrol(self.masters[0])
        self.configure(self.masters[0])
        eventually(self.agreed, 20, "the masters to have the same configuration", pause=0.1)
        for worker in self.workers:
            worker.launch()
        for worker in self.workers:
            eventually(worker.accepts_mail, 30, f"{worker.name} to accept mail")
        eventually(self.linked, 20, "the masters to see everybody", pause=0.1)
        return self

    def connect(self):
        for worker in self.workers:
            for master in self.masters:
                worker.ways[master.name] = self.way({door: ("127.0.0.1", master.ports[door]) for door in DOORS})
        if len(self.masters) == 2:
            for master, peer in (self.masters, reversed(self.masters)):
                master.peer = peer
                master.peer_way = self.way({"control": ("127.0.0.1", peer.ports["control"])})

    def way(self, targets):
        self.ways.append(Way(targets))
        return self.ways[-1]

    def enrol(self, master):
        socket = ("--socket", str(master.home / "run/api.sock"))
        for worker in self.workers:
            master.command("node", "add", worker.name, worker.key, *socket)

    def agreed(self):
        """Do all masters have the same tree, with each other in it?"""
        trees = {master.ask("status")["config"]["tree"] for master in self.masters}
        documents = self.masters[0].ask("config", "export")
        return len(trees) == 1 and all(f"node/{master.name}" in documents for master in self.masters)

    def configure(self, master):
        file = self.home / "apply.json"
        file.write_text(json.dumps(self.documents))
        master.command("config", "apply", str(file), "--socket", str(master.home / "run/api.sock"))

    def linked(self):
        for master in self.masters:
            status = master.ask("status")
            up = [node["name"] for node in status["nodes"] if node["role"] == "worker" and node["state"] == "up"]
            if len(up) < len(self.workers) or (master.peer and not status["peer"]["connected"]):
                return False
        return True

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.tell_logs()
            self.stop()
            raise

    def __exit__(self, kind, *_):
        if kind is not None:
            self.tell_logs()
        self.stop(keep_folder=kind is not None)

    def stop(self, keep_folder=False):
        for number, seconds in ((signal.SIGCONT, 0), (signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            for pid, _, _ in list(daemons.processes_of(self.home)):
                kill_pid(pid, number)
            self.reap(seconds)
        for way in self.ways:
            way.stop()
        self.inbox.stop()
        if keep_folder:
            print(f"kept for looking into it: {self.home}")
        else:
            shutil.rmtree(self.home, ignore_errors=True)

    def reap(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for process in (*self.masters, *self.workers):
                if process.child:
                    process.child.poll()
            if not list(daemons.processes_of(self.home)):
                return
            time.sleep(0.02)

    def tell_logs(self, lines=40):
        for log in sorted(self.home.glob("*.log")):
            print(f"== {log.name}", *log.read_text(errors="replace").splitlines()[-lines:], sep="\n")

    # --- what everything is about ----------------------------------------------------------
    def send(self, count, workers=None):
        """Mails that got their 250, spread over the workers; their idents."""
        taken = []
        workers = workers or self.workers
        for i, worker in enumerate(workers):
            with Dialogue(worker.port, timeout=30) as session:
                session.command("EHLO client.example")
                for number in range(i, count, len(workers)):
                    ident = f"m{time.time_ns()}x{number}"
                    session.command("MAIL FROM:<anna@client.example>")
                    session.command("RCPT TO:<bert@example.org>")
                    session.command("DATA")
                    code = session.command(f"Message-ID: <{ident}@client.example>\r\nSubject: {number}\r\n\r\nhello\r\n.")
                    assert code == 250
                    taken.append(ident)
        return taken

    def wait_known(self, idents, masters=None, seconds=30):
        """Until each of the masters has every mail as delivered."""
        for master in masters or self.masters:
            def known(master=master):
                rows = master.idents()
                return all(rows.get(ident) == ["delivered"] for ident in idents)
            eventually(known, seconds, f"{master.name} to know {len(idents)} mails", pause=0.2)

    def wait_equal(self, seconds=40):
        """Until both masters hold the same; every event is then held once."""
        verdict = {}

        def equal():
            try:
                verdict.update(self.masters[0].verify())
            except CommandFailed:
                return False
            return verdict["equal"]
        eventually(equal, seconds, "both masters to hold the same", pause=0.2)
        records = [master.events() for master in self.masters]
        assert all(len(record) == len(set(record)) for record in records)
        assert set(records[0]) == set(records[1])
        return verdict
