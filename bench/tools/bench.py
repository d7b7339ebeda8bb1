#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Postern beside Postfix, in turns. See bench/run.sh."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bigs  # noqa: E402
import connections  # noqa: E402
import report  # noqa: E402
from measure import Calls, mount_of, peak_memory_mib, processor_seconds  # noqa: E402
from systems import ROOT, SYSTEMS, Direct, Postern  # noqa: E402


@dataclass(frozen=True)
class Cell:
    """One kind of load."""

    size: int
    sessions: int
    kept: bool

    @property
    def name(self):
        return f"{self.size // 1024}k-{self.sessions}-{'kept' if self.kept else 'new'}"

    def mails(self, system, scale):
        """How many mails make a round of some seconds."""
        base = {"postfix": 3000, "postern": 15000, "direct": 20000}[system]
        return max(200, int(base * scale * (0.25 if self.size > 65536 else 1)))


CELLS = {cell.name: cell for cell in (Cell(size, sessions, kept) for size in (4096, 102400)
                                      for sessions in (20, 100) for kept in (True, False))}


def source(system, cell, mails):
    """Starts the load. The mails differ in nothing but their Message-ID."""
    command = ["smtp-source", "-s", str(cell.sessions), "-m", str(mails), "-l", str(cell.size),
               "-f", "load@client.example", "-t", "user@example.org", "-C", "1000"]
    command += ["-d"] if cell.kept else []
    return subprocess.Popen([*command, f"127.0.0.1:{system.port}"], stdout=subprocess.DEVNULL)


def drain(system, wanted, load, seconds=300):
    """Waits until the sink has `wanted` mails; the time of the last one."""
    end = time.monotonic() + seconds
    while system.sink.count() < wanted:
        if time.monotonic() > end:
            sys.exit(f"bench: {system.name}: {wanted - system.sink.count()} mails never arrived")
        time.sleep(0.003)
    done = time.monotonic()
    if load.wait() != 0:
        sys.exit(f"bench: {system.name}: the load generator failed")
    return done


def run_round(system, cell, mails):
    """One round: rate at the sink and processor time by process."""
    groups = system.pids_by_name() if isinstance(system, Postern) else {"all": system.pids()}
    before = {name: processor_seconds(pids) for name, pids in groups.items()}
    wanted = system.sink.count() + mails
    start = time.monotonic()
    seconds = drain(system, wanted, source(system, cell, mails), 600) - start
    result = {"rate": mails / seconds}
    if isinstance(system, Postern):
        result["lag"] = system.lag()
        result["catch_up_s"] = system.catch_up_seconds()
    time.sleep(0.5)  # what follows the last delivery counts, too
    # Postfix starts processes as it needs them: those of the end count, which began at nought.
    after = system.pids_by_name() if isinstance(system, Postern) else {"all": system.pids()}
    for name, pids in after.items():
        result[f"cpu_{name}"] = (processor_seconds(pids) - before.get(name, 0)) / mails * 1e3
    worker = [result[f"cpu_{name}"] for name in after if name != "master"]
    result["cpu"] = sum(worker)
    return result


def count_calls(system, cell, mails):
    """System calls and syncs per mail, on a run of its own."""
    run_round(system, cell, 200)  # processes that are started on demand are there now
    calls = Calls(system.pids())
    run_round(system, cell, mails)
    total, syncs = calls.stop()
    if syncs == 0:
        sys.exit(f"bench: {system.name} made no sync: its mails were not durable")
    return {"calls": total / mails, "syncs": syncs / mails}


def latency(system, rate, seconds):
    """Open loop: end of DATA to its reply."""
    wanted = system.sink.count() + int(rate * seconds)
    done = subprocess.run([ROOT / "build/bench/openloop", str(system.port), str(rate), str(seconds), "4096"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {system.name}: {done.stderr.strip()}")
    result = json.loads(done.stdout)
    while system.sink.count() < wanted - result["skipped"]:
        time.sleep(0.05)
    return result


def checks_executed(postern):
    """The benchmark counts only with the checks on."""
    checks, mails = postern.metric("postern_checks_total"), postern.metric("postern_messages_examined_total")
    if not checks or not mails:
        sys.exit("bench: the analyzers ran no checks")
    return checks / mails


def measure(options):
    systems = [SYSTEMS[name](options.folder) for name in options.only]
    results = {"environment": environment(options), "cells": {}, "latency": {}, "calls": {}}
    try:
        for cell in options.cells:
            results["cells"][cell.name] = rounds(systems, cell, options)
        peers = [system for system in systems if not isinstance(system, Direct)]
        for system in peers:
            results["latency"][system.name] = {
                str(rate): latency(system, rate, options.latency_seconds) for rate in options.latency}
            mails = options.cells[0].mails(system.name, options.scale / 3)
            results["calls"][system.name] = count_calls(system, options.cells[0], mails)
            results["calls"][system.name]["peak_memory_mib"] = peak_memory_mib(system.pids())
            if isinstance(system, Postern):
                results["environment"]["checks per mail"] = checks_executed(system)
    finally:
        for system in systems:
            system.stop()
    return results


def rounds(systems, cell, options):
    """All systems in turns, so that what else the machine does hits them alike."""
    found = {system.name: [] for system in systems}
    for number in range(options.rounds):
        for system in systems:
            result = run_round(system, cell, cell.mails(system.name, options.scale))
            found[system.name].append(result)
            print(f"{cell.name} round {number + 1} {system.name}: {result['rate']:.0f}/s, "
                  f"{result['cpu']:.3f} ms a mail", flush=True)
    return found


def slow_disk(options):
    """Throughput with each sync 5 ms later, beside the same disk without delay."""
    cell = CELLS["4k-100-kept"]
    system = Postern(options.folder, disk=True)
    results = {}
    try:
        for delay in (0, 5000):
            system.gateway.disk.set(sync_delay_us=delay)
            found = [run_round(system, cell, cell.mails("postern", options.scale)) for _ in range(options.rounds)]
            results[delay] = found
    finally:
        system.stop()
    for delay, found in results.items():
        print(f"each sync {delay / 1000:g} ms later: {report.middle(found, 'rate')} mails/s")


def environment(options):
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    version = subprocess.run(["postconf", "-d", "-h", "mail_version"], capture_output=True, text=True, check=False)
    return {"commit": commit, "processors": os.cpu_count(), "kernel": os.uname().release,
            "mount": mount_of(options.folder), "postfix": version.stdout.strip(), "rounds": options.rounds}


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="bench/run.sh", description="Postern beside Postfix, in turns.")
    parser.add_argument("--quick", action="store_true", help="one cell, one round, in under a minute")
    parser.add_argument("--slow-disk", action="store_true", help="each fdatasync of Postern delayed by 5 ms")
    parser.add_argument("--connections", type=int, metavar="N", help="N idle clients while mail flows")
    parser.add_argument("--big", action="store_true", help="small mails while big ones arrive")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer mails a round")
    parser.add_argument("--cells", help="names separated by commas: " + ", ".join(CELLS))
    parser.add_argument("--only", help="systems separated by commas: " + ", ".join(SYSTEMS))
    parser.add_argument("--folder", default="/var/tmp", help="where queues and journals lie")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else list(SYSTEMS)
    options.latency, options.latency_seconds = (50, 200), 10
    if options.quick:
        options.rounds, options.scale = 1, options.scale / 3
        options.latency, options.latency_seconds = (200,), 3
        options.cells = options.cells or "4k-100-kept"
    options.cells = [CELLS[name] for name in (options.cells or ",".join(CELLS)).split(",")]
    return options


def main():
    options = options_of(sys.argv[1:])
    if os.geteuid() != 0:
        sys.exit("bench: Postfix needs root")
    if "tmpfs" in mount_of(options.folder):
        sys.exit(f"bench: {options.folder} is memory, not a disk: choose another --folder")
    if options.slow_disk:
        slow_disk(options)
        return
    if options.big:
        bigs.measure(options.folder, 50, 20, latency)
        return
    if options.connections:
        cell = CELLS["4k-20-kept"]
        mails = cell.mails("postern", options.scale)
        connections.measure(options.folder, options.connections, lambda system: run_round(system, cell, mails))
        return
    text = report.tables(measure(options))
    print(text)
    if options.write:
        (ROOT / "bench" / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
