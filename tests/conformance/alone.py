# SPDX-License-Identifier: Apache-2.0
"""postern-ingress by itself: what is only about the session needs no other process.

Without an analyzer a message is answered once it is durable (verdict_wait_ms is 0) and stays in
custody, where `spooled` finds it.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.lib.gateway import BUILD
from tests.lib.smtp import Dialogue
from tests.lib.waiting import accepts, eventually, free_ports


class Ingress:
    def __init__(self, documents=None, tls=False, wrapper=(), configured=True):
        self.home = Path(tempfile.mkdtemp(prefix="pi-", dir=os.environ.get("POSTERN_TEST_FOLDER", "/tmp")))
        self.port, self.tls_port = free_ports(2)
        self.wrapper = list(wrapper)
        self.child = None
        self.documents = {"domain/example.org": {}, "policy/default": {}}
        self.documents.update(documents or {})
        self.documents.setdefault("ingress", {"unlimited": ["127.0.0.0/8"]}).setdefault("verdict_wait_ms", 0)
        if tls:
            self.make_certificate()
        if not configured:
            self.documents = {}

    def make_certificate(self):
        key, chain = self.home / "key.pem", self.home / "chain.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=mx.test.example", "-keyout", key, "-out", chain], check=True, capture_output=True)
        self.documents["ingress"].update(tls_certificate=str(chain), tls_key=str(key))

    def __enter__(self):
        (self.home / "state/config").mkdir(parents=True)
        if self.documents:
            (self.home / "state/config/current").write_text(
                json.dumps({"revision": "1", "documents": self.documents}))
        (self.home / "node.conf").write_text("\n".join([
            "name = worker-1", "role = worker", f"smtp = 127.0.0.1:{self.port}", "hostname = mx.test.example",
            f"smtps = 127.0.0.1:{self.tls_port}" if "tls_key" in self.documents.get("ingress", {}) else "", ""]))
        with open(self.home / "ingress.log", "wb") as log:
            self.child = subprocess.Popen(
                [*self.wrapper, BUILD / "bin" / "postern-ingress", "--config", self.home / "node.conf",
                 "--state", self.home / "state", "--run", self.home / "run"], stdout=log, stderr=log)
        try:
            eventually(lambda: self.child.poll() is not None or accepts("127.0.0.1", self.port), 10, "ingress")
            assert self.child.poll() is None, self.log()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def pause(self):
        self.child.send_signal(signal.SIGSTOP)

    def resume(self):
        self.child.send_signal(signal.SIGCONT)

    def session(self, **options):
        return Dialogue(self.port, **options)

    def log(self):
        return (self.home / "ingress.log").read_text(errors="replace")

    def logged(self, pattern, seconds=5):
        """Waits for a line of the log that matches; returns the match."""
        return eventually(lambda: re.search(pattern, self.log()), seconds, f"{pattern} in the log")

    def spooled(self):
        """The bytes of the journal: envelopes and messages in custody."""
        return b"".join(file.read_bytes().rstrip(b"\0")
                        for file in sorted((self.home / "state/ingress").glob("*/journal/*")) if file.is_file())
