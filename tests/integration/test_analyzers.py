# SPDX-License-Identifier: Apache-2.0
"""Analyzers that come and go, and messages that kill or hang whoever examines them."""

import os
import re
import urllib.request

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


def status_of_process(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def is_sanitized():
    return b"__asan_init" in (BUILD / "bin" / "postern-analyzer").read_bytes()


def test_an_analyzer_sits_in_its_sandbox_with_all_its_threads_and_says_so(gateway):
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.wait_disposition(mail, "delivered")
    confined = 0 if is_sanitized() else 1
    for pid in gateway.pids("analyzer"):
        for thread in os.listdir(f"/proc/{pid}/task"):
            status = status_of_process(f"{pid}/task/{thread}")
            assert (status["Seccomp"], status["NoNewPrivs"]) == (str(2 * confined), str(confined))
    def said():
        text = urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5).read().decode()
        told = re.findall(r'^postern_analyzer_sandbox\{([^}]*part="calls"[^}]*)\} (\d)', text, re.M)
        return len(told) == len(gateway.pids("analyzer")) and {value for _, value in told} == {str(confined)}
    eventually(said, 10, "each analyzer's word")
