# SPDX-License-Identifier: Apache-2.0
"""STARTTLS (RFC 3207) and implicit TLS (RFC 8314)."""

import socket
import ssl
import subprocess

import pytest

from tests.lib.smtp import Dialogue


def encrypted(session):
    """Wraps the session's socket in TLS, trusting anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session.socket = context.wrap_socket(session.socket)
    session.file = session.socket.makefile("rb")


def start_tls(session):
    assert session.command("EHLO client.example") == 250
    assert session.command("STARTTLS") == 220
    encrypted(session)


def offers(session):
    session.send(b"EHLO client.example\r\n")
    return session.reply()[1]


def test_the_session_begins_anew_after_starttls(ingress):
    with ingress.session() as session:
        assert session.command("EHLO client.example") == 250
        assert session.command("MAIL FROM:<a@client.example>") == 250
        assert session.command("STARTTLS") == 503
        assert session.command("RSET") == 250
        start_tls(session)
        assert session.command("MAIL FROM:<a@client.example>") == 503
        assert "STARTTLS" not in offers(session)
        assert session.command("STARTTLS") == 503
        assert session.command("MAIL FROM:<a@client.example>") == 250


@pytest.mark.parametrize("implicit", [False, True])
def test_a_mail_over_tls_says_so(ingress, implicit):
    session = Dialogue(ingress.tls_port if implicit else ingress.port, banner=not implicit)
    with session:
        if implicit:
            encrypted(session)
            assert session.reply()[0] == 220
            assert "STARTTLS" not in offers(session)
        else:
            start_tls(session)
        session.start_mail(sender="tls@client.example")
        assert session.message(b"Subject: over tls\r\n\r\nx\r\n.\r\n")[0] == 250
        assert session.command("QUIT") == 221
        assert session.file.read() == b""
    assert b"with ESMTPS (TLSv1.3 " in ingress.spooled()


@pytest.mark.parametrize("behind", [b"EHLO attacker.example\r\n", b"\n", b"RSET\r\nMAIL FROM:<a@client.example>\r\n"])
def test_10_commands_piped_across_starttls_close_the_session(ingress, behind):
    with ingress.session() as session:
        assert session.command("EHLO client.example") == 250
        session.send(b"STARTTLS\r\n" + behind)
        assert session.reply()[0] == 554
        assert session.reply()[0] == 0


def test_10_clear_bytes_after_starttls_never_become_commands(ingress):
    with ingress.session() as session:
        assert session.command("EHLO client.example") == 250
        assert session.command("STARTTLS") == 220
        session.send(b"MAIL FROM:<injected@client.example>\r\nRSET\r\n")
        assert session.file.read(3) in (b"", b"\x15\x03\x03", b"\x15\x03\x01")  # an alert at most


def test_openssl_speaks_to_both_ports(ingress):
    for arguments in (["-starttls", "smtp", "-connect", f"127.0.0.1:{ingress.port}"],
                      ["-connect", f"127.0.0.1:{ingress.tls_port}"]):
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(["openssl", "s_client", "-quiet", "-crlf", version, *arguments], timeout=20,
                                  input=b"NOOP\nQUIT\n", capture_output=True, check=False)
            assert b"250 2.0.0" in done.stdout and b"221 2.0.0" in done.stdout, done.stderr


@pytest.mark.parametrize("version", ["-tls1_1", "-tls1"])
def test_old_protocols_are_refused(ingress, version):
    done = subprocess.run(["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect",
                           f"127.0.0.1:{ingress.tls_port}"], timeout=20, input=b"", capture_output=True, check=False)
    assert b"220 " not in done.stdout


def test_renegotiation_is_refused(ingress):
    done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{ingress.tls_port}"],
                          timeout=20, input=b"R\nEHLO client.example\n", capture_output=True, check=False)
    assert b"250-" not in done.stdout


def test_garbage_instead_of_a_handshake_ends_that_connection_only(ingress):
    with socket.create_connection(("127.0.0.1", ingress.tls_port), timeout=10) as raw:
        raw.sendall(b"EHLO client.example\r\n" * 10)
        try:
            while raw.recv(4096):
                pass
        except ConnectionError:
            pass
    with ingress.session() as session:
        assert session.command("NOOP") == 250
