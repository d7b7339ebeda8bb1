# SPDX-License-Identifier: Apache-2.0
"""What EHLO offers, each extension by its RFC."""

import secrets

import pytest

from tests.lib.smtp import Dialogue


def say(session, *lines):
    """Sends all lines at once; the codes with their enhanced codes, "250 2.1.0"."""
    session.send(b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines))
    return [heard(session) for line in lines if not isinstance(line, bytes)]


def heard(session):
    code, text = session.reply()
    last = text.rpartition("\n")[2].split(" ")
    return " ".join(last[:2]) if code and len(last) > 1 and last[1][:2] in ("2.", "4.", "5.") else str(code)


@pytest.fixture
def session(ingress):
    with ingress.session() as fresh:
        assert say(fresh, "EHLO client.example") == ["250"]
        yield fresh


def test_all_extensions_are_offered(ingress):
    with ingress.session() as session:
        session.send(b"EHLO client.example\r\n")
        offered = [line[4:] for line in session.reply()[1].split("\n")]
        assert offered[0] == "mx.test.example"
        assert set(offered[1:]) == {"PIPELINING", f"SIZE {1 << 20}", "STARTTLS", "ENHANCEDSTATUSCODES", "8BITMIME",
                                    "SMTPUTF8", "DSN", "CHUNKING", "HELP", "XCLIENT NAME ADDR PORT PROTO HELO"}


def test_helo_offers_nothing_and_takes_no_parameters(ingress):
    with ingress.session() as session:
        session.send(b"HELO client.example\r\n")
        assert session.reply() == (250, "250 mx.test.example")
        assert say(session, "MAIL FROM:<a@client.example> SIZE=1") == ["555 5.5.4"]
        assert say(session, "MAIL FROM:<a@client.example>", "RCPT TO:<b@example.org>") == ["250 2.1.0", "250 2.1.5"]


def test_pipelining_gives_every_reply_in_order_and_in_one_segment(ingress, session):
    session.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<b@elsewhere.example>\r\n"
                 b"RCPT TO:<c@example.org>\r\nDATA\r\n")
    replies = session.socket.recv(4096)
    assert [line[:9] for line in replies.split(b"\r\n")] == [b"250 2.1.0", b"250 2.1.5", b"550 5.7.1", b"250 2.1.5",
                                                             b"354 End w", b""]
    session.send(b"Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<a@client.example>\r\nRSET\r\nQUIT\r\n")
    assert [heard(session) for _ in range(4)] == ["250 2.0.0", "250 2.1.0", "250 2.0.0", "221 2.0.0"]


# --- SIZE (RFC 1870)
@pytest.mark.parametrize("parameter, expected", [
    ("SIZE=0", "250 2.1.0"), (f"SIZE={1 << 20}", "250 2.1.0"), (f"SIZE={(1 << 20) + 1}", "552 5.3.4"),
    ("SIZE=18446744073709551615", "552 5.3.4"), ("SIZE=18446744073709551616", "501 5.5.4"), ("SIZE=-1", "501 5.5.4"),
    ("SIZE", "501 5.5.4"), ("SIZE=1 SIZE=1", "501 5.5.4"), ("SIZE=1K", "501 5.5.4"),
    # RFC 6152, RFC 6531, RFC 3461, and what is not offered
    ("BODY=7BIT", "250 2.1.0"), ("body=8BITMIME", "250 2.1.0"), ("BODY=BINARYMIME", "501 5.5.4"), ("BODY", "501 5.5.4"),
    ("SMTPUTF8", "250 2.1.0"), ("SMTPUTF8=1", "501 5.5.4"),
    ("RET=FULL ENVID=QQ314159", "250 2.1.0"), ("RET=hdrs", "250 2.1.0"), ("RET=ALL", "501 5.5.4"),
    ("RET=FULL RET=FULL", "501 5.5.4"), ("ENVID=" + "a" * 100, "250 2.1.0"), ("ENVID=" + "a" * 101, "501 5.5.4"),
    ("ENVID=a+2B", "250 2.1.0"), ("ENVID=a+2b", "501 5.5.4"), ("ENVID=a+", "501 5.5.4"), ("ENVID=a=b", "501 5.5.4"),
    ("AUTH=<>", "555 5.5.4"), ("BY=100", "555 5.5.4"), ("MT-PRIORITY=3", "555 5.5.4"), ("=1", "501 5.5.4"),
])
def test_mail_parameters(session, parameter, expected):
    assert say(session, f"MAIL FROM:<a@client.example> {parameter}") == [expected]


@pytest.mark.parametrize("parameter, expected", [
    ("NOTIFY=NEVER", "250 2.1.5"), ("NOTIFY=success,failure,DELAY", "250 2.1.5"), ("NOTIFY=NEVER,FAILURE", "501 5.5.4"),
    ("NOTIFY=", "501 5.5.4"), ("NOTIFY=SUCCESS,", "501 5.5.4"), ("NOTIFY=SOMETIMES", "501 5.5.4"),
    ("NOTIFY=FAILURE NOTIFY=DELAY", "501 5.5.4"), ("ORCPT=rfc822;b@example.org", "250 2.1.5"),
    ("ORCPT=rfc822;b+3Dc@example.org", "250 2.1.5"), ("ORCPT=b@example.org", "501 5.5.4"), ("ORCPT=;b", "501 5.5.4"),
    ("ORCPT=rfc822;", "501 5.5.4"), ("ORCPT=rfc822;" + "a" * 487, "250 2.1.5"),
    ("ORCPT=rfc822;" + "a" * 500, "501 5.5.4"), ("SIZE=1", "555 5.5.4"), ("RRVS=2014-04-03T23:01:00Z", "555 5.5.4"),
])
def test_rcpt_parameters(session, parameter, expected):
    assert say(session, "MAIL FROM:<a@client.example>", f"RCPT TO:<b@example.org> {parameter}") == ["250 2.1.0", expected]


def test_dsn_parameters_are_carried_on(ingress, session):
    mark = secrets.token_hex(8)
    assert say(session, f"MAIL FROM:<a@client.example> RET=HDRS ENVID=envid{mark}",
               f"RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;orcpt{mark}@x.example", "DATA")[2] == "354"
    assert say(session, b"x\r\n", ".") == ["250 2.0.0"]
    spooled = ingress.spooled()
    assert f"envid{mark}".encode() in spooled and f"rfc822;orcpt{mark}@x.example".encode() in spooled


# --- SMTPUTF8 (RFC 6531)
def test_utf8_needs_its_parameter(session):
    assert say(session, "MAIL FROM:<jörg@client.example>") == ["553 5.6.7"]
    assert say(session, "MAIL FROM:<jörg@client.example> SMTPUTF8", "RCPT TO:<käthe@example.org>") == [
        "250 2.1.0", "250 2.1.5"]
    assert say(session, "RSET", "MAIL FROM:<a@client.example>", "RCPT TO:<käthe@example.org>") == [
        "250 2.0.0", "250 2.1.0", "553 5.6.7"]


@pytest.mark.parametrize("local", [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"a\xf8", b"\xf4\x90\x80\x80", b"\xc3"])
def test_15_broken_utf8_is_refused(session, local):
    session.send(b"MAIL FROM:<a@client.example> SMTPUTF8\r\nRCPT TO:<" + local + b"@example.org>\r\n")
    assert [heard(session), heard(session)] == ["250 2.1.0", "501 5.1.3"]


def test_15_names_are_compared_as_a_labels_and_logged_escaped(ingress, session):
    assert say(session, "MAIL FROM:<\u0430@client.example> SMTPUTF8", "RCPT TO:<b@ex\u0430mple.org>",
               "RCPT TO:<b@EXAMPLE.org>") == ["250 2.1.0", "550 5.7.1", "250 2.1.5"]
    session.send(b"DATA\r\n")
    assert heard(session) == "354"
    assert say(session, b"x\r\n", ".") == ["250 2.0.0"]
    ingress.logged(r"(?i)from=\\xD0\\xB0@client.example")


# --- CHUNKING (RFC 3030)
def start(session):
    assert say(session, "MAIL FROM:<a@client.example>", "RCPT TO:<b@example.org>") == ["250 2.1.0", "250 2.1.5"]


def chunk(data, last=False):
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def test_chunks_make_one_message_byte_for_byte(ingress, session):
    mark = secrets.token_hex(8).encode()
    pieces = [b"Subject: " + mark + b"\r", b"\n\r\n", b"", b".\r\n..\r", b"\n", b"end of " + mark]
    start(session)
    session.send(b"".join(chunk(piece) for piece in pieces) + b"BDAT 0 LAST\r\n")
    assert [heard(session) for _ in range(7)] == ["250 2.0.0"] * 7
    assert b"".join(pieces) in ingress.spooled()


def test_a_thousand_pipelined_chunks(session):
    start(session)
    session.send(b"".join(chunk(b"line\r\n") for _ in range(1000)) + chunk(b"last\r\n", True))
    assert {heard(session) for _ in range(1001)} == {"250 2.0.0"}


def test_a_whole_transaction_in_one_segment_with_chunks(session):
    session.send((b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n" + chunk(b"x\r\n", True)) * 3)
    assert [heard(session) for _ in range(9)] == ["250 2.1.0", "250 2.1.5", "250 2.0.0"] * 3


def test_data_after_bdat_is_refused_and_ends_the_transaction(session):
    start(session)
    assert say(session, chunk(b"x\r\n")) == [] and heard(session) == "250 2.0.0"
    assert say(session, "DATA") + say(session, "RCPT TO:<c@example.org>") == ["503 5.5.1", "503 5.5.1"]
    session.send(chunk(b"QUIT\r\n", True))
    assert heard(session) == "503 5.5.1"
    start(session)


def test_chunks_beyond_the_size_are_read_and_refused(session):
    start(session)
    session.send(chunk(b"x" * 1022 * 1024 + b"\r\n"))
    assert heard(session) == "250 2.0.0"
    session.send(chunk(b"y" * 4096 + b"\r\n"))
    assert heard(session) == "552 5.3.4"
    session.send(chunk(b"QUIT\r\n") + chunk(b"QUIT\r\n", True))
    assert [heard(session), heard(session)] == ["503 5.5.1", "503 5.5.1"]
    start(session)


def test_a_chunk_out_of_order_is_read_and_refused(session):
    session.send(chunk(b"QUIT\r\nQUIT\r\n", True))
    assert heard(session) == "503 5.5.1"
    session.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@elsewhere.example>\r\n" + chunk(b"QUIT\r\n", True))
    assert [heard(session) for _ in range(3)] == ["250 2.1.0", "550 5.7.1", "554 5.5.1"]
    assert say(session, "MAIL FROM:<a@client.example>") == ["250 2.1.0"]


def test_rset_ends_chunks(session):
    start(session)
    session.send(chunk(b"half") + b"RSET\r\n")
    assert [heard(session), heard(session)] == ["250 2.0.0", "250 2.0.0"]
    start(session)


@pytest.mark.parametrize("command", ["BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 5 LAST LAST",
                                     "BDAT 99999999999999999999"])
def test_a_chunk_of_unknown_size_ends_the_session(session, command):
    start(session)
    session.send(command.encode() + b"\r\nQUIT\r\n")
    assert [heard(session), heard(session)] == ["501 5.5.4", "0"]


@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r"])
def test_bare_line_ends_in_chunks_are_refused(session, data):
    start(session)
    session.send(chunk(data, True) + b"NOOP\r\n")
    assert [heard(session), heard(session)] == ["550 5.5.2", "0"]


# --- XCLIENT
def test_xclient_speaks_for_the_client(ingress, session):
    mark = secrets.token_hex(4)
    assert say(session, f"XCLIENT ADDR=192.0.2.77 NAME={mark}.example HELO=inner.example PROTO=ESMTP PORT=25") == ["220"]
    start(session)
    assert say(session, "DATA") + say(session, b"x\r\n", ".") == ["354", "250 2.0.0"]
    assert f"Received: from inner.example ({mark}.example [192.0.2.77])".encode() in ingress.spooled()


def test_a_relay_client_behind_xclient_may_relay(ingress, session):
    assert say(session, "XCLIENT ADDR=10.1.2.3") == ["220"]
    assert say(session, "EHLO inner.example") == ["250"]
    assert say(session, "MAIL FROM:<a@client.example>", "RCPT TO:<b@elsewhere.example>") == ["250 2.1.0", "250 2.1.5"]
    assert say(session, "XCLIENT ADDR=192.0.2.1", "RSET", "XCLIENT ADDR=IPV6:2001:db8:1::7") == [
        "503 5.5.1", "250 2.0.0", "220"]
    assert say(session, "EHLO inner.example") == ["250"]
    assert say(session, "MAIL FROM:<a@client.example>", "RCPT TO:<b@elsewhere.example>") == ["250 2.1.0", "250 2.1.5"]


def test_xclient_from_others_is_refused(ingress):
    with Dialogue(ingress.port, source="127.0.0.2") as session:
        session.send(b"EHLO client.example\r\n")
        assert "XCLIENT" not in session.reply()[1]
        assert say(session, "XCLIENT ADDR=10.1.2.3") == ["550 5.7.0"]
        assert say(session, "MAIL FROM:<a@client.example>", "RCPT TO:<b@elsewhere.example>") == ["250 2.1.0", "550 5.7.1"]
