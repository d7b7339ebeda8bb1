# SPDX-License-Identifier: Apache-2.0
"""Attacks 1 to 9: line ends that another server might take for the end of data."""

import json

import pytest

from tests.lib.fixtures import SUITES
from tests.lib.messages import Mail, fresh_mail
from tests.lib.smtp import Dialogue, send_mail


def sequences():
    """The wrong ones; the suite's control cases are tests of their own below."""
    file = SUITES / "smtp" / "smuggling-sequences.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    return [case for case in cases if case.get("expect", "").startswith("NOT")]


def smuggle(port, ends):
    """Sends a mail in whose body `ends` is followed by a second transaction; (code, text)."""
    inner = (b"MAIL FROM:<smuggled@client.example>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
             b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
    with Dialogue(port) as session:
        session.start_mail()
        return session.message(b"Subject: outer\r\n\r\nouter" + ends + inner)


def assert_nothing_smuggled(gateway):
    """A later mail has arrived, and before it nothing from the inner transaction."""
    marker = fresh_mail()
    assert send_mail(gateway.port, marker)[0] == 250
    gateway.inbox.wait_for(marker.ident)
    for taken in gateway.inbox.mails():
        assert taken.sender != "smuggled@client.example"
        assert "victim@example.org" not in taken.recipients
        bare = taken.content.replace(b"\r\n", b"")
        assert b"\r" not in bare and b"\n" not in bare


@pytest.mark.parametrize("case", sequences(), ids=lambda case: case["id"])
def test_a_wrong_end_of_data_smuggles_nothing(shared, suites, case):
    code, _ = smuggle(shared.port, bytes.fromhex(case["bytes_hex"]))
    assert code == 0 or code >= 500
    assert_nothing_smuggled(shared)


@pytest.mark.parametrize("ends", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n\0.\r\n", b"\r\n.\r\r\n",
                                  b"\r\r\n.\r\r\n", b"\r.\r\n", b"\n.\r"], ids=repr)
def test_1_to_9_bare_line_ends_are_refused_and_the_session_closed(shared, ends):
    with Dialogue(shared.port) as session:
        session.start_mail()
        code, text = session.message(b"Subject: outer\r\n\r\nouter" + ends + b"more\r\n.\r\n")
        assert code == 550 and "5.5.2" in text
        assert session.reply()[0] in (0, 421)


def test_a_second_mail_piped_after_the_first_ones_end_is_a_second_mail(shared):
    first, second = fresh_mail(size=400), fresh_mail(size=400)
    with Dialogue(shared.port) as session:
        session.start_mail(recipient=first.recipients[0].decode())
        assert session.command("DATA") == 354
        session.send(first.content() + b".\r\nMAIL FROM:<b@client.example>\r\nRCPT TO:<" + second.recipients[0]
                     + b">\r\nDATA\r\n")
        assert [session.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
        session.send(second.content() + b".\r\n")
        assert session.reply()[0] == 250
    assert shared.inbox.wait_for(first.ident).original == first.content()
    assert shared.inbox.wait_for(second.ident).original == second.content()


def test_a_bare_line_feed_split_over_segments_is_refused(shared):
    with Dialogue(shared.port) as session:
        session.start_mail()
        assert session.command("DATA") == 354
        for piece in (b"Subject: outer\r\n\r\nouter\r", b"\n", b".", b"\n", b"more\r\n", b".\r", b"\n"):
            session.send(piece)
        assert session.reply()[0] == 550


def test_the_end_of_data_may_come_byte_by_byte(shared):
    mail = fresh_mail()
    with Dialogue(shared.port) as session:
        session.start_mail(recipient=mail.recipients[0].decode())
        assert session.command("DATA") == 354
        session.send(mail.content())
        for piece in (b".", b"\r", b"\n"):
            session.send(piece)
        assert session.reply()[0] == 250
    shared.inbox.wait_for(mail.ident)


def test_listed_clients_get_their_line_ends_mended(gateway):
    gateway.configure({"ingress": {"normalise": ["127.0.0.0/8"], "unlimited": ["127.0.0.0/8"]}})
    mail = Mail("mended")
    with Dialogue(gateway.port) as session:
        session.start_mail()
        code, _ = session.message(mail.content().replace(b"\r\n", b"\n") + b"\r\n.\r\n")
    assert code == 250
    assert_nothing_smuggled(gateway)
