# SPDX-License-Identifier: Apache-2.0
"""Faults: killed and stopped processes, and the machine at its limits of tests/tools/faultdisk.c."""

import mmap
import os
import random
import signal
import struct
import threading

STAGES = ("ingress", "analyzer", "delivery")
EVERYTHING = STAGES + ("node", "master")


class Disk:
    """Drives the preloaded disk through the file that it maps. Budgets: -1 is every call."""

    LAYOUT = struct.Struct("=IIiIiIQQiii4x")
    FIELDS = ("sync_delay_us", "sync_errno", "sync_budget", "write_errno", "write_budget",
              "short_writes", "syncs", "failures", "kill_after", "allocations_left", "thread_budget")

    def __init__(self, path, library):
        self.path = path
        self.library = library
        with open(path, "wb") as file:
            file.write(bytes(self.LAYOUT.size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), self.LAYOUT.size)

    def environment(self, programs=None):
        """What a daemon needs in its environment to have this disk."""
        variables = {"LD_PRELOAD": str(self.library), "FAULTDISK_CONTROL": str(self.path)}
        if programs:
            variables["FAULTDISK_PROGRAMS"] = ",".join(programs)
        return variables

    def read(self):
        return dict(zip(self.FIELDS, self.LAYOUT.unpack(self.memory[:])))

    def set(self, **values):
        """Writes single fields in place, so that the counters go on."""
        offset = 0
        for name, letter in zip(self.FIELDS, self.LAYOUT.format[1:-2]):
            if name in values:
                struct.pack_into("=" + letter, self.memory, offset, values[name])
            offset += struct.calcsize("=" + letter)

    def heal(self):
        self.set(sync_delay_us=0, sync_errno=0, sync_budget=0, write_errno=0, write_budget=0, short_writes=0)


class Killer:
    """Kills processes of a gateway at random, from a thread, while mail flows."""

    def __init__(self, gateway, count, seed=1, names=EVERYTHING, pause=(0.05, 0.6)):
        self.gateway = gateway
        self.count = count
        self.random = random.Random(seed)
        self.names = names
        self.pause = pause
        self.killed = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def done(self):
        return len(self.killed) >= self.count

    def run(self):
        while not self.done() and not self.stopping.wait(self.random.uniform(*self.pause)):
            name = self.random.choice(self.names)
            pids = self.gateway.pids(name)
            if pids and kill_pid(self.random.choice(pids)):
                self.killed.append(name)
                self.gateway.note_deaths(name)


def kill_pid(pid, number=signal.SIGKILL):
    """Tells whether the signal reached a process."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False
