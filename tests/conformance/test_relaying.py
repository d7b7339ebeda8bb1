# SPDX-License-Identifier: Apache-2.0
"""Who may send to whom: no open relay, however the address is written."""

import pytest


def recipient_code(session, path, sender="<a@client.example>"):
    assert session.command("EHLO client.example") == 250
    assert session.command(f"MAIL FROM:{sender}") == 250
    session.send(f"RCPT TO:{path}\r\n".encode())
    return " ".join(session.reply()[1].split(" ")[:2])


# The classic list of relay tests, as abuse.net and others send it.
@pytest.mark.parametrize("path, expected", [
    ("<b@elsewhere.example>", "550 5.7.1"),
    ("<b%elsewhere.example@example.org>", "550 5.7.1"),
    ("<\"b@elsewhere.example\"@example.org>", "550 5.7.1"),
    ("<\"b%elsewhere.example\"@example.org>", "550 5.7.1"),
    ("<elsewhere.example!b@example.org>", "550 5.7.1"),
    ("<\"elsewhere.example!b\"@example.org>", "550 5.7.1"),
    ("<@example.org:b@elsewhere.example>", "550 5.7.1"),
    ("<@example.org,@mx.test.example:b@elsewhere.example>", "550 5.7.1"),
    ("<b%elsewhere.example@[127.0.0.1]>", "550 5.7.1"),
    ("<b@[127.0.0.1]>", "550 5.7.1"),
    ("<b@[IPv6:::1]>", "550 5.7.1"),
    ("<b@sub.example.org>", "550 5.7.1"),
    ("<b@example.org.elsewhere.example>", "550 5.7.1"),
    ("<b@example.org.>", "501 5.1.3"),
    ("<b@elsewhere.example@example.org>", "501 5.1.3"),
    ("<b%elsewhere.example>", "501 5.1.3"),
    ("<b>", "501 5.1.3"),
    ("<\"b@elsewhere.example\">", "501 5.1.3"),
    ("<elsewhere.example!b>", "501 5.1.3"),
    ("b@example.org", "501 5.1.3"),
    ("<>", "501 5.1.3"),
    ("<@elsewhere.example:b@example.org>", "250 2.1.5"),   # a source route is skipped (RFC 5321, appendix C)
    ("<B@EXAMPLE.ORG>", "250 2.1.5"),
    ("<\"b\"@example.org>", "250 2.1.5"),
    # lists
    ("<known@listed.example>", "250 2.1.5"),
    ("<\"k\\nown\"@listed.example>", "250 2.1.5"),
    ("<KNOWN@listed.example>", "250 2.1.5"),
    ("<unknown@listed.example>", "550 5.1.1"),
    ("<a%b@listed.example>", "250 2.1.5"),                 # listed, so meant
    ("<known%x@listed.example>", "550 5.1.1"),
    # postmaster
    ("<postmaster>", "250 2.1.5"),
    ("<PostMaster>", "250 2.1.5"),
    ("<postmaster@example.org>", "250 2.1.5"),
    ("<Postmaster@listed.example>", "250 2.1.5"),
    ("<\"postmaster\"@listed.example>", "250 2.1.5"),
    ("<postmaster@elsewhere.example>", "550 5.7.1"),
])
def test_recipients_of_a_stranger(ingress, path, expected):
    with ingress.session(source="127.0.0.3") as session:
        assert recipient_code(session, path) == expected


@pytest.mark.parametrize("sender", ["<>", "<a@example.org>", "<postmaster@example.org>", "<@example.org:a@client.example>"])
def test_a_sender_opens_no_relay(ingress, sender):
    with ingress.session(source="127.0.0.3") as session:
        assert recipient_code(session, "<b@elsewhere.example>", sender) == "550 5.7.1"


@pytest.mark.parametrize("address, expected", [("10.255.0.1", "250 2.1.5"), ("11.0.0.1", "550 5.7.1"),
                                               ("IPV6:2001:db8:1:ffff::1", "250 2.1.5"),
                                               ("IPV6:2001:db8:2::1", "550 5.7.1"),
                                               ("IPV6:::ffff:10.0.0.1", "250 2.1.5")])
def test_only_relay_clients_may_send_elsewhere(ingress, address, expected):
    with ingress.session() as session:
        session.send(f"XCLIENT ADDR={address}\r\n".encode())
        assert session.reply()[0] == 220
        assert recipient_code(session, "<b@elsewhere.example>") == expected
        # what is not theirs to loosen: lists of our own domains
        assert session.command("RCPT TO:<unknown@listed.example>") == 550


def test_a_refused_recipient_does_not_refuse_the_others(ingress):
    with ingress.session() as session:
        assert recipient_code(session, "<b@elsewhere.example>") == "550 5.7.1"
        assert session.command("RCPT TO:<kept@example.org>") == 250
        code, text = session.message(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert code == 250
    ingress.logged(f"id={text.split()[-1]} client=127.0.0.1 from=a@client.example recipients=1 ")
