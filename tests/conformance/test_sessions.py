# SPDX-License-Identifier: Apache-2.0
"""Attacks 11, 14 and 15: order, strange addresses, and syntax as others test it."""

import json

import pytest

from tests.lib.fixtures import SUITES
from tests.lib.messages import fresh_mail
from tests.lib.smtp import Dialogue, dotted


def test_11_commands_before_their_turn_are_refused(ingress):
    with ingress.session() as session:
        assert session.command("MAIL FROM:<a@client.example>") == 503
        assert session.command("EHLO client.example") == 250
        assert session.command("RCPT TO:<b@example.org>") == 503
        assert session.command("DATA") == 503
        assert session.command("MAIL FROM:<a@client.example>") == 250
        assert session.command("MAIL FROM:<a@client.example>") == 503
        assert session.command("DATA") == 503


def test_11_data_after_refused_recipients_is_refused(ingress):
    with ingress.session() as session:
        assert session.command("EHLO client.example") == 250
        session.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@elsewhere.example>\r\nDATA\r\n")
        assert [session.reply()[1][:9] for _ in range(3)] == ["250 2.1.0", "550 5.7.1", "554 5.5.1"]


@pytest.mark.parametrize("path, codes", [
    (b"a;reboot@example.org", (501,)), (b"|id@example.org", (250,)), (b"`id`@example.org", (250,)),
    (b"$(id)@example.org", (501,)), (b"a\0b@example.org", (500,)), (b"../../etc/passwd@example.org", (501,)),
    (b"/etc/passwd@example.org", (250,)), (b"l" * 300 + b"@example.org", (501,)), (b"l" * 64 + b"@example.org", (250,)),
    (b"a@" + b"d" * 300 + b".org", (501,)), (b"%s%n%x@example.org", (550,)), (b"\"%s%n\"@example.org", (550,)),
    (b"a@example.org>\nRCPT TO:<b@example.org", (500,)), (b"@", (501,)), (b"a@b@example.org", (501,)),
    (b"\"a b\"@example.org", (250,)), (b"\"a\tb\"@example.org", (501,)), (b"\"a@example.org", (501,)),
    (b"-f@example.org", (250,)), (b"a\x1b[31m@example.org", (501,)), (b"'; DROP TABLE mail;--@example.org", (501,)),
], ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else "")
def test_14_strange_addresses_are_refused_or_just_bytes(ingress, path, codes):
    with ingress.session() as session:
        assert session.command("EHLO client.example") == 250
        assert session.command("MAIL FROM:<a@client.example>") == 250
        assert session.command(b"RCPT TO:<" + path + b">") in codes
    with ingress.session() as session:
        assert session.command("NOOP") == 250


def test_14_what_is_taken_arrives_as_it_was_written(shared):
    mail = fresh_mail()
    strange = ["`id`@example.org", "|id@example.org", '"a b"@example.org', "/etc/passwd@example.org", "a=b+c@example.org"]
    with Dialogue(shared.port) as session:
        assert session.command("EHLO client.example") == 250
        assert session.command("MAIL FROM:<'x`y@client.example>") == 250
        assert [session.command(f"RCPT TO:<{one}>") for one in strange] == [250] * len(strange)
        assert session.message(dotted(mail.content()) + b".\r\n")[0] == 250
    taken = shared.inbox.wait_for(mail.ident)
    assert sorted(taken.recipients) == sorted(strange) and taken.sender == "'x`y@client.example"


def test_a_mail_with_smtputf8_arrives(shared):
    mail = fresh_mail()
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example> SMTPUTF8 BODY=8BITMIME")
        session.command("RCPT TO:<käthe@example.org>")
        content = mail.content().replace(b"Subject: test", "Subject: grüße".encode())
        assert session.message(dotted(content) + b".\r\n")[0] == 250
    assert shared.inbox.wait_for(mail.ident).recipients == ["käthe@example.org"]


# --- tests of others
def command_lines():
    file = SUITES / "smtp" / "smtp-proto-commands.json"
    return json.loads(file.read_text()) if file.exists() else []


@pytest.mark.parametrize("case", [case for case in command_lines() if not case["ok"]], ids=lambda case: case["line"][:40])
def test_a_command_with_bad_syntax_gets_a_5xx(ingress, suites, case):
    with ingress.session() as session:
        session.command("EHLO client.example")
        if case["line"].upper().startswith("RCPT"):
            session.command("MAIL FROM:<a@client.example>")
        assert 500 <= session.command(case["line"].rstrip("\r\n")) < 600


# chasquid asks for AUTH, which a gateway has not, and takes paths without brackets, which we do not.
CHASQUID_CODES = {"chasquid-bad_data_dot": [550], "chasquid-bad_data_dot_on_message_too_big": [550],
                  "chasquid-data_dot_stuffing": [250], "chasquid-message_too_big": [552]}


def dialogues():
    file = SUITES / "smtp" / "chasquid-dialogues.json"
    cases = json.loads(file.read_text()) if file.exists() else []
    return [case for case in cases if case["id"] in CHASQUID_CODES]


@pytest.mark.parametrize("case", dialogues(), ids=lambda case: case["id"])
def test_chasquids_messages_end_as_they_should(ingress, suites, case):
    """Its DATA phases byte for byte; its recipient and its words are its own."""
    sent = [step["data"].encode() if step["op"] == "send" else eval(step["data"], {"__builtins__": {}}).encode()
            for step in case["steps"] if step["op"] in ("send", "send_raw")]
    sent = sent[sent.index(b"DATA\r\n") + 1:]
    with ingress.session() as session:
        session.start_mail()
        text = b"".join(line for line in sent if line != b"QUIT\r\n")
        assert session.message(text)[0] in CHASQUID_CODES[case["id"]]
