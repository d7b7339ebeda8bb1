# SPDX-License-Identifier: Apache-2.0
"""What a run costs: processor time, memory and system calls of processes, mails counted at the sink."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SYNCS = ("syscalls:sys_enter_fdatasync", "syscalls:sys_enter_fsync")
CALLS = "raw_syscalls:sys_enter"


def processor_seconds(pids):
    """Time on a processor, of all threads (exact, by the scheduler) and of reaped children (by ticks)."""
    total = 0.0
    for pid in pids:
        process = Path("/proc", str(pid))
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / TICK
            for task in (process / "task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
    return total


def with_children(pid):
    """The pid and its direct children."""
    children = [pid]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                children.append(int(entry))
    return children


def peak_memory_mib(pids):
    """Sum of the peak resident sets. Pages shared between processes count for each."""
    total = 0
    for pid in pids:
        try:
            match = re.search(r"VmHWM:\s+(\d+)", Path("/proc", str(pid), "status").read_text())
        except OSError:
            continue
        total += int(match[1]) if match else 0
    return total / 1024


class Calls:
    """Counts system calls and syncs of processes by perf, at little cost to them."""

    def __init__(self, pids):
        events = ",".join((CALLS, *SYNCS))
        command = ["perf", "stat", "-x", ";", "-e", events, "-p", ",".join(map(str, pids))]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        time.sleep(1)  # perf says nothing when it has attached

    def stop(self):
        """(system calls, syncs)"""
        self.process.send_signal(signal.SIGINT)
        count = {}
        for line in self.process.communicate()[1].splitlines():
            fields = line.split(";")
            if len(fields) > 2 and fields[0].isdigit():
                count[fields[2]] = int(fields[0])
        return count.get(CALLS, 0), sum(count.get(name, 0) for name in SYNCS)


class Sink:
    """Postfix's smtp-sink, which throws mails away, and its own count of them."""

    def __init__(self, port, folder="/dev/shm"):
        self.path = Path(folder, f"postern-bench-sink-{port}")
        with open(self.path, "wb") as counts:
            command = ["smtp-sink", "-u", "postfix", "-c", "-m", "1000", f"127.0.0.1:{port}", "1000"]
            self.process = subprocess.Popen(command, stdout=counts)

    def count(self):
        with open(self.path, "rb") as counts:
            counts.seek(max(0, os.path.getsize(self.path) - 100))
            found = re.findall(rb"mesg=(\d+)\r", counts.read())
        return int(found[-1]) if found else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.path.unlink(missing_ok=True)


def mount_of(path):
    """(device, file system) that holds the path."""
    done = subprocess.run(["findmnt", "-n", "-o", "SOURCE,FSTYPE", "-T", str(path)], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip()
