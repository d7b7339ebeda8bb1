# SPDX-License-Identifier: Apache-2.0
"""Nothing lost, nothing made up: compares what clients were told with where the mails are.

After Jepsen's total-queue checker: lost = answered 250 and nowhere; unexpected = arrived but
never sent, or not the bytes sent; doubled = arrived more than once. A mail whose answer the client
never saw may be there or not.
"""

import hashlib
from collections import Counter


class Checker:
    def __init__(self, record, inbox):
        self.record = record
        self.inbox = inbox

    def arrivals(self):
        return Counter(mail.ident for mail in self.inbox.mails() if mail.ident in self.record.tried)

    def missing(self):
        """Clean mails that were answered 250 and have not reached the next hop."""
        there = self.arrivals()
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
            if (ident in there) != ("delivered" in says):
                wrong.append(f"{ident}: at the next hop: {ident in there}, the master says {says or 'nothing'}")
            elif ident in self.record.acked and not row:
                wrong.append(f"{ident}: answered 250, unknown to the master")
        repeated = Counter(row["message_id"] for row in rows)
        wrong += [f"{ident}: {count} rows" for ident, count in repeated.items() if count > 1]
        return wrong

    def assert_nothing_lost(self, allowed_doubles=0):
        missing, strange = self.missing(), self.unexpected()
        assert not missing, f"{len(missing)} acknowledged mails lost: {missing[:10]}"
        assert not strange, f"{len(strange)} unexpected mails: {strange[:10]}"
        assert self.doubled() <= allowed_doubles, f"{self.doubled()} doubled, {allowed_doubles} allowed"
