#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster reaches, beside its limits. See bench/cluster.sh."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
os.chdir(ROOT)

import cluster_report  # noqa: E402
from measure import mount_of  # noqa: E402
from tests.lib import reach  # noqa: E402
from tests.lib.cluster import Cluster  # noqa: E402

# In the order in which they run: the last takes a worker away for good.
STRAIGHT = {
    "live": lambda cluster, options: reach.live(cluster, 200, options.seconds),
    "bodies": lambda cluster, options: reach.bodies(cluster, 20, 20 * options.seconds),
    "configuration": lambda cluster, options: reach.configuration(cluster, options.changes),
    "catch-up": lambda cluster, options: [reach.catch_up(cluster, events, 1000, options.pile_rate)
                                          for events in options.events],
    "restart": lambda cluster, options: reach.restart_of_both(cluster),
    "revocation": lambda cluster, options: reach.revocation(cluster),
}
PROXIED = {"partition": lambda cluster, options: reach.partition(cluster, 200, options.partition)}


def measure(kind, measurements, options):
    """Those that are wanted, on a fresh cluster; {name: result}."""
    wanted = [name for name in measurements if name in options.only]
    results = {}
    if wanted:
        with kind(workers=3, documents=reach.DOCUMENTS) as cluster:
            for name in wanted:
                results[name] = measurements[name](cluster, options)
                print(f"{name}: {results[name]}", flush=True)
    return results


def environment(options):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {"commit": commit.stdout.strip(), "processors": os.cpu_count(), "kernel": os.uname().release,
            "mount": mount_of(options.folder),
            "load average at the start (1, 5, 15 minutes)": " ".join(f"{load:.1f}" for load in os.getloadavg())}


def numbers(text):
    return [int(number) for number in text.split(",")]


def options_of(arguments):
    names = [*STRAIGHT, *PROXIED]
    parser = argparse.ArgumentParser(prog="bench/cluster.sh", description="What a cluster reaches, beside its limits.")
    parser.add_argument("--long", action="store_true", help="1,000,000 events, 600 s apart, 200 changes, 60 s live")
    parser.add_argument("--write", action="store_true", help="write bench/CLUSTER.md")
    parser.add_argument("--only", default=",".join(names), help="measurements separated by commas: " + ", ".join(names))
    parser.add_argument("--events", type=numbers, metavar="N,...", help="that pile up for the returning master (50000)")
    parser.add_argument("--pile-rate", type=float, default=0, metavar="N", help="at N a second (as fast as they are taken)")
    parser.add_argument("--partition", type=int, metavar="SECONDS", help="for which a master is cut off (30)")
    parser.add_argument("--changes", type=int, metavar="N", help="of the configuration (50)")
    parser.add_argument("--seconds", type=int, metavar="N", help="of live mail (20)")
    parser.add_argument("--note", help="a line about the conditions")
    parser.add_argument("--folder", default="/var/tmp", help="where journals and databases lie")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    usual = ([50_000, 1_000_000], 600, 200, 60) if options.long else ([50_000], 30, 50, 20)
    for name, value in zip(("events", "partition", "changes", "seconds"), usual):
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def main():
    options = options_of(sys.argv[1:])
    if "tmpfs" in mount_of(options.folder):
        sys.exit(f"bench: {options.folder} is memory, not a disk: choose another --folder")
    os.environ["POSTERN_TEST_FOLDER"] = options.folder
    conditions = environment(options) | ({"note": options.note} if options.note else {})
    results = measure(reach.Straight, STRAIGHT, options) | measure(Cluster, PROXIED, options)
    text = cluster_report.page(conditions, results, options)
    print(text)
    if options.write:
        (ROOT / "bench" / "CLUSTER.md").write_text(text)


if __name__ == "__main__":
    main()
