# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, broken or slow; files that rot."""

import errno
import os
import subprocess

import pytest

from tests.lib.gateway import BUILD, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.scenario import assert_master_agrees, settle
from tests.lib.smtp import RecordingClient, send_mail
from tests.lib.waiting import eventually


@pytest.fixture
def fragile():
    """A gateway whose ingress writes to a disk that the test can break."""
    if not (BUILD / "lib" / "faultdisk.so").exists():
        pytest.fail("no faultdisk.so in the build")
    with Gateway(disk=True, disk_programs=["postern-ingress"]) as fresh:
        yield fresh


def taken_again(gateway, record=None):
    """A mail that is accepted and arrives, trying until it is."""
    mail = fresh_mail()
    if record:
        record.tried[mail.ident] = mail
    def accepted():
        try:
            return send_mail(gateway.port, mail)[0] == 250
        except OSError:
            return False
    eventually(accepted, 40, "mail to be accepted again", pause=0.2)
    gateway.inbox.wait_for(mail.ident)


def test_10_no_space_answers_4xx_and_mail_flows_again_by_itself(fragile):
    client = RecordingClient(fragile.port)
    client.send(20)
    fragile.disk.set(write_errno=errno.ENOSPC, write_budget=-1)
    codes = set()
    for _ in range(5):
        try:
            codes.add(send_mail(fragile.port, fresh_mail(size=200000))[0])
        except OSError:
            codes.add(0)
    fragile.disk.heal()
    taken_again(fragile, client.record)
    settle(fragile, client.record).assert_nothing_lost()
    assert all(code in (0, 250, 421, 451, 452) for code in codes), codes


@pytest.mark.root
def test_10_a_full_file_system_answers_452_and_drains(tmp_path):
    image, mounted = tmp_path / "image", tmp_path / "disk"
    mounted.mkdir()
    image.write_bytes(b"")
    subprocess.run(["truncate", "-s", "400M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        with Gateway(worker_state=mounted / "state") as gateway:
            fill_and_free(gateway, mounted)
    finally:
        subprocess.run(["umount", mounted], check=True)


def fill_and_free(gateway, mounted):
    client = RecordingClient(gateway.port)
    client.send(50)
    ballast = mounted / "ballast"
    subprocess.run(["fallocate", "-l", "2G", ballast], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M", "conv=notrunc,fsync", "oflag=append"],
                   check=False, stderr=subprocess.DEVNULL)
    def put_off():
        mail = fresh_mail(size=50000)
        client.record.tried[mail.ident] = mail
        return send_mail(gateway.port, mail)[0] in (421, 451, 452)
    eventually(put_off, 20, "mail to be put off")
    ballast.unlink()
    taken_again(gateway, client.record)
    settle(gateway, client.record).assert_nothing_lost()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_11_a_failed_sync_is_never_answered_250(fragile, error):
    client = RecordingClient(fragile.port)
    client.send(20)
    settle(fragile, client.record)
    fragile.disk.set(sync_errno=error, sync_budget=2)
    try:
        code = send_mail(fragile.port, fresh_mail())[0]
    except OSError:
        code = 0
    assert code != 250
    fragile.disk.heal()
    taken_again(fragile, client.record)
    checker = settle(fragile, client.record)
    checker.assert_nothing_lost()
    assert fragile.disk.read()["failures"] >= 1


def test_11_syncs_that_fail_now_and_then_lose_nothing(fragile):
    client = RecordingClient(fragile.port)
    for count in (30, 60, 90):
        client.send(count)
        fragile.disk.set(sync_errno=errno.EIO, sync_budget=1)
    client.send(150)
    settle(fragile, client.record).assert_nothing_lost()


def test_1_ingress_killed_at_each_call_to_disk_and_client_loses_nothing(fragile):
    client = RecordingClient(fragile.port, connections=2, reply_seconds=10)
    # A mail takes some twenty calls; every sixth place here, each of them with POSTERN_STEP=1.
    for calls in range(1, 60, int(os.environ.get("POSTERN_STEP", "6"))):
        fragile.disk.set(kill_after=calls)
        client.send(client.settled + 3)
        eventually(lambda: fragile.disk.read()["kill_after"] == 0, 10, "the ingress to be killed")
    client.send(client.settled + 3)
    settle(fragile, client.record).assert_nothing_lost()


def test_11_short_writes_do_no_harm(fragile):
    fragile.disk.set(short_writes=1)
    client = RecordingClient(fragile.port, size=9000)
    client.send(50)
    settle(fragile, client.record).assert_nothing_lost()


def test_12_a_sync_of_five_seconds_delays_but_loses_nothing(fragile):
    fragile.disk.set(sync_delay_us=5_000_000)
    mail = fresh_mail()
    assert send_mail(fragile.port, mail, timeout=60)[0] == 250
    fragile.disk.heal()
    fragile.inbox.wait_for(mail.ident, 60)
    taken_again(fragile)


def test_9_a_flipped_byte_costs_that_record_only(gateway):
    gateway.inbox.stop()
    client = RecordingClient(gateway.port, size=4000)
    client.send(50)
    gateway.keep = False
    gateway.kill_everything()
    victim = flip_a_byte(gateway, b"m000025")
    gateway.keep = True
    gateway.inbox.start()
    gateway.wait_ready(60)
    lost = {ident for ident in client.record.acked if ident != victim}
    eventually(lambda: lost <= {mail.ident for mail in gateway.inbox.mails()}, 60, "all the others")


def flip_a_byte(gateway, ident):
    """Damages the body of one spooled mail, wherever it lies; its id."""
    mark = b"X-Test-Id: " + ident
    for path in sorted((gateway.home / "worker" / "state").rglob("*")):
        if not path.is_file() or path.stat().st_size == 0:
            continue
        content = path.read_bytes()
        at = content.find(mark)
        while at >= 0:
            with open(path, "r+b") as file:
                file.seek(at + 600)
                file.write(bytes([content[at + 600] ^ 1]))
            at = content.find(mark, at + 1)
    return ident.decode()


def test_24_an_outbox_that_was_lost_gets_a_new_epoch_and_the_stream_goes_on(gateway):
    first = RecordingClient(gateway.port, prefix="a")
    first.send(30)
    assert_master_agrees(gateway, settle(gateway, first.record))
    gateway.keep = False
    gateway.kill("node")
    subprocess.run(["rm", "-rf", gateway.home / "worker" / "state" / "outbox"], check=True)
    gateway.keep = True
    gateway.wait_ready()
    second = RecordingClient(gateway.port, prefix="b")
    second.send(30)
    assert_master_agrees(gateway, settle(gateway, second.record))
