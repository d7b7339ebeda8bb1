# SPDX-License-Identifier: Apache-2.0
"""What many tests do: send while something happens, wait for the end, compare."""

import threading

from tests.lib.checker import Checker
from tests.lib.smtp import RecordingClient
from tests.lib.waiting import eventually, none_left


def settle(gateway, record, seconds=120):
    """Waits until every clean mail that was acknowledged has arrived; the checker."""
    checker = Checker(record, gateway.inbox)
    def all_there():
        if checker.missing():
            checker.held = gateway.held_for("analyzer-died")
        return not checker.missing()
    try:
        eventually(all_there, seconds, "all acknowledged mails", pause=0.5)
    except AssertionError:
        print("missing:", checker.missing()[:20])
    if checker.held:
        print("held, for two analyzers died on them:", checker.held)
    return checker


def assert_master_agrees(gateway, checker, seconds=60, **master):
    """The master's record and the inbox tell the same, one for one. `master` names it where there are two."""
    eventually(lambda: gateway.master_answers(**master), 30, "the master to answer", pause=0.2)
    none_left(lambda: checker.disagreements(gateway.messages(**master)), seconds, pause=0.5)


def send_during(gateway, count, disturb, **options):
    """Sends `count` mails while `disturb` runs in a thread; the record."""
    client = RecordingClient(gateway.port, **options)
    thread = threading.Thread(target=disturb, args=(client,), daemon=True)
    thread.start()
    record = client.send(count)
    thread.join(60)
    return record


def wait_for_acks(client, count):
    eventually(lambda: client.settled >= count, 60, f"{count} answers")
