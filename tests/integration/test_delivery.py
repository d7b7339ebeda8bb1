# SPDX-License-Identifier: Apache-2.0
"""What Postern says to next hops of many kinds, and how it finds them."""

import os

import pytest
from dnslib import MX, QTYPE, RR, A
from dnslib.server import BaseResolver, DNSServer

from tests.lib.gateway import Gateway
from tests.lib.hop import Hop, make_certificate
from tests.lib.messages import fresh_mail
from tests.lib.smtp import Dialogue, send_mail
from tests.lib.waiting import eventually, free_ports

PATIENT = {"retry_first_s": 1, "retry_most_s": 1}


def route_to(gateway, hops, domain="far.example", **options):
    """Mail for that domain goes to the hops."""
    hops = [hop if isinstance(hop, dict) else f"localhost:{hop.port}" for hop in hops]
    gateway.configure({f"domain/{domain}": {"route": "far"}, "route/far": {"hops": hops, **options},
                       "delivery": PATIENT})


def far_mail(**options):
    mail = fresh_mail(**options)
    mail.recipients = [f"user-{mail.ident}@far.example".encode()]
    return mail


def send(gateway, mail, parameters=b"", recipient=b"", content=None):
    """One mail with parameters of MAIL and RCPT; the final reply's code."""
    with Dialogue(gateway.port) as session:
        session.command("EHLO client.example")
        assert session.command(b"MAIL FROM:<" + mail.sender + b">" + parameters) == 250
        assert session.command(b"RCPT TO:<" + mail.recipients[0] + b">" + recipient) == 250
        return session.message((content or mail.content()) + b".\r\n")[0]


def bounce_of(gateway, mail):
    """The bounce that reached the sender, who lives behind the gateway."""
    def there():
        return [one for one in gateway.inbox.mails()
                if one.recipients == [mail.sender.decode()] and mail.ident.encode() in one.content]
    return eventually(there, 30, "the bounce")[0]


# -- what the hop offers

def test_mail_for_one_hop_shares_connections(gateway):
    with Hop() as hop:
        route_to(gateway, [hop], concurrency=1)
        mails = [far_mail() for _ in range(20)]
        for mail in mails:
            assert send_mail(gateway.port, mail)[0] == 250
        eventually(lambda: all(hop.having(mail.ident) for mail in mails), 20, "all mails at the hop")
        assert hop.connections < len(mails)


def test_8bit_content_towards_a_hop_without_8bitmime_is_never_sent_silently(gateway):
    with Hop(offers=("PIPELINING",)) as hop:
        route_to(gateway, [hop])
        mail = far_mail(sender=b"author@example.org")
        content = mail.content() + "Grüße\r\n".encode()
        assert send(gateway, mail, b" BODY=8BITMIME", content=content) == 250
        row = eventually(lambda: (lambda found: found if found and found["recipients"][0]["disposition"]
                                  in ("delivered", "bounced") else None)(gateway.message(mail)), 30, "an end")
        if row["recipients"][0]["disposition"] == "bounced":
            assert b"5.6." in bounce_of(gateway, mail).content and not hop.mails
        else:
            assert all(byte < 128 for byte in hop.having(mail.ident)[0])


def test_an_smtputf8_address_towards_a_hop_without_it_bounces(gateway):
    with Hop(offers=("PIPELINING", "8BITMIME")) as hop:
        route_to(gateway, [hop])
        mail = far_mail(sender=b"author@example.org")
        mail.recipients = [f"grüße-{mail.ident}@far.example".encode()]
        assert send(gateway, mail, b" SMTPUTF8") == 250
        assert b"5.6.7" in bounce_of(gateway, mail).content
        assert not hop.mails


def test_dsn_parameters_are_carried_on_to_a_hop_that_knows_them(gateway):
    with Hop(offers=("PIPELINING", "DSN")) as hop:
        route_to(gateway, [hop])
        mail = far_mail()
        assert send(gateway, mail, b" RET=HDRS ENVID=QQ314159", b" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example") == 250
        eventually(lambda: hop.having(mail.ident), 20, "the mail")
        said, to = hop.said("MAIL")[-1].upper(), hop.said("RCPT")[-1].upper()
        assert "RET=HDRS" in said and "ENVID=QQ314159" in said
        assert "NOTIFY=SUCCESS,DELAY" in to and "ORCPT=RFC822;A@B.EXAMPLE" in to


def test_success_is_told_where_the_hop_cannot_tell_it(gateway):
    with Hop(offers=("PIPELINING",)) as hop:
        route_to(gateway, [hop])
        mail = far_mail(sender=b"author@example.org")
        assert send(gateway, mail, b" ENVID=QQ314159", b" NOTIFY=SUCCESS") == 250
        report = bounce_of(gateway, mail)
        assert report.sender == "" and b"Action: relayed" in report.content
        assert b"Original-Envelope-Id: QQ314159" in report.content


def test_nobody_is_told_who_asked_for_never(gateway):
    with Hop(answers={"RCPT": "550 5.1.1 no such user"}) as hop:
        route_to(gateway, [hop])
        mail = far_mail(sender=b"author@example.org")
        assert send(gateway, mail, recipient=b" NOTIFY=NEVER") == 250
        gateway.wait_disposition(mail, "bounced")
        other = fresh_mail(sender=b"author@example.org")
        send_mail(gateway.port, other)
        gateway.inbox.wait_for(other.ident)
        assert not [one for one in gateway.inbox.mails() if one.recipients == ["author@example.org"]]


# -- STARTTLS

@pytest.mark.parametrize("policy, offered, over_tls", [
    ("none", True, False), ("may", True, True), ("may", False, False), ("encrypt", True, True),
    ("encrypt", False, None), ("verify", True, None)])
def test_starttls_is_used_as_the_route_says(gateway, tmp_path, policy, offered, over_tls):
    with Hop(certificate=make_certificate(tmp_path) if offered else None) as hop:
        route_to(gateway, [hop], tls=policy)
        mail = far_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        if over_tls is None:        # not without encryption, or not to whom nobody vouches for
            gateway.wait_disposition(mail, "deferred")
            assert not hop.mails
        else:
            gateway.wait_disposition(mail, "delivered")
            assert [tls for content, tls in hop.mails if mail.ident.encode() in content] == [over_tls]


def test_verify_delivers_to_a_hop_whose_certificate_is_vouched_for(tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(certificate[0]))
    with Gateway() as gateway, Hop(certificate=certificate) as hop:
        route_to(gateway, [hop], tls="verify")
        mail = far_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        gateway.wait_disposition(mail, "delivered")
        assert hop.mails[0][1]


# -- which hop

def test_a_dead_hop_fails_over_to_the_next_priority(gateway):
    dead = free_ports(1)[0]
    with Hop() as hop:
        route_to(gateway, [{"host": "127.0.0.1", "port": dead, "priority": 1},
                           {"host": "127.0.0.1", "port": hop.port, "priority": 2}])
        mail = far_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        eventually(lambda: hop.having(mail.ident), 20, "the mail at the second hop")


class Zone(BaseResolver):
    """The DNS of these tests."""

    RECORDS = {
        "two.example.": [(QTYPE.MX, MX("mx1.two.example", 10)), (QTYPE.MX, MX("mx2.two.example", 20))],
        "mx1.two.example.": [(QTYPE.A, A("127.0.0.77"))],       # nobody listens there
        "mx2.two.example.": [(QTYPE.A, A("127.0.0.1"))],
        "plain.example.": [(QTYPE.A, A("127.0.0.1"))],
        "null.example.": [(QTYPE.MX, MX(".", 0))],
    }

    def resolve(self, request, handler):
        reply = request.reply()
        name = str(request.q.qname).lower()
        if name not in self.RECORDS:
            reply.header.rcode = 3
        for kind, data in self.RECORDS.get(name, []):
            if kind == request.q.qtype:
                reply.add_answer(RR(request.q.qname, kind, ttl=5, rdata=data))
        return reply


@pytest.fixture
def by_mx(gateway):
    """A gateway that finds hops by MX records, and the hop that stands at 127.0.0.1."""
    port = free_ports(1)[0]
    server = DNSServer(Zone(), port=port, address="127.0.0.1")
    server.start_thread()
    with Hop() as hop:
        domains = {f"domain/{name}.example": {} for name in ("two", "plain", "null", "gone")}
        gateway.configure({**domains, "delivery": {**PATIENT, "resolver": f"127.0.0.1:{port}", "smtp_port": hop.port}})
        yield gateway, hop
    server.stop()


@pytest.mark.parametrize("domain", ["two", "plain"])
def test_mail_goes_to_the_first_exchanger_that_answers_or_to_the_address_itself(by_mx, domain):
    gateway, hop = by_mx
    mail = fresh_mail(recipient=f"user@{domain}.example".encode())
    assert send_mail(gateway.port, mail)[0] == 250
    eventually(lambda: hop.having(mail.ident), 30, "the mail at the exchanger")


@pytest.mark.parametrize("domain, status", [("null", b"5.1.10"), ("gone", b"5.1.2")])
def test_a_domain_that_takes_no_mail_or_is_none_bounces(by_mx, domain, status):
    gateway, hop = by_mx
    mail = fresh_mail(sender=b"author@example.org", recipient=f"user@{domain}.example".encode())
    assert send_mail(gateway.port, mail)[0] == 250
    assert status in bounce_of(gateway, mail).content
    assert not hop.mails
