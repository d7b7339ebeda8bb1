# SPDX-License-Identifier: Apache-2.0
"""How fast a cluster is, measured from outside: load, followers of both masters, and what they saw."""

import contextlib
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path
from types import SimpleNamespace

from tests.lib.cluster import Cluster
from tests.lib.smtp import Dialogue
from tests.lib.waiting import eventually

TOOLS = "tests/tools"
DOCUMENTS = {
    "domain/void.example": {"policy": "void"}, "policy/void": {"reject": None, "on_virus": "discard"},
    "domain/hold.example": {"policy": "hold"}, "policy/hold": {"reject": None, "on_virus": "quarantine"},
}
LISTENS = "-"


def wall_ms():
    return time.time_ns() // 1_000_000


def percentile(values, part):
    """The value that `part` of all do not exceed."""
    values = sorted(values)
    return values[max(0, math.ceil(part * len(values)) - 1)]


def processor_seconds(pid):
    """What the process has had of the processors, all threads."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values_ms):
    """Of milliseconds: how many, p50, p99 and the greatest in seconds."""
    return {"count": len(values_ms), "p50_s": percentile(values_ms, 0.5) / 1e3, "p99_s": percentile(values_ms, 0.99) / 1e3,
            "max_s": max(values_ms) / 1e3}


class Straight(Cluster):
    """A cluster without fault proxies in the ways."""

    def way(self, targets):
        return SimpleNamespace(ports={door: port for door, (_, port) in targets.items()})


class Load:
    """tests/tools/pump.py in a process of its own."""

    def __init__(self, ports, count=1_000_000_000, **options):
        words = [f"--{name}={value}" for name, value in options.items()]
        self.child = subprocess.Popen(
            [sys.executable, f"{TOOLS}/pump.py", f"--ports={','.join(map(str, ports))}", f"--count={count}", *words],
            stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def wait(self, seconds=600):
        """Until it has sent all; what it says of itself."""
        out, _ = self.child.communicate(timeout=seconds)
        said = json.loads(out)
        assert said["mails"] > 0 and said["refused"] == 0, said
        return said

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        return self.wait(120)


class Window:
    """The events that bear a time in [first, last): how many have come, and from when till when."""

    def __init__(self, first_ms, last_ms):
        self.first_ms, self.last_ms = first_ms, last_ms
        self.count, self.begun, self.ended = 0, 0, 0

    def take(self, when, arrived):
        if self.first_ms <= when < self.last_ms:
            self.begun = self.begun or arrived
            self.ended = arrived
            self.count += 1


class Follower:
    """tests/tools/follow.py on one master, and what it has seen: a row an event of the workers."""

    def __init__(self, master, file):
        self.master = master
        self.arrived, self.times, self.keys = array("q"), array("q"), array("q")
        self.windows = []
        self.quarantined = {}  # id → (node, time)
        self.listens = 0
        self.child = subprocess.Popen([sys.executable, f"{TOOLS}/follow.py", str(master.home / "run/api.sock"), str(file)])
        eventually(file.exists, 10, "the follower to start")
        self.file = open(file, encoding="ascii")
        self.rest = ""

    def look(self):
        """Reads what has come since; how many events there are."""
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            if line == LISTENS:
                self.listens += 1
            else:
                self.take(*line.split(" "))
        return len(self.arrived)

    def take(self, arrived, event_time, node, sequence, kind, ident):
        if not node.startswith("worker-") or kind == "node":
            return
        arrived, when = int(arrived), int(event_time)
        self.arrived.append(arrived)
        self.times.append(when)
        self.keys.append(int(node[7:]) << 48 | int(sequence))
        for window in self.windows:
            window.take(when, arrived)
        if kind == "quarantined":
            self.quarantined[ident] = (node, when)

    def window(self, first_ms, last_ms):
        """One that is kept up to date by `look`."""
        self.look()
        made = Window(first_ms, last_ms)
        for when, arrived in zip(self.times, self.arrived):
            made.take(when, arrived)
        self.windows.append(made)
        return made

    def filled(self, window, wanted):
        self.look()
        return window.count >= wanted

    def between(self, first_ms, last_ms):
        """{key: (time, arrival)} of the events that bear a time in [first, last)."""
        self.look()
        return {key: (when, arrived) for key, when, arrived in zip(self.keys, self.times, self.arrived)
                if first_ms <= when < last_ms}

    def lags(self, first_ms, last_ms):
        self.look()
        return [arrived - when for when, arrived in zip(self.times, self.arrived) if first_ms <= when < last_ms]

    def last_of(self, worker, since_ms=0):
        """When the last event of that worker came, None: none since then."""
        self.look()
        number = int(worker.name[7:])
        return max((arrived for key, arrived in zip(self.keys, self.arrived)
                    if key >> 48 == number and arrived >= since_ms), default=None)

    def first_of(self, worker, since_ms):
        """When the first event came that the worker made after that time."""
        self.look()
        number = int(worker.name[7:])
        return min((arrived for key, when, arrived in zip(self.keys, self.times, self.arrived)
                    if key >> 48 == number and when >= since_ms), default=None)

    def stop(self):
        self.child.kill()
        self.child.wait()
        self.file.close()


@contextlib.contextmanager
def followers(cluster):
    """One for each master, listening."""
    begun = []
    try:
        for master in cluster.masters:
            begun.append(Follower(master, cluster.home / f"follow-{master.name}-{time.time_ns()}"))
        for one in begun:
            eventually(lambda one=one: one.look() or one.listens, 20, f"{one.master.name} to be followed")
        yield begun
    finally:
        for one in begun:
            one.stop()


def ports(cluster):
    return [worker.port for worker in cluster.workers]


def wait_same(seen, first_ms, last_ms, seconds=60):
    """Until the followers have the same events of that time; {key: lags of each}."""
    def same():
        sets = [one.between(first_ms, last_ms) for one in seen]
        return sets if all(one.keys() == sets[0].keys() for one in sets) else None
    sets = eventually(same, seconds, "both masters to have the same events", pause=0.5)
    return {key: [one[key][1] - one[key][0] for one in sets] for key in sets[0]}


# --- live ----------------------------------------------------------------------------------------
def live(cluster, rate, seconds):
    """From the time in the event, given before it is written on the worker, to its arrival at the followers."""
    with followers(cluster) as seen, Load(ports(cluster), rate * seconds, rate=rate) as load:
        begun = wall_ms()
        said = load.wait(seconds * 5 + 60)
        eventually(lambda: all(one.look() >= said["mails"] for one in seen), 60, "every mail's event")
        lags = wait_same(seen, begun, wall_ms())
    result = {"load": said, "both": spread([max(pair) for pair in lags.values()])}
    for number, master in enumerate(cluster.masters):
        result[master.name] = spread([pair[number] for pair in lags.values()])
    return result


def body_file(cluster, ident, node):
    """The quarantined mail on its worker."""
    (file,) = (cluster.home / node / "state/quarantine").glob(f"*/{ident}")
    return file


def held_at(master, digest):
    """When the master's file of that body got its name; None: it is not there."""
    file = master.home / "state/master/bodies" / digest[:2] / f"{digest}.zst"
    try:
        return file.stat().st_ctime_ns // 1_000_000
    except FileNotFoundError:
        return None


def bodies(cluster, rate, count):
    """From the time in the event `quarantined` to the body's file standing under its name on both masters."""
    with followers(cluster) as seen:
        with Load(ports(cluster), count, rate=rate, to="hold.example", kind="virus") as load:
            said = load.wait()
        eventually(lambda: seen[0].look() and len(seen[0].quarantined) >= said["mails"], 60, "the events")
        lags = []
        for ident, (node, when) in seen[0].quarantined.items():
            digest = hashlib.sha256(body_file(cluster, ident, node).read_bytes()).hexdigest()
            held = [eventually(lambda m=master: held_at(m, digest), 60, f"{ident} on {master.name}")
                    for master in cluster.masters]
            lags.append(max(held) - when)
    return {"load": said, "both": spread(lags)}


# --- catching up -----------------------------------------------------------------------------------
def discards(cluster, **options):
    """Load that makes an event a mail and needs no next hop: spooled, analysed, discarded by its policy."""
    return Load(ports(cluster), to="void.example", kind="virus", connections=16, batch=10, **options)


def catch_up(cluster, events, rate, pile_rate=0):
    """One master away while `events` pile up; what it takes a second when it is back, with `rate` live beside it."""
    near, far = cluster.masters
    with followers(cluster) as seen:
        far.kill(signal.SIGTERM)
        gone = wall_ms()
        piled = seen[0].window(gone, math.inf)
        with discards(cluster, count=events, rate=pile_rate) as load:
            pile = load.wait(events / (pile_rate or 100) + 120)
        eventually(lambda: seen[0].filled(piled, events), 600, f"{near.name} to have it", pause=0.5)
        with discards(cluster, rate=rate) as load:
            eventually(lambda: seen[0].filled(piled, events + 3 * rate), 60, "live mail to flow", pause=0.5)
            back = wall_ms()
            far.launch()
            lacking = seen[0].window(gone, back - 2000).count  # what was made since may come live
            lacked = seen[1].window(gone, back - 2000)
            eventually(lambda: seen[1].filled(lacked, lacking), events / 500 + 120, f"{far.name} to have caught up",
                       pause=0.5)
            processor = processor_seconds(far.child.pid)
            beside = load.end()
        begun, done = lacked.begun, lacked.ended
        wait_same(seen, gone, wall_ms() - 1000)
        return {"pile": pile, "load": beside, "events": lacked.count, "start_s": (begun - back) / 1e3,
                "seconds": (done - back) / 1e3, "events_per_s": lacked.count / max((done - begun) / 1e3, 0.001),
                "processor_s": processor, "stays": spread(seen[0].lags(back, done)), "returns": spread(seen[1].lags(begun, done))}


def partition(cluster, rate, seconds):
    """Nothing passes to or from one master; then it does. Needs a cluster with proxies."""
    near, far = cluster.masters
    ways = [worker.ways[far.name] for worker in cluster.workers] + [near.peer_way, far.peer_way]
    with followers(cluster) as seen, Load(ports(cluster), rate=rate) as load:
        eventually(lambda: all(one.look() for one in seen), 30, "mail to flow")
        begun = wall_ms()
        for way in ways:
            way.black_hole()
        time.sleep(seconds)  # the length of the fault is what is given
        mended = wall_ms()
        for way in ways:
            way.mend()
        eventually(lambda: seen[0].window(mended, math.inf).count, 30, "what was made till then to be known")
        lacked, lacking = seen[1].window(begun, mended), seen[0].window(begun, mended)
        eventually(lambda: seen[0].look() and seen[1].filled(lacked, lacking.count), 300, "it to be made good",
                   pause=0.2)
        said = load.end()
        wait_same(seen, begun, wall_ms() - 1000)
        late = sum(arrived >= mended for _, arrived in seen[1].between(begun, mended).values())
        assert late >= 0.9 * lacking.count, f"only {late} of {lacking.count} events were held back: there is another way"
        return {"load": said, "events": late, "made_good_s": max(0, lacked.ended - mended) / 1e3}


# --- configuration ---------------------------------------------------------------------------------
class Asker:
    """Asks a worker's ingress whether it takes mail for a domain, until it does."""

    def __init__(self, port):
        self.port, self.session, self.refused = port, None, 0

    def takes(self, domain):
        if not self.session or self.refused > 10:  # refusals are counted against a session
            self.close()
            self.session = Dialogue(self.port)
            self.session.command("EHLO client.example")
            self.refused = 0
        self.session.command("MAIL FROM:<anna@client.example>")
        code = self.session.command(f"RCPT TO:<bert@{domain}>")
        self.session.command("RSET")
        self.refused += code != 250
        return code == 250

    def wait(self, domain, ret_ms):
        eventually(lambda: self.takes(domain), 30, f"{domain} on port {self.port}", pause=0.02)
        ret_ms.append(wall_ms())

    def close(self):
        if self.session:
            self.session.close()


def configuration(cluster, changes):
    """From the start of `postern config set` until the ingress of every worker goes by it; masters in turns."""
    askers = [Asker(port) for port in ports(cluster)]
    mark, lags = f"{time.time_ns():x}", []
    for number in range(changes):
        domain, reached = f"n{number}.{mark}.example", []
        waits = [threading.Thread(target=asker.wait, args=(domain, reached)) for asker in askers]
        master = cluster.masters[number % 2]
        begun = wall_ms()
        for wait in waits:
            wait.start()
        master.command("config", "set", f"domain/{domain}", "description=measured", "--socket",
                       str(master.home / "run/api.sock"))
        for wait in waits:
            wait.join()
        assert len(reached) == len(askers), f"{domain} did not reach every worker"
        lags.append(max(reached) - begun)
    for asker in askers:
        asker.close()
    return spread(lags)


def revocation(cluster):
    """A worker's key is revoked on one master while mail flows: when its last event came to either of them."""
    worker = cluster.workers[-1]
    with followers(cluster) as seen, Load([worker.port], rate=50) as load:
        eventually(lambda: all(one.last_of(worker) for one in seen), 30, "its events on both masters")
        begun = wall_ms()
        cluster.masters[0].command("node", "remove", worker.name, "--socket",
                                   str(cluster.masters[0].home / "run/api.sock"))
        heard = wall_ms()
        eventually(lambda: all(wall_ms() - one.last_of(worker) > 3000 for one in seen), 30,
                   "its events to end", pause=0.2)
        said = load.end()
        last = max(one.last_of(worker) for one in seen)
    return {"load": said, "command_s": (heard - begun) / 1e3, "cut_s": max(0, last - begun) / 1e3}


def restart_of_both(cluster):
    """Both masters get SIGKILL and are started at once: when each has something new of every worker."""
    with followers(cluster) as seen, Load(ports(cluster), rate=50) as load:
        eventually(lambda: all(one.last_of(worker) for one in seen for worker in cluster.workers), 30,
                   "events of every worker on both")
        begun = wall_ms()
        for master in cluster.masters:
            master.kill()
        for master in cluster.masters:
            master.launch()
        launched = wall_ms()
        firsts = [eventually(lambda one=one, worker=worker: one.first_of(worker, launched), 60,
                             f"{worker.name} to be back on {one.master.name}", pause=0.1)
                  for one in seen for worker in cluster.workers]
        eventually(cluster.linked, 60, "both masters to see everybody", pause=0.1)
        return {"load": load.end(), "back_s": (max(firsts) - begun) / 1e3}
