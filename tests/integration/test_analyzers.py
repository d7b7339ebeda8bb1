# SPDX-License-Identifier: Apache-2.0
"""Analyzers that come and go, and messages that kill or hang whoever examines them."""

import pytest

from tests.lib.gateway import BUILD, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.scenario import send_during, settle, wait_for_acks
from tests.lib.smtp import RecordingClient, send_mail
from tests.lib.waiting import eventually


@pytest.fixture
def poisonable(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", str(BUILD / "lib" / "poison.so"))
    with Gateway(documents={"analyzer": {"job_timeout_ms": 2000}},
                 workers_stages={"ingress": 1, "analyzer": 3, "delivery": 1}) as gateway:
        yield gateway


def findings_of(gateway, mail):
    return [finding for row in gateway.ask("quarantine", "list") if row["message_id"] == mail.message_id
            for finding in row["findings"]]


@pytest.mark.parametrize("poison", ["POISON-CRASH", "POISON-HANG"])
def test_a_message_that_kills_two_analyzers_is_quarantined_and_no_other(poisonable, poison):
    victims = set(poisonable.pids("analyzer"))
    mail = fresh_mail()
    mail.body = lambda: poison.encode() + b"\r\n"
    assert send_mail(poisonable.port, mail)[0] == 250
    record = RecordingClient(poisonable.port).send(40)
    poisonable.wait_disposition(mail, "quarantined", 40)
    assert "analyzer-died" in str(findings_of(poisonable, mail))
    settle(poisonable, record).assert_nothing_lost()
    # Those that it killed or held are back: two, for the third one never saw it.
    eventually(lambda: len(poisonable.pids("analyzer")) == 3 and
               len(set(poisonable.pids("analyzer")) - victims) == 2, 60, "two new analyzers")


def test_analyzers_that_leave_under_load_finish_what_they_hold():
    with Gateway(workers_stages={"ingress": 1, "analyzer": 3, "delivery": 1}) as gateway:
        def shrink(client):
            wait_for_acks(client, 100)
            gateway.configure({"stages": {"ingress": 1, "analyzer": 1, "delivery": 1}})
        record = send_during(gateway, 600, shrink)
        assert not record.refused
        settle(gateway, record).assert_nothing_lost()
        eventually(lambda: len(gateway.pids("analyzer")) == 1, 20, "one analyzer to stay")
        assert not gateway.ask("quarantine", "list")
