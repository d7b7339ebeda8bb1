# SPDX-License-Identifier: Apache-2.0
"""Strangers at the ports where a master listens to its workers, and to those who want to become one."""

import os
import socket
import struct
import time

import pytest

from tests.lib.daemons import memory_kib
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail

GREETING = b"\xff" + bytes(8) + b"\x7f"
NULL_GREETING = GREETING + b"\x03\x01NULL" + bytes(16) + bytes(32)
CURVE_GREETING = GREETING + b"\x03\x01CURVE" + bytes(15) + bytes(32)

# What a stranger says first; nothing of it may keep a connection open or cost memory.
STRANGERS = {
    "silence": b"",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zmtp-1": b"\x01\x00",
    "zmtp-2": b"\xff" + bytes(8) + b"\x7f\x01\x05",
    "null mechanism": NULL_GREETING,
    "a frame of 2^63 bytes": CURVE_GREETING + b"\x06" + struct.pack(">Q", 1 << 63),
    "a frame of 400 MiB": CURVE_GREETING + b"\x06" + struct.pack(">Q", 400 << 20) + os.urandom(1 << 20),
    "noise": os.urandom(4096),
}


def is_cut(connection, seconds):
    """Does the other side close within that time?"""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.settimeout(max(0.1, end - time.monotonic()))
        try:
            if not connection.recv(65536):
                return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return False


def say(connection, words):
    try:
        connection.sendall(words)
    except OSError:
        pass  # it was cut while talking, as it should be


@pytest.mark.parametrize("name", list(STRANGERS))
def test_29_a_stranger_is_cut_and_costs_nothing(shared, name):
    master = shared.pids("master")[0]
    before = memory_kib(master, "VmRSS")
    connections = []
    shared.command("token", "create", "--expires", "60s")  # or nobody listens at the last of them
    for port in (*shared.cluster_ports[:3], shared.enrol_port):
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port), 5)
            say(connection, STRANGERS[name])
            connections.append(connection)
    still = [connection for connection in connections if not is_cut(connection, 7)]
    assert not still, f"{len(still)} of {len(connections)} connections live on"
    for connection in connections:
        connection.close()
    assert memory_kib(master, "VmRSS") - before < 10 * 1024
    mail = fresh_mail()
    assert send_mail(shared.port, mail)[0] == 250
    shared.wait_disposition(mail, "delivered")
