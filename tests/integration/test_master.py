# SPDX-License-Identifier: Apache-2.0
"""The master's record, and mail without a master."""

import json
import signal

import pytest

from tests.lib.faults import STAGES, kill_pid
from tests.lib.gateway import CommandFailed
from tests.lib.messages import fresh_mail
from tests.lib.scenario import assert_master_agrees, send_during, settle, wait_for_acks
from tests.lib.smtp import RecordingClient, send_mail
from tests.lib.waiting import eventually


def test_mail_flows_without_a_master_and_it_learns_everything_later(gateway):
    gateway.keep = False
    gateway.kill("master")
    client = RecordingClient(gateway.port)
    client.send(200)
    checker = settle(gateway, client.record)
    checker.assert_nothing_lost()
    gateway.keep = True
    assert_master_agrees(gateway, checker)


def test_a_worker_restarted_without_its_master_takes_mail(gateway):
    gateway.keep = False
    gateway.kill_everything()
    gateway.launch("node")
    gateway.wait_ready()
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)


def test_16_master_killed_while_it_takes_events_has_each_once(gateway):
    def kill(client):
        for count in (50, 100, 150, 200):
            wait_for_acks(client, count)
            killed = gateway.kill("master")
            eventually(lambda dead=killed: set(gateway.pids("master")) - set(dead), 20, "a new master")
    checker = settle(gateway, send_during(gateway, 300, kill))
    assert_master_agrees(gateway, checker)


def spoil(file):
    """Writes rubbish over the middle of a file."""
    size = file.stat().st_size
    with open(file, "r+b") as spoilt:
        spoilt.seek(size // 2 // 4096 * 4096)
        spoilt.write(b"rubbish " * (min(size // 4, 16384) // 8))


def stop_master(gateway):
    """Ends the master, which writes what lies in its databases' logs into the files themselves."""
    gateway.keep = False
    for pid in gateway.pids("master"):
        kill_pid(pid, signal.SIGTERM)
    eventually(lambda: not gateway.pids("master"), 20, "the master to end")


@pytest.mark.parametrize("damage", ["rubbish", "emptied"])
@pytest.mark.parametrize("pattern", ["messages-*.db", "stream.db"])
def test_a_damaged_file_of_the_record_is_set_aside_and_told_and_the_master_goes_on(gateway, pattern, damage):
    client = RecordingClient(gateway.port)
    client.send(100)
    assert_master_agrees(gateway, settle(gateway, client.record))
    stop_master(gateway)
    files = list((gateway.home / "master/state/master/messages").glob(pattern))
    assert files
    for file in files:
        spoil(file) if damage == "rubbish" else file.write_bytes(b"")
    gateway.keep = True
    eventually(gateway.master_answers, 20, "the master to answer")
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "delivered")
    gateway.messages()  # reading finds what writing has not met
    def told():
        alarmed = "record-damaged" in gateway.ask("status")["alarms"]
        return alarmed and "record-damaged" in gateway.command("events", "--json")
    eventually(told, 20, "the alarm")
    aside = list((gateway.home / "master/state/master/corrupt").glob("*.db"))
    assert {file.name for file in files} <= {f"{one.name.rsplit('-', 1)[0]}.db" for one in aside}
    after = fresh_mail()
    assert send_mail(gateway.port, after)[0] == 250
    gateway.wait_disposition(after, "delivered")


def test_a_damaged_member_list_is_refused_with_its_mend_and_mail_flows(gateway):
    stop_master(gateway)
    file = gateway.home / "master/state/master/cluster.db"
    spoil(file)
    gateway.launch("master")
    assert gateway.children["master"].wait(20) == 1
    said = (gateway.home / "master.log").read_text()
    assert "cluster.db is damaged" in said and "put a copy of it back" in said
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)


def test_17_a_master_that_stands_still_delays_no_mail_and_catches_up(gateway):
    pid = gateway.pids("master")[0]
    kill_pid(pid, signal.SIGSTOP)
    client = RecordingClient(gateway.port)
    client.send(300)
    checker = settle(gateway, client.record)
    checker.assert_nothing_lost()
    kill_pid(pid, signal.SIGCONT)
    assert_master_agrees(gateway, checker)


def test_21_nearly_all_events_come_by_the_live_stream_when_nothing_disturbs_it(gateway):
    client = RecordingClient(gateway.port)
    client.send(500)
    assert_master_agrees(gateway, settle(gateway, client.record))
    assert gateway.ask("status")["replayed_share"] <= 0.01


def test_status_names_the_processes_and_what_waits(gateway):
    wanted = {(name, pid) for name in STAGES for pid in gateway.pids(name)}
    def told():
        status = gateway.ask("status")
        return wanted <= {(one["name"], one["pid"]) for one in status["processes"]} and status
    status = eventually(told, 5, "all processes to be told")
    assert status["spool"] == 0 and status["queue"] == 0


def test_the_events_of_a_mail_can_be_followed(gateway):
    mail = fresh_mail()
    send_mail(gateway.port, mail)
    gateway.wait_disposition(mail, "delivered")
    lines = [json.loads(line) for line in gateway.command("events", "--json").splitlines()]
    mine = [line for line in lines if line["message_id"].strip("<>") == mail.message_id.strip("<>")]
    assert mine and {"commit", "node", "epoch", "sequence", "time", "kind"} <= set(mine[0])


def test_a_bad_configuration_is_refused_with_its_place_and_the_old_one_stays(gateway):
    before = gateway.command("config", "export")
    with pytest.raises(CommandFailed) as refusal:
        gateway.configure({"ingress": {"line_max": "much"}})
    assert "ingress.line_max" in str(refusal.value)
    assert gateway.command("config", "export") == before
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250


def test_a_configuration_that_was_exported_can_be_applied_again(gateway):
    exported = json.loads(gateway.command("config", "export"))
    gateway.configure(exported)
    assert json.loads(gateway.command("config", "export")) == exported


def test_a_new_domain_is_taken_without_a_restart(gateway):
    before = gateway.pids("ingress")
    gateway.configure({"domain/new.example": {"route": "sink"}})
    mail = fresh_mail(recipient=b"user@new.example")
    eventually(lambda: send_mail(gateway.port, mail)[0] == 250, 10, "the new domain", pause=0.1)
    gateway.inbox.wait_for(mail.ident)
    assert gateway.pids("ingress") == before
