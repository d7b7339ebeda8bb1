#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A DNS server for compose: publishes every container of some services as a mail exchanger.

Asked for the MX of the domain it names one host for each address that the services' names have in
the containers' own DNS (127.0.0.11). An address stays published for a while after its container
has gone, as in a zone that nobody mends at once: senders have to try the next one.
"""

import argparse
import ipaddress
import signal
import socket
import sys
import threading
import time

from dnslib import QTYPE, RCODE, RR, A, MX
from dnslib.server import BaseResolver, DNSServer

TTL_S = 5
LOOK_S = 1.0


class Exchangers(BaseResolver):
    """Which addresses there are, by when they were last seen."""

    def __init__(self, domain, services, remember_s):
        self.domain = domain.lower()
        self.services = services
        self.remember_s = remember_s
        self.seen = {}
        self.lock = threading.Lock()

    def look(self):
        """One look at every service's name."""
        now = time.monotonic()
        for service in self.services:
            try:
                found = socket.getaddrinfo(service, None, socket.AF_INET, socket.SOCK_STREAM)
            except OSError:
                continue  # no container of that service now
            with self.lock:
                self.seen.update({entry[4][0]: now for entry in found})
        with self.lock:
            self.seen = {address: at for address, at in self.seen.items() if now - at < self.remember_s}

    def look_on(self):
        while True:
            self.look()
            time.sleep(LOOK_S)

    def addresses(self):
        with self.lock:
            return sorted(self.seen)

    def host_of(self, address):
        return f"mx-{address.replace('.', '-')}.{self.domain}"

    def address_of(self, host):
        """The address that a name of ours stands for; None for other names."""
        label, _, rest = host.partition(".")
        try:
            address = str(ipaddress.IPv4Address(label.removeprefix("mx-").replace("-", ".")))
        except ValueError:
            return None
        return address if rest == self.domain and address in self.addresses() else None

    def resolve(self, request, handler):
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        if name == self.domain:
            if kind == "MX":
                for address in self.addresses():
                    reply.add_answer(RR(request.q.qname, QTYPE.MX, ttl=TTL_S,
                                        rdata=MX(self.host_of(address), preference=10)))
        elif address := self.address_of(name):
            if kind == "A":
                reply.add_answer(RR(request.q.qname, QTYPE.A, ttl=TTL_S, rdata=A(address)))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


def main():
    parser = argparse.ArgumentParser(description="A DNS server whose mail exchangers are containers.")
    parser.add_argument("--domain", default="example.org")
    parser.add_argument("--service", action="append", required=True, help="a name whose addresses are published")
    parser.add_argument("--port", type=int, default=53)
    parser.add_argument("--remember", type=float, default=60, metavar="SECONDS",
                        help="how long the address of a container that has gone stays published")
    options = parser.parse_args()
    resolver = Exchangers(options.domain, options.service, options.remember)
    resolver.look()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    servers = [DNSServer(resolver, port=options.port, address="0.0.0.0", tcp=tcp) for tcp in (False, True)]
    for server in servers:
        server.start_thread()
    print(f"exchangers: ready on {options.port}", flush=True)
    resolver.look_on()


if __name__ == "__main__":
    main()
