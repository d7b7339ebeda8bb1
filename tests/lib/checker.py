# SPDX-License-Identifier: Apache-2.0
"""Nothing lost, nothing made up: compares what clients were told with where the mails are.

After Jepsen's total-queue checker: lost = answered 250 and nowhere; unexpected = arrived but
never sent, or not the bytes sent; doubled = arrived more than once. A mail whose answer the client
never saw may be there or not.
"""

import hashlib
from collections import Counter, defaultdict

# Seconds around a delivery's death in which the next hop may have taken what it was sending: the
# record of a 250 takes one commit; bytes that were sent wait in the socket of a busy next hop.
BEFORE, AFTER = 0.2, 2.0


class Checker:
    def __init__(self, record, inbox):
        self.record = record
        self.inbox = inbox
        self.held = []      # mails that two analyzers died on, as the master tells

    def arrivals(self):
        return Counter(mail.ident for mail in self.inbox.mails() if mail.ident in self.record.tried)

    def missing(self):
        """Clean mails that were answered 250 and have not reached the next hop. One that two
        analyzers died on is held, with that finding, and counted apart."""
        there = self.arrivals() | Counter(self.held)
        return sorted(ident for ident, mail in self.record.acked.items()
                      if mail.kind == "clean" and ident not in there)

    def unexpected(self):
        """Mails at the next hop that no client sent, or not as it sent them. Bounces are apart."""
        strange = []
        for mail in self.inbox.mails():
            if mail.sender == "" and mail.field("Content-Type", ) and "report" in mail.field("Content-Type"):
                continue
            sent = self.record.tried.get(mail.ident)
            if not sent:
                strange.append(mail.ident or mail.content[:200])
            elif hashlib.sha256(mail.original).hexdigest() != sent.digest():
                strange.append(f"{mail.ident}: bytes differ")
            elif sent.kind in ("spam", "virus", "bounce"):
                strange.append(f"{mail.ident}: a {sent.kind} mail was delivered")
        return strange

    def doubled(self):
        """How often mails arrived more than once, in all."""
        return sum(count - 1 for count in self.arrivals().values())

    def disagreements(self, rows):
        """Where the master's rows (`messages --json`) and the next hop tell different stories."""
        told = {row["message_id"].strip("<>"): row for row in rows}
        wrong = []
        there = self.arrivals()
        for ident, mail in self.record.tried.items():
            row = told.get(mail.message_id.strip("<>"))
            says = {recipient["disposition"] for recipient in row["recipients"]} if row else set()
            if ident in self.held and "quarantined" not in says:
                wrong.append(f"{ident}: held, the master says {says}")
            if (ident in there) != ("delivered" in says):
                wrong.append(f"{ident}: at the next hop: {ident in there}, the master says {says or 'nothing'}")
            elif ident in self.record.acked and not row:
                wrong.append(f"{ident}: answered 250, unknown to the master")
        repeated = Counter(row["message_id"] for row in rows)
        wrong += [f"{ident}: {count} rows" for ident, count in repeated.items() if count > 1]
        return wrong

    def strangely_doubled(self, deaths):
        """Mails that came again although no delivery died just after the next hop took them."""
        copies = defaultdict(list)
        for mail in self.inbox.mails():
            copies[mail.ident].append(mail.at)
        wrong = []
        for ident, times in copies.items():
            for at in sorted(times)[:-1]:
                if ident in self.record.tried and not any(-AFTER <= death - at <= BEFORE for death in deaths):
                    wrong.append(ident)
        return wrong

    def assert_nothing_lost(self, deaths=()):
        """`deaths`: when deliveries were killed (seconds); only what was in flight then may repeat."""
        missing, strange = self.missing(), self.unexpected()
        assert not missing, f"{len(missing)} acknowledged mails lost: {missing[:10]}"
        assert not strange, f"{len(strange)} unexpected mails: {strange[:10]}"
        doubled = self.strangely_doubled(deaths)
        assert not doubled, f"{len(doubled)} mails doubled that were not in flight: {doubled[:10]}"
