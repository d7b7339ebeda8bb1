# SPDX-License-Identifier: Apache-2.0
"""Attacks 16 to 18: messages made to cost time, memory, or a wrong reading."""

import time

import pytest

from tests.lib.daemons import memory_kib
from tests.lib.messages import fresh_mail
from tests.lib.smtp import Dialogue, send_mail
from tests.lib.waiting import eventually


def send(gateway, content, seconds=30):
    """The reply's code; asserts that the gateway lives on and answers others in time."""
    start = time.monotonic()
    with Dialogue(gateway.port, timeout=seconds) as session:
        session.start_mail()
        try:
            code = session.message(content.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")[0]
        except OSError:
            code = 0
    assert time.monotonic() - start < seconds
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)
    for name in ("ingress", "analyzer", "delivery"):
        for pid in gateway.pids(name):
            assert memory_kib(pid) < 700 * 1024
    return code


def end_of(gateway, message_id):
    """Dispositions that the master has of a mail that got its reply; waits until it has any."""
    def ends():
        rows = gateway.messages("--rejected", "--message-id", message_id)
        return {one["disposition"] for row in rows for one in row["recipients"]}
    return eventually(ends, 20, "the master to know the mail", pause=0.1)


def filler():
    return (b"X-Filler: " + b"x" * 900 + b"\r\n") * 20000


@pytest.mark.parametrize("head", [
    filler(), b"To: a@example.org\r\n" * 500000, b"Subject: " + b"x" * 900 + (b"\r\n " + b"x" * 900) * 22000 + b"\r\n",
], ids=["20000-fields", "500000-to", "one-of-20-megabytes"])
def test_16_a_header_without_measure_is_refused(shared, head):
    assert send(shared, head + b"\r\nbody") == 552


def header_of(fields, size):
    lines = [b"X: 1\r\n"] * (fields - 1)
    fold = b" " + b"y" * 97 + b"\r\n"
    last = b"Z: 2\r\n"
    missing = size - sum(map(len, lines)) - len(last)
    return b"".join(lines) + last + fold * (missing // 100 - 1) + b" " + b"y" * (missing % 100 + 97) + b"\r\n"


@pytest.mark.parametrize("fields, size, code", [
    (1000, 256 * 1024, 250), (1001, 200 * 1024, 552), (1000, 256 * 1024 + 1, 552),
])
def test_16_the_limit_of_a_header_is_exact(shared, fields, size, code):
    header = header_of(fields, size)
    assert (header.count(b"X: 1") + 1, len(header)) == (fields, size)
    assert send(shared, header + b"\r\nbody") == code
    with Dialogue(shared.port) as session:
        session.start_mail()
        content = header + b"\r\nbody\r\n"
        pieces = [content[i:i + 70000] for i in range(0, len(content), 70000)]
        replies = []
        for i, piece in enumerate(pieces):
            last = b" LAST" if i + 1 == len(pieces) else b""
            session.send(b"BDAT %d%s\r\n" % (len(piece), last) + piece)
            replies.append(session.reply()[0])
            if replies[-1] != 250:
                break
        assert replies[-1] == code
        assert session.command("RSET") == 250
        session.start_mail()
        assert session.message(b"Subject: next\r\n\r\nbody\r\n.\r\n")[0] == 250


def test_16_a_hundred_received_fields_are_a_loop(shared):
    assert send(shared, b"Received: from a by b; Mon, 12 Jan 2026 10:00:00 +0000\r\n" * 100 + b"\r\nbody") == 554


@pytest.mark.parametrize("head", [
    b"From: a@client.example\r\nFrom: b@client.example\r\n",
    b"From: a@client.example\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n",
    b"From: a@client.example, b@client.example\r\nSubject: one\r\nSubject: two\r\n",
    b"From: " + b"(" * 10000 + b"a" + b")" * 10000 + b" <a@client.example>\r\n",
], ids=["two-from", "two-content-type", "two-subject", "deep-comment"])
def test_17_ambiguous_fields_get_a_verdict_in_time(shared, head):
    assert send(shared, head + b"\r\nbody", 10) in (250, 550, 552, 554)


def nested(depth):
    content = b""
    for level in range(depth):
        content += b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
    return content + b"Content-Type: text/plain\r\n\r\ndeep\r\n"


@pytest.mark.parametrize("content", [
    nested(10000),
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 1000000,
    b'Content-Type: multipart/mixed; boundary="never"\r\n\r\nno boundary here',
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--bb\r\n\r\nx\r\n--b\r\n\r\ny\r\n--bb--\r\n--b--\r\n',
    b'Content-Type: multipart/mixed; boundary="a"; boundary="b"\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n--b\r\n\r\ny\r\n--b--\r\n',
], ids=["depth-10000", "million-parts", "no-boundary", "prefix", "two-boundaries"])
def test_18_hostile_structures_are_not_delivered_as_clean(shared, content):
    ident = fresh_mail().message_id
    code = send(shared, b"From: a@client.example\r\nMessage-ID: " + ident.encode() + b"\r\nMIME-Version: 1.0\r\n" + content)
    assert code in (0, 250, 550, 552, 554)


def test_18_two_boundaries_are_held_as_ambiguous(shared):
    ident = fresh_mail().message_id
    code = send(shared, b"From: a@client.example\r\nMessage-ID: " + ident.encode() + b"\r\nMIME-Version: 1.0\r\n"
         b'Content-Type: multipart/mixed; boundary="a"; boundary="b"\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n--b\r\n\r\ny\r\n--b--\r\n')
    assert code != 250 or "delivered" not in end_of(shared, ident)
