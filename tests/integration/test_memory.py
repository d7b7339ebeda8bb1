# SPDX-License-Identifier: Apache-2.0
"""Memory and threads that the machine does not give (fault 13): a process dies, or does without; none loses mail."""

import random
import threading

import pytest

from tests.lib.faults import STAGES, kill_pid
from tests.lib.gateway import BUILD, Gateway
from tests.lib.scenario import assert_master_agrees, settle
from tests.lib.smtp import RecordingClient
from tests.lib.waiting import eventually

FAULTS = 6


@pytest.fixture
def limited(request):
    """A gateway one of whose programs the test can refuse memory and threads."""
    if not (BUILD / "lib" / "faultdisk.so").exists():
        pytest.fail("no faultdisk.so in the build")
    with Gateway(disk=True, disk_programs=[f"postern-{request.param}"]) as fresh:
        fresh.program = request.param
        yield fresh


def note_failures(gateway, stopping):
    """Tells the gateway when a process may have died: the checker allows repeats around that."""
    seen = 0
    while not stopping.wait(0.01):
        failures = gateway.disk.read()["failures"]
        if failures != seen:
            gateway.note_deaths(gateway.program)
        seen = failures


@pytest.mark.parametrize("limited", STAGES + ("node", "master"), indirect=True)
def test_13_an_allocation_that_fails_ends_one_process_at_most_and_loses_nothing(limited):
    dice, stopping = random.Random(limited.program), threading.Event()
    threading.Thread(target=note_failures, args=(limited, stopping), daemon=True).start()
    client = RecordingClient(limited.port)
    for fault in range(1, FAULTS + 1):
        limited.disk.set(allocations_left=dice.randint(1, 600))
        def failed(wanted=fault):
            client.send(client.settled + 20)
            return limited.disk.read()["failures"] >= wanted
        eventually(failed, 30, "an allocation to fail")
    stopping.set()
    checker = settle(limited, client.record)
    checker.assert_nothing_lost(limited.deaths())
    assert_master_agrees(limited, checker)


@pytest.mark.parametrize("limited", STAGES + ("node", "master"), indirect=True)
def test_13_without_threads_a_process_waits_for_its_turn_and_comes_back(limited):
    client = RecordingClient(limited.port)
    client.send(50)
    limited.disk.set(thread_budget=4)
    before = limited.pids(limited.program)
    limited.note_deaths(limited.program)
    for pid in before:
        kill_pid(pid)
    eventually(lambda: limited.disk.read()["thread_budget"] == 0, 60, "the threads to be refused")
    eventually(lambda: set(limited.pids(limited.program)) - set(before), 30, "the process to be back")
    limited.wait_ready()
    client.send(100)
    checker = settle(limited, client.record)
    checker.assert_nothing_lost(limited.deaths())
    assert_master_agrees(limited, checker)
