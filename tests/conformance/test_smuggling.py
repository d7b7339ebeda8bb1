# SPDX-License-Identifier: Apache-2.0
"""Attacks 1 to 9: line ends that another server might take for the end of data."""

import json
import secrets

import pytest

from tests.conformance.alone import Ingress
from tests.lib.fixtures import SUITES
from tests.lib.messages import Mail, fresh_mail
from tests.lib.smtp import Dialogue, dotted
from tests.lib.waiting import eventually


def sequences():
    """The wrong ones; the suite's control cases are tests of their own below."""
    file = SUITES / "smtp" / "smuggling-sequences.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    return [case for case in cases if case.get("expect", "").startswith("NOT")]


def smuggle(ingress, ends, before=b""):
    """Sends a mail in whose body `ends` is followed by a second transaction; (code, text) and its mark."""
    mark = secrets.token_hex(8).encode()
    inner = (b"MAIL FROM:<" + mark + b"@client.example>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
             b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
    with ingress.session() as session:
        session.start_mail()
        answer = session.message(b"Subject: outer\r\n\r\n" + before + b"outer" + ends + inner)
        assert session.reply()[0] in (0, 421)
    return answer, mark


def assert_nothing_smuggled(ingress, mark):
    """A later mail was taken, and before it nothing from the inner transaction."""
    with ingress.session() as session:
        session.start_mail()
        code, text = session.message(b"Subject: later\r\n\r\nx\r\n.\r\n")
        assert code == 250
    ingress.logged(text.split()[-1])
    assert mark.decode() not in ingress.log()
    assert mark not in ingress.spooled()


@pytest.mark.parametrize("case", sequences(), ids=lambda case: case["id"])
def test_a_wrong_end_of_data_smuggles_nothing(ingress, suites, case):
    (code, text), mark = smuggle(ingress, bytes.fromhex(case["bytes_hex"]))
    assert code == 550 and "5.5.2" in text
    assert_nothing_smuggled(ingress, mark)


@pytest.mark.parametrize("ends", [b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\0.\r\n",
                                  b"\r\n.\r\r\n", b"\r\r\n.\r\r\n", b"\r\n.\n", b"\r\n.\r", b"\r\n.\0\r\n"], ids=repr)
@pytest.mark.parametrize("before", [b"", b"x" * 70000 + b"\r\n", b"x" * (1 << 20) + b"\r\n"],
                         ids=["small", "over-a-read", "over-the-size"])
def test_1_to_9_bare_line_ends_are_refused_and_the_session_closed(ingress, ends, before):
    (code, text), mark = smuggle(ingress, ends, before)
    assert code == 550 and "5.5.2" in text
    assert_nothing_smuggled(ingress, mark)


def test_a_second_mail_piped_after_the_first_ones_end_is_a_second_mail(shared):
    first, second = fresh_mail(size=400), fresh_mail(size=400)
    with Dialogue(shared.port) as session:
        session.start_mail(recipient=first.recipients[0].decode())
        assert session.command("DATA") == 354
        session.send(dotted(first.content()) + b".\r\nMAIL FROM:<b@client.example>\r\nRCPT TO:<" + second.recipients[0]
                     + b">\r\nDATA\r\n")
        assert [session.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
        session.send(dotted(second.content()) + b".\r\n")
        assert session.reply()[0] == 250
    assert shared.inbox.wait_for(first.ident).original == first.content()
    assert shared.inbox.wait_for(second.ident).original == second.content()


def test_a_bare_line_feed_split_over_segments_is_refused(ingress):
    with ingress.session() as session:
        session.start_mail()
        assert session.command("DATA") == 354
        for piece in (b"Subject: outer\r\n\r\nouter\r", b"\n", b".", b"\n", b"more\r\n", b".\r", b"\n"):
            session.send(piece)
        assert session.reply()[0] == 550


def test_the_end_of_data_may_come_byte_by_byte(ingress):
    mark = secrets.token_hex(8).encode()
    with ingress.session() as session:
        session.start_mail()
        assert session.command("DATA") == 354
        for byte in b"Subject: x\r\n\r\n..stuffed " + mark + b"\r\n.\r\n":
            session.send(bytes([byte]))
        assert session.reply()[0] == 250
    assert b"\r\n\r\n.stuffed " + mark + b"\r\n" in ingress.spooled()


@pytest.mark.parametrize("line", [b"NOOP\nQUIT\r\n", b"NOOP\rQUIT\r\n", b"NOOP\0\r\n", b"NOOP\r\r\n", b"\n"], ids=repr)
def test_bare_line_ends_in_commands_close_the_session(ingress, line):
    with ingress.session() as session:
        session.send(line + b"NOOP\r\n")
        assert session.reply()[1].startswith("500 5.5.2")
        assert session.reply()[0] == 0


@pytest.mark.parametrize("ends", [b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n"], ids=repr)
def test_listed_clients_get_their_line_ends_mended_and_smuggle_nothing_either(ends):
    mark = secrets.token_hex(8).encode()
    with Ingress({"ingress": {"normalise": ["127.0.0.0/8"]}}) as ingress, ingress.session() as session:
        session.start_mail()
        assert session.message(b"Subject: x\n\nouter" + ends + b"MAIL FROM:<" + mark + b"@x.example>\n\r\n.\r\n")[0] == 250
        inside = ingress.spooled().partition(b"Subject: x\r\n\r\nouter")[2].partition(mark)[0]
        assert inside in (b"\r\n.\r\nMAIL FROM:<", b"\r\n\r\nMAIL FROM:<")  # the second where the dot was stuffing
        assert f"from={mark.decode()}" not in ingress.log()


def test_a_mended_mail_arrives_whole(gateway):
    gateway.configure({"ingress": {"normalise": ["127.0.0.0/8"], "unlimited": ["127.0.0.0/8"]}})
    mail = Mail("mended")
    def mended():
        with Dialogue(gateway.port) as session:
            session.start_mail(recipient=mail.recipients[0].decode())
            return session.message(mail.content().replace(b"\r\n", b"\n") + b"\r\n.\r\n")[0] == 250
    eventually(mended, 10, "the configuration to be in force")  # until then it is refused
    assert gateway.inbox.wait_for(mail.ident).original == mail.content() + b"\r\n"
