# SPDX-License-Identifier: Apache-2.0
"""The bodies of quarantined mail: on the master soon, and there when the worker is not."""

import signal
import subprocess
from datetime import date, timedelta

import pytest

from tests.lib.gateway import CommandFailed, Gateway
from tests.lib.messages import GTUBE, Mail, fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually

HOLD = {"policy/default": {"reject": None, "on_virus": "quarantine"}}


@pytest.fixture(scope="module")
def holding():
    with Gateway(documents=HOLD) as fresh:
        yield fresh


class BigSpam(Mail):
    """900 kB that the policy holds back."""

    def body(self):
        return GTUBE + b"\r\n" + b"".join(b"%070d\r\n" % number for number in range(12500))


def quarantined(gateway, mail):
    assert send_mail(gateway.port, mail)[0] == 250
    def listed():
        rows = gateway.ask("quarantine", "list", "--limit", "0")
        return [row for row in rows if row["message_id"].strip("<>") == mail.message_id.strip("<>")]
    return eventually(listed, 20, f"{mail.ident} in the quarantine", pause=0.1)[0]


def blobs(gateway):
    return list((gateway.home / "master/state/master/bodies").glob("[0-9a-f][0-9a-f]/*.zst"))


def body_of(gateway, row):
    return gateway.command("quarantine", "show", row["id"], "--body").encode()


def all_taken(gateway):
    return gateway.ask("status")["bodies"]["waiting"] == 0


def test_a_body_is_shown_by_the_master_with_the_worker_gone(holding):
    mail = fresh_mail("virus")
    row = quarantined(holding, mail)
    eventually(lambda: all_taken(holding), 5, "the body to be on the master")
    assert len(blobs(holding)) == 1
    holding.keep = False
    for name in ("node", "ingress", "analyzer", "delivery"):
        holding.kill(name)
    try:
        assert mail.ident.encode() in body_of(holding, row)
    finally:
        holding.keep = True
        holding.wait_ready()


def test_a_rotten_body_is_set_aside_and_fetched_again(holding):
    before = set(blobs(holding))
    mail = fresh_mail("virus")
    row = quarantined(holding, mail)
    eventually(lambda: all_taken(holding) and set(blobs(holding)) - before, 10, "the body")
    (blob,) = set(blobs(holding)) - before
    bytes_now = bytearray(blob.read_bytes())
    bytes_now[len(bytes_now) // 2] ^= 0x55
    blob.write_bytes(bytes_now)
    assert mail.ident.encode() in body_of(holding, row)    # from the worker
    eventually(lambda: blob.exists() and blob.read_bytes() != bytes_now, 10, "a good one in its place")
    assert (blob.parent.parent / "corrupt" / blob.name).exists()
    assert holding.ask("status")["bodies"]["rotten"] == 1


def test_a_body_goes_with_the_last_recipient_deleted(holding):
    before = set(blobs(holding))
    mail = fresh_mail("virus")
    mail.recipients = [b"one@example.org", b"two@example.org"]
    row = quarantined(holding, mail)
    eventually(lambda: all_taken(holding) and set(blobs(holding)) - before, 10, "the body")
    (blob,) = set(blobs(holding)) - before
    holding.command("quarantine", "delete", row["id"], "--recipient", "one@example.org")
    assert blob.exists()
    holding.command("quarantine", "delete", row["id"], "--recipient", "two@example.org")
    eventually(lambda: not blob.exists(), 10, "the body to go")
    with pytest.raises(CommandFailed):
        body_of(holding, row)


def test_a_worker_lets_go_of_old_days_that_the_master_holds_and_of_no_others(holding):
    """The folder is given an older date, as if the day had passed."""
    row = quarantined(holding, fresh_mail("virus"))
    eventually(lambda: all_taken(holding), 10, "the body to be on the master")
    folder = holding.home / "worker/state/quarantine"
    old = folder / str(date.today() - timedelta(days=3))
    (file,) = folder.glob(f"*/{row['id']}")
    holding.keep = False
    holding.kill("node")
    old.mkdir()
    file.rename(old / row["id"])
    stranger = old / "01ARZ3NDEKTSV4RRFFQ69G5FAV"            # no master knows it: it is custody
    stranger.write_bytes(b"x")
    holding.keep = True
    eventually(lambda: not (old / row["id"]).exists(), 90, "the worker to let go")
    assert stranger.exists()


@pytest.mark.root
def test_quarantined_mail_that_no_master_takes_fills_its_share_and_then_452(tmp_path):
    image, mounted = tmp_path / "image", tmp_path / "disk"
    mounted.mkdir()
    subprocess.run(["truncate", "-s", "300M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        with Gateway(documents=HOLD | {"quarantine": {"disk_percent": 1}}, worker_state=mounted / "state") as gateway:
            fill_the_share(gateway)
    finally:
        subprocess.run(["umount", mounted], check=True)


def fill_the_share(gateway):
    def refused():
        return send_mail(gateway.port, BigSpam("big" + fresh_mail().ident))[0] == 452
    gateway.kill("master", number=signal.SIGSTOP)
    eventually(refused, 40, "the share to be full", pause=0.3)
    clean = fresh_mail()
    assert send_mail(gateway.port, clean)[0] == 250          # other mail flows
    gateway.inbox.wait_for(clean.ident)
    gateway.kill("master", number=signal.SIGCONT)
    eventually(lambda: not refused(), 40, "room again once the master has them", pause=0.5)
