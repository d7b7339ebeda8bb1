# SPDX-License-Identifier: Apache-2.0
"""Waiting for events. No test sleeps for a fixed time and hopes."""

import socket
import time


class Late(AssertionError):
    """What was waited for did not happen in time."""


def eventually(condition, seconds=10.0, what="the condition", pause=0.02):
    """Returns the first true value of `condition()`; raises Late when there is none in `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)


def none_left(complaints, seconds=10.0, pause=0.02):
    """Returns once `complaints()` are none; raises Late with the last ones when there are some for `seconds`."""
    last = []

    def silent():
        last[:] = complaints()
        return not last
    try:
        eventually(silent, seconds, pause=pause)
    except Late:
        raise Late(f"after {seconds:g} s still {len(last)} complaints: {last[:10]}") from None


def accepts(host, port):
    """Does somebody accept connections there?"""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def free_ports(count):
    """Ports that nobody listens on, all different. Below the range of outgoing connections."""
    ports, port = [], 10000 + (time.time_ns() // 1000) % 12000
    while len(ports) < count:
        port += 1
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
    return ports
