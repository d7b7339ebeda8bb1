# SPDX-License-Identifier: Apache-2.0
"""Mail that is held back, and let go once."""

import concurrent.futures

import pytest

from tests.lib.gateway import CommandFailed, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually

HOLD = {"policy/default": {"reject": None, "on_virus": "quarantine"}}


@pytest.fixture(scope="module")
def holding():
    """A gateway whose policy never rejects."""
    with Gateway(documents=HOLD) as fresh:
        yield fresh


def quarantined(gateway, mail):
    """The quarantine's row of a mail that was just sent."""
    assert send_mail(gateway.port, mail)[0] == 250
    def listed():
        rows = gateway.ask("quarantine", "list", "--limit", "0")
        return [row for row in rows if row["message_id"].strip("<>") == mail.message_id.strip("<>")]
    return eventually(listed, 20, f"{mail.ident} in the quarantine", pause=0.1)[0]


def test_a_spam_is_quarantined_where_the_policy_says_so(holding):
    mail = fresh_mail("spam")
    row = quarantined(holding, mail)
    assert row["node"] == "worker-1"
    assert "gtube" in str(row["findings"]).lower()
    assert mail.recipients[0].decode() in str(row["recipients"])
    holding.wait_disposition(mail, "quarantined")
    assert not holding.inbox.having(mail.ident)


def test_a_quarantined_mail_is_released_once_however_often_asked(holding):
    mail = fresh_mail("spam")
    row = quarantined(holding, mail)
    def release(_):
        return holding.command("quarantine", "release", row["id"])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(release, range(8)))
    assert holding.inbox.wait_for(mail.ident).original == mail.content()
    release(0)
    marker = fresh_mail()
    send_mail(holding.port, marker)
    holding.inbox.wait_for(marker.ident)
    assert len(holding.inbox.having(mail.ident)) == 1


def files_of(holding, row):
    return list((holding.home / "worker/state/quarantine").glob(f"*/{row['id']}"))


def test_the_file_of_a_mail_stays_until_it_is_deleted_for_everybody(holding):
    mail = fresh_mail("spam")
    mail.recipients.append(b"other-" + mail.recipients[0])
    row = quarantined(holding, mail)
    one, other = (address.decode() for address in mail.recipients)
    holding.command("quarantine", "delete", row["id"], "--recipient", one)
    assert files_of(holding, row)
    holding.command("quarantine", "release", row["id"], "--recipient", other)
    assert holding.inbox.wait_for(mail.ident).original == mail.content()
    assert files_of(holding, row)


def test_a_deleted_mail_cannot_be_released(holding):
    mail = fresh_mail("spam")
    row = quarantined(holding, mail)
    assert files_of(holding, row)
    holding.command("quarantine", "delete", row["id"])
    eventually(lambda: not files_of(holding, row), 10, "its file to go")
    try:
        holding.command("quarantine", "release", row["id"])
    except CommandFailed:
        pass
    marker = fresh_mail()
    send_mail(holding.port, marker)
    holding.inbox.wait_for(marker.ident)
    assert not holding.inbox.having(mail.ident)


def test_the_quarantine_survives_the_death_of_every_process(holding):
    mail = fresh_mail("virus")
    row = quarantined(holding, mail)
    holding.kill_everything()
    holding.wait_ready()
    eventually(holding.master_answers, 20, "the master")
    assert row["id"] in [one["id"] for one in holding.ask("quarantine", "list", "--limit", "0")]
    holding.command("quarantine", "release", row["id"])
    assert holding.inbox.wait_for(mail.ident).original == mail.content()


def test_40_a_quarantined_mail_makes_no_bounce(holding):
    mail = fresh_mail("spam", sender=b"author@example.org")
    quarantined(holding, mail)
    assert not [one for one in holding.inbox.mails() if one.sender == ""]
