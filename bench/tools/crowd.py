#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Idle SMTP clients: opens COUNT sessions, greets, says `ready`, and holds them until its input ends.

Usage: crowd.py PORT COUNT [--tls]
"""

import resource
import socket
import ssl
import sys


def reply(connection):
    """One whole reply; the session is served when it came."""
    data = b""
    while not data.endswith(b"\n") or data.splitlines()[-1][3:4] == b"-":
        chunk = connection.recv(4096)
        if not chunk:
            sys.exit(f"crowd: turned away: {data.decode('utf-8', 'replace').strip()}")
        data += chunk
    return data


def say(connection, line, wanted):
    connection.sendall(line)
    answer = reply(connection)
    if not answer.startswith(wanted):
        sys.exit(f"crowd: {line!r}: {answer.decode('utf-8', 'replace').strip()}")


def idle_client(port, context):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    reply(connection)
    say(connection, b"EHLO idle.example\r\n", b"250")
    if context:
        say(connection, b"STARTTLS\r\n", b"220")
        connection = context.wrap_socket(connection)
        say(connection, b"EHLO idle.example\r\n", b"250")
    return connection


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    context = None
    if "--tls" in sys.argv[3:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    clients = [idle_client(port, context) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()
