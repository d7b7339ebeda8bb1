# SPDX-License-Identifier: Apache-2.0
"""What becomes of ordinary mail."""

from tests.lib.messages import Mail, fresh_mail
from tests.lib.smtp import Dialogue, send_mail
from tests.lib.waiting import eventually


def test_a_clean_mail_arrives_and_the_master_lists_it(shared):
    mail = fresh_mail()
    assert send_mail(shared.port, mail)[0] == 250
    taken = shared.inbox.wait_for(mail.ident)
    assert taken.recipients == [mail.recipients[0].decode()]
    assert taken.sender == mail.sender.decode()
    row = shared.wait_disposition(mail, "delivered")
    assert row["sender"] == mail.sender.decode()
    assert row["node"] == "worker-1"
    assert row["recipients"][0]["reply"].startswith("250")


def test_the_bytes_of_a_mail_arrive_as_they_were_sent(shared):
    mail = fresh_mail(size=60000)  # its lines begin with dots here and there
    send_mail(shared.port, mail)
    assert shared.inbox.wait_for(mail.ident).original == mail.content()


def test_delivered_mail_carries_the_trace_fields(shared):
    mail = fresh_mail()
    send_mail(shared.port, mail)
    taken = shared.inbox.wait_for(mail.ident)
    assert "by mx.test.example" in taken.field("Received")
    for name in ("Authentication-Results", "X-Postern-Id", "X-Postern-Verdict", "X-Postern-Findings"):
        assert taken.field(name) is not None, f"no {name}"


def test_a_mail_of_three_megabytes_arrives_whole(shared):
    mail = fresh_mail(size=3 << 20)
    assert send_mail(shared.port, mail)[0] == 250
    assert shared.inbox.wait_for(mail.ident).original == mail.content()


def test_many_recipients_of_one_host_get_one_transaction(shared):
    mail = fresh_mail()
    mail.recipients = [f"user{number}@example.org".encode() for number in range(50)]
    assert send_mail(shared.port, mail)[0] == 250
    shared.wait_disposition(mail, "delivered")
    arrivals = shared.inbox.having(mail.ident)
    assert len(arrivals) == 1
    assert sorted(arrivals[0].recipients) == sorted(one.decode() for one in mail.recipients)


def test_a_spam_is_rejected_before_its_250(shared):
    mail = fresh_mail("spam")
    code, text = send_mail(shared.port, mail)
    assert code == 550 and "5.7.1" in text
    rows = eventually(lambda: shared.messages("--rejected", "--message-id", mail.message_id), 10, "the rejected try")
    assert rows[0]["recipients"][0]["disposition"] == "rejected"
    assert not shared.inbox.having(mail.ident)


def test_a_virus_is_rejected_before_its_250(shared):
    mail = fresh_mail("virus")
    assert send_mail(shared.port, mail)[0] == 550
    assert not shared.inbox.having(mail.ident)


def test_a_rejected_mail_is_no_row_of_accepted_ones(shared):
    mail = fresh_mail("spam")
    send_mail(shared.port, mail)
    eventually(lambda: shared.messages("--rejected", "--message-id", mail.message_id), 10, "the rejected try")
    assert shared.messages("--message-id", mail.message_id) == []


def test_mail_for_a_foreign_domain_is_refused(shared):
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        session.command("MAIL FROM:<a@client.example>")
        assert session.command("RCPT TO:<b@elsewhere.example>") in (550, 554)
        assert session.command("RCPT TO:<b%elsewhere.example@example.org>") in (250, 550, 554)


def test_the_postmaster_is_always_taken(shared):
    mail = Mail("postmaster-mail", recipient=b"postmaster@example.org")
    assert send_mail(shared.port, mail)[0] == 250
    shared.inbox.wait_for(mail.ident)


def test_two_hundred_mails_on_one_connection_all_arrive(shared):
    mails = [fresh_mail(size=500) for _ in range(200)]
    with Dialogue(shared.port) as session:
        session.command("EHLO client.example")
        for mail in mails:
            session.command(b"MAIL FROM:<" + mail.sender + b">")
            session.command(b"RCPT TO:<" + mail.recipients[0] + b">")
            assert session.message(mail.content().replace(b"\r\n.", b"\r\n..") + b".\r\n")[0] == 250
    for mail in mails:
        shared.inbox.wait_for(mail.ident)


def test_a_mail_in_a_loop_is_refused(shared):
    with Dialogue(shared.port) as session:
        session.start_mail()
        loop = b"Received: from a by b; Mon, 12 Jan 2026 10:00:00 +0000\r\n" * 60
        assert session.message(loop + b"Subject: round\r\n\r\nround\r\n.\r\n")[0] == 554
