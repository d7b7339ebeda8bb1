# SPDX-License-Identifier: Apache-2.0
"""Mails that can be told apart: each has an id, and is made anew from it when it is checked."""

import hashlib
import random
import secrets

MARK = b"X-Test-Id: "
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR" b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")


class Mail:
    """One mail of a test. `kind` says what is expected to become of it."""

    def __init__(self, ident, kind="clean", size=2048, sender=b"sender@client.example", recipient=None):
        self.ident = ident
        self.kind = kind
        self.size = size
        self.sender = sender
        local = {"bounce": b"bounce-", "defer": b"defer-"}.get(kind, b"user-") + ident.encode()
        self.recipients = [recipient or local + b"@example.org"]
        self.message_id = f"<{ident}@test.example>"

    def content(self):
        """The bytes, CRLF ended lines. The same for the same mail at every call."""
        head = [MARK + self.ident.encode(), b"Message-ID: " + self.message_id.encode(),
                b"From: Sender <" + self.sender + b">", b"To: <" + self.recipients[0] + b">",
                b"Date: Mon, 12 Jan 2026 10:00:00 +0000", b"Subject: test " + self.ident.encode(), b""]
        return b"\r\n".join(head) + b"\r\n" + self.body()

    def body(self):
        if self.kind == "spam":
            return GTUBE + b"\r\n"
        if self.kind == "virus":
            return EICAR + b"\r\n"
        source = random.Random(self.ident)
        lines, left = [], self.size
        while left > 0:
            # A letter first, or one line in ninety begins with a dot: dots must be doubled, too.
            start = b"." if source.randrange(90) == 0 else b"m"
            line = start + source.randbytes(36).hex().encode()
            lines.append(line)
            left -= len(line) + 2
        return b"\r\n".join(lines) + b"\r\n"

    def digest(self):
        return hashlib.sha256(self.content()).hexdigest()


def ident_of(content):
    """The test id in received bytes and the bytes from its field on: (ident, bytes), or (None, b'')."""
    at = content.find(MARK)
    if at < 0:
        return None, b""
    end = content.find(b"\r\n", at)
    return content[at + len(MARK):end].decode("ascii", "replace"), content[at:]


def fresh_mail(kind="clean", **options):
    """A mail with an id that no other has."""
    return Mail("t" + secrets.token_hex(6), kind=kind, **options)
