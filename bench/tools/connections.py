# SPDX-License-Identifier: Apache-2.0
"""Ten thousand idle clients, half of them encrypted, while mail flows."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from systems import Postern

CROWD = Path(__file__).resolve().parent / "crowd.py"


def memory_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc", str(pid), "status").read_text())[1])


def hold(port, count, *options):
    crowd = subprocess.Popen([sys.executable, CROWD, str(port), str(count), *options], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    if crowd.stdout.readline() != "ready\n":
        sys.exit("bench: the idle clients were not all served")
    return crowd


def offer_tls(gateway):
    folder = gateway.home / "tls"
    folder.mkdir()
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=mx.test.example", "-keyout", key, "-out", chain], check=True, capture_output=True)
    gateway.configure({"ingress": {"unlimited": ["127.0.0.0/8"], "connections_max": 20000,
                                   "tls_certificate": str(chain), "tls_key": str(key)}})
    time.sleep(3)  # the certificate is read when the configuration arrives


def measure(folder, count, run_round):
    """Prints memory per idle client and the rate of mail with and without the crowd."""
    system = Postern(folder)
    crowds = []
    try:
        offer_tls(system.gateway)
        pid = system.gateway.pids("ingress")[0]
        alone = statistics.median(run_round(system)["rate"] for _ in range(3))
        before = memory_kib(pid)
        crowds.append(hold(system.port, count // 2))
        plain = memory_kib(pid)
        crowds.append(hold(system.port, count // 2, "--tls"))
        encrypted = memory_kib(pid)
        crowded = statistics.median(run_round(system)["rate"] for _ in range(3))
        if system.gateway.pids("ingress") != [pid]:
            sys.exit("bench: the ingress did not survive the crowd")
    finally:
        for crowd in crowds:
            crowd.stdin.close()
            crowd.wait()
        system.stop()
    half = count // 2
    print(f"{count} idle clients: {(plain - before) / half:.1f} KiB a plain one, "
          f"{(encrypted - plain) / half:.1f} KiB an encrypted one; "
          f"{crowded:.0f} mails/s with them, {alone:.0f} without ({crowded / alone:.0%})")
