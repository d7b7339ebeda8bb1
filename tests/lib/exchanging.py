# SPDX-License-Identifier: Apache-2.0
"""Sending as mail servers do: by MX, and on to the next exchanger when one does not answer."""

import asyncio
import random
import threading
import time

from dnslib import DNSRecord

from tests.lib.scenario import wait_for_acks
from tests.lib.smtp import RecordingClient

ENDLESS = 10**9
CONNECT_S, LOOKUP_S, CACHED_S = 2.0, 3.0, 2.0


class Exchangers:
    """The mail exchangers of a domain as a DNS server on 127.0.0.1 tells them."""

    def __init__(self, port, domain="example.org"):
        self.port = port
        self.domain = domain
        self.cached, self.until = [], 0.0

    def ask(self, name, kind):
        return DNSRecord.parse(DNSRecord.question(name, kind).send("127.0.0.1", self.port, timeout=LOOKUP_S)).rr

    def addresses(self):
        """By preference, those of equal preference in any order (RFC 5321, section 5.1)."""
        now = time.monotonic()
        if now >= self.until:
            hosts = [(record.rdata.preference, str(record.rdata.label)) for record in self.ask(self.domain, "MX")]
            self.cached = [(preference, str(record.rdata)) for preference, host in hosts for record in self.ask(host, "A")]
            self.until = now + CACHED_S
        return [address for _, _, address in sorted((preference, random.random(), address)
                                                    for preference, address in self.cached)]


class ExchangingClient(RecordingClient):
    """Takes a little time between mails: an outage should last for more than one of them."""

    def __init__(self, exchangers, pause_s=0.05, **options):
        super().__init__(None, **options)
        self.exchangers = exchangers
        self.pause_s = pause_s
        self.passed_over = 0    # exchangers that did not answer

    async def connect(self):
        for address in self.exchangers.addresses():
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, 25), CONNECT_S)
            except (OSError, asyncio.TimeoutError):
                self.passed_over += 1
        raise OSError("no exchanger answers")

    async def send_one(self, mail, reader, writer):
        await asyncio.sleep(self.pause_s)
        return await super().send_one(mail, reader, writer)


class Sending:
    """Mails flow as long as the `with` lasts, and until `count` of them were answered 250."""

    def __init__(self, client, count):
        self.client = client
        self.count = count
        self.thread = threading.Thread(target=client.send, args=(ENDLESS, 24 * 3600), daemon=True)

    def __enter__(self):
        self.thread.start()
        wait_for_acks(self.client, 20)
        return self.client

    def __exit__(self, kind, *_):
        acked = self.client.record.acked
        while kind is None and len(acked) < self.count:
            wait_for_acks(self.client, self.client.settled + min(100, self.count - len(acked)))
        self.client.wanted = 0
        self.thread.join(90)
        assert not self.thread.is_alive(), "a client waits for an answer"
