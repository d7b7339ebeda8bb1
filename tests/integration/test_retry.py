# SPDX-License-Identifier: Apache-2.0
"""When the next hop says no, not now, or nothing."""

from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually

PATIENT = {"retry_first_s": 1, "retry_most_s": 1}


def bounce_to(gateway, sender, mail):
    """The bounce of that mail at the sender's address, None while there is none."""
    for one in gateway.inbox.mails():
        if one.recipients == [sender] and mail.message_id.encode() in one.content and one.sender == "":
            return one
    return None


def own_mail(local="user-x"):
    """A mail whose sender lives behind the gateway, so that bounces reach the inbox."""
    mail = fresh_mail(sender=b"author@example.org")
    mail.recipients = [f"{local}-{mail.ident}@example.org".encode()]
    return mail


def test_next_hop_down_then_up_the_mail_is_deferred_and_delivered(gateway):
    gateway.inbox.stop()
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "deferred")
    gateway.inbox.start()
    gateway.inbox.wait_for(mail.ident)
    gateway.wait_disposition(mail, "delivered")
    assert len(gateway.inbox.having(mail.ident)) == 1


def test_a_4xx_for_a_recipient_is_tried_again(gateway):
    gateway.inbox.restart("--rule", "defer-*=451 4.3.0 Try again later")
    mail = fresh_mail("defer")
    send_mail(gateway.port, mail)
    row = gateway.wait_disposition(mail, "deferred")
    assert "451" in row["recipients"][0]["reply"]
    gateway.inbox.restart()
    gateway.wait_disposition(mail, "delivered")


def test_a_5xx_for_a_recipient_makes_a_bounce_with_the_null_sender(gateway):
    gateway.inbox.restart("--rule", "bounce-*=550 5.1.1 No such user")
    mail = own_mail("bounce")
    assert send_mail(gateway.port, mail)[0] == 250
    bounce = eventually(lambda: bounce_to(gateway, "author@example.org", mail), 30, "the bounce")
    assert "multipart/report" in bounce.field("Content-Type")
    assert b"Action: failed" in bounce.content
    assert b"Status: 5.1.1" in bounce.content
    assert b"550 5.1.1 No such user" in bounce.content
    gateway.wait_disposition(mail, "bounced")


def test_a_5xx_after_the_final_dot_makes_a_bounce(gateway):
    gateway.inbox.restart("--rule", "late-*=dot 554 5.6.0 Not like this")
    mail = own_mail("late")
    send_mail(gateway.port, mail)
    eventually(lambda: bounce_to(gateway, "author@example.org", mail), 30, "the bounce")
    gateway.wait_disposition(mail, "bounced")


def test_one_bad_recipient_of_two_bounces_alone(gateway):
    gateway.inbox.restart("--rule", "bounce-*=550 5.1.1 No such user")
    mail = own_mail("good")
    mail.recipients.append(b"bounce-two@example.org")
    send_mail(gateway.port, mail)
    assert gateway.inbox.wait_for(mail.ident).recipients == [mail.recipients[0].decode()]
    bounce = eventually(lambda: bounce_to(gateway, "author@example.org", mail), 30, "the bounce")
    assert b"bounce-two@example.org" in bounce.content
    assert b"Final-Recipient: rfc822; " + mail.recipients[0] not in bounce.content


def test_40_a_bounce_that_cannot_be_delivered_makes_no_bounce(gateway):
    gateway.inbox.restart("--rule", "bounce-*=550 5.1.1 No such user")
    mail = fresh_mail("bounce", sender=b"")
    send_mail(gateway.port, mail)
    gateway.wait_disposition(mail, "bounced")
    assert not [one for one in gateway.inbox.mails() if one.sender == ""]


def test_28_a_next_hop_that_hangs_after_the_dot_delays_nobody_else(gateway):
    gateway.inbox.restart("--rule", "hang-*=hang")
    stuck, other = own_mail("hang"), fresh_mail()
    send_mail(gateway.port, stuck)
    send_mail(gateway.port, other)
    gateway.inbox.wait_for(other.ident, 10)


def test_28_a_next_hop_that_closes_after_the_dot_is_tried_again(gateway):
    gateway.inbox.restart("--rule", "close-*=close")
    mail = own_mail("close")
    send_mail(gateway.port, mail)
    gateway.wait_disposition(mail, "deferred")
    gateway.inbox.restart()
    gateway.wait_disposition(mail, "delivered")
    assert len(gateway.inbox.having(mail.ident)) == 1


def test_28_a_lost_reply_after_the_dot_repeats_the_same_mail(gateway):
    gateway.inbox.restart("--rule", "lose-*=keep-close")
    mail = own_mail("lose")
    send_mail(gateway.port, mail)
    gateway.inbox.wait_for(mail.ident)
    gateway.inbox.restart()
    gateway.wait_disposition(mail, "delivered")
    copies = gateway.inbox.having(mail.ident)
    assert len(copies) >= 2
    assert len({copy.field("X-Postern-Id") for copy in copies}) == 1


def test_27_with_dns_dead_mail_is_deferred_not_bounced(gateway):
    gateway.configure({"domain/far.example": {}, "delivery": {**PATIENT, "resolver": "127.0.0.1:1"}})
    mail = fresh_mail(recipient=b"user@far.example")
    send_mail(gateway.port, mail)
    gateway.wait_disposition(mail, "deferred", 60)


def test_a_deferred_mail_survives_the_end_of_its_delivery(gateway):
    gateway.inbox.stop()
    mails = [fresh_mail(size=600) for _ in range(20)]
    for mail in mails:
        assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mails[-1], "deferred")
    gateway.kill("delivery")
    gateway.inbox.start()
    for mail in mails:
        gateway.inbox.wait_for(mail.ident)
        gateway.wait_disposition(mail, "delivered")
        assert len(gateway.inbox.having(mail.ident)) == 1


def test_after_the_longest_wait_a_mail_is_bounced(gateway):
    gateway.configure({"delivery": {**PATIENT, "expire_s": 1}})
    gateway.inbox.restart("--rule", "defer-*=451 4.3.0 Try again later")
    mail = own_mail("defer")
    send_mail(gateway.port, mail)
    eventually(lambda: bounce_to(gateway, "author@example.org", mail), 30, "the bounce")
