#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Load: mails to several workers at once, on a schedule or as fast as they are taken.

With --rate the n-th mail is due at n/rate seconds, whether or not earlier ones are answered, as long as a
connection is free; `late` counts those that left more than 100 ms after that. --batch mails go at once, by
PIPELINING with BDAT, when the first of them is due. Ends after --count mails, or at SIGTERM; prints
{"mails", "refused", "late", "seconds"}. A mail counts when it got its 250.
"""

import argparse
import json
import signal
import socket
import threading
import time

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR" b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*\r\n"
LATE_S = 0.1


class Pump:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.claimed = self.mails = self.refused = self.late = 0
        self.over = threading.Event()
        self.begun = time.monotonic()
        self.prefix = b"p%x" % time.time_ns()

    def claim(self, most):
        """Numbers of the next mails, at most `most`."""
        with self.lock:
            count = min(most, self.options.count - self.claimed)
            self.claimed += count
            return range(self.claimed - count, self.claimed)

    def transaction(self, number):
        body = EICAR if self.options.kind == "virus" else b"hello\r\n" * max(1, (self.options.size - 200) // 7)
        content = (b"Message-ID: <%s.%d@client.example>\r\nFrom: <load@client.example>\r\nSubject: load\r\n"
                   b"Date: Mon, 12 Jan 2026 10:00:00 +0000\r\n\r\n%s" % (self.prefix, number, body))
        return (b"MAIL FROM:<load@client.example>\r\nRCPT TO:<user@%s>\r\nBDAT %d LAST\r\n%s"
                % (self.options.to.encode(), len(content), content))

    def wait_due(self, number):
        if not self.options.rate:
            return
        left = self.begun + number / self.options.rate - time.monotonic()
        if left > 0:
            self.over.wait(left)
        elif left < -LATE_S:
            with self.lock:
                self.late += self.options.batch

    def keep_sending(self, port):
        while not self.over.is_set() and self.claimed < self.options.count:
            try:
                self.session(port)
            except OSError:
                self.over.wait(0.05)

    def session(self, port):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            replies = connection.makefile("rb")
            expect(replies, b"220")
            connection.sendall(b"EHLO client.example\r\n")
            expect(replies, b"250")
            while not self.over.is_set():
                numbers = self.claim(self.options.batch)
                if not numbers:
                    break
                self.wait_due(numbers[0])
                connection.sendall(b"".join(map(self.transaction, numbers)))
                for _ in numbers:
                    self.take_answer(replies)
            connection.sendall(b"QUIT\r\n")

    def take_answer(self, replies):
        codes = [expect(replies, b"") for _ in range(3)]
        with self.lock:
            if codes[-1] == b"250":
                self.mails += 1
            else:
                self.refused += 1

    def run(self):
        per_port = self.options.connections
        threads = [threading.Thread(target=self.keep_sending, args=(port,), daemon=True)
                   for port in self.options.ports * per_port]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"mails": self.mails, "refused": self.refused, "late": self.late,
                "seconds": round(time.monotonic() - self.begun, 3)}


def expect(replies, code):
    """The code of one whole reply."""
    while True:
        line = replies.readline(8192)
        if not line or not line.startswith(code):
            raise ConnectionError(line.decode(errors="replace"))
        if line[3:4] != b"-":
            return line[:3]


def main():
    parser = argparse.ArgumentParser(description="Mails to several workers at once.")
    parser.add_argument("--ports", required=True, type=lambda text: [int(port) for port in text.split(",")])
    parser.add_argument("--to", default="example.org", help="domain of the recipient")
    parser.add_argument("--kind", choices=("clean", "virus"), default="clean")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rate", type=float, default=0, help="mails a second to all of them; 0: any")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--connections", type=int, default=8, help="to each worker")
    parser.add_argument("--batch", type=int, default=1)
    pump = Pump(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: pump.over.set())
    print(json.dumps(pump.run()))


if __name__ == "__main__":
    main()
