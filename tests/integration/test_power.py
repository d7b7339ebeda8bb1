# SPDX-License-Identifier: Apache-2.0
"""Power cuts on real file systems: the worker's disk stops at once, what was not synced is gone."""

import fcntl
import os
import signal
import struct
import subprocess
import threading

import pytest

from tests.lib.faults import STAGES, kill_pid
from tests.lib.gateway import Gateway
from tests.lib.scenario import assert_master_agrees, settle, wait_for_acks
from tests.lib.smtp import RecordingClient
from tests.lib.waiting import eventually

SHUTDOWN = 0x8004587D           # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
WITHOUT_LOG_FLUSH = struct.pack("=I", 2)
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


class Machine:
    """A worker whose state lies on a disk of its own, and whose power can be cut."""

    def __init__(self, folder, kind):
        self.image, self.mounted = folder / "image", folder / "disk"
        self.mounted.mkdir()
        subprocess.run(["truncate", "-s", "600M", self.image], check=True)
        subprocess.run([*MAKE[kind], self.image], check=True)
        self.mount()
        self.gateway = Gateway(worker_state=self.mounted / "state")

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True)

    def unmount(self):
        """A killed process holds its files until its last write has failed."""
        def done():
            return subprocess.run(["umount", self.mounted], check=False, capture_output=True).returncode == 0
        eventually(done, 20, f"{self.mounted} to be free", pause=0.1)

    def cut_power(self):
        """Everything stands still at once, what was not synced is gone; then the machine starts again."""
        with self.gateway.lock:     # not while it is about to start one anew
            self.gateway.keep = False
        running = [(name, pid) for name in (*STAGES, "node") for pid in self.gateway.pids(name)]
        folder = os.open(self.mounted, os.O_RDONLY)
        for name, pid in running:
            kill_pid(pid, signal.SIGSTOP)
            self.gateway.note_deaths(name)
        fcntl.ioctl(folder, SHUTDOWN, WITHOUT_LOG_FLUSH)
        os.close(folder)
        for _, pid in running:
            kill_pid(pid)
        eventually(lambda: not any(self.gateway.pids(name) for name in (*STAGES, "node")), 10, "all to be dead")
        self.gateway.children["node"].wait(10)
        self.unmount()
        self.mount()
        self.gateway.keep = True


@pytest.mark.root
@pytest.mark.parametrize("kind", list(MAKE))
def test_6_power_cuts_while_mail_flows_lose_nothing(tmp_path, kind):
    machine = Machine(tmp_path, kind)
    try:
        with machine.gateway as gateway:
            client = RecordingClient(gateway.port)
            sending = threading.Thread(target=client.send, args=(300,), daemon=True)
            sending.start()
            for count in (60, 120, 180):
                wait_for_acks(client, count)
                machine.cut_power()
                gateway.wait_ready(60)
            sending.join(120)
            checker = settle(gateway, client.record)
            checker.assert_nothing_lost(gateway.deaths())
            assert_master_agrees(gateway, checker)
    finally:
        machine.unmount()
