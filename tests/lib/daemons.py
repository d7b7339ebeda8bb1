# SPDX-License-Identifier: Apache-2.0
"""Processes of one gateway as the kernel shows them, found by program and by the gateway's folder."""

import os
from pathlib import Path


def processes_of(home):
    """Yields (pid, program, arguments) of every living process started with a path under `home`."""
    mark = str(home).encode() + b"/"
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            line = Path("/proc", entry, "cmdline").read_bytes()
            dead = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        arguments = line.split(b"\0")[:-1]
        if arguments and mark in line and not dead:
            program = os.path.basename(arguments[0]).decode()
            if program.startswith("postern-"):
                yield int(entry), program, [argument.decode() for argument in arguments]


def pids_of(home, name, slot=None):
    """Pids of postern-NAME, all or of one slot, lowest first."""
    found = []
    for pid, program, arguments in processes_of(home):
        if program != f"postern-{name}":
            continue
        own = arguments[arguments.index("--slot") + 1] if "--slot" in arguments else None
        if slot is None or own == str(slot):
            found.append(pid)
    return sorted(found)


def memory_kib(pid, key="VmHWM"):
    """A memory figure of /proc/PID/status, by default the peak of the resident set."""
    for line in Path("/proc", str(pid), "status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0
