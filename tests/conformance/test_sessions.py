# SPDX-License-Identifier: Apache-2.0
"""Attacks 10 to 15: what hostile clients do with commands."""

import json
import socket
import ssl
import subprocess
import time

import pytest

from tests.lib.fixtures import SUITES
from tests.lib.messages import fresh_mail
from tests.lib.smtp import Dialogue, send_mail
from tests.lib.waiting import eventually


@pytest.fixture(scope="module")
def with_tls(shared):
    """The shared gateway, offering STARTTLS."""
    folder = shared.home / "tls"
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=mx.test.example", "-keyout", folder / "key.pem", "-out", folder / "chain.pem"],
                   check=True, capture_output=True)
    shared.configure({"ingress": {"unlimited": ["127.0.0.0/8"], "xclient": ["127.0.0.0/8"],
                                  "tls_certificate": str(folder / "chain.pem"), "tls_key": str(folder / "key.pem")}})
    def offered():
        with Dialogue(shared.port) as session:
            session.send(b"EHLO client.example\r\n")
            return "STARTTLS" in session.reply()[1]
    eventually(offered, 20, "STARTTLS to be offered")
    return shared


def encrypted(session):
    """Wraps the session's socket in TLS, trusting anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session.socket = context.wrap_socket(session.socket)
    session.file = session.socket.makefile("rb")


def test_a_mail_over_starttls_arrives(with_tls):
    mail = fresh_mail()
    with Dialogue(with_tls.port) as session:
        session.command("EHLO client.example")
        assert session.command("STARTTLS") == 220
        encrypted(session)
        session.start_mail(recipient=mail.recipients[0].decode())
        assert session.message(mail.content().replace(b"\r\n.", b"\r\n..") + b".\r\n")[0] == 250
    assert "ESMTPS" in with_tls.inbox.wait_for(mail.ident).field("Received")


def test_10_commands_piped_across_starttls_close_the_session(with_tls):
    with Dialogue(with_tls.port) as session:
        session.command("EHLO client.example")
        session.send(b"STARTTLS\r\nEHLO attacker.example\r\nMAIL FROM:<a@client.example>\r\n")
        replies = [session.reply()[0] for _ in range(3)]
        assert 250 not in replies and replies[-1] == 0


def test_10_the_session_begins_anew_after_starttls(with_tls):
    with Dialogue(with_tls.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        if session.command("STARTTLS") == 220:
            encrypted(session)
            assert session.command("RCPT TO:<b@example.org>") == 503


def test_11_a_client_that_talks_before_the_banner_is_not_served_out_of_turn(shared):
    with socket.create_connection(("127.0.0.1", shared.port)) as early:
        early.sendall(b"EHLO client.example\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
                      b"Subject: early\r\n\r\nearly\r\n.\r\nQUIT\r\n")
        answer = b""
        while chunk := early.recv(4096):
            answer += chunk
    assert b"503" in answer or b"554" in answer or b"354" not in answer.split(b"250")[0]


def test_11_commands_before_their_turn_are_refused(shared):
    with Dialogue(shared.port) as session:
        assert session.command("MAIL FROM:<a@client.example>") == 503
        session.command("EHLO client.example")
        assert session.command("RCPT TO:<b@example.org>") == 503
        assert session.command("DATA") == 503
        assert session.command("MAIL FROM:<a@client.example>") == 250
        assert session.command("MAIL FROM:<a@client.example>") == 503
        assert session.command("DATA") in (503, 554)


def test_11_data_after_a_refused_recipient_is_refused(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@elsewhere.example>\r\nDATA\r\n")
        codes = [session.reply()[0] for _ in range(3)]
        assert codes[0] == 250 and codes[1] >= 500 and codes[2] in (503, 554)


def test_12_a_line_of_a_megabyte_is_refused(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        try:
            session.send(b"MAIL FROM:<" + b"a" * (1 << 20) + b"\r\n")
        except OSError:
            pass  # closed while it was still talking
        assert session.reply()[0] in (0, 500, 421)


def test_12_a_thousand_slow_clients_do_not_slow_others(shared):
    crowd = []
    for _ in range(1000):
        one = socket.create_connection(("127.0.0.1", shared.port))
        one.sendall(b"E")
        crowd.append(one)
    mail = fresh_mail()
    start = time.monotonic()
    assert send_mail(shared.port, mail)[0] == 250
    assert time.monotonic() - start < 2
    for one in crowd:
        one.close()


def test_12_a_client_that_says_nothing_is_put_out(gateway):
    gateway.configure({"ingress": {"command_timeout_s": 1, "unlimited": ["127.0.0.0/8"]}})
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    def put_out():
        with Dialogue(gateway.port, timeout=20) as session:
            start = time.monotonic()
            return session.reply()[0] in (0, 421) and time.monotonic() - start < 10
    eventually(put_out, 40, "a silent client to be put out")


def test_13_recipients_beyond_the_limit_get_452(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        session.send(b"".join(b"RCPT TO:<u%d@example.org>\r\n" % number for number in range(1100)))
        codes = [session.reply()[0] for _ in range(1100)]
        assert codes[:1000] == [250] * 1000
        assert set(codes[1000:]) <= {452, 421, 0}


def test_13_a_thousand_resets_are_borne(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.send(b"RSET\r\n" * 1000)
        codes = {session.reply()[0] for _ in range(1000)}
        assert codes <= {250, 421, 0}


def test_13_many_errors_end_the_session(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        codes = []
        for _ in range(100):
            try:
                codes.append(session.command("NONSENSE"))
            except OSError:
                codes.append(0)
            if codes[-1] in (0, 421):
                break
        assert codes[-1] in (0, 421)


@pytest.mark.parametrize("path", [
    b"a;reboot@example.org", b"|id@example.org", b"`id`@example.org", b"a\0b@example.org", b"../../etc/passwd@example.org",
    b"l" * 300 + b"@example.org", b"%s%n%x@example.org", b"a@example.org>\nRCPT TO:<b@example.org", b"@", b"a@b@example.org",
], ids=lambda path: repr(path[:24]))
def test_14_strange_addresses_are_refused_or_just_bytes(shared, path):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        code = session.command(b"RCPT TO:<" + path + b">")
        assert code in (250, 500, 501, 550, 553, 554, 421)
    mail = fresh_mail()
    assert send_mail(shared.port, mail)[0] == 250


def test_15_broken_utf8_in_an_address_is_refused(shared):
    for local in (b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xf8"):
        with Dialogue(shared.port) as session:
            session.command("EHLO client.example")
            session.command("MAIL FROM:<a@client.example> SMTPUTF8")
            assert session.command(b"RCPT TO:<" + local + b"@example.org>") in (501, 550, 553)


def test_15_utf8_in_an_address_needs_smtputf8(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        assert session.command("RCPT TO:<käthe@example.org>") in (501, 550, 553)
        session.command("RSET")
        assert session.command("MAIL FROM:<a@client.example> SMTPUTF8") == 250
        assert session.command("RCPT TO:<käthe@example.org>") == 250


def test_a_mail_with_smtputf8_arrives(shared):
    mail = fresh_mail()
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example> SMTPUTF8 BODY=8BITMIME")
        session.command("RCPT TO:<käthe@example.org>")
        content = mail.content().replace(b"Subject: test", "Subject: grüße".encode())
        assert session.message(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")[0] == 250
    assert shared.inbox.wait_for(mail.ident).recipients == ["käthe@example.org"]


def command_lines():
    file = SUITES / "smtp" / "smtp-proto-commands.json"
    return json.loads(file.read_text()) if file.exists() else []


@pytest.mark.parametrize("case", [case for case in command_lines() if not case["ok"]], ids=lambda case: case["line"][:40])
def test_a_command_with_bad_syntax_gets_a_5xx(shared, suites, case):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        if case["line"].upper().startswith("RCPT"):
            session.command("MAIL FROM:<a@client.example>")
        assert 500 <= session.command(case["line"].rstrip("\r\n")) < 600
