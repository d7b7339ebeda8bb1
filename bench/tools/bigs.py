# SPDX-License-Identifier: Apache-2.0
"""Small mails in open loop, alone and while big ones arrive: a big mail's write-back is not to be felt."""

import socket
import threading

from systems import Postern

SIZE = 40 << 20
LINE = b"x" * 998 + b"\r\n"


def send_big(port):
    """One mail of SIZE bytes; its reply."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        replies = connection.makefile("rb")
        replies.readline()
        for command in (b"HELO bench.example", b"MAIL FROM:<big@bench.example>", b"RCPT TO:<user@example.org>", b"DATA"):
            connection.sendall(command + b"\r\n")
            replies.readline()
        connection.sendall(b"Subject: big\r\n\r\n")
        for _ in range(SIZE // (64 * len(LINE))):
            connection.sendall(64 * LINE)
        connection.sendall(b".\r\n")
        return replies.readline()


class Stream:
    """Sends one big mail after the other until it is told to end."""

    def __init__(self, port):
        self.port, self.sent, self.ended = port, 0, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            reply = send_big(self.port)
            if not reply.startswith(b"250"):
                raise RuntimeError(f"a big mail was answered {reply!r}")
            self.sent += 1
            self.ended.wait(0.2)

    def end(self):
        self.ended.set()
        self.thread.join()
        return self.sent


def measure(folder, rate, seconds, run_latency):
    """Prints the latency of the small mails; the last row had big ones beside them."""
    system = Postern(folder)
    try:
        alone = run_latency(system, rate, seconds)
        bigs = Stream(system.port)
        beside = run_latency(system, rate, seconds)
        count = bigs.end()
    finally:
        system.stop()
    for name, row in (("alone", alone), (f"beside {count} mails of {SIZE >> 20} MiB", beside)):
        print(f"{rate}/s {name}: p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms, max {row['max_ms']:.1f} ms")
