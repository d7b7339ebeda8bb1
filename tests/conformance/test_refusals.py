# SPDX-License-Identifier: Apache-2.0
"""Whom ingress turned away is told to the masters: batched, once a second, bounded."""

import secrets

from tests.conformance.alone import Ingress
from tests.lib.waiting import eventually


def recorded(ingress, *texts):
    def there():
        spooled = ingress.spooled()
        return all(text.encode() in spooled for text in texts) and spooled
    return eventually(there, 5, f"{texts} in the journal")


def test_refused_recipients_of_a_transaction_are_one_event(ingress):
    mark = secrets.token_hex(6)
    with ingress.session() as session:
        session.command("EHLO client.example")
        session.command(f"MAIL FROM:<{mark}-sender@client.example>")
        for number in range(3):
            assert session.command(f"RCPT TO:<{mark}-{number}@elsewhere.example>") == 550
    spooled = recorded(ingress, f"{mark}-0@elsewhere.example", f"{mark}-2@elsewhere.example", "550 5.7.1 Relaying denied")
    assert spooled.count(f"{mark}-sender@client.example".encode()) == 1


def test_a_message_refused_at_its_end_is_told_with_its_recipients(ingress):
    mark = secrets.token_hex(6)
    with ingress.session() as session:
        session.start_mail(recipient=f"{mark}@example.org")
        assert session.message(b"Received: x\r\n" * 60 + b"\r\n.\r\n")[0] == 554
    recorded(ingress, f"{mark}@example.org", "554 5.4.6 Too many Received fields")


def test_a_refused_sender_and_a_refused_connection_are_told():
    mark = secrets.token_hex(6)
    with Ingress({"ingress": {"rate_per_minute_client": 1, "connections_per_client": 1}}) as ingress:
        with ingress.session(source="127.0.0.5") as session:
            session.command("EHLO client.example")
            assert session.command("MAIL FROM:<a@client.example>") == 250
            assert session.command("RSET") == 250
            assert session.command(f"MAIL FROM:<{mark}@client.example>") == 450
            with ingress.session(source="127.0.0.5") as second:
                assert second.banner[0] == 421
        recorded(ingress, mark, "450 4.7.1 Too many messages", "421 4.7.0 Too many connections from you", "127.0.0.5")


def test_a_flood_of_refusals_is_bounded_and_mail_goes_on():
    with Ingress({"ingress": {"unlimited": ["127.0.0.0/8"], "errors_max": 1000}}) as ingress:
        for flood in range(8):
            with ingress.session() as session:
                session.command("EHLO client.example")
                for number in range(100):
                    session.send(b"MAIL FROM:<%d-%d@client.example>\r\nRCPT TO:<b@elsewhere.example>\r\nRSET\r\n" % (flood, number))
                for _ in range(300):
                    session.reply()
        with ingress.session() as session:
            session.start_mail()
            assert session.message(b"Subject: x\r\n\r\nx\r\n.\r\n")[0] == 250
        assert recorded(ingress, "further refusals within a second").count(b"elsewhere.example") <= 800


def test_nobody_is_refused_for_good_while_no_configuration_tells_who_is_ours():
    with Ingress(configured=False) as ingress, ingress.session() as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        assert session.command("RCPT TO:<b@example.org>") == 451
        assert session.command("RCPT TO:<postmaster>") == 451
        assert session.command("DATA") == 554
