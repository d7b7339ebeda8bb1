# SPDX-License-Identifier: Apache-2.0
"""The next hop of a test: starts tests/tools/inbox.py and reads what it took."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.lib.messages import ident_of
from tests.lib.waiting import accepts, eventually

TOOL = Path(__file__).resolve().parent.parent / "tools" / "inbox.py"


class Taken:
    """One mail as the next hop took it, `at` that time (seconds)."""

    def __init__(self, raw, at=0.0):
        self.at = at
        head, self.recipients = [], []
        rest = raw
        while rest.startswith(b"X-Envelope-"):
            line, _, rest = rest.partition(b"\r\n")
            head.append(line)
        self.sender = head[0].partition(b": ")[2].decode()
        self.recipients = [line.partition(b": ")[2].decode() for line in head[1:]]
        self.content = rest
        self.ident, self.original = ident_of(rest)

    def field(self, name):
        """The value of the first header field of that name, unfolded; None without one."""
        head = self.content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        for line in head.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode("utf-8", "replace")
        return None


class Inbox:
    def __init__(self, folder, port):
        self.folder = Path(folder)
        self.port = port
        self.process = None
        self.cache = {}

    def start(self, *options):
        """Starts it, with rules and delays as options of the tool."""
        command = [sys.executable, str(TOOL), "--listen", f"127.0.0.1:{self.port}",
                   "--folder", str(self.folder), "--no-sync", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        eventually(lambda: accepts("127.0.0.1", self.port), 10, "the inbox to accept")

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def restart(self, *options):
        self.stop()
        self.start(*options)

    def mails(self):
        """All mails so far, oldest first."""
        for name in os.listdir(self.folder):
            if not name.startswith(".") and name not in self.cache:
                self.cache[name] = Taken((self.folder / name).read_bytes(), int(name.partition("-")[0]) / 1e9)
        return [self.cache[name] for name in sorted(self.cache)]

    def count(self):
        return sum(not name.startswith(".") for name in os.listdir(self.folder))

    def having(self, ident):
        return [mail for mail in self.mails() if mail.ident == ident]

    def wait_for(self, ident, seconds=30):
        return eventually(lambda: self.having(ident), seconds, f"mail {ident} in the inbox")[0]

    def wait_for_count(self, count, seconds=60):
        eventually(lambda: self.count() >= count, seconds, f"{count} mails in the inbox")
