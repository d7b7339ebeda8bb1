#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Follows the events of a master and writes when each arrived: `arrival time node sequence kind id`, a line each.

Both times are wall clock milliseconds: when it came here from GET /api/v1/events?follow=1, which tells of an event
once its commit is durable, and the time that the event bears. Goes on where it was when the master comes back.
Usage: follow.py API-SOCKET OUTPUT
"""

import http.client
import json
import socket
import sys
import time
from datetime import datetime


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("postern", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def pieces(path, after):
    """What comes, as whole lines: lists of them."""
    connection = Unix(path)
    place = "" if after is None else f"&after={after}"
    connection.request("GET", f"/api/v1/events?follow=1{place}")
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(answer.read())
    yield []
    rest = b""
    while data := answer.read1(262144):
        *lines, rest = (rest + data).split(b"\n")
        yield [line for line in lines if line]


def row(line, arrived_ms):
    event = json.loads(line)
    time_ms = round(datetime.fromisoformat(event["time"]).timestamp() * 1000) if event["time"] else arrived_ms
    return (f"{arrived_ms} {time_ms} {event['node']} {event['sequence']} {event['kind']} "
            f"{event['id'] or '-'}\n"), event["commit"]


def main():
    path, output = sys.argv[1:]
    last = None
    with open(output, "w", encoding="ascii") as out:
        while True:
            try:
                for lines in pieces(path, last):
                    arrived_ms = time.time_ns() // 1_000_000
                    for line in lines:
                        text, last = row(line, arrived_ms)
                        out.write(text)
                    if not lines:  # it listens
                        out.write("-\n")
                    out.flush()
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)


if __name__ == "__main__":
    main()
