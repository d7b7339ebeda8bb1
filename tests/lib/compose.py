# SPDX-License-Identifier: Apache-2.0
"""A project of containers for one test: compose brings it up, docker does it harm, nothing of it stays."""

import json
import os
import random
import secrets
import subprocess
from pathlib import Path

from tests.lib.inbox import Inbox
from tests.lib.waiting import eventually, none_left

ROOT = Path(__file__).resolve().parent.parent.parent
MINUTES = 60.0
MASTERS = ("master-a", "master-b")


class DockerFailed(AssertionError):
    """docker, or a program in a container, said no."""


def run(command, seconds=60.0, environment=None):
    done = subprocess.run(command, text=True, capture_output=True, timeout=seconds, check=False,
                          env=dict(os.environ, **(environment or {})))
    if done.returncode != 0:
        raise DockerFailed(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def docker(*arguments, seconds=60.0):
    return run(["docker", *arguments], seconds)


def docker_works():
    try:
        return bool(docker("version", "--format", "{{.Server.Version}}", seconds=20))
    except (DockerFailed, OSError, subprocess.TimeoutExpired):
        return False


class Compose:
    """`stages` chooses compose.stages.yaml. Used as a context; ends with every container, network and volume gone."""

    def __init__(self, stages=False):
        self.project = "pt" + secrets.token_hex(3)
        self.options = ["--stages"] if stages else []
        self.wan = f"10.{random.randrange(64, 192)}.{random.randrange(256)}"
        self.inbox = None
        self.counts = {}    # of services that have not just one container

    def compose(self, *arguments, seconds=10 * MINUTES):
        return run([str(ROOT / "deploy/compose.sh"), *self.options, *arguments], seconds,
                   {"POSTERN_PROJECT": self.project, "POSTERN_WAN": self.wan})

    def up(self):
        scaled = [word for service, count in self.counts.items() for word in ("--scale", f"{service}={count}")]
        self.compose("up", *scaled)

    def have(self, counts):
        """Changes how many containers the named services have."""
        self.counts.update(counts)
        self.compose("scale", *(f"{service}={count}" for service, count in self.counts.items()))

    def down(self):
        self.compose("down", "--timeout", "3")

    def __enter__(self):
        try:
            self.up()
            self.started()
            self.empty_inbox()
        except BaseException:
            self.tell_logs()
            self.down()
            raise
        return self

    def started(self):
        """What a kind of project does once its containers run."""

    def __exit__(self, kind, *_):
        if kind is not None:
            self.tell_logs()
        self.down()

    # --- containers ------------------------------------------------------------------------
    def containers(self, service, every=False):
        """Names of a service's containers that run (`every`: all), in the order of their numbers."""
        lines = docker("ps", *(["--all"] if every else []), "--filter", f"label=com.docker.compose.project={self.project}",
                       "--filter", f"label=com.docker.compose.service={service}",
                       "--format", '{{.Label "com.docker.compose.container-number"}} {{.Names}}').splitlines()
        return [line.split()[1] for line in sorted(lines, key=lambda line: int(line.split()[0]))]

    def one(self, service):
        return self.containers(service)[0]

    def inspect(self, container):
        return json.loads(docker("inspect", container))[0]

    def published(self, container, port="25/tcp"):
        """The port on 127.0.0.1 behind which a container's port lies."""
        bindings = self.inspect(container)["NetworkSettings"]["Ports"].get(port)
        return int(bindings[0]["HostPort"]) if bindings else None

    def empty_inbox(self):
        """A new test begins: what the receiving server took before is removed. Its volume is read on the host."""
        folder = docker("volume", "inspect", "--format", "{{.Mountpoint}}", f"{self.project}_inbox").strip()
        for file in Path(folder).iterdir():
            file.unlink()
        self.inbox = Inbox(folder, None)

    # --- asking ----------------------------------------------------------------------------
    def command(self, *arguments, master="master-a", seconds=30):
        """Runs `postern` where a master is."""
        return docker("exec", self.one(master), "postern", *arguments, seconds=seconds)

    def ask(self, *arguments, master="master-a"):
        return json.loads(self.command(*arguments, "--json", master=master))

    def messages(self, *arguments, master="master-a"):
        return self.ask("messages", *(arguments or ("--limit", "0")), master=master)

    def master_answers(self, master="master-a"):
        try:
            return self.ask("status", master=master)
        except (DockerFailed, IndexError, ValueError, subprocess.TimeoutExpired):
            return None

    def held_for(self, finding):
        rows = self.ask("quarantine", "list", "--limit", "0")
        return [row["message_id"].strip("<>").partition("@")[0] for row in rows
                if any(one["name"] == finding for one in row["findings"])]

    def tell_logs(self):
        """Prints the ends of the logs: pytest shows them beside a failure."""
        try:
            lines = self.compose("logs", "--no-color").splitlines()
            mails = (" message id=", " delivered id=", " disconnect client=")
            print(self.compose("ps"), *[line for line in lines if not any(word in line for word in mails)][-300:], sep="\n")
        except (DockerFailed, subprocess.TimeoutExpired) as error:
            print(f"no logs: {error}")


class Stages(Compose):
    """One worker whose stages are containers."""

    def __init__(self):
        super().__init__(stages=True)

    def started(self):
        eventually(self.whole, 90, "a worker of three stages", pause=0.5)

    def processes(self, name):
        """How many of that name the worker knows to live."""
        status = self.master_answers() or {"processes": []}
        return sum(process["name"] == name for process in status["processes"])

    def whole(self):
        return all(self.processes(name) for name in ("ingress", "analyzer", "delivery"))

    def scale(self, seconds=60, **counts):
        """Changes how many containers there are; the worker works with as many when this returns."""
        self.have(counts)
        for name, count in counts.items():
            eventually(lambda name=name, count=count: self.processes(name) == count, seconds,
                       f"{count} of {name}", pause=0.3)

    def ports(self):
        """Where the ingresses of now take mail."""
        found = [self.published(container) for container in self.containers("ingress")]
        return [port for port in found if port]


class Cluster(Compose):
    """Two masters, three workers in two data centres, Redis with Sentinels, DNS and the receiving server."""

    def __init__(self):
        super().__init__()
        self.counts = {"worker": 2, "worker-b": 1}

    def started(self):
        eventually(lambda: len(self.workers_up()) == sum(self.counts.values()), 120, "the workers to join", pause=0.5)
        none_left(self.misjudged, 60, pause=0.5)
        self.command("config", "set", "delivery", "retry_first_s=1", "retry_most_s=3")
        eventually(self.agreed, 60, "the workers to run the configuration", pause=0.5)

    def nodes(self, master="master-a"):
        try:
            return self.ask("node", "list", master=master)
        except (DockerFailed, IndexError, ValueError, subprocess.TimeoutExpired):
            return []

    def workers_up(self):
        return [node for node in self.nodes() if node["role"] == "worker" and node["state"] == "up"]

    def misjudged(self):
        """Workers that run and that a master does not see up, and workers that it lists and that are gone."""
        run = {self.inspect(container)["Config"]["Hostname"]: "up" for container in self.workers()}
        wrong = []
        for master in MASTERS:
            says = {node["name"]: node["state"] for node in self.nodes(master) if node["role"] == "worker"}
            wrong += [f"{master}: {name} is {says.get(name, 'unknown')}, not {run.get(name, 'there')}"
                      for name in sorted(says.keys() | run.keys()) if says.get(name) != run.get(name)]
        return wrong

    def told_apart(self, mails):
        """Which of the mails the masters have not the same record of."""
        first, second = ({row["message_id"]: row for row in self.messages(master=master)} for master in MASTERS)
        return [f"{first.get(mail.message_id)} on {MASTERS[0]}, {second.get(mail.message_id)} on {MASTERS[1]}"
                for mail in mails if first.get(mail.message_id) != second.get(mail.message_id)]

    def unequal(self):
        """What `verify` on the first master complains of."""
        try:
            said = self.command("verify")
        except DockerFailed as error:
            return [str(error)]
        return [] if said.startswith(f"{MASTERS[0]} and {MASTERS[1]} hold the same") else [said]

    def agreed(self):
        return len({node["revision"] for node in self.nodes() if node["role"] == "worker" or node["name"] == "master-a"}) == 1

    def workers(self):
        return self.containers("worker") + self.containers("worker-b")

    def address(self, container):
        """Its address on wan."""
        return self.inspect(container)["NetworkSettings"]["Networks"][f"{self.project}_wan"]["IPAddress"]

    def cut(self, container, network="wan"):
        docker("network", "disconnect", f"{self.project}_{network}", container)

    def mend(self, container, network="wan"):
        service = self.inspect(container)["Config"]["Labels"]["com.docker.compose.service"]
        docker("network", "connect", "--alias", service, f"{self.project}_{network}", container)

    def dns_port(self):
        return self.published(self.one("dns"), "53/udp")
